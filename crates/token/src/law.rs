//! The law of the four kinds, as one table.
//!
//! Code, documentation, console texts and tests read [`LAW`]; no other place
//! says how long a kind lives or how many there may be. Facts: LINE, "Channel
//! access token" (docs/basics/channel-access-token).

use crate::time::DAY;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The four kinds of channel access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Channel access token v2.1: asked for with a JWT assertion, lives as long as asked.
    #[serde(rename = "v2.1")]
    V21,
    /// Stateless: lives 15 minutes, without limit in number.
    #[serde(rename = "stateless")]
    Stateless,
    /// Short-lived: lives 30 days; the 31st ends the oldest.
    #[serde(rename = "short-lived")]
    ShortLived,
    /// Long-lived: no end; made by administrators only.
    #[serde(rename = "long-lived")]
    LongLived,
}

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

/// How long a token of a kind lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// As many seconds as the assertion's `token_exp` says, from 1 to `longest`.
    AskedFor {
        /// The most that may be asked for, in seconds.
        longest: i64,
    },
    /// This many seconds.
    Fixed(i64),
}

/// What happens to an issue in a channel that has all the tokens it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The issue is refused; the others are left alone.
    Refuse,
    /// The oldest one ends.
    EndOldest,
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
pub enum Proof {
    /// The channel's id and secret.
    Secret,
    /// A JWT signed with a registered assertion key (RFC 7523).
    Assertion,
    /// An administrator asks in the channel's name.
    Administrator,
}

/// How a token of a kind is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Compact JWS (RFC 7515) that any JWT library reads.
    Jws,
    /// This prefix and base64url behind it; to its holder a mere string.
    Opaque(&'static str),
}

/// One row of the law.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which kind the row is about.
    pub kind: Kind,
    /// Its name in fields, commands and pages.
    pub name: &'static str,
    /// How long it lives.
    pub life: Life,
    /// How many a channel may have; `None` is without limit, and not stored.
    pub cap: Option<Cap>,
    /// Who may ask for one.
    pub had_by: &'static [Proof],
    /// The types of channel that may have one.
    pub channel_types: &'static [ChannelType],
    /// How it is written.
    pub form: Form,
    /// The scope that LINE's samples show for it.
    pub scope: &'static str,
}

const ALL_TYPES: &[ChannelType] =
    &[ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp];

/// "No end", on the wire: 100 Julian years in seconds. The one figure that LINE
/// shows, 3,138,007,490, fits a token of this life some 205 days after its issue.
const CENTURY: i64 = 36_525 * DAY;

/// The table.
pub const LAW: [Rule; 4] = [
    Rule {
        kind: Kind::V21,
        name: "v2.1",
        life: Life::AskedFor { longest: 30 * DAY },
        cap: Some(Cap { most: 30, when_full: WhenFull::Refuse }),
        had_by: &[Proof::Assertion],
        channel_types: &[ChannelType::MessagingApi],
        form: Form::Jws,
        scope: "profile chat_message.write",
    },
    Rule {
        kind: Kind::Stateless,
        name: "stateless",
        life: Life::Fixed(15 * 60),
        cap: None,
        had_by: &[Proof::Secret, Proof::Assertion],
        channel_types: ALL_TYPES,
        form: Form::Jws,
        scope: "profile chat_message.write",
    },
    Rule {
        kind: Kind::ShortLived,
        name: "short-lived",
        life: Life::Fixed(30 * DAY),
        cap: Some(Cap { most: 30, when_full: WhenFull::EndOldest }),
        had_by: &[Proof::Secret],
        channel_types: ALL_TYPES,
        form: Form::Opaque("tgs_"),
        scope: "P CM",
    },
    Rule {
        kind: Kind::LongLived,
        name: "long-lived",
        life: Life::Fixed(CENTURY),
        cap: Some(Cap { most: 1, when_full: WhenFull::EndOldest }),
        had_by: &[Proof::Administrator],
        channel_types: &[ChannelType::MessagingApi],
        form: Form::Opaque("tgl_"),
        scope: "P CM",
    },
];

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
pub const STATELESS_ENDINGS: usize = 1_000;

/// By which law a channel's tokens are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
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

impl Law {
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
                cap: Cap { most: 30, when_full: WhenFull::EndOldest },
            }),
            _ => kind.rule().cap.map(|cap| Pool { kinds: own, cap }),
        }
    }
}

impl Kind {
    /// The kind's row of the law.
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        match self {
            Self::V21 => &LAW[0],
            Self::Stateless => &LAW[1],
            Self::ShortLived => &LAW[2],
            Self::LongLived => &LAW[3],
        }
    }

    /// All four, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        LAW.iter().map(|rule| rule.kind)
    }

    /// Whether a token of this kind is a row in the store, counted and listed.
    #[must_use]
    pub fn is_stored(self) -> bool {
        self.rule().cap.is_some()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().name)
    }
}

/// The text names none of the four kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kinds are v2.1, stateless, short-lived and long-lived")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::all().find(|kind| kind.rule().name == text).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_row() {
        for (kind, rule) in Kind::all().zip(&LAW) {
            assert_eq!(kind.rule().kind, rule.kind);
            assert_eq!(rule.name.parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), rule.name);
        }
    }

    #[test]
    fn the_legacy_law_counts_short_and_long_lived_together() {
        let pool = Law::Legacy2020.pool(Kind::LongLived).unwrap();
        assert_eq!((pool.kinds.len(), pool.cap.most), (2, 30));
        assert_eq!(Law::Legacy2020.pool(Kind::V21).unwrap().kinds, &[Kind::V21]);
        assert_eq!(Law::Current.pool(Kind::LongLived).unwrap().cap.most, 1);
        assert!(Law::Current.pool(Kind::Stateless).is_none());
    }
}
