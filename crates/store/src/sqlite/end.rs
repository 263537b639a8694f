//! Ending tokens: the entry in the log, the facts for the view, the rows.

use super::{
    issue::{Rows, count, mark_ended, rows_of, set_serial},
    read,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{
    By, EndedBy, Ending, Error, Result, TokenName,
    audit_event::{AuditEvent, TokensRevoked},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Serial, TokenId},
    law::{Kind, STATELESS_ENDINGS},
    policy::{Channel, Live},
    refusal::Refusal,
    time::UnixTime,
    view::{ChannelChange, ChannelFacts, Entry, Floor, Scope, Single, SingleToken},
};

/// Ends tokens of a channel; answers how many stored ones lived until now, and 1 for a
/// stateless one that is named by itself.
pub(super) fn end(
    tx: &mut Tx<'_>,
    id: ChannelId,
    ending: &Ending,
    dry_run: bool,
    by: &By,
) -> Result<usize> {
    let channel = existing(tx, id)?;
    let ended = match ending {
        Ending::Stored { serial } => end_stored(tx, &channel, *serial, dry_run)?,
        Ending::Stateless { id: token, expires_at } => {
            end_stateless(tx, &channel, *token, *expires_at, dry_run)?
        }
        _ => {
            let scope = match ending {
                Ending::Group(group) => Scope::Group { group: group.clone() },
                Ending::Kind(kind) => Scope::Kind { kind: *kind },
                Ending::AssertionKey(key) => Scope::AssertionKey { key: *key },
                _ => Scope::Channel,
            };
            super::known::check_scope(tx, &channel, &scope)?;
            if dry_run {
                covered(tx, &channel, &scope)?.len()
            } else {
                end_scope(tx, &channel, scope)?
            }
        }
    };
    if !dry_run {
        let mut revoked = TokensRevoked { revoked: ended, ..TokensRevoked::default() };
        match ending {
            Ending::Stored { serial } => {
                let named = TokenName::Serial(*serial);
                let row = read::token(tx.conn, id, named, tx.now).map_err(unavailable)?;
                revoked.serial = Some(*serial);
                revoked.token_id = row.map(|it| it.id);
            }
            Ending::Stateless { id, .. } => revoked.token_id = Some(*id),
            Ending::Group(group) => revoked.group = Some(group.clone()),
            Ending::Kind(kind) => revoked.kind = Some(*kind),
            Ending::AssertionKey(key) => revoked.assertion_key = Some(*key),
            Ending::All => revoked.all = Some(true),
        }
        let event = AuditEvent::TokenRevoke(revoked);
        super::audit::write(tx, by, &event, Some(channel.provider), Some(id))?;
    }
    Ok(ended)
}

/// A channel that is there and not deleted.
pub(super) fn existing(tx: &Tx<'_>, id: ChannelId) -> Result<Channel> {
    let channel = rows::channel_by_id(tx.conn, id).map_err(unavailable)?;
    channel
        .filter(|it| it.state != tegata_token::policy::ChannelState::Deleted)
        .ok_or(Error::NotFound("channel"))
}

/// Appends an entry about a channel to the log and to what the view will say.
/// `facts` are the channel's, as they stood under the same lock.
pub(super) fn append(tx: &mut Tx<'_>, mut facts: ChannelFacts, entry: Entry) -> Result<()> {
    if let Entry::Channel { channel, change } = &entry {
        facts.apply(change);
        write_facts(tx, *channel, &facts).map_err(unavailable)?;
    }
    tx.log(entry);
    Ok(())
}

fn write_facts(tx: &Tx<'_>, channel: ChannelId, facts: &ChannelFacts) -> rusqlite::Result<()> {
    let id = channel.number();
    match facts.first_until() {
        None => tx
            .conn
            .prepare_cached("DELETE FROM channel_facts WHERE channel = ?1")?
            .execute([id])
            .map(drop),
        Some(first) => tx
            .conn
            .prepare_cached("INSERT OR REPLACE INTO channel_facts VALUES (?1, ?2, ?3)")?
            .execute((id, rows::facts_text(channel, facts), first.0))
            .map(drop),
    }
}

fn end_stored(tx: &mut Tx<'_>, channel: &Channel, serial: Serial, dry_run: bool) -> Result<usize> {
    let rows = rows_of(tx, channel.id).map_err(unavailable)?;
    let all = &rows.live;
    let found = all.iter().find(|token| token.serial == serial).zip(rows.number_of(serial));
    let Some((token, number)) = found else {
        // It is not there, or ended before: then an entry of that act, in front
        // of this one's answer, says so.
        return Ok(0);
    };
    if dry_run {
        return Ok(1);
    }
    mark_ended(tx, number, EndedBy::Revoked, None).map_err(unavailable)?;
    let lives: Vec<Live> = all.iter().filter(|it| it.serial != serial).cloned().collect();
    let next = count(tx, channel.id)?.serial.next();
    let facts = rows::facts(tx.conn, channel.id, channel.state).map_err(unavailable)?;
    let change = facts.end_singly(&[(token.kind, serial, token.expires_at)], &lives, next, tx.now);
    append(tx, facts, Entry::Channel { channel: channel.id, change })?;
    Ok(1)
}

