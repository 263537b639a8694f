//! The four kinds of channel access token, and what every token of a kind has in
//! common: its name, how long it lives, how it is written.
//!
//! How many of them there may be, and who may ask for one, are the authority's
//! rules and not known here. Facts: LINE, "Channel access token"
//! (docs/basics/channel-access-token).

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

/// How long a token of a kind lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As many seconds as the assertion's `token_exp` says, from 1 to `longest`.
    Requested {
        /// The most that may be asked for, in seconds.
        longest: i64,
    },
    /// This many seconds.
    Fixed(i64),
}

/// How a token of a kind is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm {
    /// Compact JWS (RFC 7515) that any JWT library reads.
    Jws,
    /// This prefix and base64url behind it; to its holder a mere string.
    Opaque(&'static str),
}

/// "No end", on the wire: 100 Julian years in seconds. The one figure that LINE
/// shows, 3,138,007,490, fits a token of this life some 205 days after its issue.
const CENTURY: i64 = 36_525 * DAY;

impl Kind {
    /// All four, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::V21, Self::Stateless, Self::ShortLived, Self::LongLived];

    /// All four, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The kind's name in fields, commands and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V21 => "v2.1",
            Self::Stateless => "stateless",
            Self::ShortLived => "short-lived",
            Self::LongLived => "long-lived",
        }
    }

    /// How long a token of the kind lives.
    #[must_use]
    pub const fn life(self) -> Lifetime {
        match self {
            Self::V21 => Lifetime::Requested { longest: 30 * DAY },
            Self::Stateless => Lifetime::Fixed(15 * 60),
            Self::ShortLived => Lifetime::Fixed(30 * DAY),
            Self::LongLived => Lifetime::Fixed(CENTURY),
        }
    }

    /// How a token of the kind is written.
    #[must_use]
    pub const fn form(self) -> WireForm {
        match self {
            Self::V21 | Self::Stateless => WireForm::Jws,
            Self::ShortLived => WireForm::Opaque("tgs_"),
            Self::LongLived => WireForm::Opaque("tgl_"),
        }
    }

    /// The scope that LINE's samples show for the kind.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::V21 | Self::Stateless => "profile chat_message.write",
            Self::ShortLived | Self::LongLived => "P CM",
        }
    }

    /// Whether a token of this kind is a row in the store, counted and listed.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        !matches!(self, Self::Stateless)
    }
}

impl Lifetime {
    /// The longest that a token with this life can live, in seconds.
    #[must_use]
    pub const fn longest(self) -> i64 {
        match self {
            Self::Requested { longest } => longest,
            Self::Fixed(seconds) => seconds,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names none of the four kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kinds are v2.1, stateless, short-lived and long-lived")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::all().find(|kind| kind.name() == text).ok_or(UnknownKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_for_the_wire_and_for_people() {
        for kind in Kind::all() {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
