//! Channels, their keys and groups: what requests are judged by.

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
    view::ChannelState,
};

/// A channel as a request is judged by it: one row, its keys and its groups, read
/// together. Replaced as a whole, and only after a commit.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its id.
    pub id: ChannelId,
    /// Whose it is.
    pub provider: ProviderId,
    /// What people call it.
    pub name: String,
    /// Its type.
    pub channel_type: ChannelType,
    /// When it was made.
    pub created_at: UnixTime,
    /// Whether it may be used.
    pub state: ChannelState,
    /// By which law its tokens are counted.
    pub rules: TokenRules,
    /// What holds for its groups, unless one says otherwise.
    pub group_rule: GroupRule,
    /// Assertions must be meant for this server (`aud`), not for LINE.
    pub own_audience_only: bool,
    /// Each assertion is taken once.
    pub single_use_assertions: bool,
    /// How fast it may be used.
    pub limits: ChannelLimits,
    /// The secrets that are taken: the current one, and while a rotation
    /// overlaps, the previous one.
    pub secrets: Vec<Secret>,
    /// Its registered assertion keys.
    pub assertion_keys: Vec<RegisteredKey>,
    /// Groups that have settings of their own.
    pub groups: BTreeMap<Group, GroupSettings>,
    /// Groups that stateless tokens were issued for, and until when each is remembered.
    pub used_groups: BTreeMap<Group, UnixTime>,
    /// Counts changes of what is judged by: every field above but the name.
    pub revision: u64,
    /// The place of the last bulk ending; a stateless token carries it.
    pub bulk_serial: Serial,
}

/// A channel secret that is taken.
#[derive(Debug, Clone, Copy)]
pub struct Secret {
    /// Its hash.
    pub hash: HashedSecret,
    /// The first moment at which it is no longer taken; `None` for the current one.
    pub until: Option<UnixTime>,
}

/// An assertion key that a channel registered.
#[derive(Debug, Clone)]
pub struct RegisteredKey {
    /// Its `kid`.
    pub id: AssertionKeyId,
    /// The group that it is bound to: tokens asked for with it are that group's.
    pub group: Option<Group>,
    /// The key.
    pub key: AssertionKey,
    /// When it was registered.
    pub created_at: UnixTime,
}

/// How many live tokens of a kind a group may have, and what the next one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupRule {
    /// This many at the most.
    pub cap: usize,
    /// What happens to the next.
    pub when_full: WhenFull,
}

impl Default for GroupRule {
    fn default() -> Self {
        Self { cap: GROUP_CAP, when_full: WhenFull::EvictOldest }
    }
}

/// What one group has set for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Instead of the channel's cap.
    pub cap: Option<usize>,
    /// Instead of the channel's choice.
    pub when_full: Option<WhenFull>,
    /// Whom to tell of what concerns the group.
    pub contact: Option<String>,
}

/// How fast a channel may be used, where it has set that; what is `None` is the
/// server's. The server counts: nothing here is judged by them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelLimits {
    /// Short-lived tokens a second.
    pub issue_rate_short_lived: Option<NonZeroU32>,
    /// Of each other operation but the checks, a second.
    pub issue_rate: Option<NonZeroU32>,
    /// Of each of LINE's two checks, a second.
    pub verify_rate: Option<NonZeroU32>,
    /// So many issues of a capped kind in a window, and then a rest; 0 is no bound.
    pub surge_limit: Option<u32>,
    /// How long the window is.
    pub surge_window_seconds: Option<NonZeroU32>,
    /// How long the rest is.
    pub surge_cooldown_seconds: Option<NonZeroU32>,
}

impl Channel {
    /// What holds for `group`: its own settings, else the channel's.
    #[must_use]
    pub fn rule_of(&self, group: &Group) -> GroupRule {
        let own = self.groups.get(group);
        GroupRule {
            cap: own.and_then(|own| own.cap).unwrap_or(self.group_rule.cap),
            when_full: own.and_then(|own| own.when_full).unwrap_or(self.group_rule.when_full),
        }
    }
}
