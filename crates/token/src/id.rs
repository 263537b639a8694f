//! Identifiers of channels, providers, groups, tokens and keys; serials; positions.
//!
//! Each is a type of its own, so that a channel id cannot be passed where a provider id
//! is expected. Parsing is strict: nothing is trimmed, case-folded or completed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc};
use uuid::Uuid;

/// The string does not have the form of the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(pub(crate) &'static str);

/// Exactly ten decimal digits, as in all of LINE's samples.
const TEN_DIGITS: u64 = 10_000_000_000;

fn ten_digits(text: &str, wrong: &'static str) -> Result<u64, BadName> {
    if text.len() != 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadName(wrong));
    }
    text.parse().map_err(|_| BadName(wrong))
}

macro_rules! ten_digit_id {
    ($(#[$doc:meta])* $name:ident, $wrong:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number, if it fits in ten digits.
            #[must_use]
            pub fn from_number(number: u64) -> Option<Self> {
                (number < TEN_DIGITS).then_some(Self(number))
            }

            /// The id as a number below ten thousand million.
            #[must_use]
            pub fn number(self) -> u64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                ten_digits(text, $wrong).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:010}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        as_string!($name);
    };
}

/// Serialises a type as its `Display` string and deserialises it by `FromStr`.
macro_rules! as_string {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<'de, str>::deserialize(from)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

ten_digit_id! {
    /// A channel's id: what a token gives access to. Never reused, not even after
    /// deletion.
    ChannelId, "a channel id is exactly ten digits"
}
ten_digit_id! {
    /// The id of a provider, the organisation that owns channels.
    ProviderId, "a provider id is exactly ten digits"
}
ten_digit_id! {
    /// The id of a verifier, a credential of programs that verify tokens.
    VerifierId, "a verifier id is exactly ten digits"
}
ten_digit_id! {
    /// The id of a person who signs in to administer the authority. Never reused.
    PersonId, "a person id is exactly ten digits"
}
ten_digit_id! {
    /// The id of a personal administrator's token. Not a secret.
    AdminTokenId, "an administrator's token id is exactly ten digits"
}

/// A group: a team or a set of users within a channel that holds its own tokens. 1 to 64
/// of `a-z A-Z 0-9 . _ -`, but not `.` or `..`: HTTP clients resolve these in a path, and
/// a `DELETE` of such a group could become a `DELETE` of its channel. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Arc<str>);

impl Group {
    /// Maximum length of a name, in bytes.
    pub const LONGEST: usize = 64;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Group {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let fits = (1..=Self::LONGEST).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits && !matches!(text, "." | "..") {
            Ok(Self(text.into()))
        } else {
            Err(BadName("a group is 1 to 64 of a-z A-Z 0-9 . _ -, and not . or .."))
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

as_string!(Group);

/// A token's id: 16 random bytes, 22 characters of base64url. It is the `jti` (RFC 7519,
/// section 4.1.7) and, for v2.1, LINE's `key_id`. Not a secret: the id gives no access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 16]);

impl FromStr for TokenId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let wrong = BadName("a token id is 22 characters of base64url");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong)?;
        bytes.try_into().map(Self).map_err(|_| wrong)
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_string!(TokenId);

/// The `kid` of one of the authority's signing keys: the first 8 bytes of its RFC 7638
/// thumbprint, so that an id never names two keys, not even after a restore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SigningKeyId(pub [u8; 8]);

impl FromStr for SigningKeyId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let wrong = BadName("a signing key's id is 11 characters of base64url");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong)?;
        bytes.try_into().map(Self).map_err(|_| wrong)
    }
}

impl fmt::Display for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SigningKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_string!(SigningKeyId);

/// The `kid` of a channel's assertion signing key: a UUID, as LINE's console assigns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssertionKeyId(pub [u8; 16]);

impl AssertionKeyId {
    /// Makes an id from random bytes, in the form of a version 4 UUID (RFC 9562).
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(*uuid::Builder::from_random_bytes(bytes).as_uuid().as_bytes())
    }
}

impl FromStr for AssertionKeyId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let id = Uuid::try_parse(text).map(|id| Self(*id.as_bytes()));
        // An id has one spelling. The UUID parser also accepts upper case, braces and
        // missing hyphens; they are rejected here.
        id.ok()
            .filter(|id| id.to_string() == text)
            .ok_or(BadName("an assertion key's id is a lower-case UUID"))
    }
}

impl fmt::Display for AssertionKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0), f)
    }
}

impl fmt::Debug for AssertionKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

as_string!(AssertionKeyId);

/// A token's number within its channel. A smaller serial always means an older token.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Serial(pub u64);

impl Serial {
    /// The next serial.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A position in the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Increases with each restore or failover with loss; positions of different epochs
    /// cannot be compared.
    pub epoch: u64,
    /// Number of the change within the epoch.
    pub number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.number)
    }
}

impl FromStr for Position {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let wrong = BadName("a position is two numbers joined by a hyphen");
        let (epoch, number) = text.split_once('-').ok_or(wrong)?;
        Ok(Self { epoch: decimal(epoch).ok_or(wrong)?, number: decimal(number).ok_or(wrong)? })
    }
}

/// The number that `text` spells: decimal digits without a sign or a leading zero, so
/// that a number has one spelling.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let one_spelling = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| one_spelling)
}

as_string!(Position);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_id_is_exactly_ten_digits_and_nothing_is_trimmed() {
        assert_eq!("0123456789".parse::<ChannelId>().unwrap().to_string(), "0123456789");
        for wrong in ["123456789", "12345678901", " 123456789", "+123456789", "123456789０", ""] {
            assert!(wrong.parse::<ChannelId>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_group_has_1_to_64_of_the_allowed_characters() {
        assert!("Team-a.1_b".parse::<Group>().is_ok());
        assert!("x".repeat(64).parse::<Group>().is_ok());
        assert!("...".parse::<Group>().is_ok());
        for wrong in ["", "a b", "ä", "a/b", ".", "..", &"x".repeat(65)] {
            assert!(wrong.parse::<Group>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_position_has_one_spelling() {
        let position = Position { epoch: 1_790_000_000, number: u64::MAX };
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("0-0".parse(), Ok(Position::default()));
        for wrong in ["1", "-1", "1-", "1--1", "+1-2", "1-+2", "01-2", "1-02", "1-2 ", "1-2-3"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong:?} was taken");
        }
        assert!("1-18446744073709551616".parse::<Position>().is_err());
    }

    #[test]
    fn an_assertion_key_id_has_one_spelling() {
        let id = "536e453c-aa93-4449-8e90-add2608783c6";
        assert_eq!(id.parse::<AssertionKeyId>().unwrap().to_string(), id);
        assert!(id.to_uppercase().parse::<AssertionKeyId>().is_err());
        assert!(id.replace('-', "").parse::<AssertionKeyId>().is_err());
    }
}
