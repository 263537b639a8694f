//! Details of events about channels, their keys and groups.

use crate::{
    channel::{ChannelLimits, GroupSettings, OnLeak, RevokeTokens},
    rules::{ChannelType, TokenRules, WhenFull},
};
use serde::{Deserialize, Serialize};
use tegata_token::{
    id::{AssertionKeyId, Group},
    view::ChannelState,
};

/// A channel that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewChannelNamed {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: ChannelType,
}

/// The changed settings of a channel; unchanged ones are absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelChanged {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its token rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<TokenRules>,
    /// Its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ChannelState>,
    /// How many active tokens of a kind a group may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_cap: Option<usize>,
    /// What happens to a further issue of a full group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_when_full: Option<WhenFull>,
    /// Whether assertions must name this server as `aud`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_audience_only: Option<bool>,
    /// Its limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ChannelLimits>,
    /// Whether each assertion is accepted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub single_use_assertions: Option<bool>,
    /// What a report of a leaked token does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_leak: Option<OnLeak>,
}

/// How a secret was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReplaced {
    /// For how long the previous one is still accepted.
    pub keep_previous_seconds: i64,
    /// Which of the channel's tokens were revoked.
    pub revoke_tokens: RevokeTokens,
    /// How many active stored tokens were revoked.
    pub revoked: usize,
}

/// An assertion key that was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRegistered {
    /// Its `kid`.
    pub kid: AssertionKeyId,
    /// The group that it is bound to.
    pub group: Option<Group>,
}

/// An assertion key that was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDeleted {
    /// Its `kid`.
    pub kid: AssertionKeyId,
    /// Whether the tokens that were issued for it were revoked.
    pub revoke_tokens: bool,
    /// How many active stored tokens were revoked.
    pub revoked: usize,
}

/// A group's settings after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChanged {
    /// Its name.
    pub group: Group,
    /// Its settings now.
    pub settings: GroupSettings,
}

/// A group that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDeleted {
    /// Its name.
    pub group: Group,
    /// How many assertion keys were deleted with it.
    pub keys: usize,
    /// How many active stored tokens were revoked.
    pub revoked: usize,
}
