//! Writes rows of channels, their secrets, keys and groups, and of the authority's own
//! signing keys. Their content is decided elsewhere.

use super::{
    audit::NEXT_ACT,
    issue::{mark_revoked, rows_of},
    known,
    rows::{self, unavailable},
    writer::{Tx, insert, write},
};
use crate::{Change, Error, Result, RevocationCause, SigningKeyRow};
use rusqlite::params;
use tegata_policy::{
    channel::{Channel, GroupSettings},
    secret::HashedSecret,
};
use tegata_token::{
    id::{ChannelId, Group, SigningKeyId},
    key::KeyState,
    time::UnixTime,
};

// ---- channels

pub(super) fn insert_channel(tx: &Tx<'_>, new: &Channel) -> Result<()> {
    let sql = "INSERT INTO channel (id, provider, name, type, created_at, state, rules, group_cap,
                   group_when_full, own_audience_only, single_use, limits, secret)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
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
    ];
    insert(tx, sql, values)?;
    let sql = "INSERT INTO channel_count (channel, serial, bulk_serial, revision)
               VALUES (?1, ?2, ?2, ?3)";
    insert(tx, sql, (new.id.number(), new.bulk_serial.0, new.revision))
}

/// Writes a channel's name, state, rules and limits.
pub(super) fn write_settings(tx: &Tx<'_>, new: &Channel) -> Result<()> {
    let sql = "UPDATE channel SET name = ?2, rules = ?3, state = ?4, group_cap = ?5,
                   group_when_full = ?6, own_audience_only = ?7, single_use = ?8, limits = ?9
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
pub(super) fn write_key_state(tx: &mut Tx<'_>, key: &SigningKeyRow) -> Result<()> {
    let issued_before = match key.state {
        KeyState::Retired { issued_before } => issued_before.map(|it| it.0),
        _ => None,
    };
    let act = if key.state == KeyState::Revoked { NEXT_ACT } else { "key_revoked_act" };
    let sql = format!(
        "UPDATE signing_key SET state = ?2, changed_at = ?3, issued_before = coalesce(?4, issued_before),
             wrapped = ?5, key_revoked_act = {act} WHERE id = ?1"
    );
    let (state, at) = (key.state.name(), key.changed_at.0);
    write(tx, &sql, params![key.id.0, state, at, issued_before, key.wrapped.0])?;
    tx.reread_keys()
}

// ---- for recoveries

/// Increases the channel's revision, and logs that copies of the channel must be
/// discarded.
pub(super) fn revise(tx: &mut Tx<'_>, id: ChannelId) -> Result<()> {
    let sql = "UPDATE channel_count SET revision = revision + 1 WHERE channel = ?1";
    write(tx, sql, [id.number()])?;
    let Some(channel) = rows::channel_by_id(tx.conn, id).map_err(unavailable)? else {
        return Ok(());
    };
    let (provider, verify_rate) = (channel.provider, channel.limits.verify_rate);
    tx.change(Change::Channel { provider, channel: id, verify_rate });
    Ok(())
}

/// Removes the keys, groups and tokens of a channel that is being deleted.
pub(super) fn empty(tx: &mut Tx<'_>, id: ChannelId) -> Result<()> {
    write(tx, "DELETE FROM assertion_key WHERE channel = ?1", [id.number()])?;
    write(tx, "DELETE FROM channel_group WHERE channel = ?1", [id.number()])?;
    known::forget(tx, id)?;
    for number in rows_of(tx, id).map_err(unavailable)?.numbers {
        mark_revoked(tx, number, RevocationCause::Requested, None).map_err(unavailable)?;
    }
    Ok(())
}

pub(super) fn add_key(tx: &mut Tx<'_>, key: &SigningKeyRow, state: KeyState) -> Result<()> {
    let now = tx.now;
    let new = SigningKeyRow { state, created_at: now, changed_at: now, ..key.clone() };
    insert_key(tx, &new)?;
    tx.change(Change::SigningKey(new));
    Ok(())
}

pub(super) fn set_state(tx: &mut Tx<'_>, key: SigningKeyId, state: KeyState) -> Result<()> {
    let known = tx.keys().iter().find(|it| it.key.id == key).map(|it| it.key.clone());
    let new = known.ok_or(Error::NotFound("signing key"))?.in_state(state, tx.now);
    write_key_state(tx, &new)?;
    tx.change(Change::SigningKey(new));
    Ok(())
}

/// Revokes a key and deletes its private half.
pub(super) fn revoke_key(tx: &mut Tx<'_>, key: SigningKeyId) -> Result<()> {
    set_state(tx, key, KeyState::Revoked)
}
