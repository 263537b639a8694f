//! The fields of LINE's requests.

use super::dialect::{Presented, Wrong};
use crate::api::{
    form::{Form, JWT_BEARER},
    header, subject,
};
use http::HeaderMap;
use tegata_policy::{
    assertion::{AssertionRules, BadAssertion, UnverifiedAssertion},
    secret::PlainSecret,
};
use tegata_token::{
    id::{BadName, ChannelId, Group},
    kind::{Kind, WireForm as TokenForm},
};

/// Checks the grant type: issuing has only one.
pub fn wants_client_credentials(form: &Form<'_>) -> Result<(), Wrong> {
    match form.get("grant_type") {
        Some("client_credentials") => Ok(()),
        Some(_) => Err(Wrong::GrantType),
        None => Err(Wrong::Missing),
    }
}

/// The assertion, parsed but not verified yet.
pub fn assertion(form: &Form<'_>) -> Result<UnverifiedAssertion, Wrong> {
    match form.get("client_assertion_type") {
        Some(JWT_BEARER) => {}
        Some(_) => {
            return Err(Wrong::Field(format!("client_assertion_type must be {JWT_BEARER}")));
        }
        None => return Err(Wrong::Missing),
    }
    let text = form.get("client_assertion").ok_or(Wrong::Missing)?;
    let wrong = |bad: BadAssertion| Wrong::Invalid(bad.into(), Presented::Assertion);
    let assertion = UnverifiedAssertion::parse(text, AssertionRules::Line).map_err(wrong)?;
    subject::set(assertion.channel());
    Ok(assertion)
}

/// Channel id and secret; `presented` names the operation.
pub fn secret(form: &Form<'_>, presented: Presented) -> Result<(ChannelId, PlainSecret), Wrong> {
    let id = form.get("client_id").ok_or(Wrong::Missing)?;
    let secret = form.get("client_secret").ok_or(Wrong::Missing)?;
    let id = id.parse().map_err(|_| Wrong::ChannelId(presented))?;
    subject::set(id);
    Ok((id, PlainSecret::from_caller(secret.to_owned())))
}

/// The group that the token is for.
pub fn group(form: &Form<'_>) -> Result<Option<Group>, Wrong> {
    let group = form.get("group").map(str::parse).transpose();
    group.map_err(|bad: BadName| Wrong::Field(bad.to_string()))
}

/// The SHA-256 of the `Idempotency-Key`, if there is one.
pub fn idempotency(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Wrong> {
    header::idempotency_key(headers).map_err(|bad| Wrong::Field(bad.to_string()))
}

/// The format that a string has as a token of ours, by its prefix alone.
pub fn form_of(token: &str) -> TokenForm {
    let opaque = Kind::all().map(Kind::form).find(|form| match form {
        TokenForm::Opaque(prefix) => token.starts_with(prefix),
        TokenForm::Jws => false,
    });
    opaque.unwrap_or(TokenForm::Jws)
}
