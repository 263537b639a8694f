//! Which groups and assertion keys a channel has, or had until recently.
//!
//! A revocation that names a scope which never existed would revoke nothing and look as
//! if it had. Stored tokens have rows that name their group and key; what leaves no row
//! is remembered here: groups of stateless tokens, and deleted groups and keys until
//! the last token that they could have issued has expired.

use super::{
    admin::{revise, write},
    issue::{live, other_groups},
    rows::unavailable,
    writer::Tx,
};
use crate::{Error, Result};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    law::{GROUPS, Kind},
    policy::{Channel, Grant},
    refusal::Refusal,
    time::DAY,
    view::Scope,
};

/// Writes the row of a group that a stateless token is issued for, unless the row that
/// is there outlives the token.
///
/// # Errors
/// [`Refusal::TooManyGroups`] where the group is new and there is no place for it.
pub(super) fn use_group(tx: &mut Tx<'_>, grant: &Grant) -> Result<()> {
    let Some(group) = grant.group() else { return Ok(()) };
    let channel = grant.channel();
    if channel.knows_group_of(grant, tx.now) {
        return Ok(());
    }
    let live = live(tx, channel.id).map_err(unavailable)?;
    if other_groups(channel, &live, group, tx.now) >= GROUPS {
        return Err(Refusal::TooManyGroups.into());
    }
    let life = Scope::Kind { kind: Kind::Stateless }.longest_life();
    remember_group(tx, channel.id, group, DAY + life, false)?;
    // Grants that were judged before count their groups anew.
    revise(tx, channel.id)
}

/// Remembers a group that is being deleted.
pub(super) fn group_was_deleted(tx: &mut Tx<'_>, id: ChannelId, group: &Group) -> Result<()> {
    let scope = Scope::Group { group: group.clone() };
    remember_group(tx, id, group, scope.longest_life(), true)?;
    revise(tx, id)
}

fn remember_group(
    tx: &Tx<'_>,
    id: ChannelId,
    group: &Group,
    seconds: i64,
    deleted: bool,
) -> Result<()> {
    let stale = "DELETE FROM group_use WHERE channel = ?1 AND until <= ?2";
    write(tx, stale, (id.number(), tx.now.0))?;
    let sql = "INSERT INTO group_use VALUES (?1, ?2, ?3, ?4) ON CONFLICT (channel, name)
               DO UPDATE SET until = max(until, excluded.until), deleted = excluded.deleted";
    write(tx, sql, (id.number(), group.as_str(), tx.now.plus(seconds).0, deleted)).map(drop)
}

/// Remembers a key that is being deleted.
pub(super) fn key_was_deleted(tx: &Tx<'_>, id: ChannelId, key: AssertionKeyId) -> Result<()> {
    write(tx, "DELETE FROM deleted_key WHERE until <= ?1", [tx.now.0])?;
    let until = tx.now.plus(Scope::AssertionKey { key }.longest_life());
    let sql = "INSERT OR REPLACE INTO deleted_key VALUES (?1, ?2, ?3)";
    write(tx, sql, (id.number(), key.0, until.0)).map(drop)
}

/// Refuses a scope that names nothing which could have issued a token that is alive.
pub(super) fn check_scope(tx: &Tx<'_>, channel: &Channel, scope: &Scope) -> Result<()> {
    match scope {
        Scope::Group { group } => {
            match group_exists(tx, channel, group)? || had_group(tx, channel, group)? {
                true => Ok(()),
                false => Err(Error::NotFound("group")),
            }
        }
        Scope::AssertionKey { key } => match has_or_had_key(tx, channel, *key)? {
            true => Ok(()),
            false => Err(Error::NotFound("assertion key")),
        },
        Scope::Kind { kind } => match kind.rule().channel_types.contains(&channel.channel_type) {
            true => Ok(()),
            false => Err(Refusal::KindNotForChannel(*kind).into()),
        },
        Scope::Channel | Scope::KindGroup { .. } => Ok(()),
    }
}

/// Whether a group is there: it has settings, a key, a live token, or was used lately.
pub(super) fn group_exists(tx: &Tx<'_>, channel: &Channel, group: &Group) -> Result<bool> {
    let of_group = |it: Option<&Group>| it == Some(group);
    let used = channel.used_groups.get(group).is_some_and(|&until| until > tx.now);
    let known = used
        || channel.groups.contains_key(group)
        || channel.assertion_keys.iter().any(|key| of_group(key.group.as_ref()));
    if known {
        return Ok(true);
    }
    let live = live(tx, channel.id).map_err(unavailable)?;
    Ok(live.iter().any(|token| of_group(token.group.as_ref())))
}

/// Whether there was such a group: a token's row, or its own, still names it.
fn had_group(tx: &Tx<'_>, channel: &Channel, group: &Group) -> Result<bool> {
    let sql = "SELECT 1 FROM token WHERE channel = ?1 AND grp = ?2
               UNION ALL SELECT 1 FROM group_use WHERE channel = ?1 AND name = ?2 AND until > ?3";
    exists(tx, sql, (channel.id.number(), group.as_str(), tx.now.0))
}

fn has_or_had_key(tx: &Tx<'_>, channel: &Channel, key: AssertionKeyId) -> Result<bool> {
    if channel.assertion_keys.iter().any(|it| it.id == key) {
        return Ok(true);
    }
    let sql = "SELECT 1 FROM token WHERE channel = ?1 AND assertion_key = ?2
               UNION ALL SELECT 1 FROM deleted_key WHERE channel = ?1 AND id = ?2 AND until > ?3";
    exists(tx, sql, (channel.id.number(), key.0, tx.now.0))
}

fn exists(tx: &Tx<'_>, sql: &str, values: impl rusqlite::Params) -> Result<bool> {
    tx.conn.prepare_cached(sql).and_then(|mut query| query.exists(values)).map_err(unavailable)
}
