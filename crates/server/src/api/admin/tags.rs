//! `ETag` and `If-Match` (RFC 9110): a change of an object that is not any more as the client
//! has read it is refused.

use crate::api::admin::{
    fault::{Fault, Place},
    problem::{Code, Problem},
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, IF_MATCH},
};
use serde::Serialize;
use tegata_store::{ExpectedSettings, SettingsTag};

/// An object with the tag of its settings.
pub struct Tagged<T>(pub SettingsTag, pub T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let Self(tag, object) = self;
        with_tag(Json(object).into_response(), tag)
    }
}

/// The response with the tag of the object's settings.
pub fn with_tag(mut response: Response, tag: SettingsTag) -> Response {
    // Quotes, letters, digits, `-` and `_` are always a header.
    if let Ok(value) = HeaderValue::try_from(format!("\"{tag}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

/// The settings that the request's `If-Match` expects.
pub fn expected(headers: &HeaderMap) -> Result<ExpectedSettings, Problem> {
    let all: Vec<_> = headers.get_all(IF_MATCH).iter().map(|it| it.to_str()).collect();
    if all.is_empty() {
        return Ok(ExpectedSettings::Unstated);
    }
    let text = all.into_iter().collect::<Result<Vec<_>, _>>().map_err(|_| malformed())?.join(",");
    if text.trim() == "*" {
        return Ok(ExpectedSettings::Present);
    }
    let (mut tags, mut rest, mut count) = (Vec::new(), text.as_str(), 0);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        if rest.starts_with("W/") {
            let detail = "If-Match holds a weak tag, which never matches: send the ETag of the \
                          object as GET returns it";
            let fault = Fault::of_name(Place::Header, "If-Match", Code::PreconditionFailed, detail);
            return Err(Problem::of(vec![fault]));
        }
        let (tag, behind) = quoted(rest).ok_or_else(malformed)?;
        // A tag in another form than ours is that of no object.
        tags.extend(SettingsTag::parse(tag));
        (rest, count) = (behind, count + 1);
    }
    if count == 0 { Err(malformed()) } else { Ok(ExpectedSettings::OneOf(tags)) }
}

/// The text between quotes, and what follows: nothing, or a comma.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (tag, behind) = text.strip_prefix('"')?.split_once('"')?;
    let behind = behind.trim_start_matches([' ', '\t']);
    (behind.is_empty() || behind.starts_with(',')).then_some((tag, behind))
}

fn malformed() -> Problem {
    Problem::header(
        "If-Match",
        "If-Match must be * or a list of tags in quotes, as ETag returns them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "AAECAwQFBgcICQoLDA0O";

    fn of(values: &[&str]) -> Result<ExpectedSettings, u16> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        expected(&headers).map_err(|problem| problem.status_and_detail().0)
    }

    #[test]
    fn if_match_is_a_list_of_strong_tags_or_a_star() {
        let tag = SettingsTag::parse(TAG).unwrap();
        assert_eq!(tag.to_string(), TAG);
        let one = format!("\"{TAG}\"");
        assert_eq!(of(&[]), Ok(ExpectedSettings::Unstated));
        assert_eq!(of(&[" * "]), Ok(ExpectedSettings::Present));
        assert_eq!(of(&[&one]), Ok(ExpectedSettings::OneOf(vec![tag])));
        assert_eq!(of(&[&format!("\"a,b\" ,, {one}")]), Ok(ExpectedSettings::OneOf(vec![tag])));
        assert_eq!(of(&[&one, &one]), Ok(ExpectedSettings::OneOf(vec![tag, tag])));
        assert_eq!(of(&["\"other\""]), Ok(ExpectedSettings::OneOf(vec![])));
        for weak in [format!("W/{one}"), format!("{one}, W/{one}")] {
            assert_eq!(of(&[&weak]), Err(412), "{weak}");
        }
        for bad in ["", ",", TAG, "\"a", "\"a\" \"b\"", "*, \"a\"", "w/\"a\""] {
            assert_eq!(of(&[bad]), Err(400), "{bad}");
        }
    }
}
