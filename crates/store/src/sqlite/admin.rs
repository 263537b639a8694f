//! Writes rows of channels, their secrets, keys and groups, and of the authority's own
//! signing keys. Their content is decided elsewhere.

use super::{
    audit::NEXT_ACT,
    rows,
    writer::{Tx, insert, write},
};
use crate::{Result, SigningKeyRow, journal::Author};
use rusqlite::params;
use tegata_policy::{
    channel::{Channel, GroupSettings},
    secret::HashedSecret,
};
use tegata_token::{
    id::{ChannelId, Group},
    key::KeyState,
    time::UnixTime,
};

// ---- channels

pub(super) fn insert_channel(tx: &Tx<'_>, new: &Channel) -> Result<()> {
    let sql = "INSERT INTO channel (id, provider, name, type, created_at, state, rules, group_cap,
                   group_when_full, own_audience_only, single_use, limits, secret, on_leak,
                   revocations_before)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
                   (SELECT revocations FROM provider WHERE id = ?2))";
    let secret = new.secrets.first().map(|it| it.hash.to_stored());
    let values = params![
        new.id.number(),
        new.provider.number(),
        new.name,
        rows::word(new.channel_type),
        new.created_at.0,
        rows::word(new.state),
        rows::word(new.rules),
        new.group_rule.cap,
        rows::word(new.group_rule.when_full),
        new.own_audience_only,
        new.single_use_assertions,
        rows::json(&new.limits),
        secret,
        rows::word(new.on_leak),
    ];
    insert(tx, sql, values)?;
    let sql = "INSERT INTO channel_count (channel, serial, bulk_serial, revision)
               VALUES (?1, ?2, ?2, ?3)";
    insert(tx, sql, (new.id.number(), new.bulk_serial.0, new.revision))
}

/// Writes a channel's name, state, rules and limits.
pub(super) fn write_settings(tx: &Tx<'_>, new: &Channel) -> Result<()> {
    let sql = "UPDATE channel SET name = ?2, rules = ?3, state = ?4, group_cap = ?5,
                   group_when_full = ?6, own_audience_only = ?7, single_use = ?8, limits = ?9,
                   on_leak = ?10
               WHERE id = ?1";
    let values = params![
        new.id.number(),
        new.name,
        rows::word(new.rules),
        rows::word(new.state),
        new.group_rule.cap,
        rows::word(new.group_rule.when_full),
        new.own_audience_only,
        new.single_use_assertions,
        rows::json(&new.limits),
        rows::word(new.on_leak),
    ];
    write(tx, sql, values).map(drop)
}

/// Replaces the current secret, which is accepted until `kept` then.
pub(super) fn write_secret(
    tx: &Tx<'_>,
    id: ChannelId,
    secret: HashedSecret,
    kept: Option<UnixTime>,
) -> Result<()> {
    let sql = "UPDATE channel SET
                   previous_secret = CASE WHEN ?3 IS NULL THEN NULL ELSE secret END,
                   previous_secret_used_at = CASE WHEN ?3 IS NULL THEN NULL ELSE secret_used_at END,
                   previous_until = ?3, secret = ?2,
                   secret_used_at = CASE WHEN secret = ?2 THEN secret_used_at END WHERE id = ?1";
    write(tx, sql, params![id.number(), secret.to_stored(), kept.map(|it| it.0)]).map(drop)
}

/// Writes a group's own settings; default settings need no row.
pub(super) fn write_group(
    tx: &Tx<'_>,
    id: ChannelId,
    group: &Group,
    settings: &GroupSettings,
) -> Result<()> {
    if *settings == GroupSettings::default() {
        let sql = "DELETE FROM channel_group WHERE channel = ?1 AND name = ?2";
        write(tx, sql, (id.number(), group.as_str())).map(drop)
    } else {
        let sql = "INSERT OR REPLACE INTO channel_group VALUES (?1, ?2, ?3)";
        write(tx, sql, (id.number(), group.as_str(), rows::json(settings))).map(drop)
    }
}

// ---- signing keys

pub(super) fn insert_key(tx: &mut Tx<'_>, key: &SigningKeyRow) -> Result<()> {
    let sql = "INSERT INTO signing_key (id, public, wrapped, state, created_at, changed_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (created_at, changed_at) = (key.created_at.0, key.changed_at.0);
    let state = key.state.name();
    insert(tx, sql, params![key.id.0, key.public, key.wrapped.0, state, created_at, changed_at])?;
    tx.reread_keys()
}

/// Writes a key's new state. A revoked key loses its private half, and the current act's
/// audit event is recorded as the cause.
pub(super) fn write_key_state(
    tx: &mut Tx<'_>,
    key: &SigningKeyRow,
    author: Option<&Author>,
) -> Result<()> {
    let issued_before = match key.state {
        KeyState::Retired { issued_before } => issued_before.map(|it| it.0),
        _ => None,
    };
    let act = if key.state == KeyState::Revoked { NEXT_ACT } else { "key_revoked_act" };
    let sql = format!(
        "UPDATE signing_key SET state = ?2, changed_at = ?3, issued_before = coalesce(?4, issued_before),
             wrapped = ?5, key_revoked_act = {act}, key_revoked_by = ?6, key_reason = ?7
         WHERE id = ?1"
    );
    let (state, at) = (key.state.name(), key.changed_at.0);
    let author = author.filter(|_| act == NEXT_ACT);
    let (actor, reason) = author.map(|it| (&it.actor, &it.reason)).unzip();
    let values = params![key.id.0, state, at, issued_before, key.wrapped.0, actor, reason];
    write(tx, &sql, values)?;
    tx.reread_keys()
}
