//! The four kinds of channel access token, and what all tokens of a kind share: name,
//! lifetime and wire form.
//!
//! How many tokens there may be, and who may request one, are rules of `tegata-policy`.
//! Facts: LINE, "Channel access token" (docs/basics/channel-access-token).

use crate::time::DAY;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The four kinds of channel access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Channel access token v2.1: issued for a JWT assertion that sets its lifetime.
    #[serde(rename = "v2.1")]
    V21,
    /// Stateless: valid for 15 minutes, unlimited in number.
    #[serde(rename = "stateless")]
    Stateless,
    /// Short-lived: valid for 30 days; issuing the 31st revokes the oldest.
    #[serde(rename = "short-lived")]
    ShortLived,
    /// Long-lived: does not expire; issued by administrators only.
    #[serde(rename = "long-lived")]
    LongLived,
}

/// The lifetime of a token of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The seconds that the assertion's `token_exp` requests, from 1 to `longest`.
    Requested {
        /// The maximum, in seconds.
        longest: i64,
    },
    /// This many seconds.
    Fixed(i64),
}

/// The wire form of a token of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm {
    /// Compact JWS (RFC 7515), readable by any JWT library.
    Jws,
    /// This prefix followed by base64url; clients treat it as an opaque string.
    Opaque(&'static str),
}

/// The lifetime of a token that does not expire, on the wire: 100 Julian years in
/// seconds. The one figure that LINE shows, 3,138,007,490, fits a token of this lifetime
/// some 205 days after its issue.
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

    /// The kind's lifetime.
    #[must_use]
    pub const fn life(self) -> Lifetime {
        match self {
            Self::V21 => Lifetime::Requested { longest: 30 * DAY },
            Self::Stateless => Lifetime::Fixed(15 * 60),
            Self::ShortLived => Lifetime::Fixed(30 * DAY),
            Self::LongLived => Lifetime::Fixed(CENTURY),
        }
    }

    /// The kind's wire form.
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

    /// Whether a token of this kind has a row in the store, where it is counted and
    /// listed.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        !matches!(self, Self::Stateless)
    }
}

impl Lifetime {
    /// The maximum lifetime, in seconds.
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

/// The text is not the name of a kind.
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
