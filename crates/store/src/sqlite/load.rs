//! Reads what an act is decided on. Nothing is decided here: an index may narrow what
//! is read, but `tegata_policy::acts` decides whether a token is active.

use super::{
    audit, people, provider_revocation, recent::ChannelRows, requests, rows, stamps, sweep, uses,
    verifiers, warnings,
};
use crate::columns::tokens as columns;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;
use tegata_policy::{
    acts::{
        Before, Count, Locked, LockedProvider, Needs, StoredKey, StoredToken, Times, Tokens,
        Upkeep, UpkeepRows,
    },
    channel::Channel,
};
use tegata_token::{
    feed::InstanceId,
    id::{ChannelId, ProviderId, Serial, TokenId},
    time::UnixTime,
    view::{ChannelRevocations, ChannelState},
};

/// Reads all that an act needs, in one transaction; nothing of the rows that are `kept`
/// of the channel.
pub(super) fn load(
    conn: &Connection,
    keys: &Arc<[StoredKey]>,
    needs: &Needs,
    kept: Option<&ChannelRows>,
) -> rusqlite::Result<Locked> {
    let mut locked = Locked { keys: keys.clone(), ..Locked::default() };
    if let Some(id) = needs.channel {
        channel(conn, id, needs, kept, &mut locked)?;
    }
    if let Some(id) = needs.provider {
        locked.provider = provider(conn, id, needs.count_channels)?;
    }
    if needs.audit_key {
        locked.audit_key = super::audit::key(conn)?.map(|(public, _)| public);
    }
    if needs.clock {
        let sql = "SELECT clock_offset FROM authority";
        locked.clock_offset = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    }
    upkeep(conn, &needs.upkeep, &mut locked.upkeep)?;
    Ok(locked)
}

/// Reads a provider, and counts its channels.
fn provider(
    conn: &Connection,
    id: ProviderId,
    count: bool,
) -> rusqlite::Result<Option<LockedProvider>> {
    let sql = "SELECT name, revocations FROM provider WHERE id = ?1 AND deleted = 0";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found = conn.prepare_cached(sql)?.query_row([id.number()], read).optional()?;
    let Some((name, revocations)) = found else { return Ok(None) };
    let mut channels = 0;
    if count {
        let sql = "SELECT count(*) FROM channel WHERE provider = ?1 AND state <> 'deleted'";
        channels = conn.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0))?;
    }
    Ok(Some(LockedProvider { name, channels, revocations }))
}

/// Reads the rows beside those of a channel.
fn upkeep(conn: &Connection, needs: &Upkeep, rows: &mut UpkeepRows) -> rusqlite::Result<()> {
    match needs {
        // A server of a file has its token in a file.
        Upkeep::None | Upkeep::RootTokens => {}
        Upkeep::NewProviderJob => *rows = provider_revocation::new_job(conn)?,
        Upkeep::ProviderJob(job) => rows.job = provider_revocation::job(conn, *job)?,
        Upkeep::OldestProviderJob(provider) => {
            let oldest = provider_revocation::oldest(conn, *provider)?;
            let job = oldest.map(|number| provider_revocation::job(conn, number));
            rows.job = job.transpose()?.flatten();
        }
        Upkeep::Warnings(names) => rows.warnings = warnings::queued(conn, names)?,
        Upkeep::Warning(number) => {
            rows.warnings = warnings::queued_one(conn, *number)?.into_iter().collect();
        }
        Upkeep::Old(old) => sweep::old(conn, old, rows)?,
        Upkeep::LastCheckpoint => rows.checkpoint = audit::last_checkpoint(conn)?,
        Upkeep::Verifier(id) => verifiers::load(conn, *id, None, rows)?,
        Upkeep::Instance(id, instance) => {
            verifiers::load(conn, *id, Some(Some(instance.as_str())), rows)?;
        }
        Upkeep::Instances(id, instance) => {
            verifiers::load(conn, *id, Some(instance.as_ref().map(InstanceId::as_str)), rows)?;
        }
        Upkeep::Stamps(stamps) => rows.stamped = stamps::stamped(conn, stamps)?,
        Upkeep::Person(which) => people::load(conn, which, &mut rows.people)?,
        Upkeep::RolesOf(id) => people::load_with_past_roles(conn, *id, &mut rows.people)?,
        Upkeep::People => rows.people.people = people::who_sign_in(conn)?,
        Upkeep::Request(key) => rows.requests = requests::load(conn, *key)?,
        Upkeep::Uses(noted) => rows.uses = uses::of_used(conn, noted)?,
    }
    Ok(())
}

/// Reads what an act needs of the one channel that it is about.
fn channel(
    conn: &Connection,
    id: ChannelId,
    needs: &Needs,
    kept: Option<&ChannelRows>,
    locked: &mut Locked,
) -> rusqlite::Result<()> {
    locked.count = match kept {
        Some(kept) => Some(kept.count),
        None => count(conn, id)?,
    };
    let Some(count) = locked.count else { return Ok(()) };
    if needs.unless_revision != Some(count.revision) {
        locked.channel = rows::channel_by_id(conn, id)?.map(Arc::<Channel>::new);
    }
    locked.tokens = match kept {
        Some(kept) if needs.tokens == Tokens::Counted => kept.tokens.clone(),
        _ => tokens(conn, &locked.keys, id, needs.tokens)?.into(),
    };
    if needs.revocations {
        locked.revocations = match kept {
            Some(kept) => kept.revocations.clone(),
            None => revocations(conn, id)?.into(),
        };
    }
    if let Some(key) = needs.issued_under {
        locked.before = before(conn, &locked.keys, id, key)?;
    }
    let single_use =
        locked.channel.as_ref().map_or(needs.single_use, |it| it.single_use_assertions);
    if let Some(fingerprint) = needs.assertion.filter(|_| single_use) {
        let sql = "SELECT 1 FROM assertion_used WHERE channel = ?1 AND fingerprint = ?2";
        locked.assertion_used = conn.prepare_cached(sql)?.exists((id.number(), fingerprint))?;
    }
    if let Some(scope) = &needs.scope {
        locked.remembered = super::known::remembered(conn, id, scope)?;
    }
    if let Some(serial) = needs.named {
        locked.named = id_at(conn, id, serial)?;
    }
    Ok(())
}

