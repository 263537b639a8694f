//! Recovers an old copy of a store without reviving revoked tokens.
//!
//! A new epoch begins, so that followers of the log read a new snapshot. The tokens that
//! the store lost were signed by keys that it still has; those keys are
//! limited to tokens issued before the last time that the store has written, and a new key
//! becomes active. Revocations after
//! that time come from the revocation journal, or else all tokens are revoked. Serials
//! are raised, so that no new token has the serial of a lost one.

use super::{
    Faults, OpenError, Others, RollbackGuardFile, SqliteStore,
    apply::run,
    connect::{connect, existing, fence, standing},
    guard,
    lock::Lock,
    people, read,
    rows::{self, unavailable},
    verifiers,
    writer::{Tx, Writer, write},
};
use crate::{
    By, Error, Event, ExpectedSettings, Result, SigningKeyRow,
    audit_event::{AuditEvent, StoreRedone},
    journal::{self, JournalLine, Reading, RevocationJournal},
    recovery::{DOUBT, Recovered, Recovery, asked},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_policy::acts::{
    DeleteAdminToken, Issuer, LostInstances, RaiseSerials, Record, Recover, Replay, ResetPerson,
};
use tegata_token::{id::SigningKeyId, time::UnixTime};

/// Applies again what the revocation journal holds of a commit that the store lacks.
/// Either that commit failed, and no client got a success response; or the store lost
/// that one commit, and its revocations must be kept.
pub(super) fn redo(tx: &mut Tx<'_>, lines: &[JournalLine]) -> Result<()> {
    let mut done = Recovered::nothing(tx.head().epoch, tx.written_at());
    replay(tx, lines, &mut done)?;
    // Written again, the lines would double with each start that is killed here.
    tx.is_logged();
    tracing::warn!(
        lines = lines.len(),
        tokens = done.tokens,
        "the revocation journal held a commit that the store lacks, mostly after a crash; it was applied again"
    );
    let by = By {
        actor: "tegata".to_owned(),
        source: None,
        reason: None,
        at: tx.now,
        expected: ExpectedSettings::default(),
        request_id: None,
    };
    let event = StoreRedone { replayed: lines.len(), revoked: done.tokens };
    run(tx, &Record { event: Event::of(AuditEvent::StoreRedo(event)), by })
}

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
            Recovery::RevokeEverything { log, .. } => (None, log),
        };
        let open = |log: &Path| RevocationJournal::open(log, &standing);
        let log = log.filter(|_| !dry_run).map(open).transpose()?;
        let (log, known) = log.map_or((None, None), |(log, known)| (Some(log), known));
        let logged = read.iter().flat_map(|it| &it.lines).map(|line| line.commit);
        let seen = logged.chain(known).map(|it| it.epoch).max().unwrap_or(0);
        let writer = Writer::start(conn, fence, log, None, None, Box::new(|_| {}))?;
        let form = Issuer { number: 0, issuer: "".into() };
        let (_guard_writer, _watch, others) = (None, None, Others::default());
        let store =
            SqliteStore { writer, readers, form, others, _guard_writer, _watch, _lock: lock };
        let clock = match how {
            Recovery::RevokeEverything { clock, .. } => clock,
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
        let how = asked(clock, successor, lost, audit_key_lost, by);
        let act = move |tx: &mut Tx<'_>| {
            // The same backup may have been restored and used before.
            tx.begin_epoch(seen.max(guard::epoch(&file.path)), at);
            // A receipt at a position of the old epoch would take the place of a later act's.
            write(tx, "UPDATE provider_revocation SET position = 0", [])?;
            tx.now = how.clock.unwrap_or(tx.now);
            let done = recover(tx, read.as_deref(), &how, &file)?;
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

/// Applies what the journal holds, and then `how`, whose time and event follow from that.
/// Only what identifies the store and its log is written here.
fn recover(
    tx: &mut Tx<'_>,
    journal: Option<&Reading>,
    how: &Recover,
    guard: &RollbackGuardFile,
) -> Result<Recovered> {
    let mut done = Recovered::nothing(tx.head().epoch, tx.written_at());
    done.torn = journal.and_then(|it| it.torn);
    let lines = journal.map(|it| &it.lines[..]);
    write(tx, "DELETE FROM change_log", [])?;
    let lost = LostInstances::of(lines.unwrap_or_default().iter().map(|line| &line.what));
    verifiers::note_lost_instances(tx, &lost)?;
    if let Some(lines) = lines {
        replay(tx, lines, &mut done)?;
        done.issued_before = Some(done.written_at.plus(-DOUBT));
    }
    // The journal holds all of that already.
    tx.forget_journal();
    if lines.is_none() {
        done.people = end_sign_ins(tx, &how.by)?;
        let keys = rows::signing_keys(tx.conn).map_err(unavailable)?;
        let keys: Vec<_> = keys.iter().map(|it| it.key.id).collect();
        done.tokens = read::signed_by(tx.conn, &keys, 0, tx.now).map_err(unavailable)?.tokens;
    }
    done.audit_begins_anew = how.audit_key_lost;
    done.old_keys = run(tx, &done.act(how, lines.map(<[_]>::len)))?;
    guard::begin(tx.conn, guard).map_err(unavailable)?;
    tx.drew(guard.fresh.to_vec());
    Ok(done)
}

/// Lets no person sign in, and no session and personal token authenticate: it is not known
/// from whom they were taken since the copy was made.
fn end_sign_ins(tx: &mut Tx<'_>, by: &By) -> Result<usize> {
    let people = people::read(people::all(tx.conn))?;
    for stored in &people {
        run(tx, &ResetPerson { id: stored.person.id, invitation: None, by: by.clone() })?;
    }
    for token in people::read(people::state(tx.conn))?.admin_tokens {
        run(tx, &DeleteAdminToken { id: token.id, by: by.clone() })?;
    }
    Ok(people.len())
}

/// Applies the lines, each at its time unless the clock was ahead then, and raises the serials
/// that they name.
fn replay(tx: &mut Tx<'_>, lines: &[JournalLine], done: &mut Recovered) -> Result<()> {
    let now = tx.now;
    for raise in RaiseSerials::of(lines.iter().map(|line| &line.what)) {
        run(tx, &raise)?;
    }
    for line in lines {
        tx.now = line.at.min(now);
        let replayed =
            run(tx, &Replay { line: line.what.clone(), author: line.by.clone(), at: line.at })?;
        done.count(&line.what, &replayed);
    }
    tx.now = now;
    Ok(())
}
