//! Fields of forms and query strings (`application/x-www-form-urlencoded`), read
//! strictly: a repeated field, or bytes that are not UTF-8, reject the whole form. An
//! empty field counts as absent; unknown fields are ignored.

use http::{HeaderMap, header};
pub use tegata_gateway::query::{BadEncoding, Pair, pairs, plain_pairs};

/// The `client_assertion_type` of an assertion (RFC 7523, section 2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The fields of one request.
pub struct Form<'a>(Vec<Pair<'a>>);

/// Why a form is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    /// A field is repeated.
    #[error("a parameter is repeated")]
    Repeated,
    /// A field is not percent-encoded UTF-8.
    #[error(transparent)]
    Encoding(#[from] BadEncoding),
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
    fn malformed_encoding_is_rejected() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1"] {
            assert_eq!(
                Form::parse(text.as_bytes()).err(),
                Some(BadForm::Encoding(BadEncoding)),
                "{text}"
            );
        }
        assert_eq!(Form::parse(b"a=\xff").err(), Some(BadForm::Encoding(BadEncoding)));
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
