//! What people change: providers, channels, their secrets, keys and groups, and
//! the authority's own signing keys.

use super::{
    audit::{NEXT_ACT, write as audit},
    end::{append, end_scope, existing},
    issue::{live, mark_ended, other_groups, rows_of},
    known, mark,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{
    By, ChannelPatch, EndedBy, Error, GroupPatch, LimitsPatch, NewChannel, Provider, Result,
    Sealed, SigningKeyChange, SigningKeyRow,
    audit_event::{
        AuditEvent, ChannelChanged, GroupChanged, GroupDeleted, KeyDeleted, KeyRegistered,
        MasterKeyReplaced, Named, NewChannelNamed, SecretReplaced, SigningKeyNamed,
        SigningKeysRevoked,
    },
    endings::What,
};
use rusqlite::{ErrorCode, params};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId},
    key::{KeyState, VerifyingKey},
    law::{ASSERTION_KEYS, GROUPS, Law},
    policy::{Channel, ChannelState, GroupRule, GroupSettings, RegisteredKey, Secret},
    refusal::Refusal,
    secret::HashedSecret,
    time::UnixTime,
    view::{ChannelChange, Entry, Scope, ViewKey},
};

/// Runs one statement that changes rows.
pub(super) fn write(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
    tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values)).map_err(unavailable)
}

/// As [`write`], where a unique name may be taken already.
pub(super) fn insert(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<()> {
    let done = tx.conn.prepare_cached(sql).and_then(|mut it| it.execute(values));
    match done {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(Error::Taken)
        }
        Err(error) => Err(unavailable(error)),
    }
}

pub(super) fn create_provider(
    tx: &mut Tx<'_>,
    id: ProviderId,
    name: &str,
    by: &By,
) -> Result<Provider> {
    let sql = "INSERT INTO provider (id, name, created_at) VALUES (?1, ?2, ?3)";
    insert(tx, sql, (id.number(), name, tx.now.0))?;
    let event = AuditEvent::ProviderCreate(Named { name: name.to_owned() });
    audit(tx, by, &event, Some(id), None)?;
    Ok(Provider { id, name: name.to_owned(), created_at: tx.now })
}

pub(super) fn create_channel(tx: &mut Tx<'_>, new: &NewChannel, by: &By) -> Result<Channel> {
    let sql = "SELECT 1 FROM provider WHERE id = ?1";
    let known = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut query| query.exists([new.provider.number()]))
        .map_err(unavailable)?;
    if !known {
        return Err(Error::NotFound("provider"));
    }
    let group_rule = GroupRule::default();
    let sql = "INSERT INTO channel (id, provider, name, type, created_at, state, law, group_cap,
                   group_when_full, own_audience_only, single_use, secret)
               VALUES (?1, ?2, ?3, ?4, ?5, 'active', ?6, ?7, ?8, 0, 0, ?9)";
    let values = params![
        new.id.number(),
        new.provider.number(),
        new.name,
        rows::word(new.channel_type),
        tx.now.0,
        rows::word(Law::default()),
        group_rule.cap,
        rows::word(group_rule.when_full),
        new.secret.to_stored(),
    ];
    insert(tx, sql, values)?;
    insert(tx, "INSERT INTO channel_count VALUES (?1, 0, 0, 1)", [new.id.number()])?;
    tx.touch(new.id);
    let named = NewChannelNamed { name: new.name.clone(), r#type: new.channel_type };
    audit(tx, by, &AuditEvent::ChannelCreate(named), Some(new.provider), Some(new.id))?;
    Ok(Channel {
        id: new.id,
        provider: new.provider,
        name: new.name.clone(),
        channel_type: new.channel_type,
        created_at: tx.now,
        state: ChannelState::Active,
        law: Law::default(),
        group_rule,
        own_audience_only: false,
        single_use_assertions: false,
        limits: Default::default(),
        secrets: vec![Secret { hash: new.secret, until: None }],
        assertion_keys: Vec::new(),
        groups: Default::default(),
        used_groups: Default::default(),
        revision: 1,
        bulk_serial: Serial(0),
    })
}

/// Counts a change of what the channel's requests are judged by.
pub(super) fn revise(tx: &mut Tx<'_>, channel: ChannelId) -> Result<()> {
    let sql = "UPDATE channel_count SET revision = revision + 1 WHERE channel = ?1";
    write(tx, sql, [channel.number()])?;
    tx.touch(channel);
    Ok(())
}

