//! `POST /oauth2/introspect` (RFC 7662, signed: RFC 9701): for verifiers whose view is too old,
//! and for channels about their own tokens.

use super::{
    authenticate::authenticate,
    client::{self, ClientCredential},
    error::{Challenge, OAuthError, Presented},
    revoke::token_of,
};
use crate::{
    api::{
        call::Call,
        form::Form,
        header::{accepts, bearer},
        reply::{self, Reply},
        subject,
    },
    authority::{
        Error,
        feed::{Introspector, Refused},
        limits::{LimitExceeded, Operation},
    },
};
use http::StatusCode;
use serde::Serialize;
use tegata_policy::{assertion::AssertionRules, denied::Denied};
use tegata_token::{
    id::{ChannelId, Group, Position, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// The answer about a token.
#[derive(Serialize)]
struct Introspection {
    active: bool,
    /// The position of the view that the answer was made from: a verifier whose view is
    /// behind it is stale.
    position: Position,
    #[serde(flatten)]
    token: Option<ActiveToken>,
}

/// The facts of an active token.
#[derive(Serialize)]
struct ActiveToken {
    client_id: ChannelId,
    sub: ChannelId,
    token_type: &'static str,
    scope: &'static str,
    iss: String,
    /// Like that of a token in JWS form.
    aud: String,
    jti: TokenId,
    iat: UnixTime,
    exp: UnixTime,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
}

/// The media type of a signed answer; its `typ` is the part after the slash.
const SIGNED: (&str, &str) = ("application/token-introspection+jwt", "token-introspection+jwt");

/// Answers whether a token is active.
pub async fn introspect(call: &Call) -> Result<Reply, OAuthError> {
    let form = Form::of_body(&call.headers, &call.body)?;
    let credential = client::read(&call.headers, &form, AssertionRules::OAuthOrLine)?;
    let caller = caller(call, credential).await?;
    let token = token_of(&form)?;
    let found = call.app.authority.introspect(&caller, token.as_bytes()).await;
    let (found, position) = found.map_err(refused)?;
    let token = found.map(|active| {
        let claims = &active.claims;
        subject::set(claims.channel);
        ActiveToken {
            client_id: claims.channel,
            sub: claims.channel,
            token_type: "Bearer",
            scope: claims.kind.scope(),
            iss: call.app.authority.issuer().to_owned(),
            aud: call.app.authority.issuer().to_owned(),
            jti: claims.id,
            iat: claims.issued_at,
            exp: active.until,
            kind: claims.kind,
            group: claims.group.clone(),
        }
    });
    let answer = Introspection { active: token.is_some(), position, token };
    // Strings, numbers and booleans can always be written.
    let answer = serde_json::to_value(&answer).unwrap_or_default();
    if !accepts(&call.headers, SIGNED.0) {
        return Ok(reply::json(StatusCode::OK, answer.to_string()));
    }
    let claims = serde_json::json!({ "aud": caller.name(), "token_introspection": answer });
    let signed = call.app.authority.statement(SIGNED.1, claims).map_err(refused)?;
    Ok(reply::typed(StatusCode::OK, SIGNED.0, signed))
}

/// The verifier of the bearer token, or the channel that authenticates.
async fn caller(call: &Call, credential: ClientCredential) -> Result<Introspector, OAuthError> {
    let challenge = match credential {
        ClientCredential::Bearer => Challenge::WrongBearer,
        ClientCredential::None => Challenge::Bearer,
        of_channel => {
            let client = authenticate(call, of_channel).await?;
            // By the rate of LINE's operation that answers the same.
            let rate = call.app.authority.take_verification(Operation::VerifyJws, client.channel);
            rate.map_err(|LimitExceeded(seconds)| {
                refused(Denied::LimitExceeded { seconds }.into())
            })?;
            return Ok(Introspector::Channel(client.channel, client.group));
        }
    };
    let verifier = call.app.authority.verifier_of(bearer(&call.headers)).await;
    verifier.map(Introspector::Verifier).map_err(|why| match why {
        Refused::Unavailable(why) => refused(Error::Unavailable(why.into())),
        _ => OAuthError::invalid_client(
            Some(challenge),
            "introspection needs the token of a verifier, or the id and the secret of a channel, \
             or its assertion",
        ),
    })
}

/// The error of the authority in a request whose caller is authenticated.
fn refused(error: Error) -> OAuthError {
    OAuthError::of(error, Presented::Assertion)
}
