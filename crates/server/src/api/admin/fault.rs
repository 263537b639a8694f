//! What is wrong with single members, query fields and headers of a request.

use super::code::Code;
use serde::Serialize;
use std::borrow::Cow;
use tegata_policy::text::is_plain;
use utoipa::ToSchema;

/// One invalid member, query field or header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InvalidPart)]
pub struct Fault {
    /// Which part of the request it is in.
    r#in: Place,
    /// A JSON Pointer into the body, as a URI fragment; or the name of the query field or the
    /// header.
    #[schema(example = "#/limits/issue_rate")]
    pointer: String,
    code: Code,
    /// What is wrong with it, for people.
    #[schema(example = "`issue_rate` must be a whole number from 1 to 1000000")]
    detail: Cow<'static, str>,
}

/// A part of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = RequestPart)]
pub enum Place {
    /// The body.
    #[default]
    Body,
    /// The query.
    Query,
    /// A header.
    Header,
}

impl Fault {
    /// What is wrong with the member of the body at this path.
    pub fn of_member(path: &[String], code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let pointer = path.iter().map(|name| format!("/{}", escaped(name))).collect::<String>();
        Self { r#in: Place::Body, pointer: format!("#{pointer}"), code, detail: detail.into() }
    }

    /// What is wrong with a query field or a header.
    pub fn of_name(
        place: Place,
        name: &str,
        code: Code,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { r#in: place, pointer: shown(name), code, detail: detail.into() }
    }

    /// Its code and text.
    pub fn code_and_detail(&self) -> (Code, Cow<'static, str>) {
        (self.code, self.detail.clone())
    }

    /// The same for the query field of this name.
    pub fn in_query(self) -> Self {
        let pointer = self.pointer.trim_start_matches("#/").to_owned();
        Self { r#in: Place::Query, pointer, ..self }
    }
}

/// A member's name from the request, shortened and escaped.
pub fn shown(name: &str) -> String {
    name.chars().take(60).filter(|it| is_plain(*it)).collect()
}

/// A name in a JSON Pointer (RFC 6901, section 6).
fn escaped(name: &str) -> String {
    let escaped = shown(name).replace('~', "~0").replace('/', "~1");
    let as_is = |it: u8| it.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&it);
    let write = |it: u8| if as_is(it) { char::from(it).to_string() } else { format!("%{it:02X}") };
    escaped.bytes().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_a_uri_fragment_whatever_the_name() {
        for (path, pointer) in [
            (&["limits", "issue_rate"][..], "#/limits/issue_rate"),
            (&["a/b~c"], "#/a~1b~0c"),
            (&["a b%\u{1b}#"], "#/a%20b%25%23"),
            (&["\u{624b}"], "#/%E6%89%8B"),
            (&[], "#"),
        ] {
            let path: Vec<_> = path.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(Fault::of_member(&path, Code::InvalidMember, "x").pointer, pointer);
        }
    }
}
