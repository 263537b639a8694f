//! Who is behind it that a token is not good any more: the audit event of the act,
//! and the token that took its place.

use crate::{api::admin::show, authority::Authority};
use serde_json::json;
use tegata_store::{AuditRow, Page, Result, TokenName, TokenRow};
use tegata_token::{claims::Claims, verify::Invalid, time::UnixTime, view::RevokedBy};

/// So many of a channel's newest events are looked through, where no row names one.
const LOOKED_AT: usize = 1_000;

/// What to say behind why a token is not good; empty where there is nothing.
pub async fn told(
    authority: &Authority,
    claims: &Claims,
    row: &TokenRow,
    verdict: std::result::Result<UnixTime, Invalid>,
) -> Result<String> {
    let mut told = String::new();
    if let Some(serial) = row.replaced_by {
        let name = TokenName::Serial(serial);
        let newer = authority.store().token(claims.channel, name, authority.now()).await?;
        if let Some(newer) = newer {
            told.push_str(&format!(" The newer token is {}.", newer.id));
        }
    }
    if let Some(event) = event(authority, claims, row, verdict).await? {
        told.push_str(&format!(" By {}", event.actor));
        if let Some(source) = &event.source {
            told.push_str(&format!(" from {source}"));
        }
        let at = show::time(event.at).unwrap_or_default();
        told.push_str(&format!(" at {at}: {}, audit event {}", event.act, event.id));
        if let Some(reason) = event.detail["reason"].as_str() {
            told.push_str(&format!(", \u{201c}{reason}\u{201d}"));
        }
        told.push('.');
    }
    Ok(told)
}

async fn event(
    authority: &Authority,
    claims: &Claims,
    row: &TokenRow,
    verdict: std::result::Result<UnixTime, Invalid>,
) -> Result<Option<AuditRow>> {
    let store = authority.store();
    let act = match verdict {
        Err(Invalid::Suspended | Invalid::Revoked(RevokedBy::Channel)) => {
            store.state_act(claims.channel).await?
        }
        Err(_) => row.revoked_act,
        Ok(_) => None,
    };
    match (act, verdict) {
        (Some(act), _) => store.audit_row(act).await,
        (None, Err(Invalid::Revoked(RevokedBy::SigningKey))) => {
            let rows = store.audit(None, Page { before: None, most: LOOKED_AT }).await?;
            Ok(rows.into_iter().rev().find(|row| names(&row.detail["revoked"], &claims.key)))
        }
        (None, Err(Invalid::Revoked(_))) if row.revocation.is_none() => {
            let page = Page { before: None, most: LOOKED_AT };
            let rows = store.audit(Some(claims.channel), page).await?;
            // The first act that covers it is the one that ended it.
            Ok(rows.into_iter().rev().find(|row| covers(row, claims)))
        }
        _ => Ok(None),
    }
}

fn names(list: &serde_json::Value, key: &impl serde::Serialize) -> bool {
    list.as_array().is_some_and(|all| all.contains(&json!(key)))
}

/// Whether an act on the channel ended this token, as far as its event tells. One
/// of the very second in which the token was issued may have come before it.
fn covers(event: &AuditRow, claims: &Claims) -> bool {
    let detail = &event.detail;
    let is = |name: &str, value: serde_json::Value| !value.is_null() && detail[name] == value;
    if event.at < claims.issued_at {
        return false;
    }
    match event.act.as_str() {
        "token.revoke" => {
            is("token_id", json!(claims.id))
                || is("all", json!(true))
                || is("kind", json!(claims.kind))
                || is("group", json!(claims.group))
                || is("assertion_key", json!(claims.assertion_key))
        }
        "group.delete" => is("group", json!(claims.group)),
        "key.delete" => is("revoke_tokens", json!(true)) && is("kid", json!(claims.assertion_key)),
        "channel.rotate-secret" => is("revoke_tokens", json!(true)),
        _ => false,
    }
}
