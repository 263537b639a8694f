//! The two operations that end a token.

use super::{
    dialect::{Shown, Wrong},
    fields,
};
use crate::{
    authority::{Error, ending_of},
    face::{App, form_of},
    form::Form,
    limits::Operation,
    reply::Reply,
    source::Source,
};
use axum::extract::State;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use tegata_policy::refusal::Refusal;
use tegata_token::{
    claims::Claims,
    decide::{Refused, judge},
    kind,
    wire::Malformed,
};

/// `POST /oauth2/v2.1/revoke`: tokens in JWS form, by their channel.
pub async fn jws(
    State(app): State<Arc<App>>,
    source: Source,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Wrong> {
    let form = Form::of_body(&headers, &body)?;
    let shown = Shown::RevokeSecret;
    let token = form.get("access_token").ok_or(Wrong::Missing)?;
    let (channel, secret) = fields::secret(&form, shown)?;
    let proof = app.authority.check_secret(channel, &secret).await;
    proof.map_err(|error| Wrong::judged(&app, error, shown, source, channel))?;
    match form_of(token) {
        kind::Form::Jws => {}
        kind::Form::Opaque(_) => return Err(Wrong::NotJws),
    }
    match app.authority.read(token.as_bytes()) {
        Ok(claims) if claims.channel == channel => {
            end(&app, &claims, Operation::RevokeJws, source).await
        }
        // Another channel's token is left alone, and nothing is said of it.
        Ok(_) => Ok(Reply::default()),
        Err(Refused::Malformed(Malformed::OtherShape)) => Err(Wrong::NotJws),
        // Not one of ours, but well-formed: to us it is unknown.
        Err(Refused::Malformed(_)) if !is_jws(token) => Err(Wrong::MalformedJws),
        Err(_) => Ok(Reply::default()),
    }
}

/// `POST /v2/oauth/revoke`: opaque tokens, by whoever holds them; that is LINE's rule.
pub async fn opaque(
    State(app): State<Arc<App>>,
    source: Source,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Reply, Wrong> {
    let form = Form::of_body(&headers, &body)?;
    let token = form.get("access_token").ok_or(Wrong::Missing)?;
    match form_of(token) {
        kind::Form::Opaque(_) => {}
        kind::Form::Jws => return Err(Wrong::NotOpaque),
    }
    match app.authority.read(token.as_bytes()) {
        Ok(claims) => end(&app, &claims, Operation::RevokeOpaque, source).await,
        Err(Refused::Malformed(_)) => Err(Wrong::NotOpaque),
        Err(_) => Ok(Reply::default()),
    }
}

/// Whether it is a compact JWS at all (RFC 7515, section 7.1).
fn is_jws(token: &str) -> bool {
    let decode = |part| URL_SAFE_NO_PAD.decode(part).ok();
    let parts: Option<Vec<_>> = token.split('.').map(decode).collect();
    let Some([header, payload, signature]) = parts.as_deref() else { return false };
    let header = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(header);
    header.is_ok() && !payload.is_empty() && !signature.is_empty()
}

async fn end(
    app: &App,
    token: &Claims,
    operation: Operation,
    from: Source,
) -> Result<Reply, Wrong> {
    // What is over needs no ending. Asked of the view, since whoever holds a dead
    // token may ask again and again, and must not cost a commit each time.
    let found = judge(token, app.authority.now(), &app.authority.view());
    if let Err(Refused::Expired | Refused::Ended(_)) = found {
        return Ok(Reply::default());
    }
    // What ends nothing is not counted: whoever holds a dead token must not use up
    // what the channel needs for the endings that count.
    let wrong = |error| Wrong::of(error, Shown::RevokeSecret);
    let Some(channel) = app.authority.channel(token.channel).await.map_err(wrong)? else {
        return Ok(Reply::default());
    };
    app.authority.take(operation, &channel).map_err(wrong)?;
    let actor = format!("channel {}", token.channel);
    let by = app.authority.by(&actor, Some(from.to_string()), None);
    match app.authority.end(token.channel, ending_of(token), false, by).await {
        Ok(_) => {
            app.metrics.revocations.token.inc();
            Ok(Reply::default())
        }
        Err(Error::NotFound(_) | Error::Refused(Refusal::NotFound | Refusal::UnknownChannel)) => {
            Ok(Reply::default())
        }
        Err(error) => Err(wrong(error)),
    }
}