pub(super) fn change_channel(
    tx: &mut Tx<'_>,
    id: ChannelId,
    patch: &ChannelPatch,
    by: &By,
) -> Result<Channel> {
    let old = existing(tx, id)?;
    put_rules(tx, &old, patch)?;
    // The state has an entry of its own.
    let limits = LimitsPatch::default();
    let rules = ChannelPatch { name: None, state: None, limits, ..patch.clone() };
    let limits = patch.limits.applied_to(old.limits);
    if rules != ChannelPatch::default() {
        tx.note_ending(What::Rules { channel: id, rules });
    }
    if limits != old.limits {
        tx.note_ending(What::Limits { channel: id, limits });
    }
    let state = patch.state.filter(|&state| state != old.state);
    if let Some(state) = state {
        if state == ChannelState::Deleted {
            empty(tx, id)?;
        }
        let sql = format!("UPDATE channel SET state_act = {NEXT_ACT} WHERE id = ?1");
        write(tx, &sql, [id.number()])?;
        let facts = rows::facts(tx.conn, id, old.state).map_err(unavailable)?;
        let change = ChannelChange::State { state };
        append(tx, facts, Entry::Channel { channel: id, change })?;
    }
    let changed = ChannelChanged {
        name: patch.name.clone(),
        law: patch.law,
        state: patch.state,
        group_cap: patch.group_cap,
        group_when_full: patch.group_when_full,
        own_audience_only: patch.own_audience_only,
        limits: (limits != old.limits).then_some(limits),
        single_use_assertions: patch.single_use_assertions,
    };
    let event = match state {
        Some(ChannelState::Suspended) => AuditEvent::ChannelSuspend(changed),
        Some(ChannelState::Active) => AuditEvent::ChannelResume(changed),
        Some(ChannelState::Deleted) => AuditEvent::ChannelDelete(changed),
        None => AuditEvent::ChannelSet(changed),
    };
    audit(tx, by, &event, Some(old.provider), Some(id))?;
    rows::channel_by_id(tx.conn, id).map_err(unavailable)?.ok_or(Error::NotFound("channel"))
}

/// Writes what a patch changes of a channel's row.
pub(super) fn put_rules(tx: &mut Tx<'_>, old: &Channel, patch: &ChannelPatch) -> Result<()> {
    let id = old.id;
    let sql = "UPDATE channel SET name = coalesce(?2, name), law = coalesce(?3, law),
                   state = coalesce(?4, state), group_cap = coalesce(?5, group_cap),
                   group_when_full = coalesce(?6, group_when_full),
                   own_audience_only = coalesce(?7, own_audience_only),
                   single_use = coalesce(?8, single_use), limits = ?9 WHERE id = ?1";
    let limits = patch.limits.applied_to(old.limits);
    let values = params![
        id.number(),
        patch.name,
        patch.law.map(rows::word),
        patch.state.map(rows::word),
        patch.group_cap,
        patch.group_when_full.map(rows::word),
        patch.own_audience_only,
        patch.single_use_assertions,
        rows::json(&limits),
    ];
    write(tx, sql, values)?;
    if limits.check_rate != old.limits.check_rate {
        tx.check_at(id, limits.check_rate);
    }
    // Nobody is judged by a name, nor by limits.
    let limits_too = LimitsPatch::default();
    if (ChannelPatch { name: None, limits: limits_too, ..patch.clone() }) == ChannelPatch::default()
    {
        tx.touch(id);
        Ok(())
    } else {
        revise(tx, id)
    }
}

/// Takes from a channel that is being deleted what it could be used by.
pub(super) fn empty(tx: &mut Tx<'_>, id: ChannelId) -> Result<()> {
    write(tx, "DELETE FROM assertion_key WHERE channel = ?1", [id.number()])?;
    write(tx, "DELETE FROM channel_group WHERE channel = ?1", [id.number()])?;
    write(tx, "DELETE FROM group_use WHERE channel = ?1", [id.number()])?;
    write(tx, "DELETE FROM deleted_key WHERE channel = ?1", [id.number()])?;
    for number in rows_of(tx, id).map_err(unavailable)?.numbers {
        mark_ended(tx, number, EndedBy::Revoked, None).map_err(unavailable)?;
    }
    Ok(())
}

