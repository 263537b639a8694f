//! The VFS loses data exactly where it should: what SQLite promises holds on it, and what
//! SQLite does not promise breaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, mpsc},
    thread,
};

use faulty_vfs::{Call, Fault, FaultyVfs, SyncStage};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use tempfile::TempDir;

const ROWS: i64 = 20;

/// A watched folder.
struct Live {
    // Before the folder: connections are closed by then, so this unregisters.
    vfs: FaultyVfs,
    folder: TempDir,
}

impl Live {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vfs = FaultyVfs::new(folder.path()).unwrap();
        Self { vfs, folder }
    }

    /// A connection to the folder's database, which has the table `t (n, pad)`
    /// on disk. Pages are small, so that few rows make many calls.
    fn open(&self, journal: &str, synchronous: &str) -> Connection {
        let path = self.folder.path().join("a.db");
        let flags = OpenFlags::default();
        let db = Connection::open_with_flags_and_vfs(path, flags, self.vfs.name()).unwrap();
        db.execute_batch(&format!(
            "PRAGMA page_size = 1024; PRAGMA synchronous = EXTRA; PRAGMA journal_mode = {journal};
             CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY, pad BLOB);
             PRAGMA synchronous = {synchronous}"
        ))
        .unwrap();
        db
    }

    fn after_power_loss(&self) -> Vec<i64> {
        let copy = tempfile::tempdir().unwrap();
        self.vfs.power_loss(copy.path()).unwrap();
        whole_rows(copy.path()).unwrap()
    }
}

/// The rows of the database in `folder`, opened by the ordinary VFS; an error if
/// the database is not sound.
fn whole_rows(folder: &Path) -> Result<Vec<i64>, String> {
    let read = || -> rusqlite::Result<(String, Vec<i64>)> {
        let db = Connection::open(folder.join("a.db"))?;
        let check = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok((check, rows(&db)?))
    };
    let (check, rows) = read().map_err(|error| error.to_string())?;
    if check == "ok" { Ok(rows) } else { Err(check) }
}

fn rows(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare("SELECT n FROM t ORDER BY n")?.query_map([], |row| row.get(0))?.collect()
}

/// Inserts the rows of `range`, each of about half a page, in one transaction.
fn insert(db: &Connection, range: std::ops::RangeInclusive<i64>) -> rusqlite::Result<()> {
    db.execute(
        "WITH RECURSIVE s(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM s WHERE n < ?2)
         INSERT INTO t SELECT n, zeroblob(500) FROM s",
        [range.start(), range.end()],
    )?;
    Ok(())
}

#[test]
fn acknowledged_rows_survive_with_full_synchronisation() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    for n in 1..=ROWS {
        insert(&db, n..=n).unwrap();
        assert_eq!(live.after_power_loss(), Vec::from_iter(1..=n));
    }
}

#[test]
fn acknowledged_rows_are_lost_without_synchronisation() {
    for synchronous in ["OFF", "NORMAL"] {
        let live = Live::new();
        let db = live.open("WAL", synchronous);
        insert(&db, 1..=ROWS).unwrap();
        assert_eq!(rows(&db).unwrap().len() as i64, ROWS);
        assert_eq!(live.after_power_loss(), [], "synchronous = {synchronous}");

        db.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert_eq!(live.after_power_loss().len() as i64, ROWS);
    }
}

#[test]
fn a_rollback_journal_whose_deletion_is_not_durable_undoes_the_commit() {
    // SQLite promises durability in this mode with EXTRA only, which
    // synchronises the folder after the deletion.
    for (synchronous, kept) in [("EXTRA", ROWS), ("FULL", 0)] {
        let live = Live::new();
        let db = live.open("DELETE", synchronous);
        insert(&db, 1..=ROWS).unwrap();
        assert_eq!(live.after_power_loss().len() as i64, kept, "{synchronous}");
    }
}

#[test]
fn a_checkpoint_and_a_close_lose_nothing() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    insert(&db, 1..=ROWS).unwrap();
    db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    insert(&db, ROWS + 1..=2 * ROWS).unwrap();
    drop(db); // checkpoints, and deletes the WAL
    assert_eq!(live.after_power_loss(), Vec::from_iter(1..=2 * ROWS));
    // A new VFS counts what is on disk at the first open as synchronised.
    let Live { vfs, folder } = live;
    drop(vfs);
    let vfs = FaultyVfs::new(folder.path()).unwrap();
    let live = Live { vfs, folder };
    let _db = live.open("WAL", "FULL");
    assert_eq!(live.after_power_loss(), Vec::from_iter(1..=2 * ROWS));
}

