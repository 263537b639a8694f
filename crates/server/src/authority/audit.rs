//! Makes the audit's checkpoints, deletes expired events, and verifies the audit.
//!
//! The key that signs checkpoints is encrypted with the master key, and the newest
//! checkpoint is also recorded in a small file outside of the database, the anchor. So an
//! attacker who can write to the database, but has neither the master key nor the anchor,
//! cannot change events under a checkpoint, nor cut off the newest ones, without
//! detection. The contents of a checkpoint, and what a verification checks, are in
//! `tegata_store::audit`.

mod acceptance;
mod anchor;
mod verification;

pub use acceptance::accept_end;
pub use anchor::anchored;

use crate::authority::{
    actor::Actor,
    clock::Clock,
    master_key::{self, MasterKey},
    place::Files,
    random,
};
use anchor::{Accepted, Seen, read_seen, write_seen};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
};
use tegata_store::{
    AuditHead, By, Error, Event, ExpectedSettings, Old, Page, Result, Store, WrappedKey,
    audit::{Anchored, AuditReport, AuditVerifier, Checkpoint, VerifiedEnd, make_checkpoint},
    audit_event::{AuditCompared, AuditEvent, AuditExpired},
    sqlite::{AuditFile, OpenError, check_own_log},
};
use tegata_token::{
    key::{SigningKey, VerifyingKey},
    time::{DAY, UnixTime},
};
use zeroize::Zeroizing;

/// Maximum number of events under one checkpoint.
const BATCH: usize = 1_000;
/// Maximum number of events that are deleted in one transaction.
const AT_ONCE: usize = 500;
/// Days that events are kept by default.
pub const KEPT_DAYS: u32 = 400;

/// The audit's key, anchor and retention.
pub struct Audit {
    key: SigningKey,
    file: Option<PathBuf>,
    days: u32,
    /// Held while a checkpoint is made.
    checkpointing: tokio::sync::Mutex<()>,
    /// Held while the audit is verified: two verifications read no faster than one. Until where
    /// the last one found it to be as its checkpoints say.
    verifying: tokio::sync::Mutex<Option<VerifiedEnd>>,
    /// When the job last verified at least what was new.
    checked: AtomicI64,
    /// When the whole audit was last verified.
    verified_at: AtomicI64,
    /// The result of that.
    was_ok: AtomicBool,
    /// Whether the whole audit is to be verified, though it may not be due.
    wanted: AtomicBool,
    /// Notified when it became so.
    new_want: tokio::sync::Notify,
    broken: AtomicBool,
    /// Whether the mismatch that is found now was recorded.
    recorded: AtomicBool,
    /// The anchor's file exists but cannot be read.
    unreadable: AtomicBool,
}

