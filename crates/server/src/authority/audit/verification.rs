//! When a server verifies its audit, and how much of it.

use super::{Audit, anchored};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use tegata_store::{
    Result, Store,
    audit::{Anchored, AuditReport, AuditVerifier, VerifiedEnd},
};
use tegata_token::time::{DAY, UnixTime};

/// How often the server verifies what is new in the audit, in seconds.
const CHECKED_EVERY: i64 = 3_600;
/// How often it verifies the whole audit, which can take long: at its start, and daily.
const WHOLE_EVERY: i64 = DAY;

impl Audit {
    /// Verifies the whole audit.
    ///
    /// # Errors
    /// [`Error::Unavailable`](tegata_store::Error::Unavailable).
    pub async fn verify(&self, store: &dyn Store, now: UnixTime) -> Result<AuditReport> {
        let mut end = self.verifying.lock().await;
        *end = None;
        self.verify_on(store, &mut end, now).await
    }

    /// Verifies the audit from that end on; `None`: all of it.
    async fn verify_on(
        &self,
        store: &dyn Store,
        end: &mut Option<VerifiedEnd>,
        now: UnixTime,
    ) -> Result<AuditReport> {
        let anchored = || self.file.as_deref().map_or(Anchored::Ignored, anchored);
        let verifier = AuditVerifier::new(self.key.public().clone(), anchored());
        let begin = end.take();
        let is_whole = begin.is_none();
        let verifier = match begin {
            Some(end) => verifier.behind(end),
            None => verifier,
        };
        let report = store.verify_audit(verifier).await?.and_then(&anchored());
        *end = report.verified_to.clone().filter(|_| report.ok);
        if is_whole {
            self.verified_at.store(now.0, Relaxed);
            self.was_ok.store(report.ok, Relaxed);
        }
        Ok(report)
    }

    /// When the whole audit was last verified, and whether it was as its checkpoints say;
    /// `None`: not since the start.
    #[must_use]
    pub fn last_verified(&self) -> Option<(UnixTime, bool)> {
        let at = self.verified_at.load(Relaxed);
        (at != i64::MIN).then(|| (UnixTime(at), self.was_ok.load(Relaxed)))
    }

    /// Has the job verify the whole audit soon.
    pub(super) fn want_verification(&self) {
        self.wanted.store(true, Relaxed);
        self.new_want.notify_one();
    }

    /// Whether the whole audit is to be verified, though it may not be due.
    #[must_use]
    pub fn wants_verification(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Completes once that became so.
    pub async fn verification_wanted(&self) {
        self.new_want.notified().await;
    }

    /// Verifies what is new in the audit, unless that was done within the hour before `now`; all of
    /// it at first, daily, if it is not as its checkpoints say, and if that is wanted. Not while a
    /// request has it verified.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable): it was not verified.
    pub async fn verify_when_due(&self, store: &dyn Store, now: UnixTime) -> Result<()> {
        let is_due = |at: &AtomicI64, every| now.0.saturating_sub(at.load(Relaxed)) >= every;
        if !is_due(&self.checked, CHECKED_EVERY) && !self.wants_verification() {
            return Ok(());
        }
        let Ok(mut end) = self.verifying.try_lock() else { return Ok(()) };
        // What is wanted from now on, this one may not find any more.
        let is_wanted = self.wanted.swap(false, Relaxed);
        if is_wanted || is_due(&self.verified_at, WHOLE_EVERY) {
            *end = None;
        }
        let is_part = end.is_some();
        let mut report = self.verify_on(store, &mut end, now).await;
        if is_part && report.as_ref().is_ok_and(|it| !it.ok) {
            report = self.verify_on(store, &mut end, now).await;
        }
        if report.is_err() && is_wanted {
            self.wanted.store(true, Relaxed);
        }
        let report = report?;
        self.checked.store(now.0, Relaxed);
        let was_broken = self.broken.swap(!report.ok, Relaxed);
        if let Some(problem) = report.problems.first().filter(|_| !was_broken) {
            tracing::error!(
                problem = problem.what,
                checkpoint = problem.checkpoint,
                "the audit does not match its checkpoints; run `tegata audit verify`"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{clock::Clock, master_key::MasterKey};
    use rusqlite::Connection;
    use tegata_store::{
        ActStore, By, Event, ExpectedSettings,
        audit_event::{AuditEvent, NoDetail},
        sqlite::{Options, SqliteStore},
    };
    use tempfile::TempDir;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const HOUR: i64 = 3_600;

    /// An audit with a checkpoint.
    struct World {
        store: SqliteStore,
        audit: Audit,
        folder: TempDir,
    }

    impl World {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tegata.db");
            let issuer = "https://tokens.example".to_owned();
            let options = Options { issuer, ..Options::default() };
            let store = SqliteStore::open(&path, options, Box::new(|_| {})).unwrap();
            let master = MasterKey::load(&folder.path().join("master.key"), true).unwrap();
            let audit = Audit::open(&store, &master).await.unwrap().unwrap();
            let world = Self { store, audit, folder };
            world.grow().await;
            world
        }

        /// Adds an event with a checkpoint.
        async fn grow(&self) {
            let by = By {
                actor: "administrator".into(),
                source: None,
                reason: None,
                at: NOW,
                expected: ExpectedSettings::default(),
                request_id: None,
            };
            let event = Event::of(AuditEvent::AdminReset(NoDetail {}));
            self.store.record(event, by).await.unwrap();
            self.audit.checkpoint(&self.store, &Clock::new(), true).await.unwrap();
        }

        /// Whether the audit is as its checkpoints say, as far as the job knows then.
        async fn is_whole_at(&self, after: i64) -> bool {
            self.audit.verify_when_due(&self.store, NOW.plus(after)).await.unwrap();
            !self.audit.is_broken()
        }

        fn tamper(&self, id: &str) {
            let conn = Connection::open(self.folder.path().join("tegata.db")).unwrap();
            let sql = format!("UPDATE audit SET actor = 'mika' WHERE id = {id}");
            assert_eq!(conn.execute(&sql, []).unwrap(), 1);
        }

        fn last(&self) -> Option<i64> {
            self.audit.last_verified().map(|(at, _)| at.since(NOW))
        }
    }

    #[tokio::test]
    async fn the_whole_audit_is_verified_at_first_and_daily_and_what_is_new_each_hour() {
        let world = World::new().await;
        assert!(world.is_whole_at(0).await);
        world.tamper("(SELECT min(id) FROM audit)");
        world.grow().await;
        for hour in 1..24 {
            assert!(world.is_whole_at(hour * HOUR).await, "it is not read again");
        }
        assert_eq!(world.last(), Some(0));
        assert!(!world.is_whole_at(DAY).await);
        assert_eq!(world.last(), Some(DAY));
    }

    #[tokio::test]
    async fn a_change_of_what_is_new_is_found_within_the_hour_and_then_all_is_verified() {
        let world = World::new().await;
        assert!(world.is_whole_at(0).await);
        world.grow().await;
        world.tamper("(SELECT max(id) FROM audit)");
        assert!(world.is_whole_at(HOUR - 1).await, "it is not due");
        assert!(!world.is_whole_at(HOUR).await);
        assert_eq!(world.last(), Some(HOUR));
    }

    #[tokio::test]
    async fn the_job_verifies_nothing_while_a_request_has_the_audit_verified() {
        let world = World::new().await;
        let request = world.audit.verifying.lock().await;
        assert!(world.is_whole_at(0).await);
        assert_eq!(world.last(), None);
        drop(request);
        assert!(world.is_whole_at(1).await);
        assert_eq!(world.last(), Some(1));
    }
}
