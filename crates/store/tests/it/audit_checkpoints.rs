//! A change of an event under a checkpoint in the database is found, unless it was made
//! with the signing key.

use crate::{
    place::{Place, Sqlite},
    postgres_place::{Plain, Postgres},
    world::{ALL, NOW, World, by},
};
use async_trait::async_trait;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use tegata_store::{
    AuditFilter, Event, Old, RevocationTarget,
    audit::{
        Anchor, Anchored, AuditReport, AuditVerifier, Checkpoint, RawAuditRow, make_checkpoint,
    },
    audit_event::{AuditEvent, AuditExpired},
    sqlite::{AuditFile, Faults},
};
use tegata_token::{key::SigningKey, time::UnixTime};

fn key() -> SigningKey {
    SigningKey::from_seed(&[9; 32]).unwrap()
}

/// Adds a checkpoint over the events that have none yet, as a server does.
async fn checkpoint(world: &World, kept_from: u64, at: i64) -> Option<Checkpoint> {
    let head = world.audit_head().await.unwrap();
    let behind = head.last.as_ref().map_or((0, i64::MIN), |it| (it.number, it.last));
    let rows = world.audit_batch(behind, 1_000).await.unwrap().rows;
    let terms = (head.epoch, kept_from, NOW.plus(at));
    let checkpoint = make_checkpoint(head.last.as_ref(), &rows, terms, &key())?;
    world.add_checkpoint(checkpoint.clone()).await.unwrap();
    Some(checkpoint)
}

/// A store's rows, as a person reaches them who can write to the database.
#[async_trait]
trait Rows: Sized {
    /// Of how many rows one is changed: the same code verifies them on every backend, and
    /// some take longer.
    const ONE_OF: i64;
    /// An empty database, and its rows.
    async fn empty() -> (World, Self);
    /// Verifies them.
    async fn verify(&self, world: &World, anchor: &Anchor) -> AuditReport;
    /// Verifies them after a change that is then undone.
    async fn tampered(&self, world: &World, sql: &str, anchor: &Anchor) -> AuditReport;
    /// As many zeros as a column has bytes.
    fn zeros(column: &str) -> String;
}

fn verifier(anchor: &Anchor) -> AuditVerifier {
    AuditVerifier::new(key().public().clone(), Anchored::At(anchor.clone(), 0))
}

struct File(PathBuf);

impl File {
    fn verify_at(path: &Path, anchor: &Anchor) -> AuditReport {
        AuditFile::open(path).unwrap().verify(verifier(anchor))
    }
}

#[async_trait]
impl Rows for File {
    const ONE_OF: i64 = 1;

    async fn empty() -> (World, Self) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tegata.db");
        (World::at(Box::new(Sqlite { folder, faults: Faults::default() })).await, Self(path))
    }

    async fn verify(&self, _: &World, anchor: &Anchor) -> AuditReport {
        Self::verify_at(&self.0, anchor)
    }

    async fn tampered(&self, _: &World, sql: &str, anchor: &Anchor) -> AuditReport {
        let copy = self.0.with_extension("copy");
        let open = Connection::open(&self.0).unwrap();
        open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        // That releases the locks of this process, and no other process has any.
        std::fs::copy(&self.0, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        let report = Self::verify_at(&copy, anchor);
        std::fs::remove_file(&copy).unwrap();
        report
    }

    fn zeros(column: &str) -> String {
        format!("zeroblob(length({column}))")
    }
}

/// The rows of the database of that name.
struct Tables(String);

impl Tables {
    fn sql(&self, sql: &str) {
        Postgres::<Plain>::server().sql(&self.0, sql).unwrap();
    }
}

#[async_trait]
impl Rows for Tables {
    const ONE_OF: i64 = 6;

    async fn empty() -> (World, Self) {
        let place = <Postgres<Plain> as Place>::new();
        let tables = Self(place.database.clone());
        (World::at(Box::new(place)).await, tables)
    }

    async fn verify(&self, world: &World, anchor: &Anchor) -> AuditReport {
        world.verify_audit(verifier(anchor)).await.unwrap()
    }

    async fn tampered(&self, world: &World, sql: &str, anchor: &Anchor) -> AuditReport {
        self.sql(&format!(
            "CREATE TABLE IF NOT EXISTS audit_kept (LIKE audit);
             CREATE TABLE IF NOT EXISTS checkpoint_kept (LIKE audit_checkpoint);
             INSERT INTO audit_kept SELECT * FROM audit;
             INSERT INTO checkpoint_kept SELECT * FROM audit_checkpoint; {sql}"
        ));
        let report = self.verify(world, anchor).await;
        self.sql(
            "DELETE FROM audit; DELETE FROM audit_checkpoint;
             INSERT INTO audit SELECT * FROM audit_kept;
             INSERT INTO audit_checkpoint SELECT * FROM checkpoint_kept;
             DELETE FROM audit_kept; DELETE FROM checkpoint_kept",
        );
        report
    }

