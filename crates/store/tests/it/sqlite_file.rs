//! What only the embedded store promises: which process may open its file, and which
//! user may read it.

use crate::{
    place::{Place, Sqlite},
    world::{ALL, Ask, NOW, World, by},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tegata_store::{
    ActStore, RevocationCause, RevocationTarget, Store,
    sqlite::{self, OpenError, SqliteStore},
};
use tegata_token::{
    id::{ProviderId, TokenId},
    kind::Kind,
    time::DAY,
    view::ChannelRevocations,
};

fn open(place: &Sqlite) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(&place.path(), place.options(false), Box::new(|_| {}))
}

#[tokio::test]
async fn the_same_file_does_not_open_twice_until_it_is_closed() {
    let place = Sqlite::new();
    let first = open(&place).unwrap();
    assert!(matches!(open(&place), Err(OpenError::Locked(path)) if path == place.path()));
    first.is_writable().await.unwrap();
    drop(first);
    open(&place).unwrap();
}

#[tokio::test]
async fn one_file_is_one_store_under_any_name() {
    let place = Sqlite::new();
    let by_name =
        |path: &Path| SqliteStore::open(path, place.options(false), Box::new(|_| {})).map(drop);
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    let first = open(&place).unwrap();
    let real = place.path().canonicalize().unwrap();
    assert!(matches!(by_name(&link), Err(OpenError::Locked(path)) if path == real));
    drop(first);
    by_name(&link).unwrap();
    // A file with two names has none that is safe to use.
    let second = place.folder.path().join("second.db");
    std::fs::hard_link(place.path(), &second).unwrap();
    for name in [place.path(), second] {
        let why = by_name(&name).unwrap_err();
        assert!(matches!(&why, OpenError::File(..)) && why.to_string().contains("several names"));
    }
}

#[tokio::test]
async fn a_store_written_by_a_newer_version_does_not_open_and_is_not_changed() {
    let place = Sqlite::new();
    drop(open(&place).unwrap());
    let conn = rusqlite::Connection::open(place.path()).unwrap();
    let sql = "INSERT INTO refinery_schema_history SELECT 1000, 'later', applied_on, checksum
               FROM refinery_schema_history LIMIT 1";
    conn.execute(sql, []).unwrap();
    drop(conn);
    let before = std::fs::read(place.path()).unwrap();
    for _ in 0..2 {
        assert!(matches!(open(&place), Err(OpenError::Schema(..))));
    }
    assert_eq!(std::fs::read(place.path()).unwrap(), before);
    let conn = rusqlite::Connection::open(place.path()).unwrap();
    conn.execute("DELETE FROM refinery_schema_history WHERE version = 1000", []).unwrap();
    drop(conn);
    open(&place).unwrap();
}

