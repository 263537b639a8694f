//! Receipts.

use crate::{
    html::{Html, Id},
    named::InstanceStanding,
};
use tegata_token::id::Position;

#[derive(Debug)]
pub struct ReceiptTexts {
    pub title: &'static str,
    pub lead: fn(Id<Position>) -> Html,
    pub what: &'static str,
    pub in_audit: &'static str,
    pub complete: &'static str,
    pub pending: &'static str,
    pub complete_stamp: &'static str,
    pub pending_stamp: &'static str,
    /// How many instances of how many can no longer accept it.
    pub so_far: fn(usize, usize) -> String,
    pub no_verifiers: &'static str,
    pub effective: &'static str,
    pub position: &'static str,
    pub in_log: &'static str,
    pub instances: &'static str,
    pub verifier: &'static str,
    pub instance: &'static str,
    pub acknowledged: &'static str,
    pub details: &'static str,
    pub state: fn(InstanceStanding) -> &'static str,
    pub no: &'static str,
    pub not_yet: &'static str,
    pub lease_expired: &'static str,
    pub waiting: &'static str,
    pub may_still_accept_short: &'static str,
    pub may_still_accept: &'static str,
    pub again: &'static str,
    pub follows: &'static str,
    pub download: &'static str,
    pub download_hint: &'static str,
    pub another: &'static str,
    pub audit: &'static str,
    pub since: fn(Html) -> Html,
    pub signature_only: &'static str,
}
