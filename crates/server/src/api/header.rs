//! Request headers that several protocols read by the same rules.

use http::{HeaderMap, header};
pub use tegata_gateway::bearer::bearer;
use tegata_policy::secret::sha256;

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

/// Whether `Accept` names this media type. Ranges (`*/*`) do not: the caller has another
/// representation, which is the usual one.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let mut types = accepted.flat_map(|it| it.split(',')).map(|it| it.split(';').next());
    types.any(|it| it.is_some_and(|it| it.trim().eq_ignore_ascii_case(media_type)))
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
