//! Issuing: cap, eviction, row and log entry in one act.

use super::{
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{
    By, EndedBy, Error, Issued, Result,
    audit_event::{AuditEvent, TokenIssued},
};
use rusqlite::{OptionalExtension, params};
use std::{borrow::Cow, collections::BTreeSet, sync::Arc};
use tegata_token::{
    assertion::Assertion,
    claims::Claims,
    id::{ChannelId, Group, Serial, SigningKeyId, TokenId},
    key::KeyState,
    policy::{self, Channel, Grant, Live},
    refusal::Refusal,
    time::UnixTime,
    view::Entry,
};

/// The public address that new tokens name, and its row.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub number: i64,
    pub issuer: Arc<str>,
}

pub(super) fn issue(
    tx: &mut Tx<'_>,
    grant: &Grant,
    id: TokenId,
    form: &Form,
    by: Option<&By>,
) -> Result<Issued> {
    let channel = grant.channel().id;
    let (count, grant) = current(tx, grant)?;
    if let Some(issued) = issued_before(tx, &grant)? {
        return Ok(issued);
    }
    let rows = rows_of(tx, channel).map_err(unavailable)?;
    let live = &rows.live;
    let groups = match grant.group() {
        Some(group) => other_groups(grant.channel(), live, group, tx.now),
        None => 0,
    };
    let serial = count.serial.next();
    let admit = policy::admit(&grant, live, groups, serial, tx.now)?;
    let key = tx.keys().iter().find(|key| key.state == KeyState::Active);
    let key = *key.ok_or_else(|| Error::Unavailable("no signing key is active".into()))?;
    let claims = grant.claims(id, serial, key.id, tx.now);

    take_assertion(tx, &grant)?;
    write_row(tx, &grant, &claims, key.number, form).map_err(unavailable)?;
    set_serial(tx, channel, serial).map_err(unavailable)?;
    for &number in &rows.over {
        mark_past(tx, number).map_err(unavailable)?;
    }
    let evicted = if admit.reissue { 0 } else { admit.ends.len() };
    let mut previous_until = None;
    if !admit.ends.is_empty() || admit.ends_later.is_some() {
        let by = if admit.reissue { EndedBy::Reissued } else { EndedBy::Evicted };
        for token in &admit.ends {
            if let Some(number) = rows.number_of(token.serial) {
                mark_ended(tx, number, by, Some(serial)).map_err(unavailable)?;
            }
        }
        if let Some((predecessor, from)) = admit.ends_later
            && let Some(number) = rows.number_of(predecessor)
        {
            let until = end_later(tx, number, from, serial).map_err(unavailable)?;
            previous_until = Some(until);
        }
        let state = grant.channel().state;
        let facts = rows::facts(tx.conn, channel, state).map_err(unavailable)?;
        if let Some(change) = admit.change(&facts, live, tx.now) {
            super::end::append(tx, facts, Entry::Channel { channel, change })?;
        }
    }
    if let Some(by) = by {
        let event = AuditEvent::TokenIssue(TokenIssued { token_id: id, kind: grant.kind() });
        super::audit::write(tx, by, &event, Some(grant.channel().provider), Some(channel))?;
    }
    let issuer = form.issuer.clone();
    Ok(Issued { claims, issuer, previous_until, again: false, evicted })
}

/// A channel's counters, read under its lock.
pub(super) struct Count {
    pub serial: Serial,
    pub revision: u64,
}

pub(super) fn count(tx: &Tx<'_>, channel: ChannelId) -> Result<Count> {
    tx.conn
        .prepare_cached("SELECT serial, revision FROM channel_count WHERE channel = ?1")
        .and_then(|mut query| {
            query
                .query_row([channel.number()], |row| {
                    Ok(Count { serial: Serial(row.get(0)?), revision: row.get(1)? })
                })
                .optional()
        })
        .map_err(unavailable)?
        .ok_or(Error::Refused(Refusal::UnknownChannel))
}

