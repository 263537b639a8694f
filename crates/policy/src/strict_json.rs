//! JSON without repeated members, at any depth.
//!
//! RFC 8259 leaves repeated members to the parser, and parsers differ: one takes the
//! first, another the last. What is signed must mean the same to every parser.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use std::{borrow::Cow, fmt};

/// Parses `text` as one JSON object without repeated members.
///
/// # Errors
/// The text is not JSON, not an object, or repeats a member.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_slice(text)? {
        Strict(Value::Object(members)) => Ok(members),
        Strict(_) => Err(serde_json::Error::custom("not a JSON object")),
    }
}

/// The value of a member, which borrows from the text where it can.
#[derive(Debug, PartialEq)]
pub enum Member<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number.
    Number(Number),
    /// An array of strings alone, which can be empty.
    Texts(Vec<String>),
    /// Anything else.
    Other,
}

/// Parses `text` as one JSON object without repeated members, and calls `read` with the
/// name and the value of each. For objects of which a few members matter: what `read` does
/// not keep is not copied. If the result is an error, what was read means nothing.
///
/// # Errors
/// As [`object`].
pub fn members<'a>(
    text: &'a [u8],
    read: impl FnMut(&str, Member<'a>),
) -> Result<(), serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(text);
    from.deserialize_map(MembersVisitor(read))?;
    from.end()
}

struct MembersVisitor<F>(F);

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(&str, Member<'de>)> Visitor<'de> for MembersVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut names = Vec::with_capacity(8);
        while let Some((name, value)) = members.next_entry::<Name<'de>, Member<'de>>()? {
            (self.0)(&name.0, value);
            names.push(name);
        }
        // Sorted instead of compared pairwise: an object can contain thousands of members.
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Err(A::Error::custom(REPEATED));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Member<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        StrictVisitor.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Member<'de>, E> {
        Ok(Member::Other)
    }
    fn visit_i64<E>(self, it: i64) -> Result<Member<'de>, E> {
        Ok(Member::Number(it.into()))
    }
    fn visit_u64<E>(self, it: u64) -> Result<Member<'de>, E> {
        Ok(Member::Number(it.into()))
    }
    fn visit_f64<E: Error>(self, it: f64) -> Result<Member<'de>, E> {
        finite(it).map(Member::Number)
    }
    fn visit_borrowed_str<E>(self, it: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(it.into()))
    }
    fn visit_str<E>(self, it: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(it.to_owned().into()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Member<'de>, A::Error> {
        let Value::Array(items) = StrictVisitor.visit_seq(items)? else {
            return Ok(Member::Other);
        };
        let text = |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        };
        let texts = items.into_iter().map(text).collect::<Option<_>>();
        Ok(texts.map_or(Member::Other, Member::Texts))
    }
    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Member<'de>, A::Error> {
        StrictVisitor.visit_map(members).map(|_| Member::Other)
    }
}

const REPEATED: &str = "a member is repeated";

fn finite<E: Error>(number: f64) -> Result<Number, E> {
    Number::from_f64(number).ok_or_else(|| E::custom("not a finite number"))
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }
    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_f64<E: Error>(self, it: f64) -> Result<Value, E> {
        finite(it).map(Value::Number)
    }
    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_string<E>(self, it: String) -> Result<Value, E> {
        Ok(Value::String(it))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom(REPEATED));
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether both functions take the text.
    fn is_taken(text: &[u8]) -> bool {
        let whole = object(text).is_ok();
        assert_eq!(members(text, |_, _| {}).is_ok(), whole, "{text:?}");
        whole
    }

    #[test]
    fn a_repeated_member_is_refused_at_any_depth() {
        assert!(is_taken(br#"{"a":1,"b":{"c":[{"d":1}]}}"#));
        assert!(!is_taken(br#"{"a":1,"a":1}"#));
        assert!(!is_taken(br#"{"a":1,"b":2,"a":{}}"#));
        assert!(!is_taken(br#"{"b":{"c":[{"d":1,"d":2}]}}"#));
        assert!(!is_taken(br#"{"b":[{"c":[{"d":1,"e":0,"d":2}]}]}"#));
        assert!(!is_taken(br#"{"a":1,"\u0061":1}"#), "an escape hides no repetition");
    }

    #[test]
    fn only_an_object_and_nothing_behind_it_is_taken() {
        for wrong in ["[]", "1", "null", "{} {}", "{}x", "", "{", "{\"a\":1e999}"] {
            assert!(!is_taken(wrong.as_bytes()), "{wrong} was taken");
        }
        assert!(is_taken(b" { } "));
    }

    #[test]
    fn members_are_read_as_the_whole_object_has_them() {
        let text = br#"{"a":"b","\u0063":"d\n","e":-1,"f":18446744073709551615,"g":1.5,"h":null,
            "i":true,"j":["x"],"k":{"l":1}}"#;
        let whole = object(text).unwrap();
        let mut count = 0;
        let read = |name: &str, value: Member<'_>| {
            count += 1;
            let expected = match &whole[name] {
                Value::String(text) => Member::Text(text.as_str().into()),
                Value::Number(number) => Member::Number(number.clone()),
                Value::Array(_) => Member::Texts(vec!["x".into()]),
                _ => Member::Other,
            };
            assert_eq!(value, expected, "{name}");
        };
        members(text, read).unwrap();
        assert_eq!(count, whole.len());
    }
}
