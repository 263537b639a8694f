//! The token rules of the four kinds, as one table.
//!
//! Code, documentation, console and tests read [`RULES`]; lifetimes and caps are written
//! nowhere else. Facts: LINE, "Channel access token" (docs/basics/channel-access-token).

use serde::{Deserialize, Serialize};
use tegata_token::{
    kind::{Kind, Lifetime, WireForm},
    time::DAY,
};

/// Type of a channel, as at LINE; determines which kinds it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelType {
    /// Messaging API.
    MessagingApi,
    /// LINE Login.
    LineLogin,
    /// LINE MINI App.
    MiniApp,
}

/// What happens to an issue in a channel that has reached its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The issue is denied; the existing tokens stay active.
    Deny,
    /// The oldest token is revoked.
    EvictOldest,
}

/// How many active tokens of a kind a channel may have, and what happens to a further
/// issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// The maximum.
    pub most: usize,
    /// What happens to a further issue.
    pub when_full: WhenFull,
}

impl Cap {
    /// Whether so many active tokens nearly reach it: nine tenths, 27 of 30.
    #[must_use]
    pub const fn is_nearly_reached(self, active: usize) -> bool {
        active * 10 >= self.most * 9
    }
}

/// How a caller authenticates for a token of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The channel's id and secret.
    Secret,
    /// A JWT signed with a registered assertion key (RFC 7523).
    Assertion,
    /// An administrator requests it in the channel's name.
    Administrator,
}

/// The token rules of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The kind.
    pub kind: Kind,
    /// Its name in fields, commands and pages.
    pub name: &'static str,
    /// Its lifetime.
    pub life: Lifetime,
    /// How many a channel may have; `None`: unlimited and not stored.
    pub cap: Option<Cap>,
    /// The accepted sorts of authentication.
    pub authentication: &'static [Authentication],
    /// The channel types that may have one.
    pub channel_types: &'static [ChannelType],
    /// Its wire form.
    pub form: WireForm,
    /// The scope that LINE's samples show for it.
    pub scope: &'static str,
}

const ALL_TYPES: &[ChannelType] =
    &[ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp];

/// The table.
pub const RULES: [Rule; 4] = [
    Rule {
        cap: Some(Cap { most: CAP, when_full: WhenFull::Deny }),
        authentication: &[Authentication::Assertion],
        channel_types: &[ChannelType::MessagingApi],
        ..Rule::new(Kind::V21)
    },
    Rule {
        cap: None,
        authentication: &[Authentication::Secret, Authentication::Assertion],
        channel_types: ALL_TYPES,
        ..Rule::new(Kind::Stateless)
    },
    Rule {
        cap: Some(Cap { most: CAP, when_full: WhenFull::EvictOldest }),
        authentication: &[Authentication::Secret],
        channel_types: ALL_TYPES,
        ..Rule::new(Kind::ShortLived)
    },
    Rule {
        cap: Some(Cap { most: 1, when_full: WhenFull::EvictOldest }),
        authentication: &[Authentication::Administrator],
        channel_types: &[ChannelType::MessagingApi],
        ..Rule::new(Kind::LongLived)
    },
];

impl Rule {
    /// The properties of the kind itself; its row of [`RULES`] adds the others.
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: kind.name(),
            life: kind.life(),
            cap: None,
            authentication: &[],
            channel_types: &[],
            form: kind.form(),
            scope: kind.scope(),
        }
    }

    /// The token rules of a kind.
    #[must_use]
    pub fn of(kind: Kind) -> &'static Self {
        match kind {
            Kind::V21 => &RULES[0],
            Kind::Stateless => &RULES[1],
            Kind::ShortLived => &RULES[2],
            Kind::LongLived => &RULES[3],
        }
    }
}

/// Maximum delay of a reissue, for which the previous long-lived token stays active, in
/// seconds.
pub const LONGEST_DELAY: i64 = DAY;

/// The cap of active v2.1 tokens of a channel, of its short-lived ones, and of both kinds together
/// under the legacy rules (LINE, "Channel access token"). The cap of a group is at most this.
pub const CAP: usize = 30;

/// Default cap of active tokens of a kind per group: one in use and one that replaces it,
/// the overlap that a rotation needs.
pub const GROUP_CAP: usize = 2;

/// Maximum number of groups of a channel at one time.
pub const GROUPS: usize = 100;

/// Maximum number of assertion keys of a group, and of the channel at large.
pub const ASSERTION_KEYS: usize = 2;

/// Maximum number of single revocations of stateless tokens in a channel's view; beyond
/// that a group, a kind or a key must be revoked instead.
pub const MAX_STATELESS_REVOCATIONS: usize = 1_000;

/// Maximum number of groups and assertion keys whose tokens are revoked in a channel's
/// view; beyond that the whole channel must be revoked, which replaces them all by one
/// cutoff.
pub const MAX_SCOPE_REVOCATIONS: usize = 1_000;

/// The token rules by which a channel's tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenRules {
    /// The table above: each kind is counted by itself.
    #[default]
    Current,
    /// LINE's rules until May 2020: short-lived and long-lived tokens share one cap of
    /// 30, several long-lived tokens can be active, and the oldest token of both kinds is
    /// evicted.
    #[serde(rename = "legacy-2020")]
    Legacy2020,
}

/// The kinds that are counted together, and their common cap.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// The kinds.
    pub kinds: &'static [Kind],
    /// The cap, and what happens when it is reached.
    pub cap: Cap,
}

impl TokenRules {
    /// The pool that an issue of `kind` is counted in; `None` for kinds without limit.
    #[must_use]
    pub fn pool(self, kind: Kind) -> Option<Pool> {
        let own: &'static [Kind] = match kind {
            Kind::V21 => &[Kind::V21],
            Kind::Stateless => &[Kind::Stateless],
            Kind::ShortLived => &[Kind::ShortLived],
            Kind::LongLived => &[Kind::LongLived],
        };
        let shared = matches!(kind, Kind::ShortLived | Kind::LongLived);
        match self {
            Self::Legacy2020 if shared => Some(Pool {
                kinds: &[Kind::ShortLived, Kind::LongLived],
                cap: Cap { most: CAP, when_full: WhenFull::EvictOldest },
            }),
            _ => Rule::of(kind).cap.map(|cap| Pool { kinds: own, cap }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_row() {
        for (kind, rule) in Kind::all().zip(&RULES) {
            assert_eq!((Rule::of(kind).kind, rule.kind), (kind, kind));
            assert_eq!(rule.cap.is_some(), kind.is_stored(), "a kind with a cap is stored");
        }
    }

    #[test]
    fn the_legacy_rules_count_short_and_long_lived_together() {
        let pool = TokenRules::Legacy2020.pool(Kind::LongLived).unwrap();
        assert_eq!((pool.kinds.len(), pool.cap.most), (2, 30));
        assert_eq!(TokenRules::Legacy2020.pool(Kind::V21).unwrap().kinds, &[Kind::V21]);
        assert_eq!(TokenRules::Current.pool(Kind::LongLived).unwrap().cap.most, 1);
        assert!(TokenRules::Current.pool(Kind::Stateless).is_none());
    }
}
