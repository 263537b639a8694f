//! The bearer token of a request.

use http::{HeaderMap, header::AUTHORIZATION};

/// The token of the only `Authorization` header, if it is a bearer token (RFC 6750,
/// section 2.1; the scheme is case-insensitive, RFC 9110, section 11.1).
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    // Parsers differ in which of two headers they use.
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    token(only.as_bytes())
}

/// The token in the value of an `Authorization` header.
#[must_use]
pub fn token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_bearer_token_is_that_of_the_only_authorization_header() {
        let of = |values: &[&str]| {
            let values = values.iter().map(|it| HeaderValue::from_bytes(it.as_bytes()).unwrap());
            let headers: HeaderMap = values.map(|value| (AUTHORIZATION, value)).collect();
            bearer(&headers).map(<[u8]>::to_vec)
        };
        for good in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(of(&[good]).as_deref(), Some(&b"abc"[..]), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Bearer abc", "Bearer abc"]), None);
    }
}