#[test]
fn torn_writes_leave_a_transaction_whole_or_absent() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    insert(&db, 1..=2).unwrap();

    let (outcomes, seen) = mpsc::channel();
    let vfs = live.vfs.clone();
    live.vfs.on_sync(move |point| {
        if !point.is_wal() || point.stage != SyncStage::Before {
            return;
        }
        for seed in 0..100 {
            let copy = tempfile::tempdir().unwrap();
            vfs.power_loss_torn(copy.path(), seed).unwrap();
            outcomes.send(whole_rows(copy.path())).unwrap();
        }
    });
    insert(&db, 3..=4).unwrap();
    live.vfs.clear_on_sync();

    let outcomes: BTreeSet<_> = seen.into_iter().collect();
    let expected = [vec![1, 2], vec![1, 2, 3, 4]].map(Ok);
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn torn_checkpoints_are_repaired_only_if_the_wal_was_synchronised() {
    for (synchronous, sound) in [("FULL", true), ("OFF", false)] {
        let live = Live::new();
        let db = live.open("WAL", synchronous);
        // Otherwise the WAL still holds the empty table, and hides what is torn.
        db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        insert(&db, 1..=ROWS).unwrap();

        let (outcomes, seen) = mpsc::channel();
        let vfs = live.vfs.clone();
        let lose_power = move || {
            for seed in 0..60 {
                let copy = tempfile::tempdir().unwrap();
                vfs.power_loss_torn(copy.path(), seed).unwrap();
                outcomes.send(whole_rows(copy.path())).unwrap();
            }
        };
        let checkpoint = || db.execute_batch("PRAGMA wal_checkpoint").unwrap();
        if sound {
            // While the database is written and waits for its sync.
            live.vfs.on_sync(move |point| {
                if !point.is_wal() && point.stage == SyncStage::Before {
                    lose_power();
                }
            });
            checkpoint();
            live.vfs.clear_on_sync();
        } else {
            // `OFF` requests no sync, so the checkpoint is just complete.
            checkpoint();
            lose_power();
            drop(lose_power);
        }

        let outcomes = Vec::from_iter(seen);
        assert_eq!(outcomes.len(), 60);
        let all = Ok(Vec::from_iter(1..=ROWS));
        assert_eq!(outcomes.iter().all(|rows| *rows == all), sound);
        assert_eq!(outcomes.iter().all(Result::is_ok), sound, "{synchronous}");
    }
}

#[test]
fn a_commit_in_flight_can_be_held() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    let (arrive, arrived) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    live.vfs.on_sync(move |point| {
        if point.is_wal() {
            arrive.send(point.stage).unwrap();
            // A test that fails drops the sender, which releases the writer.
            let _ = released.lock().unwrap().recv();
        }
    });

    let writer = thread::spawn(move || insert(&db, 1..=1));
    assert_eq!(arrived.recv().unwrap(), SyncStage::Before);
    assert_eq!(live.after_power_loss(), []);
    release.send(()).unwrap();
    assert_eq!(arrived.recv().unwrap(), SyncStage::After);
    assert!(!writer.is_finished());
    assert_eq!(live.after_power_loss(), [1]);
    drop(release);
    writer.join().unwrap().unwrap();
}

#[test]
fn a_hook_that_panics_fails_the_sync() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    live.vfs.on_sync(|_| panic!("a test's assertion"));
    insert(&db, 1..=1).unwrap_err();
    live.vfs.clear_on_sync();
    insert(&db, 2..=2).unwrap();
    assert_eq!(live.after_power_loss(), [2]);
}

/// Walks `fault(1)`, `fault(2)`, .. over one commit, each on a fresh database,
/// until no call fails; returns the number of failures.
fn walk(journal: &str, fault: impl Fn(u64) -> Fault) -> u64 {
    for n in 1.. {
        let live = Live::new();
        let db = live.open(journal, "EXTRA");
        // The page cache holds little, so that a commit also spills.
        db.execute_batch("PRAGMA cache_size = 5").unwrap();
        insert(&db, 1..=2).unwrap();

        live.vfs.inject(fault(n));
        let outcome = insert(&db, 3..=ROWS);
        let struck = live.vfs.heal().failed;

        let (before, after) = (vec![1, 2], Vec::from_iter(1..=ROWS));
        let copied = live.after_power_loss();
        match outcome {
            Ok(()) => assert_eq!(copied, after, "acknowledged, at call {n}"),
            Err(error) => {
                assert!(struck > 0, "{error} out of nothing");
                let expected = [ErrorCode::SystemIoFailure, ErrorCode::DiskFull];
                assert!(expected.contains(&error.sqlite_error_code().unwrap()));
                assert!(copied == before || copied == after, "half, at call {n}");
            }
        }
        // The connection works again, and agrees with the disk.
        let seen = rows(&db).unwrap();
        assert!(seen == before || seen == after, "half, at call {n}");
        insert(&db, 100..=100).unwrap();
        assert_eq!(live.after_power_loss(), [seen, vec![100]].concat());
        if struck == 0 {
            return n - 1;
        }
    }
    unreachable!("numbers do not end")
}

