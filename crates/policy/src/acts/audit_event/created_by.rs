//! What an event about revoking an actor's tokens and keys reports.

use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use tegata_token::time::UnixTime;

/// Whose tokens and keys were revoked, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedByRevoked {
    /// The actor, as audit events name it.
    pub created_by: String,
    /// Only what it created by requests from this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_from: Option<IpAddr>,
    /// What it created from this time on.
    pub since: UnixTime,
    /// What it created before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixTime>,
    /// How many assertion keys were deleted.
    pub keys: usize,
    /// How many active stored tokens were revoked.
    pub revoked: usize,
}