pub(super) fn replace_secret(
    tx: &mut Tx<'_>,
    id: ChannelId,
    secret: HashedSecret,
    keep_previous: i64,
    revoke_tokens: bool,
    by: &By,
) -> Result<UnixTime> {
    let channel = existing(tx, id)?;
    let until = tx.now.plus(keep_previous);
    let kept = (keep_previous > 0).then_some(until);
    put_secret(tx, id, secret, kept)?;
    tx.note_ending(What::Secret {
        channel: id,
        sha256: mark::hex(&secret.to_stored()),
        previous_until: kept,
    });
    let revoked = if revoke_tokens { end_scope(tx, &channel, Scope::Channel)? } else { 0 };
    let event = AuditEvent::ChannelRotateSecret(SecretReplaced {
        keep_previous_seconds: keep_previous,
        revoke_tokens,
        revoked,
    });
    audit(tx, by, &event, Some(channel.provider), Some(id))?;
    Ok(until)
}

/// Puts a secret in the place of the current one, which is taken until `kept`.
pub(super) fn put_secret(
    tx: &mut Tx<'_>,
    id: ChannelId,
    secret: HashedSecret,
    kept: Option<UnixTime>,
) -> Result<()> {
    let sql = "UPDATE channel SET
                   previous_secret = CASE WHEN ?3 IS NULL THEN NULL ELSE secret END,
                   previous_secret_used_at = CASE WHEN ?3 IS NULL THEN NULL ELSE secret_used_at END,
                   previous_until = ?3, secret = ?2, secret_used_at = NULL WHERE id = ?1";
    write(tx, sql, params![id.number(), secret.to_stored(), kept.map(|it| it.0)])?;
    revise(tx, id)
}

pub(super) fn register_key(
    tx: &mut Tx<'_>,
    id: ChannelId,
    key: &RegisteredKey,
    by: &By,
) -> Result<()> {
    let channel = existing(tx, id)?;
    let beside = channel.assertion_keys.iter().filter(|it| it.group == key.group).count();
    if beside >= ASSERTION_KEYS {
        return Err(Error::Conflict(
            "there are two assertion keys already; delete the one that is no longer used first",
        ));
    }
    if channel.assertion_keys.iter().any(|it| it.key.modulus() == key.key.modulus()) {
        return Err(Error::Conflict("this key is registered on the channel already"));
    }
    if let Some(group) = &key.group {
        check_place_for(tx, &channel, group)?;
    }
    let sql = "INSERT INTO assertion_key (id, channel, grp, modulus, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let group = key.group.as_ref().map(Group::as_str);
    insert(tx, sql, params![key.id.0, id.number(), group, key.key.modulus(), tx.now.0])?;
    revise(tx, id)?;
    let registered = KeyRegistered { kid: key.id, group: key.group.clone() };
    audit(tx, by, &AuditEvent::KeyRegister(registered), Some(channel.provider), Some(id))
}

fn check_place_for(tx: &Tx<'_>, channel: &Channel, group: &Group) -> Result<()> {
    let live = live(tx, channel.id).map_err(unavailable)?;
    if other_groups(channel, &live, group, tx.now) >= GROUPS {
        return Err(Refusal::TooManyGroups.into());
    }
    Ok(())
}

pub(super) fn delete_key(
    tx: &mut Tx<'_>,
    id: ChannelId,
    key: AssertionKeyId,
    revoke_tokens: bool,
    by: &By,
) -> Result<usize> {
    let channel = existing(tx, id)?;
    let sql = "DELETE FROM assertion_key WHERE channel = ?1 AND id = ?2";
    if write(tx, sql, params![id.number(), key.0])? == 0 {
        return Err(Error::NotFound("assertion key"));
    }
    revise(tx, id)?;
    known::key_was_deleted(tx, id, key)?;
    tx.note_ending(What::AssertionKey { channel: id, key });
    let scope = Scope::AssertionKey { key };
    let revoked = if revoke_tokens { end_scope(tx, &channel, scope)? } else { 0 };
    let event = AuditEvent::KeyDelete(KeyDeleted { kid: key, revoke_tokens, revoked });
    audit(tx, by, &event, Some(channel.provider), Some(id))?;
    Ok(revoked)
}

