//! Values of members, with their bounds.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, num::NonZeroU32};
use tegata_policy::{rules::CAP, text::is_line};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Whole<const MIN: i64, const MAX: i64>(i64);

/// The cap of a group.
pub type GroupCap = Whole<1, { CAP as i64 }>;

impl<const MIN: i64, const MAX: i64> Whole<MIN, MAX> {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }

    /// The number, which is a count.
    pub fn count(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    /// The number as a limit that can be zero.
    pub fn limit(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }

    /// The number as a limit.
    pub fn positive(self) -> Option<NonZeroU32> {
        self.limit().and_then(NonZeroU32::new)
    }
}

impl<const MIN: i64, const MAX: i64> From<u32> for Whole<MIN, MAX> {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl<const MIN: i64, const MAX: i64> From<NonZeroU32> for Whole<MIN, MAX> {
    fn from(number: NonZeroU32) -> Self {
        number.get().into()
    }
}

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_i64(WholeVisitor)
    }
}

struct WholeVisitor<const MIN: i64, const MAX: i64>;

impl<const MIN: i64, const MAX: i64> Visitor<'_> for WholeVisitor<MIN, MAX> {
    type Value = Whole<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {MIN} to {MAX}")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        match (MIN..=MAX).contains(&number) {
            true => Ok(Whole(number)),
            false => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// A line of text for people, of 1 to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<const MAX: usize>(pub String);

impl<'de, const MAX: usize> Deserialize<'de> for Line<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_string(LineVisitor)
    }
}

struct LineVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for LineVisitor<MAX> {
    type Value = Line<MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a text of 1 to {MAX} characters that shows something, without characters that \
             control a terminal or the direction of writing"
        )
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match is_line(text, MAX) {
            true => Ok(Line(text.to_owned())),
            false => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// The JSON text of a member, unparsed: its reader detects repeated members inside.
#[derive(Debug)]
pub struct Unparsed(pub Vec<u8>);

impl<'de> Deserialize<'de> for Unparsed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_byte_buf(UnparsedVisitor)
    }
}

struct UnparsedVisitor;

impl Visitor<'_> for UnparsedVisitor {
    type Value = Unparsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bytes<E: Error>(self, json: &[u8]) -> Result<Unparsed, E> {
        Ok(Unparsed(json.to_owned()))
    }
}
