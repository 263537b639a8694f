//! The details of events about a store that was brought back.

use serde::{Deserialize, Serialize};
use tegata_token::time::UnixTime;

/// A commit that was applied again from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRedone {
    /// How many lines of the journal were applied.
    pub replayed: usize,
    /// How many stored tokens were revoked.
    pub revoked: usize,
}

/// How the store was recovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRecovered {
    /// The epoch that began.
    pub epoch: u64,
    /// How many lines of the journal were applied, if one was.
    pub replayed: Option<usize>,
    /// Whether all tokens were revoked instead.
    pub revoked_everything: bool,
    /// Tokens of the old signing keys are valid only if issued before; `None`: none is.
    pub issued_before: Option<UnixTime>,
    /// How many stored tokens were revoked.
    pub revoked: usize,
    /// Whether the audit's chain begins anew.
    pub audit_begins_anew: bool,
}
