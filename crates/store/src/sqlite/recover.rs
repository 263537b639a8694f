//! Recovers an old copy of a store without reviving revoked tokens.
//!
//! A new epoch begins, so that followers of the log read a new snapshot. The tokens that
//! the store lost were signed by keys that it still has; those keys are bounded to the
//! last time that the store has written, and a new key becomes active. Revocations after
//! that time come from the revocation journal, or else all tokens are revoked. Serials
//! are raised, so that no new token has the serial of a lost one.

use super::{
    Faults, OpenError, RollbackGuardFile, SqliteStore, admin,
    apply::{apply, run},
    audit,
    connect::{connect, existing, fence, standing},
    end::{append, covered},
    guard,
    issue::{self, mark_revoked, rows_of},
    known,
    lock::Lock,
    provider_revocation,
    rows::{self, unavailable},
    serials,
    writer::{Tx, Writer, write},
};
use crate::{
    By, ChannelPatch, Error, Event, LimitsPatch, Result, RevocationCause, SigningKeyRow,
    audit_event::{AuditEvent, StoreRecovered, StoreRedone},
    journal::{self, JournalEntry, JournalLine, Reading, RevocationJournal, Torn},
};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_policy::{
    acts::{BeginProviderRevocation, Effects, Issuer, StoredKey, Write},
    channel::Channel,
    secret::HashedSecret,
};
use tegata_token::{
    id::{ChannelId, SigningKeyId},
    key::KeyState,
    time::UnixTime,
    view::{ChannelChange, ChannelState, RevokedToken, Scope},
};

/// Applies again what the revocation journal holds of a commit that the store lacks.
/// Either that commit failed, and no client got a success response; or the store lost
/// that one commit, and its revocations must be kept.
pub(super) fn redo(tx: &mut Tx<'_>, lines: &[JournalLine]) -> Result<()> {
    let mut done = Recovered::nothing(tx);
    replay(tx, lines, &mut done)?;
    // Written again, the lines would double with each start that is killed here.
    tx.is_logged();
    tracing::warn!(
        lines = lines.len(),
        tokens = done.tokens,
        "the revocation journal held a commit that the store lacks, mostly after a crash; it was applied again"
    );
    let by = By { actor: "tegata".to_owned(), source: None, reason: None, at: tx.now };
    let event = StoreRedone { replayed: lines.len(), revoked: done.tokens };
    audit::write(tx, &by, &Event::of(AuditEvent::StoreRedo(event)))
}

/// How a recovery keeps revoked tokens from becoming active again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery<'a> {
    /// Replays the revocation journal in this file.
    Replay(&'a Path),
    /// Revokes all tokens.
    EndEverything {
        /// The revocation journal that records it, if there is one.
        log: Option<&'a Path>,
        /// The store's new time, which may be earlier: without any active token or old
        /// key, no token can become active by it.
        clock: Option<UnixTime>,
    },
}

/// The result of a recovery.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The epoch that began.
    pub epoch: u64,
    /// The highest time that the store had written, in seconds since 1970.
    pub written_at: UnixTime,
    /// Tokens of the old keys that were issued later are invalid; `None`: all are.
    pub bound: Option<UnixTime>,
    /// How many keys do not sign any more.
    pub old_keys: usize,
    /// How many lines of the revocation journal the store lacked.
    pub lines: usize,
    /// The journal's last line, if it was incomplete and so ignored.
    pub torn: Option<Torn>,
    /// How many stored tokens the lines revoked.
    pub tokens: usize,
    /// Channels whose secret the journal replaced.
    pub secrets: BTreeSet<ChannelId>,
    /// How many assertion keys the journal deleted.
    pub assertion_keys: usize,
    /// Channels that the journal names and the store lacks.
    pub unknown: BTreeSet<ChannelId>,
    /// Whether the audit's signing key was lost, so that the next start makes new
    /// checkpoints of all rows with a new key.
    pub audit_begins_anew: bool,
}

impl Recovered {
    /// The result before anything was done.
    fn nothing(tx: &Tx<'_>) -> Self {
        Self {
            epoch: tx.head().epoch,
            written_at: tx.written_at(),
            bound: None,
            old_keys: 0,
            lines: 0,
            torn: None,
            tokens: 0,
            secrets: BTreeSet::new(),
            assertion_keys: 0,
            unknown: BTreeSet::new(),
            audit_begins_anew: false,
        }
    }
}

