//! Channels, their keys and groups: what requests are authorized against.

use crate::{
    jwk::AssertionKey,
    rules::{ChannelType, GROUP_CAP, TokenRules, WhenFull},
    secret::HashedSecret,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, num::NonZeroU32};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial},
    time::UnixTime,
    view::{ChannelState, Scope},
};

/// A snapshot of a channel that requests are authorized against: its row, its keys and
/// its groups, read together. Replaced as a whole, and only after a commit.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// The provider that owns it.
    pub provider: ProviderId,
    /// Its display name.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// When it was created.
    pub created_at: UnixTime,
    /// Its state.
    pub state: ChannelState,
    /// The token rules by which its tokens are counted.
    pub rules: TokenRules,
    /// The rule of its groups, unless a group has settings of its own.
    pub group_rule: GroupRule,
    /// Whether assertions must name this server as `aud`; LINE's address is then
    /// rejected.
    pub own_audience_only: bool,
    /// Whether each assertion is accepted only once.
    pub single_use_assertions: bool,
    /// What a report of a leaked token does.
    pub on_leak: OnLeak,
    /// Its limits.
    pub limits: ChannelLimits,
    /// The accepted secrets: the current one and, while a rotation overlaps, the previous
    /// one.
    pub secrets: Vec<Secret>,
    /// Its registered assertion keys.
    pub assertion_keys: Vec<RegisteredKey>,
    /// Groups with settings of their own.
    pub groups: BTreeMap<Group, GroupSettings>,
    /// Groups that stateless tokens were issued for, and until when each is remembered.
    pub used_groups: BTreeMap<Group, UnixTime>,
    /// Counts the changes that matter to authorization: those of every field above but
    /// the name and the limits.
    pub revision: u64,
    /// The serial of the last bulk revocation; stateless tokens carry it.
    pub bulk_serial: Serial,
}

/// An accepted channel secret.
#[derive(Debug, Clone, Copy)]
pub struct Secret {
    /// Its hash.
    pub hash: HashedSecret,
    /// The first moment at which it is no longer accepted; `None` for the current one.
    pub until: Option<UnixTime>,
}

/// Which of a channel's tokens are revoked when its secret is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevokeTokens {
    /// None.
    #[default]
    None,
    /// Those that were issued for a secret of the channel, whichever.
    BySecret,
    /// All.
    All,
}

impl RevokeTokens {
    /// The scope that they are; `None` if it is empty.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::None => None,
            Self::BySecret => Some(Scope::Secret),
            Self::All => Some(Scope::Channel),
        }
    }
}

/// What a report does to a token that it found where others can read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLeak {
    /// The token is revoked, and a warning is sent.
    #[default]
    Revoke,
    /// The token stays active; the warning and the audit event alone report the leak.
    Flag,
}

/// An assertion key that a channel registered.
#[derive(Debug, Clone)]
pub struct RegisteredKey {
    /// Its `kid`.
    pub id: AssertionKeyId,
    /// The group that it is bound to: tokens issued for it belong to that group.
    pub group: Option<Group>,
    /// The key.
    pub key: AssertionKey,
    /// When it was registered.
    pub created_at: UnixTime,
}

/// How many active tokens of a kind a group may have, and what happens to a further
/// issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRule {
    /// Maximum number of active tokens of a kind.
    pub cap: usize,
    /// What happens to a further issue.
    pub when_full: WhenFull,
}

impl Default for GroupRule {
    fn default() -> Self {
        Self { cap: GROUP_CAP, when_full: WhenFull::EvictOldest }
    }
}

/// Settings of one group, which override those of its channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Overrides the channel's cap.
    pub cap: Option<usize>,
    /// Overrides the channel's choice.
    pub when_full: Option<WhenFull>,
    /// The group's contact, a free text.
    pub contact: Option<String>,
}

/// Rate and surge limits of a channel; for a limit that is `None` the server's default
/// applies. The server counts the requests; no rule of this crate reads these limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelLimits {
    /// Short-lived tokens per second.
    pub issue_rate_short_lived: Option<NonZeroU32>,
    /// Requests per second of each other operation, verifications excepted.
    pub issue_rate: Option<NonZeroU32>,
    /// Requests per second of each of LINE's two verifications.
    pub verify_rate: Option<NonZeroU32>,
    /// Tokens of one capped kind that may be issued per window before a cooldown begins;
    /// 0 disables the limit.
    pub surge_limit: Option<u32>,
    /// Length of the window.
    pub surge_window_seconds: Option<NonZeroU32>,
    /// Length of the cooldown.
    pub surge_cooldown_seconds: Option<NonZeroU32>,
}

impl Channel {
    /// The previous secret, if it is still accepted at `now`.
    #[must_use]
    pub fn previous_secret(&self, now: UnixTime) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.until.is_some_and(|until| now < until))
    }

    /// The rule of `group`: its own settings, else the channel's.
    #[must_use]
    pub fn rule_of(&self, group: &Group) -> GroupRule {
        let own = self.groups.get(group);
        GroupRule {
            cap: own.and_then(|own| own.cap).unwrap_or(self.group_rule.cap),
            when_full: own.and_then(|own| own.when_full).unwrap_or(self.group_rule.when_full),
        }
    }
}