pub(super) fn set_group(
    tx: &mut Tx<'_>,
    id: ChannelId,
    group: &Group,
    patch: &GroupPatch,
    by: &By,
) -> Result<GroupSettings> {
    let channel = existing(tx, id)?;
    let old = channel.groups.get(group).cloned().unwrap_or_default();
    let settings = patch.applied_to(old);
    if settings != GroupSettings::default() {
        check_place_for(tx, &channel, group)?;
    }
    put_group(tx, id, group, &settings)?;
    tx.note_ending(What::GroupRules { channel: id, group: group.clone(), rules: settings.clone() });
    let changed = GroupChanged { group: group.clone(), settings: settings.clone() };
    audit(tx, by, &AuditEvent::GroupSet(changed), Some(channel.provider), Some(id))?;
    Ok(settings)
}

/// Gives a group these settings; one that has only the usual ones needs no row.
pub(super) fn put_group(
    tx: &mut Tx<'_>,
    id: ChannelId,
    group: &Group,
    settings: &GroupSettings,
) -> Result<()> {
    if *settings == GroupSettings::default() {
        let sql = "DELETE FROM channel_group WHERE channel = ?1 AND name = ?2";
        write(tx, sql, (id.number(), group.as_str()))?;
    } else {
        let sql = "INSERT OR REPLACE INTO channel_group VALUES (?1, ?2, ?3)";
        write(tx, sql, (id.number(), group.as_str(), rows::json(settings)))?;
    }
    revise(tx, id)
}

pub(super) fn delete_group(
    tx: &mut Tx<'_>,
    id: ChannelId,
    group: &Group,
    by: &By,
) -> Result<usize> {
    let channel = existing(tx, id)?;
    if !known::group_exists(tx, &channel, group)? {
        return Err(Error::NotFound("group"));
    }
    let named = (id.number(), group.as_str());
    let settings = write(tx, "DELETE FROM channel_group WHERE channel = ?1 AND name = ?2", named)?;
    let keys = write(tx, "DELETE FROM assertion_key WHERE channel = ?1 AND grp = ?2", named)?;
    let revoked = end_scope(tx, &channel, Scope::Group { group: group.clone() })?;
    known::group_was_deleted(tx, id, group)?;
    if settings > 0 {
        let (group, rules) = (group.clone(), GroupSettings::default());
        tx.note_ending(What::GroupRules { channel: id, group, rules });
    }
    let of_group = |key: &&RegisteredKey| key.group.as_ref() == Some(group);
    for key in channel.assertion_keys.iter().filter(of_group) {
        known::key_was_deleted(tx, id, key.id)?;
        tx.note_ending(What::AssertionKey { channel: id, key: key.id });
    }
    let deleted = GroupDeleted { group: group.clone(), keys, revoked };
    audit(tx, by, &AuditEvent::GroupDelete(deleted), Some(channel.provider), Some(id))?;
    Ok(revoked)
}

// ---- signing keys

pub(super) fn change_signing_keys(
    tx: &mut Tx<'_>,
    change: &SigningKeyChange,
    by: &By,
) -> Result<Vec<SigningKeyId>> {
    let in_state = |tx: &Tx<'_>, state: KeyState| {
        tx.keys().iter().find(|key| key.state == state).map(|key| key.id)
    };
    let mut removed = Vec::new();
    let event = match change {
        SigningKeyChange::Add(key) => {
            let state = match in_state(tx, KeyState::Active) {
                None => KeyState::Active,
                Some(_) if in_state(tx, KeyState::Coming).is_some() => {
                    return Err(Error::Conflict(
                        "a coming signing key is waiting already; it becomes active by itself",
                    ));
                }
                Some(_) => KeyState::Coming,
            };
            add_key(tx, key, state)?;
            AuditEvent::SigningKeyRotate(SigningKeyNamed { kid: key.id })
        }
        SigningKeyChange::Promote(key) => {
            if in_state(tx, KeyState::Coming) != Some(*key) {
                return Err(Error::NotFound("coming signing key"));
            }
            if let Some(active) = in_state(tx, KeyState::Active) {
                set_state(tx, active, KeyState::Retired)?;
            }
            set_state(tx, *key, KeyState::Active)?;
            AuditEvent::SigningKeyPromote(SigningKeyNamed { kid: *key })
        }
        SigningKeyChange::Remove { key, successor } => {
            let known = tx.keys().iter().find(|it| it.id == *key).copied();
            let known = known.ok_or(Error::NotFound("signing key"))?;
            if known.state != KeyState::Removed {
                remove_key(tx, *key)?;
                removed.push(*key);
            }
            if known.state == KeyState::Active {
                match in_state(tx, KeyState::Coming) {
                    Some(coming) => set_state(tx, coming, KeyState::Active)?,
                    None => add_key(tx, successor, KeyState::Active)?,
                }
            }
            AuditEvent::SigningKeyRevoke(SigningKeysRevoked { removed: removed.clone() })
        }
        SigningKeyChange::RemoveAll { successor } => {
            let all: Vec<_> = tx.keys().to_vec();
            for key in all.into_iter().filter(|key| key.state != KeyState::Removed) {
                remove_key(tx, key.id)?;
                removed.push(key.id);
            }
            add_key(tx, successor, KeyState::Active)?;
            AuditEvent::SigningKeyRevokeAll(SigningKeysRevoked { removed: removed.clone() })
        }
    };
    audit(tx, by, &event, None, None)?;
    Ok(removed)
}

