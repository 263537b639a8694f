//! Fields of forms and query strings (`application/x-www-form-urlencoded`), read
//! strictly: a repeated field, or bytes that are not UTF-8, reject the whole form. An
//! empty field counts as absent; unknown fields are ignored.

use http::{HeaderMap, header};
use std::borrow::Cow;

/// The fields of one request.
pub struct Form<'a>(Vec<Pair<'a>>);

/// A field's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Why a form is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// A field is repeated.
    #[error("a parameter is repeated")]
    Repeated,
    /// A `%` without two hex digits behind it, or bytes that are not UTF-8.
    #[error("a parameter is not percent-encoded UTF-8")]
    Encoding,
    /// The body has another media type.
    #[error("the body must be application/x-www-form-urlencoded")]
    MediaType,
}

impl<'a> Form<'a> {
    /// Reads a query string or a body.
    ///
    /// # Errors
    /// [`BadForm::Repeated`] or [`BadForm::Encoding`].
    pub fn parse(text: &'a [u8]) -> Result<Self, BadForm> {
        let mut fields = pairs(text)?;
        // Sorted instead of compared pairwise: a body can contain thousands of fields.
        fields.sort_unstable();
        if fields.windows(2).any(|two| two[0].0 == two[1].0) {
            return Err(BadForm::Repeated);
        }
        Ok(Self(fields))
    }

    /// Reads a body with these headers.
    ///
    /// # Errors
    /// [`BadForm`].
    pub fn of_body(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, BadForm> {
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        if let Some(content_type) = types.next() {
            let essence = content_type.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
            let is_form =
                essence.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
            // Parsers differ in which of two headers they use.
            if !is_form || types.next().is_some() {
                return Err(BadForm::MediaType);
            }
        }
        Self::parse(body)
    }

    /// A field that is present and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(field, _)| field == name)?;
        Some(value).filter(|value| !value.is_empty()).map(AsRef::as_ref)
    }
}

/// All fields in their order, repeated ones too.
///
/// # Errors
/// [`BadForm::Encoding`].
pub fn pairs(text: &[u8]) -> Result<Vec<Pair<'_>>, BadForm> {
    text.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).map(pair).collect()
}

/// Tokens, assertions, ids and secrets contain nothing to decode, and reading the form is
/// most of the work of a verification: such a field is only split.
fn pair(field: &[u8]) -> Result<Pair<'_>, BadForm> {
    let decodes = |byte: u8| (byte == b'%') | (byte == b'+') | (byte >= 0x80);
    let encoded = field.iter().fold(false, |any, byte| any | decodes(*byte));
    match std::str::from_utf8(field) {
        Ok(plain) if !encoded => {
            let (name, value) = plain.split_once('=').unwrap_or((plain, ""));
            Ok((name.into(), value.into()))
        }
        _ => decode(field),
    }
}

fn decode(field: &[u8]) -> Result<Pair<'_>, BadForm> {
    let escapes = field.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    for (at, _) in escapes {
        let digits = field.get(at + 1..at + 3).ok_or(BadForm::Encoding)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadForm::Encoding);
        }
    }
    let (name, value) = form_urlencoded::parse(field).next().ok_or(BadForm::Encoding)?;
    // The parser puts this character in place of bytes that are not UTF-8; no name,
    // secret or token contains it.
    let torn = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    if torn(&name) || torn(&value) {
        return Err(BadForm::Encoding);
    }
    Ok((name, value))
}

/// Whether the headers say that the body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_is_absent_and_an_unknown_one_ignored() {
        let form = Form::parse(b"a=1&b=&c&x=%20y+z").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!((form.get("b"), form.get("c"), form.get("d")), (None, None, None));
        assert_eq!(form.get("x"), Some(" y z"));
    }

    #[test]
    fn a_repeated_field_is_rejected_known_or_not_empty_or_not() {
        for text in ["a=1&a=1", "b=&a=1&b=", "x&x", "a=1&%61=2"] {
            assert_eq!(Form::parse(text.as_bytes()).err(), Some(BadForm::Repeated), "{text}");
        }
    }

    #[test]
    fn fields_are_split_and_decoded_as_the_url_standard_says() {
        let plain = ["", "a", "=", "a=", "=b", "a=b", "a=b=c", "&&a=b&&", "a&b=&=c&d==", "a=b&"];
        let encoded = ["%61=b", "a=%26%3d&b", "a+b=c+d&&e", "=%20&%3D=", "a=\u{e9}"];
        for text in plain.into_iter().chain(encoded) {
            let standard: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            assert_eq!(pairs(text.as_bytes()).unwrap(), standard, "{text}");
        }
    }

    #[test]
    fn malformed_encoding_is_rejected() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1"] {
            assert_eq!(Form::parse(text.as_bytes()).err(), Some(BadForm::Encoding), "{text}");
        }
        assert_eq!(Form::parse(b"a=\xff").err(), Some(BadForm::Encoding));
    }

    #[test]
    fn only_a_form_media_type_is_accepted() {
        let with = |text: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_TYPE, http::HeaderValue::from_static(text))])
        };
        for good in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-urlencoded ; charset=utf-8",
        ] {
            assert!(Form::of_body(&with(good), b"a=1").is_ok(), "{good}");
        }
        for bad in ["application/json", "", "text/plain"] {
            assert_eq!(Form::of_body(&with(bad), b"a=1").err(), Some(BadForm::MediaType), "{bad}");
        }
        assert!(Form::of_body(&HeaderMap::new(), b"a=1").is_ok());
    }

    #[test]
    fn a_body_full_of_fields_is_read_in_reasonable_time() {
        let body: String = (0..15_000).map(|n| format!("{n:x}&")).collect();
        assert!(Form::parse(body.as_bytes()).is_ok());
    }
}
