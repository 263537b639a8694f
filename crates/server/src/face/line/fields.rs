//! What LINE's requests carry, field by field.

use super::dialect::{Shown, Wrong};
use crate::form::Form;
use http::HeaderMap;
use tegata_policy::{
    assertion::{BadAssertion, UnverifiedAssertion},
    secret::{PlainSecret, sha256},
};
use tegata_token::id::{BadName, ChannelId, Group};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Issuing has one grant type.
pub fn wants_client_credentials(form: &Form<'_>) -> Result<(), Wrong> {
    match form.get("grant_type") {
        Some("client_credentials") => Ok(()),
        Some(_) => Err(Wrong::GrantType),
        None => Err(Wrong::Missing),
    }
}

/// The assertion, read but not yet checked.
pub fn assertion(form: &Form<'_>) -> Result<UnverifiedAssertion, Wrong> {
    match form.get("client_assertion_type") {
        Some(JWT_BEARER) => {}
        Some(_) => {
            return Err(Wrong::Field(format!("client_assertion_type must be {JWT_BEARER}")));
        }
        None => return Err(Wrong::Missing),
    }
    let text = form.get("client_assertion").ok_or(Wrong::Missing)?;
    let wrong = |bad: BadAssertion| Wrong::Refused(bad.into(), Shown::Assertion);
    UnverifiedAssertion::parse(text).map_err(wrong)
}

/// Channel id and secret; `shown` says on which operation.
pub fn secret(form: &Form<'_>, shown: Shown) -> Result<(ChannelId, PlainSecret), Wrong> {
    let id = form.get("client_id").ok_or(Wrong::Missing)?;
    let secret = form.get("client_secret").ok_or(Wrong::Missing)?;
    let id = id.parse().map_err(|_| Wrong::ChannelId(shown))?;
    Ok((id, PlainSecret::from_caller(secret.to_owned())))
}

/// For which group.
pub fn group(form: &Form<'_>) -> Result<Option<Group>, Wrong> {
    let group = form.get("group").map(str::parse).transpose();
    group.map_err(|bad: BadName| Wrong::Field(bad.to_string()))
}

/// The SHA-256 of the `Idempotency-Key`, if there is one.
pub fn idempotency(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Wrong> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(key) = all.next() else { return Ok(None) };
    let printable = key.as_bytes().iter().all(|b| matches!(b, b' '..=b'~'));
    if !printable || !(1..=255).contains(&key.len()) || all.next().is_some() {
        let words = "Idempotency-Key must be one header of 1 to 255 printable characters";
        return Err(Wrong::Field(words.to_owned()));
    }
    Ok(Some(sha256(&[key.as_bytes()])))
}