pub(super) fn set_serial(tx: &Tx<'_>, channel: ChannelId, serial: Serial) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("UPDATE channel_count SET serial = ?2 WHERE channel = ?1")?
        .execute((channel.number(), serial.0))
        .map(drop)
}

/// The grant, judged again if its channel is no longer what it was judged by.
fn current<'a>(tx: &Tx<'_>, grant: &'a Grant) -> Result<(Count, Cow<'a, Grant>)> {
    let count = count(tx, grant.channel().id)?;
    if count.revision == grant.channel().revision {
        return Ok((count, Cow::Borrowed(grant)));
    }
    let channel: Channel = rows::channel_by_id(tx.conn, grant.channel().id)
        .map_err(unavailable)?
        .ok_or(Refusal::UnknownChannel)?;
    let grant = grant.clone().judge_again(Arc::new(channel), tx.now)?;
    Ok((count, Cow::Owned(grant)))
}

/// The grant's assertion, if its channel takes each one once.
fn single_use(grant: &Grant) -> Option<&Assertion> {
    grant.assertion().filter(|_| grant.channel().single_use_assertions)
}

fn is_taken(tx: &Tx<'_>, grant: &Grant, assertion: &Assertion) -> Result<bool> {
    let sql = "SELECT 1 FROM assertion_used WHERE channel = ?1 AND fingerprint = ?2";
    let named = (grant.channel().id.number(), assertion.fingerprint);
    tx.conn.prepare_cached(sql).and_then(|mut query| query.exists(named)).map_err(unavailable)
}

/// Of channels that take each assertion once: takes it, or refuses.
fn take_assertion(tx: &Tx<'_>, grant: &Grant) -> Result<()> {
    let Some(assertion) = single_use(grant) else { return Ok(()) };
    if is_taken(tx, grant, assertion)? {
        return Err(Refusal::AssertionUsed.into());
    }
    tx.conn
        .prepare_cached("INSERT INTO assertion_used VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| {
            insert.execute(params![
                grant.channel().id.number(),
                assertion.fingerprint,
                assertion.expires_at.0
            ])
        })
        .map(drop)
        .map_err(unavailable)
}

/// As [`take_assertion`], for a token without a row, whose group gets one instead.
pub(super) fn take_for_stateless(tx: &mut Tx<'_>, grant: &Grant) -> Result<Grant> {
    let (_, grant) = current(tx, grant)?;
    take_assertion(tx, &grant)?;
    super::known::use_group(tx, &grant)?;
    Ok(grant.into_owned())
}

/// What a retry must have the same.
fn parameters(grant: &Grant) -> String {
    let (life, delay) = grant.parameters();
    format!("{life} {delay}")
}