impl Audit {
    /// Opens the store's key that signs checkpoints, or creates one; `None` if it was
    /// encrypted with another master key.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn open(store: &dyn Store, master: &MasterKey) -> Result<Option<Self>> {
        if store.audit_key().await?.is_none() {
            let seed = Zeroizing::new(random::bytes::<32>()?);
            let bad = |_| Error::Unavailable("the audit key cannot be created".into());
            let key = SigningKey::from_seed(&seed).map_err(bad)?;
            let wrapped = master.wrap(key.public().id(), &seed)?;
            match store.set_audit_key(key.public().to_bytes(), wrapped).await {
                // Another server that started at the same time was first.
                Ok(()) | Err(Error::Taken) => {}
                Err(error) => return Err(error),
            }
        }
        let row = store.audit_key().await?;
        let Some(key) = row.and_then(|row| open_key(master, &row)) else { return Ok(None) };
        Ok(Some(Self {
            key,
            file: None,
            days: KEPT_DAYS,
            checkpointing: tokio::sync::Mutex::new(()),
            verifying: tokio::sync::Mutex::default(),
            checked: AtomicI64::new(i64::MIN),
            verified_at: AtomicI64::new(i64::MIN),
            was_ok: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            new_want: tokio::sync::Notify::new(),
            broken: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            unreadable: AtomicBool::new(false),
        }))
    }

    /// Writes the anchor of an authority that has no history yet, or of a server that joins
    /// others. From then on a missing anchor is never mistaken for a first start.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin(&self, store: &dyn Store) -> Result<()> {
        let Some(file) = self.file.as_deref().filter(|file| !file.exists()) else { return Ok(()) };
        let head = store.audit_head().await?;
        if store.is_shared() && head.last.is_some() {
            // A new server of an authority whose other servers have anchors.
            let number = head.last.as_ref().map(|it| it.number);
            tracing::info!(anchor = %file.display(), number,
                "this server confirms the audit from this checkpoint on");
            let accepted = self.acceptance(store).await?;
            let accepted = accepted.as_ref().map(Accepted::from).unwrap_or_default();
            return write_seen(file, &Seen::at(head.last.as_ref(), head.epoch, accepted), file);
        }
        let any = Page { before: None, most: 1 };
        if head.last.is_some() || !store.providers(Default::default(), any).await?.is_empty() {
            return Ok(());
        }
        write_seen(file, &Seen::at(None, head.epoch, Accepted::default()), file)
    }

    /// The same, with the newest checkpoint recorded in `file`, and events kept for
    /// `days` days.
    #[must_use]
    pub fn kept(self, file: PathBuf, days: u32) -> Self {
        Self { file: Some(file), days, ..self }
    }

    /// The key that checkpoints are verified with.
    #[must_use]
    pub fn public(&self) -> &VerifyingKey {
        self.key.public()
    }

    /// Makes a checkpoint of the events that wait for one, and deletes expired events; unless
    /// the server `makes` them, it only compares those of another with the anchor.
    ///
    /// # Errors
    /// An error of the store, or the anchor cannot be written.
    pub async fn checkpoint(&self, store: &dyn Store, clock: &Clock, makes: bool) -> Result<()> {
        let _alone = self.checkpointing.lock().await;
        let now = clock.now();
        let mut head = store.audit_head().await?;
        let seen = self.honoured(store, &head, self.seen()?).await?;
        let by = || By {
            actor: Actor::System.to_string(),
            source: None,
            reason: None,
            at: clock.now(),
            expected: ExpectedSettings::default(),
            request_id: None,
        };
        let agrees = self.compare(store, &head, seen.as_ref(), by).await?;
        let mut accepted = seen.as_ref().map(Seen::accepted).unwrap_or_default();
        if !agrees {
            // Events that take the places of removed ones were not accepted.
            let end = head.last.as_ref().map_or(0, |it| it.last);
            accepted.through = accepted.through.min(end);
        }
        if let (Some(last), Some(seen)) = (&head.last, &seen)
            && (agrees || !makes)
            && last.number > seen.newest.number
        {
            self.see(last, accepted)?;
        }
        if !makes {
            return Ok(());
        }
        // Without a checkpoint no event was deleted.
        let mut kept_from = seen.filter(|_| head.last.is_some()).map_or(1, |it| it.kept_from);
        if !clock.jumped_recently() {
            let before = now.plus(-i64::from(self.days) * DAY);
            if let Some(last) = store.audit_expired(kept_from, before).await? {
                kept_from = last + 1;
                let event = AuditEvent::AuditExpire(AuditExpired { checkpoints_before: kept_from });
                store.record(Event::of(event), by()).await?;
            }
        }
        loop {
            let behind = head.last.as_ref().map_or((0, i64::MIN), |it| (it.number, it.last));
            let rows = store.audit_batch(behind, BATCH).await?.rows;
            let terms = (head.epoch, kept_from, now);
            let Some(checkpoint) = make_checkpoint(head.last.as_ref(), &rows, terms, &self.key)
            else {
                break;
            };
            match store.add_checkpoint(checkpoint.clone()).await {
                // Another server has taken over, and was first or has the lease.
                Err(Error::Taken) => return Ok(()),
                Err(Error::NotNow(_)) if !store.may_run_jobs().await => return Ok(()),
                done => done?,
            }
            self.see(&checkpoint, accepted)?;
            head.last = Some(checkpoint);
        }
        // The last checkpoint recorded that they may be missing; only now they are
        // deleted.
        if kept_from > 1 {
            let old = Old::Audit { kept_from, most: AT_ONCE };
            while store.trim(old.clone(), UnixTime(0)).await? > 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Whether the newest checkpoint is the one that the anchor names. If not, an event
    /// that the next checkpoint covers records the mismatch, which is not detectable
    /// afterwards.
    async fn compare(
        &self,
        store: &dyn Store,
        head: &AuditHead,
        seen: Option<&Seen>,
        by: impl FnOnce() -> By,
    ) -> Result<bool> {
        let Some(file) = &self.file else { return Ok(true) };
        let found = head.last.as_ref();
        let expected = match seen {
            Some(seen) if seen.agrees(store, found).await? => {
                self.recorded.store(false, Relaxed);
                return Ok(true);
            }
            Some(seen) => Some(seen.newest.number),
            None => None,
        };
        let newly = !self.broken.swap(true, Relaxed);
        // Once: a server that makes no checkpoints finds the same again until there are more.
        if self.recorded.load(Relaxed) {
            return Ok(false);
        }
        if expected.is_some() {
            tracing::error!(
                expected,
                "the audit does not match its checkpoints: its newest part was cut off or replaced; \
                 run `tegata audit verify`"
            );
        } else if newly {
            tracing::error!(anchor = %file.display(),
                "the audit's anchor is missing, so its end cannot be confirmed; run `tegata audit \
                 verify`");
        }
        let compared = AuditCompared { expected, found: found.map(|it| it.number) };
        let event = match expected {
            Some(_) => AuditEvent::AuditBroken(compared),
            None => AuditEvent::AuditContinue(compared),
        };
        store.record(Event::of(event), by()).await?;
        self.recorded.store(true, Relaxed);
        Ok(false)
    }

    /// Whether a mismatch was found, or the audit's end cannot be confirmed.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken.load(Relaxed) || self.unreadable.load(Relaxed)
    }

    fn seen(&self) -> Result<Option<Seen>> {
        let seen = self.file.as_deref().map_or(Ok(None), read_seen);
        self.unreadable.store(seen.is_err(), Relaxed);
        seen
    }

    fn see(&self, checkpoint: &Checkpoint, accepted: Accepted) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_seen(file, &Seen::at(Some(checkpoint), checkpoint.epoch, accepted), file)
    }
}

