//! The credential of a client: what a request presents, before anything of it is verified.

use super::error::{Challenge, OAuthError};
use crate::api::{
    form::{Form, JWT_BEARER},
    header::{self, Authorization},
};
use http::HeaderMap;
use tegata_policy::{
    assertion::{AssertionRules, UnverifiedAssertion},
    secret::PlainSecret,
};
use tegata_token::id::ChannelId;

/// The one credential of a request.
#[derive(Debug)]
pub enum ClientCredential {
    /// None. A `client_id` alone is none.
    None,
    /// A token in `Authorization`, or what is no credential of a channel there.
    Bearer,
    /// A channel's secret, in `Authorization` or in the form.
    Secret {
        /// Whether it is in `Authorization`.
        is_basic: bool,
        /// The channel.
        id: ChannelId,
        /// The secret.
        secret: PlainSecret,
    },
    /// A channel's assertion.
    Assertion(UnverifiedAssertion),
}

/// Why a request has no credential that could be verified.
#[derive(Debug, PartialEq, Eq)]
pub enum BadClient {
    /// The request is malformed.
    Request(&'static str),
    /// A credential is malformed: whether it is in `Authorization`, and why.
    Credential(bool, String),
}

impl From<BadClient> for OAuthError {
    fn from(bad: BadClient) -> Self {
        match bad {
            BadClient::Request(words) => Self::invalid_request(words),
            BadClient::Credential(is_basic, words) => {
                Self::invalid_client(is_basic.then_some(Challenge::Basic), words)
            }
        }
    }
}

/// Reads the credential of a request with these headers and this form (RFC 6749, section 2.3;
/// RFC 7523, section 2.2). An assertion will be verified by `rules`.
///
/// # Errors
/// [`BadClient`].
pub fn read(
    headers: &HeaderMap,
    form: &Form<'_>,
    rules: AssertionRules,
) -> Result<ClientCredential, BadClient> {
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let (assertion, kind) = (form.get("client_assertion"), form.get("client_assertion_type"));
    let is_assertion = assertion.is_some() || kind.is_some();
    let authorization = header::authorization(headers);
    let in_header = authorization != Authorization::None;
    if usize::from(in_header) + usize::from(secret.is_some()) + usize::from(is_assertion) > 1 {
        return Err(BadClient::Request(
            "authenticate once: in Authorization, by client_secret or by client_assertion",
        ));
    }
    if is_assertion {
        return of_assertion(kind, assertion, id, rules);
    }
    match (authorization, secret) {
        (Authorization::Basic(name, _), _) if id.is_some_and(|id| id != name) => {
            Err(BadClient::Request("client_id is not the one in Authorization"))
        }
        (Authorization::Basic(name, secret), _) => of_secret(true, &name, secret),
        (Authorization::BadBasic, _) => {
            Err(BadClient::Credential(true, "Basic authentication is malformed".to_owned()))
        }
        (Authorization::Other, _) => Ok(ClientCredential::Bearer),
        (Authorization::None, None) => Ok(ClientCredential::None),
        (Authorization::None, Some(secret)) => match id {
            Some(id) => of_secret(false, id, secret.to_owned()),
            None => Err(BadClient::Request("client_id is missing")),
        },
    }
}

fn of_secret(is_basic: bool, id: &str, secret: String) -> Result<ClientCredential, BadClient> {
    let secret = PlainSecret::from_caller(secret);
    match id.parse() {
        Ok(id) => Ok(ClientCredential::Secret { is_basic, id, secret }),
        Err(_) => {
            Err(BadClient::Credential(is_basic, "client_id or client_secret is wrong".to_owned()))
        }
    }
}

fn of_assertion(
    kind: Option<&str>,
    text: Option<&str>,
    client: Option<&str>,
    rules: AssertionRules,
) -> Result<ClientCredential, BadClient> {
    if kind != Some(JWT_BEARER) {
        return Err(BadClient::Request(
            "client_assertion_type must be \
             urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ));
    }
    let text = text.ok_or(BadClient::Request("client_assertion is missing"))?;
    let wrong = |words: String| BadClient::Credential(false, words);
    let assertion =
        UnverifiedAssertion::parse(text, rules).map_err(|bad| wrong(bad.to_string()))?;
    if client.is_some_and(|it| it != assertion.channel().to_string()) {
        return Err(wrong("client_id is not the channel that iss names".to_owned()));
    }
    Ok(ClientCredential::Assertion(assertion))
}