/// A key is bounded this many seconds before the last time written, since clocks may
/// differ.
const DOUBT: i64 = 5;

/// A store that is open for recovery only: it was not compared with its rollback guard.
pub struct Recovering {
    /// The store, for questions.
    pub store: SqliteStore,
    read: Option<Arc<Reading>>,
    /// The latest epoch in the revocation journal.
    seen: u64,
    /// The store's new time, if it changes.
    clock: Option<UnixTime>,
    dry_run: bool,
}

impl Recovering {
    /// Opens the store at `path`, which must exist, and reads what it lacks.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        path: &Path,
        how: Recovery<'_>,
        dry_run: bool,
    ) -> std::result::Result<Self, OpenError> {
        let path = &existing(path)?;
        let lock = Lock::take(path)?;
        let (readers, conn) = connect(path, &Faults::default())?;
        let standing = standing(&conn).map_err(|_| OpenError::NotAStore(path.to_owned()))?;
        let start = guard::start(&conn).map_err(|_| OpenError::NotAStore(path.to_owned()))?;
        let fence = fence(&lock, path, start)?;
        let (read, log) = match how {
            Recovery::Replay(log) => {
                let read = journal::read(log, &standing)?;
                (Some(Arc::new(read)), Some(log))
            }
            Recovery::EndEverything { log, .. } => (None, log),
        };
        let open = |log: &Path| RevocationJournal::open(log, &standing);
        let log = log.filter(|_| !dry_run).map(open).transpose()?;
        let (log, known) = log.map_or((None, None), |(log, known)| (Some(log), known));
        let logged = read.iter().flat_map(|it| &it.lines).map(|line| line.commit);
        let seen = logged.chain(known).map(|it| it.epoch).max().unwrap_or(0);
        let writer = Writer::start(conn, fence, log, None, None, Box::new(|_| {}))?;
        let form = Issuer { number: 0, issuer: "".into() };
        let (_guard_writer, _watch) = (None, None);
        let store = SqliteStore { writer, readers, form, _guard_writer, _watch, _lock: lock };
        let clock = match how {
            Recovery::EndEverything { clock, .. } => clock,
            Recovery::Replay(_) => None,
        };
        Ok(Self { store, read, seen, clock, dry_run })
    }

    /// Recovers the store and renews its rollback guard. `successor` is the new active
    /// key; `lost` names keys whose private half cannot be decrypted any more;
    /// `audit_key_lost` is the same for the audit's key.
    ///
    /// # Errors
    /// [`OpenError`]. If the rollback guard could not be written, run it again.
    pub async fn recover(
        self,
        successor: SigningKeyRow,
        lost: Vec<SigningKeyId>,
        audit_key_lost: bool,
        guard: RollbackGuardFile,
        by: By,
    ) -> std::result::Result<Recovered, OpenError> {
        let Self { store, read, seen, clock, dry_run } = self;
        let report = Arc::new(Mutex::new(None));
        let (result, file, at) = (report.clone(), guard.clone(), by.at);
        let act = move |tx: &mut Tx<'_>| {
            // The same backup may have been restored and used before.
            tx.begin_epoch(seen.max(guard::epoch(&file.path)));
            if let Some(clock) = clock {
                set_clock(tx, clock)?;
            }
            let done = recover(tx, read.as_deref(), &successor, &lost, audit_key_lost, &file, &by)?;
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            // A failed act changes nothing.
            if dry_run { Err(DRY_RUN) } else { Ok(()) }
        };
        match store.writer.act(at, act).await {
            Ok(_) => {
                let renew = move |tx: &mut Tx<'_>| Ok(guard::renew(tx.conn, &guard).map(drop));
                store.writer.act(at, renew).await?.0?;
            }
            Err(Error::Conflict(_)) if dry_run => {}
            Err(error) => return Err(error.into()),
        }
        let done = report.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(done.ok_or_else(|| Error::Unavailable("the store was not recovered".into()))?)
    }
}

/// The error that rolls back the act of a dry run.
const DRY_RUN: Error = Error::Conflict("this was a dry run");

