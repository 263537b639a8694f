//! Request headers that several protocols read by the same rules.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap,
    header::{ACCEPT, AUTHORIZATION},
};
use std::borrow::Cow;
pub use tegata_gateway::bearer::bearer;
use tegata_gateway::query::decode;
use tegata_policy::secret::sha256;

/// What `Authorization` holds.
#[derive(PartialEq, Eq)]
pub enum Authorization {
    /// Nothing: there is no such header.
    None,
    /// Basic authentication (RFC 7617): the id and the secret of a client.
    Basic(String, String),
    /// Basic authentication that cannot be read.
    BadBasic,
    /// Another scheme, or several headers, of which parsers take different ones.
    Other,
}

/// Reads `Authorization` as a client of OAuth sends it: the id and the secret are form-encoded
/// before they become a name and a password (RFC 6749, section 2.3.1).
pub fn authorization(headers: &HeaderMap) -> Authorization {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = all.next() else { return Authorization::None };
    let is_basic = |it: &[u8]| it.eq_ignore_ascii_case(b"Basic ");
    let encoded = match first.as_bytes().split_at_checked("Basic ".len()) {
        Some((scheme, encoded)) if all.next().is_none() && is_basic(scheme) => encoded,
        _ => return Authorization::Other,
    };
    let read = || {
        let text = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = text.iter().position(|byte| *byte == b':')?;
        let decoded = |part: &[u8]| decode(part).ok().map(Cow::into_owned);
        Some((decoded(&text[..colon])?, decoded(&text[colon + 1..])?))
    };
    read().map_or(Authorization::BadBasic, |(id, secret)| Authorization::Basic(id, secret))
}

/// Whether the client asks for this media type by its name.
pub fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|it| it.split(',')).any(|it| {
        let mut parts = it.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|it| it.eq_ignore_ascii_case(media));
        // A weight of 0 excludes it (RFC 9110, section 12.4.2).
        let weight = parts.find_map(|it| it.strip_prefix("q=").or(it.strip_prefix("Q=")));
        is_it && weight.and_then(|it| it.parse::<f32>().ok()) != Some(0.0)
    })
}

/// An invalid `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be one header of 1 to 255 printable characters")]
pub struct BadIdempotencyKey;

/// The SHA-256 of the `Idempotency-Key`, if there is one.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<[u8; 32]>, BadIdempotencyKey> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(key) = all.next() else { return Ok(None) };
    let printable = key.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    if !printable || !(1..=255).contains(&key.len()) || all.next().is_some() {
        return Err(BadIdempotencyKey);
    }
    Ok(Some(sha256(&[key.as_bytes()])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_that_of_the_only_authorization_header() {
        let of = |values: &[&str]| bearer(&headers("authorization", values)).map(<[u8]>::to_vec);
        for good in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(of(&[good]).as_deref(), Some(&b"abc"[..]), "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(of(&[bad]), None, "{bad}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&["Bearer abc", "Bearer abc"]),
            None,
            "parsers differ in which of two they take"
        );
    }

    #[test]
    fn basic_authentication_is_form_encoded_and_that_of_the_only_authorization_header() {
        let of = |values: &[&str]| authorization(&headers("authorization", values));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let is = |text: &str, id: &str, secret: &str| {
            let expected = Authorization::Basic(id.to_owned(), secret.to_owned());
            assert!(of(&[&basic(text)]) == expected, "{text}");
        };
        is("1234567890:abc", "1234567890", "abc");
        is("%31234567890:%61b%63", "1234567890", "abc");
        is("a+b:c%3Ad:e", "a b", "c:d:e");
        is(":", "", "");
        let id = Authorization::Basic("a".to_owned(), "b".to_owned());
        assert!(of(&["bAsIc  YTpi "]) == id);
        for bad in
            ["Basic ", "Basic a", "Basic YTpi=", "Basic YQ==", &basic("a:%"), &basic("a:%zz")]
        {
            assert!(of(&[bad]) == Authorization::BadBasic, "{bad}");
        }
        for other in [&["Bearer x"][..], &["Basic"], &["BasicYTpi"], &[""], &["Basic YTpi"; 2]] {
            assert!(of(other) == Authorization::Other, "{other:?}");
        }
        assert!(of(&[]) == Authorization::None);
    }

    #[test]
    fn a_media_type_is_accepted_by_its_name_unless_its_weight_is_0() {
        let accepts = |text: &str| accepts(&headers("accept", &[text]), "a/b");
        for yes in ["a/b", "A/B;q=0.1", "c/d, a/b ;x=1; q=1", "c/d;q=0,a/b"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "*/*", "a/*", "a/bc", "a/b;q=0", "a/b; Q=0.000", "c/d;x=a/b"] {
            assert!(!accepts(no), "{no}");
        }
    }

    #[test]
    fn an_idempotency_key_is_one_header_of_printable_characters() {
        let of = |values: &[&str]| idempotency_key(&headers("idempotency-key", values));
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["a"]), Ok(Some(sha256(&[b"a"]))));
        assert!(of(&[&"a".repeat(255)]).is_ok());
        for bad in [&[""][..], &["a", "a"], &[&"a".repeat(256)], &["é"], &["a\tb"]] {
            assert_eq!(of(bad), Err(BadIdempotencyKey), "{bad:?}");
        }
    }
}