/// The token that the same `Idempotency-Key` was answered with before, if any.
fn issued_before(tx: &Tx<'_>, grant: &Grant) -> Result<Option<Issued>> {
    let Some(idempotency) = grant.idempotency() else { return Ok(None) };
    let sql = "SELECT t.id, t.serial, t.issued_at, t.expires_at, t.ends_at, t.ended_at,
                      t.parameters, k.id AS key, t.signing_key, f.issuer,
                      (SELECT p.ends_at FROM token p WHERE p.channel = t.channel
                        AND p.past = 0 AND p.ended_for = t.serial) AS previous_until
               FROM token t JOIN signing_key k ON k.number = t.signing_key
                            JOIN form f ON f.number = t.form
               WHERE t.channel = ?1 AND t.idempotency = ?2";
    let found = tx.conn.prepare_cached(sql).and_then(|mut query| {
        query
            .query_row((grant.channel().id.number(), idempotency), |row| {
                let key: i64 = row.get("signing_key")?;
                let issued_at = UnixTime(row.get("issued_at")?);
                let expires_at = UnixTime(row.get("expires_at")?);
                let ends_at = row.get::<_, Option<i64>>("ends_at")?.map_or(expires_at, UnixTime);
                let ended: Option<i64> = row.get("ended_at")?;
                let good =
                    tx.keys().iter().any(|it| it.number == key && it.state.good_for(issued_at));
                let lives = ended.is_none() && tx.now < ends_at.min(expires_at) && good;
                let id = rows::token_id(row.get("id")?)?;
                let key = SigningKeyId(rows::bytes(row.get("key")?)?);
                let serial = Serial(row.get("serial")?);
                let claims = Claims { expires_at, ..grant.claims(id, serial, key, issued_at) };
                let issuer: String = row.get("issuer")?;
                let previous = row.get::<_, Option<i64>>("previous_until")?.map(UnixTime);
                let issued = Issued {
                    claims,
                    issuer: issuer.into(),
                    previous_until: previous,
                    again: true,
                    evicted: 0,
                };
                Ok((row.get::<_, String>("parameters")?, lives, issued))
            })
            .optional()
    });
    match found.map_err(unavailable)? {
        None => Ok(None),
        Some((same, _, _)) if same != parameters(grant) => Err(Refusal::IdempotencyMismatch.into()),
        Some((_, false, _)) => Err(Refusal::IdempotencyEnded.into()),
        Some((_, true, issued)) => Ok(Some(issued)),
    }
}

/// The rows of a channel that are not past.
pub(super) struct Rows {
    /// Those that live, oldest first: all of the channel's live stored tokens.
    pub live: Vec<Live>,
    /// The row of each, in the same order.
    pub numbers: Vec<i64>,
    /// Rows whose time is over; a few of them, to be marked by whoever writes.
    over: Vec<i64>,
}

/// Rows that an issue marks as past, at the most; since it adds one, they go
/// faster than they come.
const MARKED_AT_ONCE: usize = 8;

impl Rows {
    /// The row of a live token.
    pub fn number_of(&self, serial: Serial) -> Option<i64> {
        let place = self.live.binary_search_by_key(&serial, |token| token.serial).ok()?;
        self.numbers.get(place).copied()
    }
}

pub(super) fn rows_of(tx: &Tx<'_>, channel: ChannelId) -> rusqlite::Result<Rows> {
    let sql = "SELECT number, serial, kind, grp, expires_at, ends_at, signing_key, issued_at
               FROM token INDEXED BY token_live
               WHERE channel = ?1 AND past = 0 ORDER BY serial";
    let mut query = tx.conn.prepare_cached(sql)?;
    let mut found = query.query([channel.number()])?;
    let mut rows =
        Rows { live: Vec::with_capacity(32), numbers: Vec::with_capacity(32), over: Vec::new() };
    while let Some(row) = found.next()? {
        let number = row.get(0)?;
        let expires_at = UnixTime(row.get(4)?);
        let ends_at = row.get::<_, Option<i64>>(5)?.map_or(expires_at, UnixTime);
        if expires_at.min(ends_at) <= tx.now {
            if rows.over.len() < MARKED_AT_ONCE {
                rows.over.push(number);
            }
            continue;
        }
        let (key, issued_at): (i64, i64) = (row.get(6)?, row.get(7)?);
        let good =
            |it: &super::writer::KeyRow| it.number == key && it.state.good_for(UnixTime(issued_at));
        if !tx.keys().iter().any(good) {
            continue;
        }
        let serial = Serial(row.get(1)?);
        rows.numbers.push(number);
        rows.live.push(Live {
            serial,
            kind: rows::kind(row.get_ref(2)?.as_str()?)?,
            group: rows::group(row.get(3)?)?,
            expires_at,
        });
    }
    Ok(rows)
}

/// As [`rows_of`], where only what lives is asked for.
pub(super) fn live(tx: &Tx<'_>, channel: ChannelId) -> rusqlite::Result<Vec<Live>> {
    rows_of(tx, channel).map(|rows| rows.live)
}

