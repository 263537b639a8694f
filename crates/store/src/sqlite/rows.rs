//! Converts rows to values and back: the only code that knows how columns are encoded.

use crate::{Error, Provider, SigningKeyRow, WrappedKey};
use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, Row, types::FromSqlError};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Display, str::FromStr};
use tegata_policy::{
    acts::{StoredKey, Times},
    channel::{Channel, GroupRule, RegisteredKey, Secret},
    jwk::AssertionKey,
    secret::{HashedSecret, sha256},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, VerifyingKey},
    kind::Kind,
    time::UnixTime,
    view::{ChannelRevocations, ChannelState},
};

/// Any database error: the state is unknown, and the caller is informed so.
pub(super) fn unavailable(error: rusqlite::Error) -> Error {
    Error::Unavailable(error.to_string().into())
}

/// A column holds a value that this program never writes.
pub(super) fn bad<E: Display>(error: E) -> rusqlite::Error {
    FromSqlError::Other(error.to_string().into()).into()
}

/// An enum as its JSON string.
pub(super) fn word<T: Serialize>(it: T) -> String {
    match serde_json::to_value(it) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("not a word: {other:?}"),
    }
}

pub(super) fn from_word<T: DeserializeOwned>(word: String) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(bad)
}

pub(super) fn json<T: Serialize>(it: &T) -> String {
    serde_json::to_string(it).unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(bad)
}

pub(super) fn parsed<T: FromStr<Err: Display>>(text: String) -> rusqlite::Result<T> {
    text.parse().map_err(bad)
}

pub(super) fn group(text: Option<String>) -> rusqlite::Result<Option<Group>> {
    text.map(parsed).transpose()
}

pub(super) fn bytes<const N: usize>(blob: Vec<u8>) -> rusqlite::Result<[u8; N]> {
    blob.try_into().map_err(|_| bad("a blob of another length"))
}

pub(super) fn channel_id(number: u64) -> rusqlite::Result<ChannelId> {
    ChannelId::from_number(number).ok_or_else(|| bad("a channel id of more than ten digits"))
}

pub(super) fn provider_id(number: u64) -> rusqlite::Result<ProviderId> {
    ProviderId::from_number(number).ok_or_else(|| bad("a provider id of more than ten digits"))
}

pub(super) fn kind(word: &str) -> rusqlite::Result<Kind> {
    word.parse().map_err(bad)
}

pub(super) fn token_id(blob: Vec<u8>) -> rusqlite::Result<TokenId> {
    bytes(blob).map(TokenId)
}

pub(super) fn assertion_key_id(blob: Option<Vec<u8>>) -> rusqlite::Result<Option<AssertionKeyId>> {
    blob.map(|blob| bytes(blob).map(AssertionKeyId)).transpose()
}

pub(super) fn provider(row: &Row<'_>) -> rusqlite::Result<Provider> {
    Ok(Provider {
        id: provider_id(row.get("id")?)?,
        name: row.get("name")?,
        created_at: UnixTime(row.get("created_at")?),
    })
}

/// A signing key's state from its columns.
pub(super) fn key_state(word: &str, issued_before: Option<i64>) -> rusqlite::Result<KeyState> {
    match word {
        "pending" => Ok(KeyState::Pending),
        "active" => Ok(KeyState::Active),
        "retired" => Ok(KeyState::Retired { issued_before: issued_before.map(UnixTime) }),
        "revoked" => Ok(KeyState::Revoked),
        other => Err(bad(format!("a signing key in state {other}"))),
    }
}

/// All signing keys, oldest first.
pub(super) fn signing_keys(conn: &Connection) -> rusqlite::Result<Vec<StoredKey>> {
    let sql = "SELECT number, id, public, wrapped, state, issued_before, created_at, changed_at
               FROM signing_key ORDER BY number";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([], |row| {
        let state = key_state(&row.get::<_, String>("state")?, row.get("issued_before")?)?;
        let id = SigningKeyId(bytes(row.get("id")?)?);
        // Its id is its own hash (see `VerifyingKey::id`), so a flipped bit is noticed.
        let public = VerifyingKey::from_bytes(bytes(row.get("public")?)?).map_err(bad)?;
        if public.id() != id {
            return Err(bad(format!("the signing key {id} was damaged; restore a backup")));
        }
        let key = SigningKeyRow {
            id,
            public: public.to_bytes(),
            wrapped: WrappedKey(row.get("wrapped")?),
            state,
            created_at: UnixTime(row.get("created_at")?),
            changed_at: UnixTime(row.get("changed_at")?),
        };
        Ok(StoredKey { row: row.get("number")?, key })
    })?;
    rows.collect()
}

/// The columns of a channel, in the order that [`channel`] reads.
pub(super) const CHANNEL: &str = "SELECT c.number, c.id, c.provider, c.name, c.type, c.created_at,
    c.state, c.rules, c.group_cap, c.group_when_full, c.own_audience_only, c.single_use, c.limits,
    c.secret,
    c.previous_secret, c.previous_until, n.revision, n.bulk_serial
    FROM channel c JOIN channel_count n ON n.channel = c.id";

