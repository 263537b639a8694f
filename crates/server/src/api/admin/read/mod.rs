//! Reads a request strictly: its body, its query and its path.
//!
//! An unknown member may be a misspelt one that matters, so each is rejected by name; so
//! is a repeated one, since parsers differ in which of the two they take.

mod page;

use crate::api::{
    admin::problem::{Code, Problem},
    form, header,
};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::request::Parts;
pub use page::{Part, PartOf};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, ops::RangeInclusive};
use tegata_policy::text::{is_plain, is_visible};
use utoipa::IntoParams;

/// A value that is written as named members.
pub trait FromMembers: Sized {
    /// Takes the value's members out; any that are left over are unknown.
    fn from_members(members: &mut Members) -> Result<Self, Problem>;
}

/// No members are allowed.
impl FromMembers for () {
    fn from_members(_: &mut Members) -> Result<Self, Problem> {
        Ok(())
    }
}

/// A JSON body.
pub struct Body<T>(pub T);

/// A query string.
pub struct Query<T>(pub T);

/// The ids in a path. A malformed id names no object: 404.
pub struct Ids<T>(pub T);

/// The members of a body, or the fields of a query, that were not taken yet.
pub struct Members {
    left: BTreeMap<String, Value>,
    known: Vec<&'static str>,
}

enum Value {
    Json(Box<RawValue>),
    /// A query field, where a number is written like a text.
    Text(String),
}

impl<S: Send + Sync, T: FromMembers> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = form::is_json(request.headers());
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            // A `dry_run` in an unread query would be ignored, and the act carried out.
            let detail = "this call takes its members in the body, and no query";
            return Err(Problem::new(Code::InvalidMember, detail));
        }
        // The HTTP layer bounds its length.
        let body = Bytes::from_request(request, state).await;
        let body =
            body.map_err(|_| Problem::new(Code::MalformedBody, "the body cannot be read"))?;
        if body.is_empty() {
            return Members::new(Object::default())?.into().map(Self);
        }
        if !is_json {
            let detail = "send JSON with the header Content-Type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        object(&body).map(Self)
    }
}

/// Reads a body.
pub fn object<T: FromMembers>(body: &[u8]) -> Result<T, Problem> {
    let object = serde_json::from_slice(body).map_err(|error| {
        // For other JSON the library's error quotes the value, which may be a token that
        // was sent without its braces.
        let what = match error.is_data() {
            true => "it is another JSON value".to_owned(),
            false => error.to_string(),
        };
        Problem::new(Code::MalformedBody, format!("the body must be one JSON object: {what}"))
    })?;
    Members::new(object)?.into()
}

impl<S: Send + Sync, T: FromMembers> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        fields(parts.uri.query().unwrap_or("").as_bytes()).map(Self)
    }
}

/// Reads a query string.
pub fn fields<T: FromMembers>(query: &[u8]) -> Result<T, Problem> {
    let mut object = Object::default();
    let pairs = form::pairs(query);
    let pairs = pairs.map_err(|bad| Problem::new(Code::InvalidMember, bad.to_string()))?;
    for (name, text) in pairs {
        object.add(name.into_owned(), Value::Text(text.into_owned()));
    }
    Members::new(object)?.into()
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Problem::not_found("object: an id in the path is malformed")),
        }
    }
}

impl Members {
    fn new(object: Object) -> Result<Self, Problem> {
        match object.repeated {
            None => Ok(Self { left: object.members, known: Vec::new() }),
            Some(name) => {
                Err(Problem::new(Code::RepeatedMember, format!("`{}` is repeated", shown(&name))))
            }
        }
    }

    fn into<T: FromMembers>(mut self) -> Result<T, Problem> {
        let read = T::from_members(&mut self);
        // Checked before missing members: a misspelt member is the better explanation of
        // a missing one.
        if let Some(name) = self.left.keys().next()
            && read.as_ref().err().is_none_or(|problem| problem.code() == Code::MissingMember)
        {
            let name = shown(name);
            let known = match self.known.as_slice() {
                [] => "this call takes none".to_owned(),
                known => format!("known here: {}", known.join(", ")),
            };
            return Err(Problem::new(Code::UnknownMember, format!("`{name}` is unknown; {known}")));
        }
        read
    }

    /// The member `name`, if it is present; `what` describes its valid values.
    pub fn take<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        what: &str,
    ) -> Result<Option<T>, Problem> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        let Some(value) = self.left.remove(name) else { return Ok(None) };
        let read = match value {
            Value::Json(json) => serde_json::from_str(json.get()).ok(),
            Value::Text(text) => match serde_json::from_value(text.as_str().into()) {
                Ok(read) => Some(read),
                Err(_) => serde_json::from_str(&text).ok(),
            },
        };
        match read {
            Some(read) => Ok(Some(read)),
            None => Err(invalid(name, what)),
        }
    }

    /// The member `name`, which is required.
    pub fn need<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        what: &str,
    ) -> Result<T, Problem> {
        let missing = || Problem::new(Code::MissingMember, format!("`{name}` is missing: {what}"));
        self.take(name, what)?.ok_or_else(missing)
    }

    /// A whole number within `range`, if the member is present.
    pub fn whole(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Problem> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        match self.take(name, &what)? {
            Some(number) if !range.contains(&number) => Err(invalid(name, &what)),
            number => Ok(number),
        }
    }

    /// A boolean; false if the member is absent.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        Ok(self.take(name, "true or false")?.unwrap_or(false))
    }

    /// A line of text for people, if the member is present.
    pub fn line(&mut self, name: &'static str, longest: usize) -> Result<Option<String>, Problem> {
        let what = format!(
            "a text of 1 to {longest} characters that shows something, without characters that \
             control a terminal or the direction of writing"
        );
        let text: Option<String> = self.take(name, &what)?;
        let fits = |text: &String| {
            text.chars().count() <= longest && is_visible(text) && text.chars().all(is_plain)
        };
        match text {
            Some(text) if !fits(&text) => Err(invalid(name, &what)),
            text => Ok(text),
        }
    }

    /// The member `name` as `read` reads it, or null; the outer `None` if it is absent.
    pub fn or_null<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, Problem>,
    ) -> Result<Option<Option<T>>, Problem> {
        if matches!(self.left.get(name), Some(Value::Json(json)) if json.get() == "null") {
            self.known.push(name);
            self.left.remove(name);
            return Ok(Some(None));
        }
        Ok(read(self, name)?.map(Some))
    }

    /// The raw text of the member `name`, which is required.
    pub fn raw(&mut self, name: &'static str, what: &str) -> Result<Box<RawValue>, Problem> {
        self.need(name, what)
    }
}