    fn zeros(column: &str) -> String {
        format!("decode(repeat('00', length({column})), 'hex')")
    }
}

/// A store with five checkpoints of a few rows each, and two rows after them.
async fn wrapped<R: Rows>() -> (World, R, Anchor) {
    let (world, rows) = R::empty().await;
    let shop = world.shop().await;
    let mut anchor = None;
    for n in 0..5 {
        for _ in 0..3 {
            world.revoke(shop.id, RevocationTarget::All, false, by(NOW.plus(n))).await.unwrap();
        }
        anchor = checkpoint(&world, 1, n).await;
    }
    assert!(no_checkpoint_is_made_without_new_rows(&world).await);
    for _ in 0..2 {
        world.revoke(shop.id, RevocationTarget::All, false, by(NOW.plus(9))).await.unwrap();
    }
    (world, rows, Anchor::from(&anchor.unwrap()))
}

async fn no_checkpoint_is_made_without_new_rows(world: &World) -> bool {
    checkpoint(world, 1, 5).await.is_none()
}

async fn every_change_of_a_single_signed_row_is_found<R: Rows>() {
    let (world, rows, anchor) = wrapped::<R>().await;
    let whole = rows.verify(&world, &anchor).await;
    assert!(whole.ok, "{whole:?}");
    assert_eq!((whole.checkpoints, whole.pending), (5, 2));
    let wrapped = i64::try_from(whole.events - whole.pending).unwrap();
    assert_eq!(wrapped, 4 + 15);
    let mut ways = Vec::new();
    for id in (1..=wrapped).filter(|id| id % R::ONE_OF == 0) {
        ways.push(format!("DELETE FROM audit WHERE id = {id}"));
        ways.push(format!("UPDATE audit SET id = -id WHERE id = {id}"));
        for column in
            ["at", "actor", "source", "act", "provider", "channel", "detail", "epoch", "position"]
        {
            // Another value, or a value where there is none.
            let other = match column {
                "actor" | "source" | "act" | "detail" => format!("coalesce({column}, '') || ' '"),
                _ => format!("coalesce({column}, 0) + 1"),
            };
            ways.push(format!("UPDATE audit SET {column} = {other} WHERE id = {id}"));
            if matches!(column, "source" | "provider" | "channel" | "epoch" | "position") {
                ways.push(format!(
                    "UPDATE audit SET {column} = CASE WHEN {column} IS NULL THEN 7 END
                     WHERE id = {id}"
                ));
            }
        }
        if id < wrapped {
            ways.push(format!(
                "UPDATE audit SET id = 1000 WHERE id = {id};
                 UPDATE audit SET id = {id} WHERE id = {id} + 1;
                 UPDATE audit SET id = {id} + 1 WHERE id = 1000"
            ));
        }
    }
    let copied = "at, actor, source, act, provider, channel, detail, epoch, position";
    for id in [0, -5] {
        ways.push(format!("INSERT INTO audit SELECT {id}, {copied} FROM audit WHERE id = 3"));
    }
    assert!(ways.len() > 250 / usize::try_from(R::ONE_OF).unwrap());
    for way in ways {
        let report = rows.tampered(&world, &way, &anchor).await;
        assert!(!report.ok, "{way}");
        assert!(!report.problems.is_empty());
    }
}

async fn a_change_of_the_checkpoints_is_found_even_at_the_end_of_the_chain<R: Rows>() {
    let (world, rows, anchor) = wrapped::<R>().await;
    let mut ways = vec![
        "DELETE FROM audit_checkpoint".to_owned(),
        "DELETE FROM audit_checkpoint; DELETE FROM audit".into(),
        // The newest part is deleted as a whole: nothing in the file shows it.
        "DELETE FROM audit WHERE id > (SELECT last FROM audit_checkpoint WHERE number = 3);
         DELETE FROM audit_checkpoint WHERE number > 3"
            .into(),
        "UPDATE audit_checkpoint SET kept_from = 3;
         DELETE FROM audit WHERE id <= (SELECT last FROM audit_checkpoint WHERE number = 2)"
            .into(),
    ];
    for number in 1..=5 {
        ways.push(format!("DELETE FROM audit_checkpoint WHERE number = {number}"));
        for column in ["number", "epoch", "first", "last", "events", "kept_from", "at"] {
            let sql = format!(
                "UPDATE audit_checkpoint SET {column} = {column} + 9 WHERE number = {number}"
            );
            ways.push(sql);
        }
        for column in ["chain", "signature"] {
            ways.push(format!(
                "UPDATE audit_checkpoint SET {column} = {} WHERE number = {number}",
                R::zeros(column)
            ));
        }
    }
    for way in ways {
        assert!(!rows.tampered(&world, &way, &anchor).await.ok, "{way}");
    }
}