pub(super) fn add_key(tx: &mut Tx<'_>, key: &SigningKeyRow, state: KeyState) -> Result<()> {
    let sql = "INSERT INTO signing_key (id, public, sealed, state, created_at, changed_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
    insert(tx, sql, params![key.id.0, key.public, key.sealed.0, state.name(), tx.now.0])?;
    tx.reread_keys()?;
    log_key(tx, key.public, state)
}

pub(super) fn set_state(tx: &mut Tx<'_>, key: SigningKeyId, state: KeyState) -> Result<()> {
    let bound = match state {
        KeyState::Bounded { until } => Some(until.0),
        _ => None,
    };
    let sql = "UPDATE signing_key SET state = ?2, changed_at = ?3, bound = coalesce(?4, bound)
               WHERE id = ?1 RETURNING public";
    let public: Vec<u8> = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut update| {
            update.query_row(params![key.0, state.name(), tx.now.0, bound], |row| row.get(0))
        })
        .map_err(unavailable)?;
    tx.reread_keys()?;
    log_key(tx, rows::bytes(public).map_err(unavailable)?, state)
}

/// Removes a key, and its private half for good.
pub(super) fn remove_key(tx: &mut Tx<'_>, key: SigningKeyId) -> Result<()> {
    let sql =
        format!("UPDATE signing_key SET sealed = x'', removed_act = {NEXT_ACT} WHERE id = ?1");
    write(tx, &sql, [key.0])?;
    set_state(tx, key, KeyState::Removed)
}

pub(super) fn reseal(tx: &mut Tx<'_>, keys: &[(SigningKeyId, Sealed)], by: &By) -> Result<()> {
    let sql = "SELECT id FROM signing_key WHERE length(sealed) > 0";
    let mut sealed: Vec<[u8; 8]> = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .map_err(unavailable)?;
    let signing_keys = sealed.len();
    let audit_key = super::audit::key(tx.conn).map_err(unavailable)?;
    let audit_key = audit_key.and_then(|(public, _)| VerifyingKey::from_bytes(public).ok());
    let audit_key = audit_key.map(|key| key.id());
    sealed.extend(audit_key.map(|id| id.0));
    let given = |id: &[u8; 8]| keys.iter().any(|(key, _)| key.0 == *id);
    if sealed.len() != keys.len() || !sealed.iter().all(given) {
        return Err(Error::Conflict("the signing keys changed meanwhile; ask again"));
    }
    for (key, sealed) in keys {
        if audit_key == Some(*key) {
            write(tx, "UPDATE audit_key SET sealed = ?1", [&sealed.0])?;
        } else {
            let sql = "UPDATE signing_key SET sealed = ?2 WHERE id = ?1";
            write(tx, sql, params![key.0, sealed.0])?;
        }
    }
    let event = AuditEvent::MasterKeyRotate(MasterKeyReplaced { signing_keys });
    audit(tx, by, &event, None, None)
}

fn log_key(tx: &mut Tx<'_>, public: [u8; 32], state: KeyState) -> Result<()> {
    let key = VerifyingKey::from_bytes(public)
        .map_err(|error| Error::Unavailable(error.to_string().into()))?;
    tx.log(Entry::SigningKey(ViewKey { key, state }));
    Ok(())
}
