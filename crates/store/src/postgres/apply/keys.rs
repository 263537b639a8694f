//! Rows of the authority's own signing keys, of the root administrator's token, and its
//! development clock.

use super::act::Of;
use crate::{
    SigningKeyRow,
    postgres::statements::{Statements, keep},
};
use tegata_policy::acts::{RootTokenHash, Write};
use tegata_token::{key::KeyState, time::UnixTime};

pub(super) fn apply<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &'a Write) {
    match it {
        Write::SigningKey(key) => insert(to, key),
        Write::SigningKeyState(key) => write_state(to, of, key),
        Write::SigningKeyWrapped(id, wrapped) => {
            let sql = "UPDATE signing_key SET wrapped = $2 WHERE id = $1";
            to.add(sql, keep![&id.0[..], &wrapped.0[..]]);
        }
        Write::ClockOffset(offset) => {
            to.add("UPDATE authority SET clock_offset = $1", keep![*offset]);
        }
        Write::RootToken { ended, in_force } => {
            put_in_force(to, of.at.now, ended.as_ref(), in_force);
        }
        _ => {}
    }
}

/// Puts a root administrator's token in force, and ends any other.
fn put_in_force<'a>(
    to: &mut Statements<'a>,
    now: UnixTime,
    ended: Option<&'a RootTokenHash>,
    in_force: &'a RootTokenHash,
) {
    to.add("UPDATE root_token SET ended_at = $1 WHERE ended_at IS NULL", keep![now.0]);
    if let Some(ended) = ended {
        let sql = "INSERT INTO root_token (hash, since, ended_at) VALUES ($1, $2, $2)
                   ON CONFLICT (hash) DO NOTHING";
        to.add(sql, keep![&ended.0[..], now.0]);
    }
    let sql = "INSERT INTO root_token (hash, since) VALUES ($1, $2)";
    to.add(sql, keep![&in_force.0[..], now.0]);
}

fn insert<'a>(to: &mut Statements<'a>, key: &'a SigningKeyRow) {
    let sql = "INSERT INTO signing_key (id, public, wrapped, state, created_at, changed_at)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let (created_at, changed_at) = (key.created_at.0, key.changed_at.0);
    let (id, public, wrapped) = (&key.id.0[..], &key.public[..], &key.wrapped.0[..]);
    to.add(sql, keep![id, public, wrapped, key.state.name(), created_at, changed_at]);
}

/// Writes a key's new state. A revoked key loses its private half, and the current act's
/// audit event is recorded as the cause.
fn write_state<'a>(to: &mut Statements<'a>, of: Of<'a>, key: &'a SigningKeyRow) {
    let issued_before = match key.state {
        KeyState::Retired { issued_before } => issued_before.map(|it| it.0),
        _ => None,
    };
    let is_revoked = key.state == KeyState::Revoked;
    let sql = "UPDATE signing_key SET state = $2, changed_at = $3,
                   issued_before = coalesce($4, issued_before), wrapped = $5,
                   key_revoked_act = CASE WHEN $6 THEN $7 ELSE key_revoked_act END,
                   key_revoked_by = $8, key_reason = $9
               WHERE id = $1";
    let (actor, reason) = if is_revoked { of.author() } else { (None, None) };
    let values = keep![
        &key.id.0[..],
        key.state.name(),
        key.changed_at.0,
        issued_before,
        &key.wrapped.0[..],
        is_revoked,
        of.at.audit,
        actor,
        reason,
    ];
    to.add(sql, values);
}