async fn a_chain_recomputed_without_the_key_is_found<R: Rows>() {
    let (world, ..) = wrapped::<R>().await;
    let rows = world.audit_batch((i64::MAX.unsigned_abs(), i64::MIN), 1_000).await.unwrap().rows;
    let rows: Vec<RawAuditRow> = rows.into_iter().filter(|row| row.id != 7).collect();
    let mine = SigningKey::from_seed(&[1; 32]).unwrap();
    let forged = make_checkpoint(None, &rows, (1, 1, NOW), &mine).unwrap();
    drop(world);
    let report = |by: &SigningKey| {
        let mut verifier = AuditVerifier::new(by.public().clone(), Anchored::Ignored);
        verifier.checkpoint(&forged, &rows);
        verifier.report()
    };
    assert!(report(&mine).ok, "it is valid with its own key");
    assert!(!report(&key()).ok, "but not with the store's");
}

async fn old_events_expire_by_whole_checkpoints_and_the_rest_still_verifies<R: Rows>() {
    let (world, rows, _) = wrapped::<R>().await;
    let expired = world.audit_expired(1, NOW.plus(2)).await.unwrap();
    assert_eq!(expired, Some(2), "those of checkpoints at NOW and a second later");
    let event = AuditEvent::AuditExpire(AuditExpired { checkpoints_before: 3 });
    world.record(Event::of(event), by(NOW.plus(10))).await.unwrap();
    let anchor = Anchor::from(&checkpoint(&world, 3, 10).await.unwrap());
    let before = world.audit(AuditFilter::default(), ALL).await.unwrap().len();
    let mut gone = 0;
    loop {
        // A crash in the middle leaves some of them.
        assert!(rows.verify(&world, &anchor).await.ok, "after {gone}");
        match world.trim(Old::Audit { kept_from: 3, most: 2 }, UnixTime(0)).await.unwrap() {
            0 => break,
            now => gone += now,
        }
    }
    assert_eq!(gone, 4 + 6);
    assert_eq!(world.audit(AuditFilter::default(), ALL).await.unwrap().len(), before - gone);
    let report = rows.verify(&world, &anchor).await;
    assert!(report.ok, "{report:?}");
    assert_eq!((report.checkpoints, report.kept_from), (6, 3), "the checkpoints stay");
    let first = "DELETE FROM audit WHERE id = (SELECT min(id) FROM audit)";
    assert!(!rows.tampered(&world, first, &anchor).await.ok, "one more than expired");
}

async fn a_later_verification_reads_only_what_came_after_the_first<R: Rows>() {
    let (world, rows, anchor) = wrapped::<R>().await;
    let end = rows.verify(&world, &anchor).await.verified_to.unwrap();
    assert_eq!(end.number, 5);
    let later = async |anchor: &Anchor| {
        world.verify_audit(verifier(anchor).behind(end.clone())).await.unwrap()
    };
    assert!(later(&anchor).await.ok, "there is no newer checkpoint");
    let newer = Anchor::from(&checkpoint(&world, 1, 10).await.unwrap());
    let report = later(&newer).await;
    assert!(report.ok, "{report:?}");
    assert_eq!((report.checkpoints, report.events), (6, 2), "all checkpoints, and the new rows");
    assert_eq!(report.verified_to.map(|it| it.number), Some(6));
    world.place.write("UPDATE audit SET actor = 'mika' WHERE id = 3").await;
    assert!(later(&newer).await.ok, "it does not read that row");
    assert!(!world.verify_audit(verifier(&newer)).await.unwrap().ok);
    let last =
        "UPDATE audit SET actor = 'mika' WHERE id = (SELECT max(last) FROM audit_checkpoint)";
    world.place.write(last).await;
    assert!(!later(&newer).await.ok);
}

/// Makes a test of each for every backend.
macro_rules! on_every_backend {
    ($($case:ident)+) => {
        $(mod $case {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$case::<File>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$case::<Tables>().await;
            }
        })+
    };
}

on_every_backend! {
    every_change_of_a_single_signed_row_is_found
    a_change_of_the_checkpoints_is_found_even_at_the_end_of_the_chain
    a_chain_recomputed_without_the_key_is_found
    old_events_expire_by_whole_checkpoints_and_the_rest_still_verifies
    a_later_verification_reads_only_what_came_after_the_first
}
