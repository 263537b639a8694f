//! `POST /oauth2/revoke` (RFC 7009): a channel's tokens of every kind, by the channel.

use super::{
    authenticate::authenticate,
    client,
    error::{OAuthError, Presented},
};
use crate::api::{call::Call, form::Form, reply::Reply};
use tegata_policy::assertion::AssertionRules;
use tegata_token::wire::LONGEST;

/// The error of the authority in a request whose client is authenticated.
const AUTHENTICATED: Presented = Presented::Assertion;

/// Revokes a token. `token_type_hint` is ignored: a token's form tells what it is.
pub async fn revoke(call: &Call) -> Result<Reply, OAuthError> {
    let form = Form::of_body(&call.headers, &call.body)?;
    let credential = client::read(&call.headers, &form, AssertionRules::OAuthOrLine)?;
    let client = authenticate(call, credential).await?;
    let token = token_of(&form)?;
    let read = call.app.authority.read(token.as_bytes()).await;
    // Unknown tokens need no revocation: 200, like those that are revoked (section 2.2).
    let Ok(claims) = read.map_err(|error| OAuthError::of(error, AUTHENTICATED))? else {
        return Ok(Reply::default());
    };
    let is_groups = client.group.is_none() || client.group == claims.group;
    if claims.channel != client.channel || !is_groups {
        // Section 2.1: the request is refused, and the client is informed.
        return Err(OAuthError::unauthorized_client(
            "the token was issued to another channel, or to another group than that of the \
             assertion key; authenticate as its owner",
        ));
    }
    let revoked = call.app.revoke_own(&claims, call.source).await;
    revoked.map_err(|error| OAuthError::of(error, AUTHENTICATED))?;
    Ok(Reply::default())
}

/// The token that a request is about.
pub(super) fn token_of<'a>(form: &'a Form<'_>) -> Result<&'a str, OAuthError> {
    let token = form.get("token").ok_or_else(|| OAuthError::invalid_request("token is missing"))?;
    if token.len() > LONGEST {
        return Err(OAuthError::invalid_request(format!("token is longer than {LONGEST} bytes")));
    }
    Ok(token)
}