/// Writes the newest checkpoint in the database to the anchor, after the operator
/// recovered the store; with `accept`, earlier ends count as accepted, too.
///
/// # Errors
/// [`Error::Unavailable`].
pub fn anchor_present_end(place: &Files, accept: bool) -> Result<Option<u64>> {
    let file = place.audit_anchor();
    let mut audit = AuditFile::open(&place.store)?;
    let (head, newest) = (audit.head()?, audit.newest_event()?);
    let through = match accept {
        true => newest,
        false => read_seen(&file).ok().flatten().map_or(0, |it| it.accepted.min(newest)),
    };
    let accepted = Accepted { through, ..Accepted::default() };
    let seen = Seen::at(head.last.as_ref(), head.epoch, accepted);
    write_seen(&file, &seen, &place.store)?;
    Ok(head.last.map(|it| it.number))
}

/// Whether the audit's key was encrypted with another master key than this one.
#[must_use]
pub fn is_lost(key: Option<&([u8; 32], WrappedKey)>, master: &MasterKey) -> bool {
    key.is_some_and(|row| open_key(master, row).is_none())
}

fn open_key(master: &MasterKey, (public, wrapped): &([u8; 32], WrappedKey)) -> Option<SigningKey> {
    let id = VerifyingKey::from_bytes(*public).ok()?.id();
    let key = SigningKey::from_seed(&*master.open(id, wrapped)?).ok()?;
    (key.public().to_bytes() == *public).then_some(key)
}

/// Why the audit of a store without a server cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[from] Error),
    /// The log at its path is that of another store.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The master key, without which a forged checkpoint cannot be detected.
    #[error(transparent)]
    MasterKey(#[from] master_key::Error),
    /// The database's audit key cannot be decrypted with it.
    #[error(
        "the audit key in {0} was not encrypted with this master key: it is the wrong master key, or \
         the database was tampered with"
    )]
    Foreign(PathBuf),
    /// There is no audit key.
    #[error(
        "{0} holds no audit key, so nothing in it can be confirmed. A server makes one at its first \
         start, and at the first start after a recovery with another master key: start it, and \
         verify again. If neither applies, the store's audit was removed"
    )]
    Nothing(PathBuf),
}

/// Verifies the audit of a store beside a server or without one; changes nothing. This process
/// must not have the store open.
///
/// # Errors
/// [`OfflineError`].
pub fn verify_offline(
    place: &Files,
    ignore_anchor: bool,
) -> std::result::Result<(AuditReport, VerifyingKey), OfflineError> {
    let master = MasterKey::load(&place.master_key(), false)?;
    check_own_log(&place.store)?;
    let file = AuditFile::open(&place.store)?;
    let row = file.key()?.ok_or_else(|| OfflineError::Nothing(place.store.clone()))?;
    let key = open_key(&master, &row);
    let key = key.ok_or_else(|| OfflineError::Foreign(place.store.clone()))?;
    let anchored = || match ignore_anchor {
        true => Anchored::Ignored,
        false => anchored(&place.audit_anchor()),
    };
    let report = file.verify(AuditVerifier::new(key.public().clone(), anchored()));
    Ok((report.and_then(&anchored()), key.public().clone()))
}

/// Whether a recovery dropped the audit's key and checkpoints, so that the next start makes
/// new ones: the anchor, outside of the database, confirms that the store's present epoch
/// has no checkpoint.
#[must_use]
pub fn begins_anew(place: &Files) -> bool {
    let Ok(Some(seen)) = read_seen(&place.audit_anchor()) else { return false };
    let head = AuditFile::open(&place.store).and_then(|mut file| file.head());
    head.is_ok_and(|head| {
        head.last.is_none() && seen.newest.number == 0 && seen.newest.epoch == head.epoch
    })
}

/// An event that waits for a checkpoint for longer than this, in seconds, indicates a
/// fault.
pub const LAG: i64 = 60;

/// Whether events wait for a checkpoint longer than they should; cheap.
#[must_use]
pub fn lags(head: &AuditHead, now: UnixTime) -> bool {
    head.oldest.is_some_and(|oldest| now.since(oldest) > LAG)
}
