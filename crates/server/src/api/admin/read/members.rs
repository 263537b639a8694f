//! A serde deserializer for the members of an object, which may come from JSON or from a
//! query string.
//!
//! Its errors name the member and the values that are valid, and never repeat the value:
//! it may be a token or a secret.

use crate::api::admin::{
    fault::{Fault, Place, shown},
    problem::{Code, Problem},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, Expected, IntoDeserializer, MapAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::IntoIter},
    fmt,
};

/// The members of an object, whose values are not parsed yet.
#[derive(Default, Clone)]
pub struct Members {
    given: BTreeMap<String, Given>,
    repeated: BTreeSet<String>,
    place: Place,
}

/// Maximum number of invalid members that are reported at once.
const FAULTS: usize = 20;

impl Members {
    /// Adds a field of a query.
    pub fn add_field(&mut self, name: String, text: String) {
        self.place = Place::Query;
        self.add(name, Given::Field(text));
    }

    fn add(&mut self, name: String, value: Given) {
        if self.given.insert(name.clone(), value).is_some() {
            self.repeated.insert(name);
        }
    }

    /// Reads the members as `T`. The error has every invalid one: without the one that was
    /// found, the others are read again.
    pub fn read<T: for<'de> Deserialize<'de>>(mut self) -> Result<T, Problem> {
        let mut found: Vec<MemberFault> = Vec::new();
        while found.len() < FAULTS {
            let wrong = match T::deserialize(self.clone()) {
                Ok(read) if found.is_empty() => return Ok(read),
                Ok(_) => break,
                Err(wrong) => MemberFault::from(wrong),
            };
            // A member that is invalid, and required, is missing now.
            let is_known = found.iter().any(|it| it.path == wrong.path);
            if is_known && wrong.code == Code::MissingMember {
                break;
            }
            let is_there = wrong.path.first().is_some_and(|name| self.leave_out(name));
            found.push(wrong);
            if !is_there {
                break;
            }
        }
        Err(Problem::of(found.into_iter().map(|it| it.shown(self.place)).collect()))
    }

    /// Leaves out a member that is invalid; one that is repeated, only the first time.
    fn leave_out(&mut self, name: &str) -> bool {
        self.repeated.remove(name) || self.given.remove(name).is_some()
    }

    /// Rejects repeated members, and those that are not `known`.
    fn check(&self, known: &[&str]) -> Result<(), Wrong> {
        if let Some(name) = self.repeated.first() {
            let detail = format!("`{}` is repeated", shown(name));
            return Err(Wrong::of(name, Code::RepeatedMember, detail));
        }
        let Some(name) = self.given.keys().find(|name| !known.contains(&name.as_str())) else {
            return Ok(());
        };
        let known = match known {
            [] => "this call takes none".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        };
        let detail = format!("`{}` is unknown; {known}", shown(name));
        Err(Wrong::of(name, Code::UnknownMember, detail))
    }
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
                Wrong::of(name, Code::MissingMember, detail)
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
            Wrong::Value(why) => Wrong::of(&name, Code::InvalidMember, format!("`{name}` {why}")),
            Wrong::Member(mut fault) => {
                fault.path.insert(0, name);
                Wrong::Member(fault)
            }
            wrong => wrong,
        })
    }
}

#[derive(Clone)]
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
    /// What is wrong with a member.
    Member(MemberFault),
}

/// What is wrong with a member.
#[derive(Debug)]
pub struct MemberFault {
    /// The names of the members that it is in, and its own.
    path: Vec<String>,
    code: Code,
    detail: String,
}

impl MemberFault {
    fn shown(self, place: Place) -> Fault {
        match (place, self.path.first()) {
            (Place::Query, Some(name)) => Fault::of_name(place, name, self.code, self.detail),
            _ => Fault::of_member(&self.path, self.code, self.detail),
        }
    }
}

impl Wrong {
    fn of(name: &str, code: Code, detail: String) -> Self {
        Self::Member(MemberFault { path: vec![name.to_owned()], code, detail })
    }
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
            Self::Member(fault) => f.write_str(&fault.detail),
        }
    }
}

impl From<Wrong> for MemberFault {
    fn from(wrong: Wrong) -> Self {
        let detail = wrong.to_string();
        match wrong {
            Wrong::Member(fault) => fault,
            Wrong::Missing(name) => {
                Self { path: vec![name.to_owned()], code: Code::MissingMember, detail }
            }
            Wrong::Value(_) => Self { path: Vec::new(), code: Code::InvalidMember, detail },
        }
    }
}
