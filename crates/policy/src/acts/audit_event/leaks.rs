//! What an event about leaked tokens reports.

use crate::channel::OnLeak;
use serde::{Deserialize, Serialize};
use tegata_token::{
    id::{Group, TokenId},
    kind::Kind,
};

/// Leaked tokens of one channel that a report named: one, or several. Never their texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeakReported {
    /// The id of the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<TokenId>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The ids of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_ids: Vec<TokenId>,
    /// What the channel prescribes.
    pub on_leak: OnLeak,
    /// How many active ones were revoked.
    pub revoked: usize,
    /// Where they were found, as an authenticated programme has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found_at: Vec<String>,
}

impl LeakReported {
    /// Whether the report names this token.
    #[must_use]
    pub fn names(&self, token: TokenId) -> bool {
        self.token_id == Some(token) || self.token_ids.contains(&token)
    }
}
