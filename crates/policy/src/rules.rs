//! The law of the four kinds, as one table.
//!
//! Code, documentation, console texts and tests read [`RULES`]; no other place
//! says how long a kind lives or how many there may be. Facts: LINE, "Channel
//! access token" (docs/basics/channel-access-token).

use serde::{Deserialize, Serialize};
use tegata_token::{
    kind::{Kind, Lifetime, WireForm},
    time::DAY,
};

/// What a channel belongs to at LINE; decides which kinds it may have.
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

/// What happens to an issue in a channel that has all the tokens it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The issue is refused; the others are left alone.
    Deny,
    /// The oldest one ends.
    EvictOldest,
}

/// How many live tokens of a kind a channel may have, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// This many at the most.
    pub most: usize,
    /// And what the next issue does.
    pub when_full: WhenFull,
}

/// What a caller shows to have a token of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// The channel's id and secret.
    Secret,
    /// A JWT signed with a registered assertion key (RFC 7523).
    Assertion,
    /// An administrator asks in the channel's name.
    Administrator,
}

/// One row of the law.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which kind the row is about.
    pub kind: Kind,
    /// Its name in fields, commands and pages.
    pub name: &'static str,
    /// How long it lives.
    pub life: Lifetime,
    /// How many a channel may have; `None` is without limit, and not stored.
    pub cap: Option<Cap>,
    /// Who may ask for one.
    pub authentication: &'static [Authentication],
    /// The types of channel that may have one.
    pub channel_types: &'static [ChannelType],
    /// How it is written.
    pub form: WireForm,
    /// The scope that LINE's samples show for it.
    pub scope: &'static str,
}

const ALL_TYPES: &[ChannelType] =
    &[ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp];

/// The table.
pub const RULES: [Rule; 4] = [
    Rule {
        cap: Some(Cap { most: 30, when_full: WhenFull::Deny }),
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
        cap: Some(Cap { most: 30, when_full: WhenFull::EvictOldest }),
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
    /// What the kind itself fixes; its row of [`RULES`] adds the rest.
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

    /// The kind's row of the law.
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

/// The longest that the previous long-lived token may live on after a reissue, in seconds.
pub const LONGEST_DELAY: i64 = DAY;

/// How many live tokens of a kind a group may have unless set: one in use and
/// one that replaces it, the overlap that a rotation needs.
pub const GROUP_CAP: usize = 2;

/// How many groups a channel may have at once.
pub const GROUPS: usize = 100;

/// How many assertion keys a group, or the channel at large, may have.
pub const ASSERTION_KEYS: usize = 2;

/// How many single endings of stateless tokens a channel's view may hold;
/// beyond that a group, a kind or a key must be ended instead.
pub const MAX_STATELESS_REVOCATIONS: usize = 1_000;

/// By which law a channel's tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenRules {
    /// The table as it stands: kinds are counted apart.
    #[default]
    Current,
    /// As it was until May 2020: short-lived and long-lived tokens share one cap
    /// of 30, several long-lived may live, and the oldest of both kinds ends.
    #[serde(rename = "legacy-2020")]
    Legacy2020,
}

/// The kinds that are counted together, and how many of them there may be.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// A token of any of these kinds takes a place.
    pub kinds: &'static [Kind],
    /// How many places there are, and what happens when all are taken.
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
                cap: Cap { most: 30, when_full: WhenFull::EvictOldest },
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
            assert_eq!(rule.cap.is_some(), kind.is_stored(), "what is counted is stored");
        }
    }

    #[test]
    fn the_legacy_law_counts_short_and_long_lived_together() {
        let pool = TokenRules::Legacy2020.pool(Kind::LongLived).unwrap();
        assert_eq!((pool.kinds.len(), pool.cap.most), (2, 30));
        assert_eq!(TokenRules::Legacy2020.pool(Kind::V21).unwrap().kinds, &[Kind::V21]);
        assert_eq!(TokenRules::Current.pool(Kind::LongLived).unwrap().cap.most, 1);
        assert!(TokenRules::Current.pool(Kind::Stateless).is_none());
    }
}
