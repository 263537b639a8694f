//! Request headers that several protocols read by the same rules.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap,
    header::{ACCEPT, AUTHORIZATION},
};
pub use tegata_gateway::bearer::bearer;
use tegata_policy::secret::sha256;

/// The name and the password of the only `Authorization` header, if it is Basic (RFC 7617).
/// Ids and secrets of channels have no character that RFC 6749 would encode.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, encoded) = only.as_bytes().split_at_checked("Basic ".len())?;
    let is_basic = scheme.eq_ignore_ascii_case(b"Basic ");
    let text = is_basic.then(|| STANDARD.decode(encoded.trim_ascii()).ok()).flatten()?;
    let text = String::from_utf8(text).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Whether the client asks for this media type by its name.
pub fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut types = accepted.flat_map(|it| it.split(',')).map(|it| it.split(';').next());
    types.any(|it| it.is_some_and(|it| it.trim().eq_ignore_ascii_case(media)))
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