/// A channel's snapshot from one row of [`CHANNEL`], with its keys and groups.
pub(super) fn channel(conn: &Connection, row: &Row<'_>) -> rusqlite::Result<Channel> {
    let id = channel_id(row.get("id")?)?;
    let mut secrets = vec![Secret { hash: hash(row.get("secret")?)?, until: None }];
    if let Some(previous) = row.get::<_, Option<Vec<u8>>>("previous_secret")? {
        let until = UnixTime(row.get("previous_until")?);
        secrets.push(Secret { hash: hash(previous)?, until: Some(until) });
    }
    Ok(Channel {
        id,
        provider: provider_id(row.get("provider")?)?,
        name: row.get("name")?,
        channel_type: from_word(row.get("type")?)?,
        created_at: UnixTime(row.get("created_at")?),
        state: from_word(row.get("state")?)?,
        rules: from_word(row.get("rules")?)?,
        group_rule: GroupRule {
            cap: row.get("group_cap")?,
            when_full: from_word(row.get("group_when_full")?)?,
        },
        own_audience_only: row.get("own_audience_only")?,
        single_use_assertions: row.get("single_use")?,
        limits: from_json(&row.get::<_, String>("limits")?)?,
        secrets,
        assertion_keys: assertion_keys(conn, id)?,
        groups: groups(conn, id)?,
        used_groups: used_groups(conn, id)?,
        revision: row.get("revision")?,
        bulk_serial: Serial(row.get("bulk_serial")?),
    })
}

/// One channel's snapshot, deleted ones included.
pub(super) fn channel_by_id(conn: &Connection, id: ChannelId) -> rusqlite::Result<Option<Channel>> {
    conn.prepare_cached(&format!("{CHANNEL} WHERE c.id = ?1"))?
        .query_row([id.number()], |row| channel(conn, row))
        .optional()
}

fn hash(blob: Vec<u8>) -> rusqlite::Result<HashedSecret> {
    bytes(blob).map(HashedSecret::from_stored)
}

fn assertion_keys(conn: &Connection, id: ChannelId) -> rusqlite::Result<Vec<RegisteredKey>> {
    let sql = "SELECT id, grp, modulus, created_at FROM assertion_key
               WHERE channel = ?1 ORDER BY number";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([id.number()], |row| {
        let modulus: Vec<u8> = row.get("modulus")?;
        Ok(RegisteredKey {
            id: AssertionKeyId(bytes(row.get("id")?)?),
            group: group(row.get("grp")?)?,
            key: AssertionKey::from_modulus(&modulus).ok_or_else(|| bad("not an RSA key"))?,
            created_at: UnixTime(row.get("created_at")?),
        })
    })?;
    rows.collect()
}

fn groups(
    conn: &Connection,
    id: ChannelId,
) -> rusqlite::Result<BTreeMap<Group, tegata_policy::channel::GroupSettings>> {
    let sql = "SELECT name, settings FROM channel_group WHERE channel = ?1";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([id.number()], |row| {
        let settings: String = row.get("settings")?;
        Ok((parsed(row.get("name")?)?, from_json(&settings)?))
    })?;
    rows.collect()
}

fn used_groups(conn: &Connection, id: ChannelId) -> rusqlite::Result<BTreeMap<Group, UnixTime>> {
    let sql = "SELECT name, until FROM group_use WHERE channel = ?1 AND deleted = 0";
    let mut query = conn.prepare_cached(sql)?;
    let rows = query.query_map([id.number()], |row| {
        Ok((parsed(row.get("name")?)?, UnixTime(row.get("until")?)))
    })?;
    rows.collect()
}

/// The revocations of one channel; none if there is no row.
pub(super) fn revocations(
    conn: &Connection,
    id: ChannelId,
    state: ChannelState,
) -> rusqlite::Result<ChannelRevocations> {
    let text: Option<String> = conn
        .prepare_cached("SELECT revocations FROM channel_revocations WHERE channel = ?1")?
        .query_row([id.number()], |row| row.get(0))
        .optional()?;
    let revocations =
        text.map_or_else(|| Ok(ChannelRevocations::default()), |text| read_revocations(id, &text))?;
    Ok(ChannelRevocations { state, ..revocations })
}

/// A channel's revocations as stored: JSON after a checksum.
///
/// SQLite does not notice a bit that flips inside a value, and here it could make a
/// revoked token active. So could revocations that came into another channel's row: the
/// channel's id is part of the checksum.
pub(super) fn revocations_text(id: ChannelId, revocations: &ChannelRevocations) -> String {
    let revocations = json(revocations);
    format!("{} {revocations}", sum_of(id, &revocations))
}

/// Parses stored revocations; an error if the checksum is wrong.
pub(super) fn read_revocations(id: ChannelId, text: &str) -> rusqlite::Result<ChannelRevocations> {
    match text.split_once(' ') {
        Some((sum, revocations)) if sum == sum_of(id, revocations) => from_json(revocations),
        // Written before there were checksums. Damage to a checksum never looks like
        // this.
        None => from_json(text),
        Some(_) => Err(bad(format!(
            "the stored revocations of channel {id} are damaged; restore a backup, or run \
             `tegata doctor`"
        ))),
    }
}

fn sum_of(id: ChannelId, revocations: &str) -> String {
    let digest = sha256(&[&id.number().to_be_bytes(), revocations.as_bytes()]);
    HEXLOWER.encode(&digest[..8])
}

/// The times of a row of `token`, which was signed by a key in that state: they decide
/// whether the token is active.
pub(super) fn times(
    row: &Row<'_>,
    (key, key_since): (KeyState, UnixTime),
) -> rusqlite::Result<Times> {
    let revoked_at = row.get::<_, Option<i64>>("revoked_at")?.map(UnixTime);
    let cause = row.get::<_, Option<String>>("cause")?;
    let revocation = cause.map(from_word).transpose()?.zip(revoked_at);
    Ok(Times {
        issued_at: UnixTime(row.get("issued_at")?),
        expires_at: UnixTime(row.get("expires_at")?),
        ends_at: row.get::<_, Option<i64>>("ends_at")?.map(UnixTime),
        revocation,
        key,
        key_since,
    })
}