fn recover(
    tx: &mut Tx<'_>,
    read: Option<&Reading>,
    successor: &SigningKeyRow,
    lost: &[SigningKeyId],
    audit_key_lost: bool,
    guard: &RollbackGuardFile,
    by: &By,
) -> Result<Recovered> {
    let mut done = Recovered::nothing(tx);
    done.torn = read.and_then(|it| it.torn);
    let lines = read.map(|it| &it.lines[..]);
    write(tx, "DELETE FROM change_log", [])?;
    if let Some(lines) = lines {
        replay(tx, lines, &mut done)?;
        done.bound = Some(done.written_at.plus(-DOUBT));
    }
    serials::leap(tx)?;
    // The journal holds all of that already.
    tx.forget_journal();
    for &key in lost {
        write(tx, "UPDATE signing_key SET wrapped = x'' WHERE id = ?1", [key.0])?;
    }
    tx.reread_keys()?;
    for StoredKey { key, .. } in tx.keys().to_vec() {
        let state = match (key.state, done.bound) {
            (KeyState::Revoked, _) => continue,
            (KeyState::Bounded { until }, Some(bound)) => {
                KeyState::Bounded { until: until.min(bound) }
            }
            (_, Some(until)) => KeyState::Bounded { until },
            (_, None) => {
                admin::remove_key(tx, key.id)?;
                done.old_keys += 1;
                continue;
            }
        };
        admin::set_state(tx, key.id, state)?;
        done.old_keys += 1;
    }
    admin::add_key(tx, successor, KeyState::Active)?;
    guard::begin(tx.conn, guard).map_err(unavailable)?;
    tx.drew(guard.fresh.to_vec());
    if audit_key_lost {
        audit::begin_anew(tx)?;
        done.audit_begins_anew = true;
    }
    let event = AuditEvent::StoreRecover(StoreRecovered {
        epoch: done.epoch,
        replayed: lines.map(<[_]>::len),
        ended_everything: lines.is_none(),
        bound: done.bound,
        revoked: done.tokens,
        audit_begins_anew: audit_key_lost,
    });
    audit::write(tx, by, &Event::of(event))?;
    Ok(done)
}

/// Sets the store's time to `clock`, which may be earlier. Previous secrets, whose
/// validity depends on the time, are dropped.
fn set_clock(tx: &mut Tx<'_>, clock: UnixTime) -> Result<()> {
    let sql = "UPDATE channel SET previous_secret = NULL, previous_until = NULL
                   WHERE previous_until > ?1";
    write(tx, sql, [clock.0])?;
    tx.now = clock;
    Ok(())
}

/// Applies the lines, and raises the serials that they refer to.
fn replay(tx: &mut Tx<'_>, lines: &[JournalLine], done: &mut Recovered) -> Result<()> {
    serials::raise(tx, lines)?;
    let now = tx.now;
    let mut changed = BTreeSet::new();
    for line in lines {
        // At the time of the line.
        tx.now = line.at;
        changed.extend(replay_line(tx, line, done)?);
        done.lines += 1;
    }
    tx.now = now;
    // Their serials were raised, too, so copies of them must be discarded in any case.
    changed.into_iter().try_for_each(|id| admin::revise(tx, id))
}

