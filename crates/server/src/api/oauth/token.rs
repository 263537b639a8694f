//! `POST /oauth2/token`: client credentials (RFC 6749, section 4.4), and assertions as client
//! authentication and as grant (RFC 7523).

use super::{
    authenticate::{authenticate, not_authenticated},
    client::{self, ClientCredential},
    error::{Challenge, OAuthError, Presented},
};
use crate::{
    api::{
        call::Call,
        form::Form,
        header,
        reply::{self, Reply},
        subject,
    },
    authority::tokens::Token,
};
use http::StatusCode;
use serde::Serialize;
use tegata_policy::{
    assertion::{AssertionRules, BadAssertion, UnverifiedAssertion},
    authorize::{Credential, IssueRequest},
};
use tegata_token::{
    id::{BadName, ChannelId, Group},
    kind::{Kind, UnknownKind},
};

/// The `grant_type` of an assertion that is the grant (RFC 7523, section 2.1).
pub(super) const JWT_BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Issues a token.
pub async fn issue(call: &Call) -> Result<Reply, OAuthError> {
    let form = Form::of_body(&call.headers, &call.body)?;
    let grant_type = form.get("grant_type");
    let client = client::read(&call.headers, &form, AssertionRules::OAuth);
    let (channel, credential, presented) = match grant_type {
        Some("client_credentials") => of_client(client?)?,
        Some(JWT_BEARER_GRANT) => of_grant(call, &form, client?).await?,
        Some(_) => {
            return Err(OAuthError::unsupported_grant_type(format!(
                "grant_type must be client_credentials or {JWT_BEARER_GRANT}"
            )));
        }
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    };
    subject::set(channel);
    let request = request(call, &form, credential)?;
    let issued = call.app.issue(request, channel, call.source).await;
    Ok(rendered(&issued.map_err(|error| OAuthError::of(error, presented))?))
}

/// The channel, its credential for a token, and how the error for a wrong one looks.
type Requester = (ChannelId, Credential, Presented);

/// The client itself is entitled to a token.
fn of_client(client: ClientCredential) -> Result<Requester, OAuthError> {
    match client {
        ClientCredential::Secret { is_basic, id, secret } => {
            let presented = Presented::Secret(is_basic.then_some(Challenge::Basic));
            Ok((id, Credential::Secret(secret), presented))
        }
        ClientCredential::Assertion(assertion) => {
            let channel = assertion.channel();
            Ok((channel, Credential::Assertion(assertion), Presented::Assertion))
        }
        ClientCredential::None | ClientCredential::Bearer => Err(not_authenticated()),
    }
}

/// The assertion entitles its channel to a token. A client that authenticates besides must be
/// that channel.
async fn of_grant(
    call: &Call,
    form: &Form<'_>,
    client: ClientCredential,
) -> Result<Requester, OAuthError> {
    let client = match client {
        ClientCredential::None => None,
        credential => Some(authenticate(call, credential).await?.channel),
    };
    let text = form.get("assertion");
    let text = text.ok_or_else(|| OAuthError::invalid_request("assertion is missing"))?;
    let assertion = UnverifiedAssertion::parse(text, AssertionRules::OAuth);
    let assertion = assertion.map_err(|bad| OAuthError::invalid_grant(bad.to_string()))?;
    let channel = assertion.channel();
    let is_other = |id: &str| id != channel.to_string();
    if client.is_some_and(|it| it != channel) || form.get("client_id").is_some_and(is_other) {
        return Err(OAuthError::invalid_grant("the client is not the channel that iss names"));
    }
    Ok((channel, Credential::Assertion(assertion), Presented::Grant))
}

/// The parameters besides the credential.
fn request(
    call: &Call,
    form: &Form<'_>,
    credential: Credential,
) -> Result<IssueRequest, OAuthError> {
    let kind = form.get("kind").map_or(Ok(Kind::Stateless), str::parse);
    let kind = kind.map_err(|bad: UnknownKind| OAuthError::invalid_request(bad.to_string()))?;
    let group: Option<Group> = form
        .get("group")
        .map(str::parse)
        .transpose()
        .map_err(|bad: BadName| OAuthError::invalid_request(bad.to_string()))?;
    let lifetime = match form.get("token_exp") {
        Some(text) if kind == Kind::V21 => {
            let bad = |_| OAuthError::invalid_request(BadAssertion::TokenExpiry.to_string());
            Some(text.parse().map_err(bad)?)
        }
        _ => None,
    };
    let idempotency = match kind.is_stored() {
        true => header::idempotency_key(&call.headers)
            .map_err(|bad| OAuthError::invalid_request(bad.to_string()))?,
        // A token without a row cannot be found again by an idempotency key.
        false => None,
    };
    let scope = kind.scope();
    let is_ours = |asked: &str| scope.split(' ').any(|it| it == asked);
    if !form.get("scope").is_none_or(|asked| asked.split(' ').all(is_ours)) {
        let words = format!("scope must be left out or contained in `{scope}`");
        return Err(OAuthError::invalid_scope(words));
    }
    Ok(IssueRequest { kind, credential, group, idempotency, lifetime })
}

fn rendered(token: &Token) -> Reply {
    #[derive(Serialize)]
    struct IssueBody<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_in: i64,
        scope: &'a str,
    }
    let body = IssueBody {
        access_token: token.reveal(),
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: token.claims.kind.scope(),
    };
    reply::json(StatusCode::OK, serde_json::to_vec(&body).unwrap_or_default())
}
