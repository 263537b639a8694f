//! The two operations that revoke a token.

use super::{
    dialect::{Presented, Wrong},
    fields,
};
use crate::{
    api::{app::App, call::Call, form::Form, reply::Reply},
    authority::source::Source,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tegata_token::kind;
use tegata_token::{claims::Claims, verify::Invalid, wire::Malformed};

/// `POST /oauth2/v2.1/revoke`: tokens in JWS form, by their channel.
pub async fn jws(call: Call) -> Result<Reply, Wrong> {
    let Call { app, source, headers, body } = call;
    let form = Form::of_body(&headers, &body)?;
    let presented = Presented::RevokeSecret;
    let token = form.get("access_token").ok_or(Wrong::Missing)?;
    let (channel, secret) = fields::secret(&form, presented)?;
    let authenticated = app.check_secret(channel, &secret, source).await;
    authenticated.map_err(|error| Wrong::of(error, presented))?;
    match fields::form_of(token) {
        kind::WireForm::Jws => {}
        kind::WireForm::Opaque(_) => return Err(Wrong::NotJws),
    }
    match read(&app, token).await? {
        Ok(claims) if claims.channel == channel => revoke(&app, &claims, source).await,
        // Another channel's token is left alone, with the same response.
        Ok(_) => Ok(Reply::default()),
        Err(Invalid::Malformed(Malformed::OtherShape)) => Err(Wrong::NotJws),
        // Not one of ours, but well-formed: an unknown token.
        Err(Invalid::Malformed(_)) if !is_jws(token) => Err(Wrong::MalformedJws),
        Err(_) => Ok(Reply::default()),
    }
}

/// `POST /v2/oauth/revoke`: opaque tokens, by their holder alone; that is LINE's rule.
pub async fn opaque(call: Call) -> Result<Reply, Wrong> {
    let Call { app, source, headers, body } = call;
    let form = Form::of_body(&headers, &body)?;
    let token = form.get("access_token").ok_or(Wrong::Missing)?;
    match fields::form_of(token) {
        kind::WireForm::Opaque(_) => {}
        kind::WireForm::Jws => return Err(Wrong::NotOpaque),
    }
    match read(&app, token).await? {
        Ok(claims) => revoke(&app, &claims, source).await,
        Err(Invalid::Malformed(_)) => Err(Wrong::NotOpaque),
        Err(_) => Ok(Reply::default()),
    }
}

/// The claims of a token of ours, or why it is none.
async fn read(app: &App, token: &str) -> Result<Result<Claims, Invalid>, Wrong> {
    let read = app.authority.read(token.as_bytes()).await;
    read.map_err(|error| Wrong::of(error, Presented::RevokeSecret))
}

/// Whether it is a compact JWS (RFC 7515, section 7.1).
fn is_jws(token: &str) -> bool {
    let decode = |part| URL_SAFE_NO_PAD.decode(part).ok();
    let parts: Option<Vec<_>> = token.split('.').map(decode).collect();
    let Some([header, payload, signature]) = parts.as_deref() else { return false };
    let header = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(header);
    header.is_ok() && !payload.is_empty() && !signature.is_empty()
}

async fn revoke(app: &App, token: &Claims, source: Source) -> Result<Reply, Wrong> {
    let revoked = app.revoke_own(token, source).await;
    revoked.map_err(|error| Wrong::of(error, Presented::RevokeSecret))?;
    Ok(Reply::default())
}