/// Applies a line; returns the channel that it changed.
fn replay_line(
    tx: &mut Tx<'_>,
    line: &JournalLine,
    done: &mut Recovered,
) -> Result<Option<ChannelId>> {
    let (id, what) = match &line.what {
        JournalEntry::Begins { .. } => return Ok(None),
        JournalEntry::SigningKey { key, state } => {
            return replay_key(tx, *key, *state).map(|()| None);
        }
        JournalEntry::ProviderRevocation { provider, actor, source, reason } => {
            let (actor, source, reason) = (actor.clone(), source.clone(), reason.clone());
            let by = By { actor, source, reason, at: line.at };
            return match run(tx, &BeginProviderRevocation { provider: *provider, by }) {
                // A provider that the store lacks has no channels here.
                Ok(_) | Err(Error::NotFound(_)) => Ok(None),
                Err(error) => Err(error),
            };
        }
        JournalEntry::ProviderEndDone { provider } => {
            let oldest = provider_revocation::oldest(tx.conn, *provider).map_err(unavailable)?;
            let done = oldest.map(Write::ProviderJobDone);
            let done = Effects { writes: done.into_iter().collect(), ..Effects::default() };
            return apply(tx, None, done).map(|()| None);
        }
        what @ (JournalEntry::Channel { channel, .. }
        | JournalEntry::Secret { channel, .. }
        | JournalEntry::AssertionKey { channel, .. }
        | JournalEntry::Rules { channel, .. }
        | JournalEntry::Limits { channel, .. }
        | JournalEntry::GroupRules { channel, .. }) => (*channel, what),
    };
    let Some(channel) = rows::channel_by_id(tx.conn, id).map_err(unavailable)? else {
        done.unknown.insert(id);
        return Ok(None);
    };
    if channel.state == ChannelState::Deleted {
        return Ok(None);
    }
    match what {
        JournalEntry::Channel { change, .. } => done.tokens += replay_change(tx, &channel, change)?,
        JournalEntry::Secret { sha256, previous_until, .. } => {
            let hash = guard::bytes(sha256).try_into();
            let hash = hash.map_err(|_| Error::Conflict("a secret's hash has another length"))?;
            admin::write_secret(tx, id, HashedSecret::from_stored(hash), *previous_until)?;
            done.secrets.insert(id);
        }
        JournalEntry::AssertionKey { key, .. } => {
            let until = tx.now.plus(Scope::AssertionKey { key: *key }.longest_lifetime());
            done.assertion_keys += known::delete_key(tx, id, *key, until)?;
        }
        JournalEntry::Rules { rules, .. } => {
            admin::write_settings(tx, &rules.applied_to(&channel))?
        }
        JournalEntry::Limits { limits, .. } => {
            let limits = LimitsPatch::from(*limits);
            let patch = ChannelPatch { limits, ..ChannelPatch::default() };
            admin::write_settings(tx, &patch.applied_to(&channel))?;
        }
        JournalEntry::GroupRules { group, rules, .. } => admin::write_group(tx, id, group, rules)?,
        JournalEntry::Begins { .. }
        | JournalEntry::SigningKey { .. }
        | JournalEntry::ProviderRevocation { .. }
        | JournalEntry::ProviderEndDone { .. } => {}
    }
    Ok(Some(id))
}

/// Applies a change of a channel; returns how many of its stored tokens it revoked.
fn replay_change(tx: &mut Tx<'_>, channel: &Channel, change: &ChannelChange) -> Result<usize> {
    let mut revoked = 0;
    match change {
        ChannelChange::Revoked { tokens } => {
            let rows = rows_of(tx, channel.id).map_err(unavailable)?;
            let serials = tokens.iter().filter_map(|single| match single.token {
                RevokedToken::Stored { serial, .. } => rows.number_of(serial),
                RevokedToken::Stateless { .. } => None,
            });
            for number in serials {
                mark_revoked(tx, number, RevocationCause::Requested, None).map_err(unavailable)?;
                revoked += 1;
            }
        }
        ChannelChange::Cutoff { cutoffs } => {
            for cutoff in cutoffs {
                for (number, serial) in covered(tx, channel, &cutoff.scope)? {
                    if serial >= cutoff.below || cutoff.except.contains(&serial) {
                        continue;
                    }
                    match cutoff.from {
                        None => mark_revoked(tx, number, RevocationCause::Requested, None),
                        Some(from) => issue::end_at(tx, number, from),
                    }
                    .map_err(unavailable)?;
                    revoked += 1;
                }
            }
        }
        ChannelChange::State { state } => {
            let sql = "UPDATE channel SET state = ?2 WHERE id = ?1";
            write(tx, sql, (channel.id.number(), rows::word(*state)))?;
            if *state == ChannelState::Deleted {
                revoked += rows_of(tx, channel.id).map_err(unavailable)?.live.len();
                admin::empty(tx, channel.id)?;
            }
        }
        ChannelChange::Forget { .. } => {}
    }
    let revocations = rows::revocations(tx.conn, channel.id, channel.state).map_err(unavailable)?;
    append(tx, channel, revocations, change.clone())?;
    Ok(revoked)
}

fn replay_key(tx: &mut Tx<'_>, id: SigningKeyId, said: KeyState) -> Result<()> {
    let found = tx.keys().iter().find(|it| it.key.id == id).map(|it| it.key.state);
    let Some(state) = found else { return Ok(()) };
    match (state, said) {
        (KeyState::Revoked, _) => Ok(()),
        (_, KeyState::Revoked) => admin::remove_key(tx, id),
        (KeyState::Bounded { until }, KeyState::Bounded { until: said }) => {
            admin::set_state(tx, id, KeyState::Bounded { until: until.min(said) })
        }
        (_, KeyState::Bounded { .. }) => admin::set_state(tx, id, said),
        _ => Ok(()),
    }
}
