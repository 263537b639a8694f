//! Reads a request strictly: its body, its query and its path.
//!
//! An unknown member may be a misspelt one that matters, so each is rejected by name; so
//! is a repeated one, since parsers differ in which of the two they take. A body or query
//! is a struct that derives both its reader and its description; [`members`] makes the
//! reader strict, and [`values`] has the values with bounds.

mod members;
mod moments;
mod page;
mod reasoned;
#[macro_use]
mod taking;
mod values;

use crate::api::{
    admin::problem::{Code, Problem},
    form, header,
};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use bytes::Bytes;
use http::request::Parts;
use members::Members;
pub use moments::{moment, parsed};
pub use page::{Found, Limit, Part};
pub use reasoned::{Forgetting, Reasoned};
use serde::de::DeserializeOwned;
pub use taking::{Deletion, Reason, Wait, options};
pub use values::{GroupCap, Line, Unparsed, Whole};

/// A JSON body.
pub struct Body<T>(pub T);

/// A query string.
pub struct Query<T>(pub T);

/// The ids in a path. A malformed id names no object: 404.
pub struct Ids<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
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
            return Members::default().read().map(Self);
        }
        if !is_json {
            let detail = "send JSON with the header Content-Type: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
        object(&body).map(Self)
    }
}

/// Reads a body.
pub fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let members: Members = serde_json::from_slice(body).map_err(|error| {
        // For other JSON the library's error quotes the value, which may be a token that
        // was sent without its braces.
        let what = match error.is_data() {
            true => "it is another JSON value".to_owned(),
            false => error.to_string(),
        };
        Problem::new(Code::MalformedBody, format!("the body must be one JSON object: {what}"))
    })?;
    members.read()
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        fields(parts.uri.query().unwrap_or("").as_bytes()).map(Self)
    }
}

/// Reads a query string.
pub fn fields<T: DeserializeOwned>(query: &[u8]) -> Result<T, Problem> {
    let mut members = Members::default();
    let pairs = form::pairs(query);
    let pairs = pairs.map_err(|bad| Problem::new(Code::InvalidMember, bad.to_string()))?;
    for (name, text) in pairs {
        members.add_field(name.into_owned(), text.into_owned());
    }
    members.read()
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

/// The error for a member with an invalid value.
pub fn invalid(name: &str, what: &str) -> Problem {
    Problem::member(name, Code::InvalidMember, format!("`{name}` must be {what}"))
}

/// The digest of the request's `Idempotency-Key`, if it has one.
pub struct IdempotencyKey(pub Option<[u8; 32]>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let key = header::idempotency_key(&parts.headers);
        key.map(Self).map_err(|bad| Problem::header("Idempotency-Key", bad.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use tegata_token::id::Group;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        name: Option<Line<5>>,
        count: Option<Whole<1, 9>>,
        group: Option<Option<Group>>,
    }

    fn of_json(json: &str) -> Result<Example, Problem> {
        object(json.as_bytes())
    }

    fn code(json: &str) -> Code {
        of_json(json).unwrap_err().code()
    }

    #[test]
    fn an_absent_member_differs_from_null() {
        let read = of_json(r#"{"name":"a","group":null}"#).unwrap();
        assert_eq!((read.name, read.count), (Some(Line("a".to_owned())), None));
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
        assert_eq!(of_json(r#"{"name":"手形手形手"}"#).unwrap().name.unwrap().0, "手形手形手");
    }

    #[test]
    fn a_query_field_is_read_as_a_text_or_a_number() {
        let field = |query: &str| fields::<Example>(query.as_bytes());
        assert_eq!(field("count=7").unwrap().count, Some(Whole::from(7)));
        assert_eq!(field("name=7").unwrap().name, Some(Line("7".to_owned())));
        assert!(field("count=x").is_err());
    }

    #[test]
    fn an_error_names_the_member_and_never_repeats_its_value() {
        for (value, why) in [
            (r#"{"name":"s3cret-s3cret"}"#, "`name` must be a text of 1 to 5 characters"),
            (r#"{"name":["s3cret"]}"#, "`name` must be a text of 1 to 5 characters"),
            (r#"{"count":"s3cret"}"#, "`count` must be a whole number from 1 to 9"),
            (r#"{"group":"s3cret s3cret"}"#, "`group` is invalid: a group is 1 to 64"),
            (r#"{"group":{"s3cret":1}}"#, "`group` must be a string"),
        ] {
            let problem = of_json(value).unwrap_err();
            let (_, detail) = problem.status_and_detail();
            assert!(detail.starts_with(why), "{detail}");
            assert!(!detail.contains("s3cret"), "{detail}");
        }
    }
}