#[test]
fn a_failure_at_any_call_of_a_commit_leaves_all_or_nothing() {
    for journal in ["WAL", "DELETE", "TRUNCATE"] {
        let once = walk(journal, Fault::nth);
        let lasting = walk(journal, |n| Fault::nth(n).for_ever());
        let full = walk(journal, |n| Fault::nth(n).on(&[Call::Write]).with(ffi::SQLITE_FULL));
        assert!(once > 10 && lasting > 10 && full > 10, "{journal}");
        assert!(full < once, "syncs count too");
    }
}

#[test]
fn each_kind_of_call_fails_with_its_own_error_or_the_chosen_one() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    let error_of = |fault| {
        live.vfs.inject(fault);
        let error = insert(&db, 1..=ROWS).unwrap_err();
        assert_eq!(live.vfs.heal().failed, 1);
        error.sqlite_error().unwrap().extended_code
    };
    let nth = Fault::nth;
    assert_eq!(error_of(nth(1)), ffi::SQLITE_IOERR_WRITE);
    assert_eq!(error_of(nth(1).on(&[Call::Sync])), ffi::SQLITE_IOERR_FSYNC);
    assert_eq!(error_of(nth(3).with(ffi::SQLITE_FULL)), ffi::SQLITE_FULL);

    live.vfs.inject(nth(2).for_ever());
    insert(&db, 1..=ROWS).unwrap_err();
    insert(&db, 1..=ROWS).unwrap_err();
    assert!(live.vfs.heal().failed >= 2);

    insert(&db, 1..=ROWS).unwrap();
    db.execute_batch("PRAGMA shrink_memory").unwrap();
    live.vfs.inject(nth(1).on(&[Call::Read]));
    let error = rows(&db).unwrap_err();
    let code = error.sqlite_error().unwrap().extended_code;
    assert_eq!(code, ffi::SQLITE_IOERR_READ);
}

#[test]
fn a_commit_that_met_a_failed_sync_is_gone_but_the_next_is_safe() {
    let live = Live::new();
    let db = live.open("WAL", "FULL");
    live.vfs.inject(Fault::nth(1).on(&[Call::Sync]));
    insert(&db, 1..=1).unwrap_err();
    insert(&db, 2..=2).unwrap();
    assert_eq!(live.after_power_loss(), [2]);
}

#[test]
fn a_reader_follows_a_writer_on_another_thread() {
    let live = Live::new();
    let writer = live.open("WAL", "FULL");
    let reader = live.open("WAL", "FULL");
    let (go, next) = mpsc::channel();
    let writer = thread::spawn(move || {
        for n in 1..=ROWS {
            insert(&writer, n..=n).unwrap();
            go.send(n).unwrap();
        }
    });
    for committed in next {
        // Both without waiting for the writer, and never less than it reported.
        let seen = rows(&reader).unwrap();
        assert!(seen.len() as i64 >= committed);
        assert!(live.after_power_loss().len() as i64 >= committed);
    }
    writer.join().unwrap();
    // The reader may write too: locks and the WAL index are shared.
    insert(&reader, ROWS + 1..=ROWS + 1).unwrap();
    assert_eq!(live.after_power_loss(), Vec::from_iter(1..=ROWS + 1));
}

#[test]
fn faults_keep_to_their_folder() {
    let live = Live::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("b.db");
    let flags = OpenFlags::default();
    let db = Connection::open_with_flags_and_vfs(path, flags, live.vfs.name()).unwrap();
    live.vfs.inject(Fault::nth(1).for_ever());
    db.execute_batch("CREATE TABLE t (n)").unwrap();
    assert_eq!(live.vfs.tally().calls, 0);
    assert_eq!(live.vfs.heal().failed, 0);
}

#[test]
fn a_copy_is_never_mixed_with_other_files() {
    let live = Live::new();
    let _db = live.open("WAL", "FULL");
    assert!(live.vfs.power_loss(live.folder.path()).is_err());
}

#[test]
fn the_last_handle_unregisters_unless_a_file_is_open() {
    let opens = |live: &TempDir, name: &str| {
        let path = live.path().join("a.db");
        Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name).is_ok()
    };
    let Live { vfs, folder } = Live::new();
    let name = vfs.name().to_owned();
    let clone = vfs.clone();
    drop(vfs);
    assert!(opens(&folder, &name));
    drop(clone);
    assert!(!opens(&folder, &name));

    let live = Live::new();
    let name = live.vfs.name().to_owned();
    let db = live.open("WAL", "FULL");
    let Live { vfs, folder } = live;
    drop(vfs);
    insert(&db, 1..=1).unwrap();
    assert!(opens(&folder, &name));
}
