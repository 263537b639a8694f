//! A serde deserializer for the members of an object, which may come from JSON or from a
//! query string.
//!
//! Its errors name the member and the values that are valid, and never repeat the value:
//! it may be a token or a secret.

use crate::api::admin::problem::{Code, Problem};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, btree_map::IntoIter},
    fmt,
};
use tegata_policy::text::is_plain;

/// The members of an object, whose values are not parsed yet.
#[derive(Default)]
pub struct Members {
    given: BTreeMap<String, Given>,
    repeated: Option<String>,
}

impl Members {
    /// Adds a field of a query.
    pub fn add_field(&mut self, name: String, text: String) {
        self.add(name, Given::Field(text));
    }

    fn add(&mut self, name: String, value: Given) {
        if self.given.insert(name.clone(), value).is_some() {
            self.repeated = Some(name);
        }
    }

    /// Reads the members as `T`.
    pub fn read<T: for<'de> Deserialize<'de>>(self) -> Result<T, Problem> {
        T::deserialize(self).map_err(Problem::from)
    }

    /// Rejects repeated members, and those that are not `known`.
    fn check(&self, known: &[&str]) -> Result<(), Wrong> {
        if let Some(name) = &self.repeated {
            let detail = format!("`{}` is repeated", shown(name));
            return Err(Wrong::Member(Problem::new(Code::RepeatedMember, detail)));
        }
        let Some(name) = self.given.keys().find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let known = match known {
            [] => "this call takes none".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        };
        let detail = format!("`{}` is unknown; {known}", shown(name));
        Err(Wrong::Member(Problem::new(Code::UnknownMember, detail)))
    }
}

/// A member's name from the request, shortened and escaped.
fn shown(name: &str) -> String {
    name.chars().take(60).filter(|it| is_plain(*it)).collect()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some((name, value)) = from.next_entry()? {
            members.add(name, Given::Json(value));
        }
        Ok(members)
    }
}

impl<'de> Deserializer<'de> for Members {
    type Error = Wrong;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        // Checked before missing members: a misspelt member is the better explanation of
        // a missing one.
        self.check(known)?;
        let pairs = Pairs { left: self.given.into_iter(), next: None };
        visitor.visit_map(pairs).map_err(|wrong| match wrong {
            Wrong::Missing(name) => {
                let detail = format!("`{name}` is missing; known here: {}", known.join(", "));
                Wrong::Member(Problem::new(Code::MissingMember, detail))
            }
            wrong => wrong,
        })
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.check(&[])?;
        visitor.visit_unit()
    }

    /// Only structs name the members that they know.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_unit(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Pairs {
    left: IntoIter<String, Given>,
    next: Option<(String, Given)>,
}

impl<'de> MapAccess<'de> for Pairs {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        self.next = self.left.next();
        let name = self.next.as_ref().map(|(name, _)| name.as_str());
        name.map(|name| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some((name, value)) = self.next.take() else {
            return Err(Wrong::custom("no member is left"));
        };
        seed.deserialize(MemberValue { value, nullable: false }).map_err(|wrong| match wrong {
            Wrong::Value(why) => {
                Wrong::Member(Problem::new(Code::InvalidMember, format!("`{name}` {why}")))
            }
            wrong => wrong,
        })
    }
}

enum Given {
    Json(Box<RawValue>),
    /// A query field, where numbers and booleans are written like text.
    Field(String),
}

/// The value of a member. An `Option<T>` is a member that can be absent but not null; an
/// `Option<Option<T>>` can be null, too.
struct MemberValue {
    value: Given,
    nullable: bool,
}

impl MemberValue {
    /// The value, if it is neither an array nor an object.
    fn scalar(&self) -> Option<serde_json::Value> {
        match &self.value {
            Given::Json(json) if json.get().starts_with(['[', '{']) => None,
            Given::Json(json) => serde_json::from_str(json.get()).ok(),
            Given::Field(text) => Some(text.as_str().into()),
        }
    }

    /// As `scalar`, where a number or a boolean is expected.
    fn parsed(&self) -> Option<serde_json::Value> {
        match &self.value {
            Given::Field(text) => serde_json::from_str(text).ok(),
            Given::Json(_) => self.scalar(),
        }
    }
}

impl<'de> Deserializer<'de> for MemberValue {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        use serde_json::Value;
        match self.scalar() {
            Some(Value::String(text)) => visitor.visit_string(text),
            Some(Value::Bool(flag)) => visitor.visit_bool(flag),
            Some(Value::Null) => visitor.visit_unit(),
            _ => Err(Wrong::invalid_type(Unexpected::Other("another value"), &visitor)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.parsed() {
            Some(serde_json::Value::Bool(flag)) => visitor.visit_bool(flag),
            _ => Err(Wrong::Value("must be true or false".to_owned())),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.parsed().and_then(|it| it.as_i64()) {
            Some(number) => visitor.visit_i64(number),
            None => Err(Wrong::invalid_type(Unexpected::Other("another value"), &visitor)),
        }
    }

    /// The JSON text of the value, unparsed.
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Given::Json(json) => visitor.visit_bytes(json.get().as_bytes()),
            Given::Field(text) => visitor.visit_bytes(text.as_bytes()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.scalar() {
            Some(serde_json::Value::Null) if self.nullable => visitor.visit_none(),
            _ => visitor.visit_some(Self { nullable: true, ..self }),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.scalar() {
            Some(serde_json::Value::String(word)) => visitor.visit_enum(word.into_deserializer()),
            _ => Err(Wrong::unknown_variant("", words)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let members = match &self.value {
            Given::Json(json) => serde_json::from_str::<Members>(json.get()).ok(),
            Given::Field(_) => None,
        };
        let members = members.ok_or_else(|| Wrong::Value("must be an object".to_owned()))?;
        members.deserialize_struct(name, known, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes
        unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// Why members cannot be read.
#[derive(Debug)]
pub enum Wrong {
    /// This member is missing.
    Missing(&'static str),
    /// The value of a member is invalid: "must be …".
    Value(String),
    /// The error as it is shown.
    Member(Problem),
}

impl Error for Wrong {
    /// The ids' types describe their syntax by such an error; none repeats the value.
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::Value(format!("is invalid: {why}"))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Value(format!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::Value(format!("must be {expected}"))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::Value(format!("must be {expected}"))
    }

    fn unknown_variant(_: &str, words: &'static [&'static str]) -> Self {
        Self::Value(format!("must be one of {}", words.join(", ")))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Value(why) => f.write_str(why),
            Self::Member(problem) => f.write_str(problem.status_and_detail().1),
        }
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Member(problem) => problem,
            Wrong::Missing(_) => Self::new(Code::MissingMember, wrong.to_string()),
            Wrong::Value(why) => Self::new(Code::InvalidMember, why),
        }
    }
}
