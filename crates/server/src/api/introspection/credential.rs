//! The credential of a request for introspection: what the caller presents, before anything of
//! it is verified.

use crate::api::{
    form::{Form, JWT_BEARER},
    header::basic,
};
use http::{HeaderMap, header::AUTHORIZATION};
use tegata_policy::{assertion::UnverifiedAssertion, secret::PlainSecret};
use tegata_token::id::ChannelId;

/// Who may ask.
pub(super) const WHO: &str = "introspection needs the token of a verifier, or the id and the \
    secret of a channel, or its assertion";

/// The one credential of a request.
#[derive(Debug)]
pub enum CallerCredential {
    /// A verifier's token in `Authorization`, or none.
    Bearer,
    /// A channel's secret, and the scheme of the challenge if it is wrong.
    Secret(&'static str, ChannelId, PlainSecret),
    /// A channel's assertion.
    Assertion(UnverifiedAssertion),
}

/// Why a request has no credential that could be verified.
#[derive(Debug, PartialEq, Eq)]
pub enum BadCaller {
    /// The request is malformed.
    Request(String),
    /// The credential is malformed: the scheme of the challenge, and why.
    Client(&'static str, String),
}

/// Reads the credential of a request with these headers and, if it could be parsed, this form.
///
/// # Errors
/// [`BadCaller`].
pub fn read(headers: &HeaderMap, form: Option<&Form<'_>>) -> Result<CallerCredential, BadCaller> {
    let field = |name| form.and_then(|it| it.get(name));
    let (secret, assertion) = (field("client_secret"), field("client_assertion"));
    let kind = field("client_assertion_type");
    let is_assertion = assertion.is_some() || kind.is_some();
    let in_header = headers.contains_key(AUTHORIZATION);
    if usize::from(in_header) + usize::from(secret.is_some()) + usize::from(is_assertion) > 1 {
        let words = "authenticate once: in Authorization, by client_secret or by client_assertion";
        return Err(BadCaller::Request(words.to_owned()));
    }
    if is_assertion {
        return of_assertion(kind, assertion, field("client_id"));
    }
    if let Some((id, secret)) = basic(headers) {
        return of_secret("Basic", &id, secret);
    }
    match (field("client_id"), secret) {
        (Some(id), Some(secret)) => of_secret("Bearer", id, secret.to_owned()),
        _ => Ok(CallerCredential::Bearer),
    }
}

fn of_secret(
    scheme: &'static str,
    id: &str,
    secret: String,
) -> Result<CallerCredential, BadCaller> {
    let secret = PlainSecret::from_caller(secret);
    match id.parse() {
        Ok(id) => Ok(CallerCredential::Secret(scheme, id, secret)),
        Err(_) => Err(BadCaller::Client(scheme, WHO.to_owned())),
    }
}

fn of_assertion(
    kind: Option<&str>,
    text: Option<&str>,
    client: Option<&str>,
) -> Result<CallerCredential, BadCaller> {
    let malformed = |words: String| Err(BadCaller::Request(words));
    if kind != Some(JWT_BEARER) {
        return malformed(format!("client_assertion_type must be {JWT_BEARER}"));
    }
    let Some(text) = text else { return malformed("client_assertion is missing".to_owned()) };
    let wrong = |words: String| BadCaller::Client("Bearer", words);
    let assertion = UnverifiedAssertion::parse(text).map_err(|bad| wrong(bad.to_string()))?;
    if client.is_some_and(|it| it != assertion.channel().to_string()) {
        return Err(wrong("client_id is not the channel that iss names".to_owned()));
    }
    Ok(CallerCredential::Assertion(assertion))
}
