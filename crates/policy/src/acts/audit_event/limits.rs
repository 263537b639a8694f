//! What events about limits report.

use serde::{Deserialize, Serialize};
use tegata_token::{id::Group, kind::Kind};

/// A cooldown of issuing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CooldownBegan {
    /// The kind that is not issued.
    pub kind: Kind,
    /// `group`, `no-group` or `other-groups`.
    pub whose: String,
    /// The group, if it is one.
    pub group: Option<Group>,
    /// For how long.
    pub seconds: u64,
}

/// A source of wrong secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretThrottled {
    /// For how long wrong secrets from it are rejected.
    pub seconds: u64,
}