/// The error for a member with an invalid value.
pub fn invalid(name: &str, what: &str) -> Problem {
    Problem::new(Code::InvalidMember, format!("`{name}` must be {what}"))
}

/// A member's name from the request, shortened and escaped.
fn shown(name: &str) -> String {
    name.chars().take(60).filter(|it| is_plain(*it)).collect()
}

/// A JSON object whose values are not parsed yet.
#[derive(Default)]
struct Object {
    members: BTreeMap<String, Value>,
    repeated: Option<String>,
}

impl Object {
    fn add(&mut self, name: String, value: Value) {
        if self.members.insert(name.clone(), value).is_some() {
            self.repeated = Some(name);
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
        let mut object = Object::default();
        while let Some((name, value)) = members.next_entry()? {
            object.add(name, Value::Json(value));
        }
        Ok(object)
    }
}

/// The query of a deletion that can be a dry run.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DryRun {
    /// Delete nothing; report how many tokens would be revoked.
    #[param(required = false)]
    pub dry_run: bool,
}

impl FromMembers for DryRun {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { dry_run: members.flag("dry_run")? })
    }
}

/// The digest of the request's `Idempotency-Key`, if it has one.
pub struct IdempotencyKey(pub Option<[u8; 32]>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = header::idempotency_key(&parts.headers);
        key.map(Self).map_err(|bad| Problem::new(Code::InvalidMember, bad.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::id::Group;

    #[derive(Debug)]
    struct Example {
        name: Option<String>,
        count: Option<i64>,
        group: Option<Option<Group>>,
    }

    impl FromMembers for Example {
        fn from_members(members: &mut Members) -> Result<Self, Problem> {
            Ok(Self {
                name: members.line("name", 5)?,
                count: members.whole("count", 1..=9)?,
                group: members.or_null("group", |it, name| it.take(name, "a group"))?,
            })
        }
    }

    fn of_json(json: &str) -> Result<Example, Problem> {
        Members::new(serde_json::from_str(json).unwrap())?.into()
    }

    fn code(json: &str) -> Code {
        of_json(json).unwrap_err().code()
    }

    #[test]
    fn an_absent_member_differs_from_null() {
        let read = of_json(r#"{"name":"a","group":null}"#).unwrap();
        assert_eq!((read.name.as_deref(), read.count), (Some("a"), None));
        assert_eq!(read.group, Some(None));
        assert_eq!(of_json("{}").unwrap().group, None);
        assert_eq!(code(r#"{"name":null}"#), Code::InvalidMember);
    }

    #[test]
    fn unknown_repeated_and_invalid_members_are_rejected() {
        assert_eq!(code(r#"{"nam":"a"}"#), Code::UnknownMember);
        assert_eq!(code(r#"{"name":"a","name":"a"}"#), Code::RepeatedMember);
        assert_eq!(code(r#"{"name":"a","n\u0061me":"b"}"#), Code::RepeatedMember);
        for wrong in [
            r#"{"name":1}"#,
            r#"{"name":""}"#,
            r#"{"name":"sixsix"}"#,
            r#"{"name":"a\u0007"}"#,
            r#"{"name":"a\u0085"}"#,
            r#"{"name":"a\u202E"}"#,
            r#"{"name":"a\u2028"}"#,
            r#"{"name":"  "}"#,
            r#"{"name":"\u3000\u200B"}"#,
            r#"{"count":0}"#,
            r#"{"count":10}"#,
            r#"{"count":1.0}"#,
            r#"{"count":"1"}"#,
            r#"{"group":"a b"}"#,
        ] {
            assert_eq!(code(wrong), Code::InvalidMember, "{wrong}");
        }
    }

    #[test]
    fn a_name_is_measured_in_characters() {
        assert_eq!(of_json(r#"{"name":"手形手形手"}"#).unwrap().name.unwrap(), "手形手形手");
    }

    #[test]
    fn a_query_field_is_read_as_a_text_or_a_number() {
        let field = |name: &str, text: &str| {
            let mut object = Object::default();
            object.add(name.to_owned(), Value::Text(text.to_owned()));
            Members::new(object).unwrap().into::<Example>()
        };
        assert_eq!(field("count", "7").unwrap().count, Some(7));
        assert_eq!(field("name", "7").unwrap().name.as_deref(), Some("7"));
        assert!(field("count", "x").is_err());
    }
}
