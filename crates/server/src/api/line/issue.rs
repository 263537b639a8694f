//! The three operations that issue a token.

use super::{
    dialect::{Presented, Wrong, ok},
    fields,
};
use crate::{
    api::{app::App, call::Call, form::Form, reply::Reply},
    authority::{source::Source, tokens::Token},
};
use http::HeaderMap;
use serde::Serialize;
use tegata_policy::authorize::{Credential, IssueRequest};
use tegata_token::{id::ChannelId, kind::Kind};

/// Reads the request of `POST /oauth2/v2.1/token`, up to the assertion's signature. What it
/// returns refers to nothing of the request, whose memory need not wait for the commit.
///
/// # Errors
/// The request is malformed.
pub fn ask_for_v21(headers: &HeaderMap, body: &[u8]) -> Result<TokenRequest, Wrong> {
    let form = Form::of_body(headers, body)?;
    fields::wants_client_credentials(&form)?;
    let assertion = fields::assertion(&form)?;
    let asked = Asked {
        channel: assertion.channel(),
        kind: Kind::V21,
        credential: Credential::Assertion(assertion),
        presented: Presented::Assertion,
    };
    asked.read(&form, headers)
}

/// The response to `POST /oauth2/v2.1/token`, of which `asked` was read.
pub async fn v21(app: &App, source: Source, asked: Result<TokenRequest, Wrong>) -> Reply {
    issue_v21(app, source, asked).await.unwrap_or_else(Reply::from)
}

async fn issue_v21(
    app: &App,
    source: Source,
    asked: Result<TokenRequest, Wrong>,
) -> Result<Reply, Wrong> {
    let token = asked?.issue(app, source).await?;
    #[derive(Serialize)]
    struct IssueBody<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_in: i64,
        key_id: String,
    }
    Ok(ok(&IssueBody {
        access_token: token.reveal(),
        token_type: "Bearer",
        expires_in: token.expires_in,
        key_id: token.claims.id.to_string(),
    }))
}

/// `POST /oauth2/v3/token`
pub async fn stateless(call: Call) -> Result<Reply, Wrong> {
    let Call { app, source, headers, body } = call;
    let form = Form::of_body(&headers, &body)?;
    fields::wants_client_credentials(&form)?;
    let kind = Kind::Stateless;
    let by_secret = form.get("client_secret").is_some();
    let by_assertion = form.get("client_assertion").is_some();
    let asked = match (by_secret, by_assertion) {
        (true, true) => return Err(Wrong::BothCredentials),
        (false, true) => {
            let assertion = fields::assertion(&form)?;
            let channel = assertion.channel();
            if form.get("client_id").is_some_and(|id| id != channel.to_string()) {
                return Err(Wrong::OtherClient);
            }
            let credential = Credential::Assertion(assertion);
            Asked { channel, kind, credential, presented: Presented::Assertion }
        }
        (_, false) => {
            let presented = Presented::StatelessSecret;
            let (channel, secret) = fields::secret(&form, presented)?;
            Asked { channel, kind, credential: Credential::Secret(secret), presented }
        }
    };
    let token = asked.read(&form, &headers)?.issue(&app, source).await?;
    #[derive(Serialize)]
    struct IssueBody<'a> {
        token_type: &'a str,
        access_token: &'a str,
        expires_in: i64,
    }
    Ok(ok(&IssueBody {
        token_type: "Bearer",
        access_token: token.reveal(),
        expires_in: token.expires_in,
    }))
}

/// `POST /v2/oauth/accessToken`
pub async fn short_lived(call: Call) -> Result<Reply, Wrong> {
    let Call { app, source, headers, body } = call;
    let form = Form::of_body(&headers, &body)?;
    fields::wants_client_credentials(&form)?;
    let (channel, secret) = fields::secret(&form, Presented::Secret)?;
    let asked = Asked {
        channel,
        kind: Kind::ShortLived,
        credential: Credential::Secret(secret),
        presented: Presented::Secret,
    };
    let token = asked.read(&form, &headers)?.issue(&app, source).await?;
    #[derive(Serialize)]
    struct IssueBody<'a> {
        access_token: &'a str,
        expires_in: i64,
        token_type: &'a str,
    }
    Ok(ok(&IssueBody {
        access_token: token.reveal(),
        expires_in: token.expires_in,
        token_type: "Bearer",
    }))
}

/// What each of the three issuing operations reads in its own way.
struct Asked {
    channel: ChannelId,
    kind: Kind,
    credential: Credential,
    presented: Presented,
}

impl Asked {
    /// Reads what the three have in common.
    fn read(self, form: &Form<'_>, headers: &HeaderMap) -> Result<TokenRequest, Wrong> {
        let Self { channel, kind, credential, presented } = self;
        let request = IssueRequest {
            kind,
            credential,
            group: fields::group(form)?,
            // A token without a row cannot be found again by an idempotency key.
            idempotency: if kind.is_stored() { fields::idempotency(headers)? } else { None },
            // LINE's clients name it in the assertion.
            lifetime: None,
        };
        Ok(TokenRequest { request, channel, presented })
    }
}

/// A request of one of the three issuing operations, parsed and not authorized.
pub struct TokenRequest {
    request: IssueRequest,
    channel: ChannelId,
    presented: Presented,
}

impl TokenRequest {
    async fn issue(self, app: &App, source: Source) -> Result<Token, Wrong> {
        let issued = app.issue(self.request, self.channel, source).await;
        issued.map_err(|error| Wrong::of(error, self.presented))
    }
}
