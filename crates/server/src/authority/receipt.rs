//! Receipts: which instances of verifiers have applied an act that takes something away.
//!
//! A verifier accepts a revoked token until it has applied
//! the revocation, so an act that takes something away is complete only when no instance
//! is left that could still accept.

use serde::Serialize;
use tegata_token::{
    id::{Position, ProviderId},
    time::UnixTime,
};

/// What an act concerns, and so which verifiers must apply it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// A provider, one of its channels or tokens: its verifiers and the unlimited ones.
    Provider(ProviderId),
    /// The authority's own keys: all verifiers.
    All,
}

/// An act that has a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedAct {
    /// The position of its last change.
    pub position: Position,
    /// From when on nothing accepts what it took away, once the receipt is complete.
    pub effective_at: UnixTime,
    /// What it concerns.
    pub concerns: Concerns,
}

/// Which instances of verifiers have applied an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Whether an instance is left that could accept after [`Self::effective_at`].
    pub state: ReceiptState,
    /// The position of the act's last change.
    pub position: Position,
    /// When the act takes effect: after the delay of a reissue, else at its time.
    pub effective_at: UnixTime,
    /// The provider whose verifiers must apply it, and the unlimited ones; `None`: all.
    pub provider: Option<ProviderId>,
    /// The instances that must apply it.
    pub verifiers: Vec<InstanceReceipt>,
}

/// The state of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    /// An instance could still accept what was taken away.
    Pending,
    /// No instance can.
    Complete,
}

/// One instance's part of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceReceipt {
    /// The name of its verifier.
    pub name: String,
    /// Its id.
    pub instance: String,
    /// Whether it can still accept.
    pub state: InstanceState,
    /// When it acknowledged the position.
    pub acknowledged_at: Option<UnixTime>,
    /// Why it cannot apply the position, or who removed it.
    pub detail: Option<String>,
}

/// Whether an instance can still accept what an act took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// It has applied the position.
    Acknowledged,
    /// It may not have applied it yet.
    Waiting,
    /// It has not asked for so long that it treats its own view as stale.
    LeaseExpired,
    /// As [`Self::LeaseExpired`], but it may use a stale view.
    MayStillAccept,
    /// It has reported that it cannot apply the position.
    CannotApply,
    /// It has reported its end.
    Stopped,
    /// An operator removed it.
    Removed,
}