/// The rows of a channel that acts on it read again and again; `None` without such a
/// channel.
pub(super) fn channel_rows(
    conn: &Connection,
    keys: &[StoredKey],
    id: ChannelId,
) -> rusqlite::Result<Option<ChannelRows>> {
    let Some(count) = count(conn, id)? else { return Ok(None) };
    let tokens = tokens(conn, keys, id, Tokens::Counted)?.into();
    Ok(Some(ChannelRows { count, tokens, revocations: revocations(conn, id)?.into() }))
}

/// What the view says of a channel, without the channel's state: that is stored
/// elsewhere, and no act reads it here.
fn revocations(conn: &Connection, id: ChannelId) -> rusqlite::Result<ChannelRevocations> {
    rows::revocations(conn, id, ChannelState::Active)
}

/// A channel's counters.
pub(super) fn count(conn: &Connection, id: ChannelId) -> rusqlite::Result<Option<Count>> {
    conn.prepare_cached("SELECT serial, revision FROM channel_count WHERE channel = ?1")?
        .query_row([id.number()], |row| {
            Ok(Count { serial: Serial(row.get(0)?), revision: row.get(1)? })
        })
        .optional()
}

/// A channel's token rows that are not past, oldest first.
pub(super) fn tokens(
    conn: &Connection,
    keys: &[StoredKey],
    id: ChannelId,
    which: Tokens,
) -> rusqlite::Result<Vec<StoredToken>> {
    // The index holds every column of the first, so that it answers by itself.
    let sql = match which {
        Tokens::None => return Ok(Vec::new()),
        Tokens::Counted => {
            "SELECT number, serial, kind, grp, expires_at, ends_at, signing_key, issued_at,
                    NULL AS assertion_key
             FROM token INDEXED BY token_live WHERE channel = ?1 AND past = 0 ORDER BY serial"
        }
        Tokens::WithKeys => {
            "SELECT number, serial, kind, grp, expires_at, ends_at, signing_key, issued_at,
                    assertion_key
             FROM token INDEXED BY token_live WHERE channel = ?1 AND past = 0 ORDER BY serial"
        }
    };
    let mut query = conn.prepare_cached(sql)?;
    let mut found = query.query([id.number()])?;
    let mut tokens = Vec::with_capacity(32);
    while let Some(row) = found.next()? {
        let (key, key_since) = StoredKey::state_of(keys, row.get(6)?);
        tokens.push(StoredToken {
            row: row.get(0)?,
            serial: Serial(row.get(1)?),
            kind: rows::kind(row.get_ref(2)?.as_str()?)?,
            group: rows::group(row.get(3)?)?,
            assertion_key: rows::assertion_key_id(row.get(8)?)?,
            times: Times {
                issued_at: UnixTime(row.get(7)?),
                expires_at: UnixTime(row.get(4)?),
                ends_at: row.get::<_, Option<i64>>(5)?.map(UnixTime),
                revocation: None,
                key,
                key_since,
            },
        });
    }
    // The writer keeps them, and what it may keep is bounded.
    tokens.shrink_to_fit();
    Ok(tokens)
}

/// The token that was issued under an idempotency key.
fn before(
    conn: &Connection,
    keys: &[StoredKey],
    id: ChannelId,
    key: [u8; 32],
) -> rusqlite::Result<Option<Before>> {
    let sql = "SELECT t.id, t.serial, t.issued_at, t.expires_at, t.ends_at, t.revoked_at, t.cause,
                      t.parameters, k.id AS key, t.signing_key, f.issuer,
                      (SELECT p.ends_at FROM token p WHERE p.channel = t.channel
                        AND p.past = 0 AND p.replaced_by = t.serial) AS previous_until
               FROM token t JOIN signing_key k ON k.number = t.signing_key
                            JOIN form f ON f.number = t.form
               WHERE t.channel = ?1 AND t.idempotency = ?2";
    conn.prepare_cached(sql)?
        .query_row((id.number(), key), |row| columns::before(row, keys))
        .optional()
}

/// The id of the stored token with that serial.
fn id_at(conn: &Connection, id: ChannelId, serial: Serial) -> rusqlite::Result<Option<TokenId>> {
    // A row is in one of two indexes, and each half names its own.
    let sql = "SELECT id FROM token WHERE channel = ?1 AND serial = ?2 AND past = 0
               UNION ALL SELECT id FROM token WHERE channel = ?1 AND serial = ?2 AND past = 1";
    conn.prepare_cached(sql)?
        .query_row((id.number(), serial.0), |row| Ok(rows::token_id(row.get(0)?)?))
        .optional()
}