/// How many groups beside `own` take a place: those with live tokens, keys or
/// settings, and those that stateless tokens were issued for lately.
pub(super) fn other_groups(channel: &Channel, live: &[Live], own: &Group, now: UnixTime) -> usize {
    let with_tokens = live.iter().filter_map(|token| token.group.as_ref());
    let with_keys = channel.assertion_keys.iter().filter_map(|key| key.group.as_ref());
    let used = channel.used_groups.iter().filter(|(_, until)| **until > now).map(|(it, _)| it);
    let named = with_keys.chain(channel.groups.keys()).chain(used);
    let all: BTreeSet<_> = with_tokens.chain(named).collect();
    all.into_iter().filter(|&group| group != own).count()
}

fn write_row(
    tx: &Tx<'_>,
    grant: &Grant,
    claims: &Claims,
    key: i64,
    form: &Form,
) -> rusqlite::Result<()> {
    let idempotency = grant.idempotency();
    let sql = "INSERT INTO token (channel, serial, id, kind, grp, assertion_key, signing_key,
                   form, issued_at, expires_at, idempotency, parameters)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    tx.conn
        .prepare_cached(sql)?
        .execute(params![
            claims.channel.number(),
            claims.serial.0,
            claims.id.0,
            claims.kind.rule().name,
            claims.group.as_ref().map(|group| group.as_str()),
            claims.assertion_key.map(|key| key.0),
            key,
            form.number,
            claims.issued_at.0,
            claims.expires_at.0,
            idempotency,
            idempotency.map(|_| parameters(grant)),
        ])
        .map(drop)
}

/// Marks a live row as ended now.
pub(super) fn mark_ended(
    tx: &Tx<'_>,
    number: i64,
    by: EndedBy,
    ended_for: Option<Serial>,
) -> rusqlite::Result<()> {
    // People's acts have an audit row; an issue that pushes a token out has none.
    let act = if by == EndedBy::Revoked { super::audit::NEXT_ACT } else { "NULL" };
    let sql = format!(
        "UPDATE token SET past = 1, ended_at = ?2, ended_by = ?3, ended_for = ?4,
             ended_act = {act} WHERE number = ?1 AND past = 0"
    );
    let ended_for = ended_for.map(|serial| serial.0);
    tx.conn.prepare_cached(&sql)?.execute((number, tx.now.0, rows::word(by), ended_for)).map(drop)
}

/// Marks a row whose time is over; a delayed end that has come is written into it.
fn mark_past(tx: &Tx<'_>, number: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE token SET past = 1,
                   ended_at = CASE WHEN ends_at < expires_at THEN ends_at END,
                   ended_by = CASE WHEN ends_at < expires_at THEN ?2 END
               WHERE number = ?1 AND past = 0";
    tx.conn.prepare_cached(sql)?.execute((number, rows::word(EndedBy::Reissued))).map(drop)
}

/// Sets an end at a time that may have come; an earlier one that was set stays.
pub(super) fn end_at(tx: &Tx<'_>, number: i64, at: UnixTime) -> rusqlite::Result<()> {
    let sql = "UPDATE token SET ends_at = min(coalesce(ends_at, ?2), ?2) WHERE number = ?1";
    tx.conn.prepare_cached(sql)?.execute((number, at.0)).map(drop)
}

/// Sets a later end, and answers when the token will end: one that was set
/// already and comes sooner stays.
fn end_later(
    tx: &Tx<'_>,
    number: i64,
    from: UnixTime,
    ended_for: Serial,
) -> rusqlite::Result<UnixTime> {
    let sql = "UPDATE token SET ends_at = min(coalesce(ends_at, ?2), ?2), ended_for = ?3
               WHERE number = ?1 RETURNING ends_at";
    tx.conn
        .prepare_cached(sql)?
        .query_row((number, from.0, ended_for.0), |row| row.get(0))
        .map(UnixTime)
}