/// Answers 1 where the token was neither revoked by itself nor expired before.
fn end_stateless(
    tx: &mut Tx<'_>,
    channel: &Channel,
    id: TokenId,
    until: UnixTime,
    dry_run: bool,
) -> Result<usize> {
    let facts = rows::facts(tx.conn, channel.id, channel.state).map_err(unavailable)?;
    if facts.stateless.contains_key(&id) || until <= tx.now {
        return Ok(0);
    }
    if dry_run {
        return Ok(1);
    }
    // Those whose token has expired meanwhile only wait to be forgotten.
    let held = facts.stateless.values().filter(|&&until| until > tx.now).count();
    if held >= STATELESS_ENDINGS || facts.stateless.len() >= STATELESS_HELD {
        return Err(Refusal::TooManyStatelessEndings.into());
    }
    let tokens = vec![Single { token: SingleToken::Stateless { id }, until }];
    let change = ChannelChange::Ended { tokens };
    append(tx, facts, Entry::Channel { channel: channel.id, change })?;
    Ok(1)
}

/// So many are held at the most, with those that expired and are not forgotten
/// yet: each further ending writes them all.
const STATELESS_HELD: usize = 10 * STATELESS_ENDINGS;

/// The rows of live stored tokens that a scope is about, and their serials.
pub(super) fn covered(tx: &Tx<'_>, channel: &Channel, scope: &Scope) -> Result<Vec<(i64, Serial)>> {
    let of_key = |number: i64| -> rusqlite::Result<Option<AssertionKeyId>> {
        let sql = "SELECT assertion_key FROM token WHERE number = ?1";
        let blob = tx.conn.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
        rows::assertion_key_id(blob)
    };
    let Rows { live, numbers, .. } = rows_of(tx, channel.id).map_err(unavailable)?;
    let mut found = Vec::new();
    for (token, number) in live.into_iter().zip(numbers) {
        let key = match scope {
            Scope::AssertionKey { .. } => of_key(number).map_err(unavailable)?,
            _ => None,
        };
        if scope.covers(token.kind, token.group.as_ref(), key) {
            found.push((number, token.serial));
        }
    }
    Ok(found)
}

/// A bulk ending: takes a serial, sets a floor below it, marks the rows.
pub(super) fn end_scope(tx: &mut Tx<'_>, channel: &Channel, scope: Scope) -> Result<usize> {
    let ends = covered(tx, channel, &scope)?;
    for &(number, _) in &ends {
        mark_ended(tx, number, EndedBy::Revoked, None).map_err(unavailable)?;
    }
    let serial = count(tx, channel.id)?.serial.next();
    set_serial(tx, channel.id, serial).map_err(unavailable)?;
    tx.conn
        .prepare_cached("UPDATE channel_count SET bulk_serial = ?2 WHERE channel = ?1")
        .and_then(|mut update| update.execute((channel.id.number(), serial.0)))
        .map_err(unavailable)?;
    tx.touch(channel.id);
    let facts = rows::facts(tx.conn, channel.id, channel.state).map_err(unavailable)?;
    let mut floor = Floor::set(scope, serial, None, tx.now);
    if ends.is_empty() && matches!(floor.scope, Scope::Group { .. } | Scope::AssertionKey { .. }) {
        // No stored token of the scope lives: what is left to end are stateless
        // ones. Groups and keys come and go; their floors must go soon, too.
        let stateless = Scope::Kind { kind: Kind::Stateless };
        floor.until = tx.now.plus(stateless.longest_life());
    }
    let change = ChannelChange::Floor { floors: vec![floor] };
    append(tx, facts, Entry::Channel { channel: channel.id, change })?;
    Ok(ends.len())
}

/// Facts are forgotten this long after the last token that they could touch has
/// expired, in seconds.
const ROOM: i64 = tegata_token::time::DAY;

/// Log entries older than this are dropped, in seconds; an older reader takes a
/// snapshot.
const LOG_KEPT: i64 = tegata_token::time::DAY;

/// Forgets what can no longer matter to the view; answers how many facts went.
pub(super) fn forget(tx: &mut Tx<'_>, channels: usize) -> Result<usize> {
    let expired_by = tx.now.plus(-ROOM);
    let sql = "SELECT f.channel, c.state FROM channel_facts f JOIN channel c ON c.id = f.channel
               WHERE f.first_until <= ?1 ORDER BY f.first_until LIMIT ?2";
    let due: Vec<(u64, String)> = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut query| {
            let rows =
                query.query_map((expired_by.0, channels), |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
        .map_err(unavailable)?;
    let mut gone = 0;
    for (number, state) in due {
        let channel = rows::channel_id(number).map_err(unavailable)?;
        let state = rows::from_word(state).map_err(unavailable)?;
        let facts = rows::facts(tx.conn, channel, state).map_err(unavailable)?;
        let size =
            |facts: &ChannelFacts| facts.floors.len() + facts.singles.len() + facts.stateless.len();
        let change = ChannelChange::Forget { expired_by };
        let mut after = facts.clone();
        after.apply(&change);
        gone += size(&facts) - size(&after);
        append(tx, facts, Entry::Channel { channel, change })?;
    }
    Ok(gone)
}

/// Deletes what nobody asks for any more, the oldest first; answers how many rows went.
pub(super) fn trim(tx: &Tx<'_>, most: usize) -> Result<usize> {
    let old = [
        (
            "DELETE FROM change_log WHERE at < ?1 AND number IN
                (SELECT number FROM change_log ORDER BY number LIMIT ?2)",
            tx.now.plus(-LOG_KEPT),
        ),
        (
            "DELETE FROM assertion_used WHERE (channel, fingerprint) IN
                (SELECT channel, fingerprint FROM assertion_used WHERE expires_at < ?1
                 ORDER BY expires_at LIMIT ?2)",
            tx.now.plus(-ROOM),
        ),
    ];
    let gone = old.map(|(sql, before)| super::admin::write(tx, sql, (before.0, most)));
    gone.into_iter().sum()
}