#[tokio::test]
async fn another_sqlite_file_or_another_file_does_not_open() {
    let place = Sqlite::new();
    std::fs::write(place.path(), b"this is no database, but long enough to be looked at").unwrap();
    assert!(matches!(open(&place), Err(OpenError::Database(..))));
    let nowhere = Sqlite { folder: tempfile::tempdir().unwrap(), ..Sqlite::new() };
    std::fs::remove_dir(nowhere.folder.path()).unwrap();
    let error = open(&nowhere).err().unwrap();
    assert!(matches!(error, OpenError::File(..)));
    let said = format!(
        "cannot open the store {}: its folder is not there; create it, or mount its disk",
        nowhere.path().display()
    );
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_restore_of_what_is_no_backup_names_the_file_and_not_the_store() {
    let place = Sqlite::new();
    let file = |name: &str| place.folder.path().join(name);
    let error = |from: &str| {
        tegata_store::sqlite::restore(&file(from), &file("a.db"), false, &mut |_, _| ())
            .unwrap_err()
    };
    let shown = |from: &str, why: &str| {
        format!("cannot restore {}: {why}; name another FILE", file(from).display())
    };
    assert_eq!(error("none.db").to_string(), shown("none.db", "there is no such file"));
    for (name, content) in
        [("empty.db", &b""[..]), ("text.db", b"a text that is no database at all")]
    {
        std::fs::write(file(name), content).unwrap();
        assert_eq!(error(name).to_string(), shown(name, "it is not a backup of Tegata"));
    }
    let why = "its folder is not there; create it, or mount its disk";
    assert_eq!(error("none/b.db").to_string(), shown("none/b.db", why));
    assert!(!file("a.db").exists(), "nothing is left");
}

#[tokio::test]
async fn a_store_on_a_file_system_without_shared_memory_does_not_open() {
    // SQLite's own VFS without locks and shared memory.
    let mut place = Sqlite::new();
    place.faults.vfs = Some("unix-none".into());
    assert!(matches!(open(&place), Err(OpenError::NoWal(path)) if path == place.path()));
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let place = Sqlite::new();
    let store = open(&place).unwrap();
    let provider = ProviderId::from_number(1).unwrap();
    store.create_provider(provider, "P".into(), by(NOW)).await.unwrap();
    store.state().await.unwrap();
    let mut names = Vec::new();
    for file in std::fs::read_dir(place.folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["tegata.db", "tegata.db-shm", "tegata.db-wal", "tegata.db.lock"]);
}

#[tokio::test]
async fn a_closed_store_leaves_one_complete_file() {
    let (place, copy) = (Sqlite::new(), Sqlite::new());
    let store = open(&place).unwrap();
    let provider = ProviderId::from_number(1).unwrap();
    store.create_provider(provider, "P".into(), by(NOW)).await.unwrap();
    store.state().await.unwrap();
    drop(store);
    // Without a write-ahead log beside it.
    std::fs::copy(place.path(), copy.path()).unwrap();
    let providers = open(&copy).unwrap().providers(Default::default(), ALL).await.unwrap();
    assert_eq!(providers[0].1.id, provider);
}

#[tokio::test]
async fn tokens_whose_delay_is_over_leave_the_index_of_active_tokens() {
    let place = Sqlite::new();
    let path = place.path();
    let world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    let mut tokens = Vec::new();
    for n in 0..20 {
        let at = NOW.plus(100 * n);
        let ask = Ask::new(Kind::LongLived).delay(60).at(at);
        tokens.push(world.ask(&shop, ask).await.unwrap().claims);
        crate::agree::everything(&world, &tokens, at).await;
    }
    let conn = rusqlite::Connection::open(path).unwrap();
    let sql = "SELECT count(*) FROM token WHERE revoked_at IS NULL";
    let indexed: usize = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(indexed, 2);
    let first = world.row(&shop, tokens[0].serial, NOW.plus(2000)).await;
    assert_eq!(first.revocation, Some((RevocationCause::Reissued, NOW.plus(160))));
}

#[tokio::test]
async fn expired_stateless_revocations_are_forgotten_early_once_there_are_very_many() {
    let place = Sqlite::new();
    let path = place.path();
    let mut world = World::at(Box::new(place)).await;
    let shop = world.shop().await;
    world.close();
    // As ten quarters of an hour with a thousand revocations each would leave, less one.
    let id = |n: u64| TokenId(u128::from(n).to_be_bytes());
    let held = (1..10_000).map(|n| (id(n), NOW)).collect();
    let revocations = ChannelRevocations { stateless: held, ..ChannelRevocations::default() };
    let revocations = serde_json::to_string(&revocations).unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let sql = "INSERT INTO channel_revocations VALUES (?1, ?2, ?3)";
    conn.execute(sql, (shop.id.number(), revocations, NOW.0)).unwrap();
    drop(conn);
    world.reopen().await;

    let at = NOW.plus(DAY);
    let end = |n| {
        let target = RevocationTarget::Stateless { id: id(n), expires_at: at.plus(900) };
        world.revoke(shop.id, target, false, by(at))
    };
    end(10_000).await.unwrap();
    let held =
        || async { world.state().await.unwrap().view.channel(shop.id).unwrap().stateless.len() };
    assert_eq!(held().await, 10_000, "those of the day before are kept as long as there is room");
    end(10_001).await.unwrap();
    assert_eq!(held().await, 2);
    assert_eq!(world.forget(1, at).await.unwrap(), 0);
}

#[tokio::test]
async fn only_the_owner_can_read_a_backup_whatever_file_was_there_before() {
    let place = Sqlite::new();
    let path = place.path();
    let mut world = World::at(Box::new(place)).await;
    world.shop().await;
    world.close();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str| fs::metadata(at(name)).unwrap().permissions().mode() & 0o777;
    // Left behind by an interrupted copy, or put there by another user.
    fs::write(at("open.db.partial"), "x").unwrap();
    fs::set_permissions(at("open.db.partial"), fs::Permissions::from_mode(0o666)).unwrap();
    sqlite::backup(&path, &at("open.db"), &mut |_, _| ()).unwrap();
    assert_eq!(mode("open.db"), 0o600);
    fs::write(at("letter"), "do not write over me").unwrap();
    std::os::unix::fs::symlink(at("letter"), at("linked.db.partial")).unwrap();
    sqlite::backup(&path, &at("linked.db"), &mut |_, _| ()).unwrap();
    assert_eq!(fs::read_to_string(at("letter")).unwrap(), "do not write over me");
    assert!(fs::symlink_metadata(at("linked.db")).unwrap().is_file());
    assert_eq!(mode("linked.db"), 0o600);
}
