//! The acceptance of the audit's end where servers share the store: a fact in the store that
//! each of them honours once.

use super::{
    Audit,
    anchor::{Accepted, Seen, read_seen, write_seen},
};
use crate::authority::place::Files;
use std::sync::atomic::Ordering::Relaxed;
use tegata_store::{
    AuditHead, Page, Result, Store,
    audit::{Acceptance, Anchor},
};
use tegata_token::time::UnixTime;

impl Audit {
    /// The newest acceptance that the audit's key signed.
    pub(super) async fn acceptance(&self, store: &dyn Store) -> Result<Option<Acceptance>> {
        let found = store.audit_acceptance().await?;
        Ok(found.filter(|it| it.is_signed_by(self.key.public())))
    }

    /// The anchor, after it has honoured an acceptance that is newer than those that it has;
    /// then a job verifies the whole audit, since it may be whole again. Not here: that can take
    /// hours, and checkpoints and the other jobs would wait for it, on all servers at once. An
    /// acceptance of an end that the audit does not have is not honoured.
    pub(super) async fn honoured(
        &self,
        store: &dyn Store,
        head: &AuditHead,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>> {
        let (Some(file), Some(before)) = (&self.file, &seen) else { return Ok(seen) };
        let Some(acceptance) = self.acceptance(store).await? else { return Ok(seen) };
        if acceptance.number <= before.honoured {
            return Ok(seen);
        }
        let last = head.last.as_ref();
        let mut accepted = Accepted::from(&acceptance);
        if before.agrees(store, last).await? {
            accepted.through = accepted.through.max(before.accepted);
        } else if !Seen::of(&acceptance).agrees(store, last).await? {
            return Ok(seen);
        }
        let after = Seen::at(last, head.epoch, accepted);
        write_seen(file, &after, file)?;
        tracing::warn!(
            checkpoint = after.newest.number,
            "an operator accepted the end of the audit as it is; this server goes on from there"
        );
        self.recorded.store(false, Relaxed);
        self.want_verification();
        Ok(Some(after))
    }
}

/// Accepts the audit's end as it is, for all servers that share the store; returns the number
/// of the newest checkpoint. An anchor in this server's own folder that cannot be read is replaced.
///
/// # Errors
/// [`Error::Unavailable`](tegata_store::Error::Unavailable).
pub async fn accept_end(
    audit: &Audit,
    store: &dyn Store,
    place: &Files,
    now: UnixTime,
) -> Result<Option<u64>> {
    let head = store.audit_head().await?;
    let newest = store.audit(Default::default(), Page { before: None, most: 1 }).await?;
    let through = newest.first().map_or(0, |it| it.id);
    let before = store.audit_acceptance().await?.map_or(0, |it| it.number);
    let beginning = || Anchor { epoch: head.epoch, number: 0, chain: String::new() };
    let end = head.last.as_ref().map_or_else(beginning, Anchor::from);
    let acceptance = Acceptance::sign(now.0.max(before + 1), end, through, &audit.key);
    let accepted = Accepted::from(&acceptance);
    store.accept_audit(acceptance).await?;
    // A server honours it by itself, and verifies the audit then; one whose anchor cannot be
    // read would not.
    let file = place.audit_anchor();
    if read_seen(&file).is_err() {
        write_seen(&file, &Seen::at(head.last.as_ref(), head.epoch, accepted), &file)?;
    }
    Ok(head.last.map(|it| it.number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{clock::Clock, master_key::MasterKey};
    use postgres_fixture::{PostgresServer, ServerSettings};
    use std::{path::Path, time::Duration};
    use tegata_store::{
        ActStore, By, Event, ExpectedSettings,
        audit_event::{AuditEvent, NoDetail},
        postgres::{PostgresOptions, PostgresStore},
    };

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const LONG: Duration = Duration::from_secs(30);

    /// A server of an authority, with an anchor of its own.
    struct Member {
        store: PostgresStore,
        audit: Audit,
        place: Files,
    }

    impl Member {
        async fn new(url: &str, folder: &Path) -> Self {
            let (url, issuer) = (url.to_owned(), "https://tokens.example".to_owned());
            let options = PostgresOptions { url, issuer, ..PostgresOptions::default() };
            let store = PostgresStore::open(options, Box::new(|_| {})).await.unwrap();
            let place = Files { store: folder.join("tegata.db"), ..Files::default() };
            let master = MasterKey::load(&place.master_key(), true).unwrap();
            let audit = Audit::open(&store, &master).await.unwrap().unwrap();
            let audit = audit.kept(place.audit_anchor(), 400);
            audit.begin(&store).await.unwrap();
            Self { store, audit, place }
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
            self.checkpoint().await;
        }

        async fn checkpoint(&self) {
            self.audit.checkpoint(&self.store, &Clock::new(), true).await.unwrap();
        }

        async fn accept(&self) {
            accept_end(&self.audit, &self.store, &self.place, NOW).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn checkpoints_go_on_after_an_acceptance_while_the_audit_is_verified() {
        let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
        let url = postgres.url(&postgres.empty_database().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let it = Member::new(&url, folder.path()).await;
        it.grow().await;
        it.audit.verify_when_due(&it.store, NOW).await.unwrap();
        let newest = async || it.store.audit_head().await.unwrap().last.unwrap().number;
        let before = newest().await;
        let verification = it.audit.verifying.lock().await;
        it.accept().await;
        let made = tokio::time::timeout(LONG, it.grow()).await;
        made.expect("a checkpoint waits for no verification");
        assert_eq!(newest().await, before + 1);
        drop(verification);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_whole_audit_is_verified_after_an_acceptance_though_it_is_not_due() {
        let postgres = PostgresServer::start(ServerSettings::default()).unwrap();
        let database = postgres.empty_database().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let it = Member::new(&postgres.url(&database), folder.path()).await;
        it.grow().await;
        it.grow().await;
        postgres.sql(&database, "DELETE FROM audit_checkpoint WHERE number > 1").unwrap();
        it.checkpoint().await;
        assert!(it.audit.is_broken(), "its end was cut off");
        it.accept().await;
        it.checkpoint().await;
        assert!(it.audit.wants_verification());
        let noticed = tokio::time::timeout(LONG, it.audit.verification_wanted()).await;
        noticed.expect("the job need not wait for its next turn");
        it.audit.verify_when_due(&it.store, NOW.plus(1)).await.unwrap();
        assert!(!it.audit.is_broken() && !it.audit.wants_verification());
        assert_eq!(it.audit.last_verified(), Some((NOW.plus(1), true)));
        it.checkpoint().await;
        assert!(!it.audit.wants_verification(), "each acceptance is honoured once");
    }
}
