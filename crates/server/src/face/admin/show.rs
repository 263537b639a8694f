//! How things look as JSON. Absent values are null, times RFC 3339.

use jiff::Timestamp;
use serde_json::{Value, json};
use tegata_store::{AuditRow, GroupRow, Provider, SigningKeyRow, TokenRow};
use tegata_token::{
    id::TokenId,
    key::KeyState,
    law::Kind,
    policy::{Channel, RegisteredKey},
    time::UnixTime,
};

/// A page of a list.
pub fn list(name: &str, rows: Vec<Value>, next: Option<String>) -> Value {
    json!({ name: rows, "next": next })
}

/// A moment; null if it is one that no calendar has.
pub fn time(at: UnixTime) -> Option<String> {
    Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}

pub fn provider(it: &Provider) -> Value {
    json!({ "provider_id": it.id, "name": it.name, "created_at": time(it.created_at) })
}

/// A channel; its secrets are not in it.
pub fn channel(it: &Channel) -> Value {
    json!({
        "channel_id": it.id,
        "provider_id": it.provider,
        "name": it.name,
        "type": it.channel_type,
        "state": it.state,
        "law": it.law,
        "group_cap": it.group_rule.cap,
        "group_when_full": it.group_rule.when_full,
        "own_audience_only": it.own_audience_only,
        "single_use_assertions": it.single_use_assertions,
        "created_at": time(it.created_at),
    })
}

pub fn assertion_key(it: &RegisteredKey) -> Value {
    json!({ "kid": it.id, "group": it.group, "created_at": time(it.created_at) })
}

pub fn group(it: &GroupRow) -> Value {
    json!({
        "group": it.group,
        "cap": it.settings.cap,
        "when_full": it.settings.when_full,
        "contact": it.settings.contact,
        "live_tokens": it.live_tokens,
        "assertion_keys": it.assertion_keys,
    })
}

pub fn token(it: &TokenRow) -> Value {
    json!({
        "token_id": it.id,
        "kind": it.kind,
        "group": it.group,
        "key_id": key_id(it.kind, it.id),
        "state": it.state,
        "issued_at": time(it.issued_at),
        "expires_at": time(it.expires_at),
        "last_used_at": it.last_used_at.and_then(time),
        "ended_by": it.ended.map(|(by, _)| by),
        "ended_at": it.ended.and_then(|(_, at)| time(at)),
    })
}

/// What LINE calls the key id of a token; only v2.1 tokens have one.
pub fn key_id(kind: Kind, id: TokenId) -> Option<TokenId> {
    (kind == Kind::V21).then_some(id)
}

pub fn signing_key(it: &SigningKeyRow) -> Value {
    let good_until = match it.state {
        KeyState::Bounded { until } => time(until),
        _ => None,
    };
    json!({
        "kid": it.id,
        "state": it.state.name(),
        "good_for_issued_until": good_until,
        "created_at": time(it.created_at),
        "changed_at": time(it.changed_at),
    })
}

/// An audit event. The reason that somebody gave stands beside what was done.
pub fn event(it: &AuditRow) -> Value {
    let mut detail = it.detail.clone();
    let reason = detail.as_object_mut().and_then(|members| members.remove("reason"));
    json!({
        "id": it.id,
        "at": time(it.at),
        "actor": it.actor,
        "source": it.source,
        "act": it.act,
        "provider_id": it.provider,
        "channel_id": it.channel,
        "reason": reason,
        "detail": detail,
        "position": it.position,
    })
}
