//! `tegata doctor` on problems that are really there.

use crate::program::{Done, Home, finish};
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

/// A home in which a server ran once and was stopped.
fn used() -> Home {
    let home = Home::new();
    let mut server = home.serve(&[]);
    server.line(|line| line.contains("listening on "));
    assert!(server.stop().success());
    home
}

fn doctor(home: &Home, words: &[&str]) -> Done {
    home.run(&[&["doctor", "--listen", "127.0.0.1:0"], words].concat())
}

/// Asserts that doctor reports a problem or a warning, and its fix.
#[track_caller]
fn advises(home: &Home, words: &[&str], state: &str, what: &str, next_step: &str) {
    let done = doctor(home, &[words, &["-o", "json"]].concat());
    let report: Value = serde_json::from_str(&done.out).unwrap();
    let found = report["findings"].as_array().unwrap().iter().any(|it| {
        let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
        it["state"] == state && text("what").contains(what) && text("next_step").contains(next_step)
    });
    assert!(found, "no {state} with {what:?} and {next_step:?} in {report:#}");
    assert_eq!(done.code, i32::from(report["wrong"] != 0), "{report:#}");
}

#[test]
fn an_older_copy_of_the_store_is_reported() {
    let home = used();
    home.run(&["backup", "backup.db"]).expect(0);
    // The audit goes on, and with it its anchor.
    home.run(&["admin", "invite", "mika"]).expect(0);
    let mut server = home.serve(&[]);
    server.line(|line| line.contains("listening on "));
    assert!(server.stop().success());
    home.run(&["restore", "backup.db"]).expect(0);
    advises(&home, &[], "wrong", "it is a backup", "tegata recover");
    advises(&home, &[], "warning", "ends before its anchor, since this is an older", "recover");
    let shown = doctor(&home, &[]).out;
    assert!(!shown.contains("audit-broken"), "its age is the reason: {shown}");
    home.run(&["recover", "--revoke-everything"]).expect(0);
    let shown = doctor(&home, &[]).expect(0);
    assert!(shown.contains("no older than its rollback guard"), "{shown}");
    fs::rename(home.path("tegata.db.guard"), home.path("elsewhere")).unwrap();
    advises(&home, &[], "wrong", "its rollback guard is missing", "tegata recover");
}

#[test]
fn a_healthy_home_is_reported_as_ok_and_not_changed() {
    let home = used();
    let files = || {
        let read = fs::read_dir(home.path("")).unwrap().map(|it| it.unwrap());
        // SQLite's shared memory: each reader of a store writes to it.
        let kept = |it: &fs::DirEntry| !it.file_name().to_string_lossy().ends_with("-shm");
        let mut all: Vec<_> = read
            .filter(kept)
            .map(|it| (it.file_name(), fs::read(it.path()).unwrap_or_default()))
            .collect();
        all.sort();
        all
    };
    let before = files();
    let shown = doctor(&home, &[]).expect(0);
    assert!(!shown.contains("WRONG") && !shown.contains("WARNING"), "{shown}");
    for expected in ["the master key decrypts every signing key (1)", "whole, schema", "not in use"]
    {
        assert!(shown.contains(expected), "{shown}");
    }
    for ((name, was), (_, is)) in before.iter().zip(&files()) {
        assert!(was == is, "{} was changed: {} bytes, now {}", name.display(), was.len(), is.len());
    }
    assert_eq!(files().len(), before.len());
    let empty = Home::new();
    assert!(doctor(&empty, &[]).expect(0).contains("the first start creates them"));
    assert_eq!(fs::read_dir(empty.path("")).unwrap().count(), 0);
}

#[test]
fn a_running_server_is_recognised_and_another_is_too() {
    let home = Home::new();
    let server = home.serve(&[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let shown = home.run(&["doctor", "--listen", address]).expect(0);
    assert!(shown.contains("serves on") && shown.contains("and is ready"), "{shown}");
    assert!(shown.contains("in use by process"), "{shown}");
    drop(server);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    // It listens, but accepts no requests.
    advises(&home, &["--metrics-listen", &address], "wrong", "another program listens", "ss -ltnp");
    // The store of a server that was killed is read, too.
    doctor(&home, &[]).expect(0);
}

#[test]
fn an_authority_whose_store_is_elsewhere_is_reported() {
    let (home, elsewhere) = (Home::new(), Home::new());
    let server = home.serve(&[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let shown = elsewhere.run(&["doctor", "--listen", address]).expect(0);
    assert!(shown.contains("WARNING") && shown.contains("but its store is not here"), "{shown}");
    let shown = home.run(&["doctor", "--listen", address]).expect(0);
    assert!(!shown.contains("not here"), "{shown}");
}

#[test]
fn an_administrators_token_with_which_no_server_starts_is_reported() {
    let home = used();
    let next = "tegata admin reset";
    for (text, what) in [("", "it is empty"), ("short", "does not hold"), ("a\nb", "one line")] {
        fs::write(home.path("admin.token"), text).unwrap();
        advises(&home, &[], "wrong", what, next);
        let serve = home.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert!(serve.code != 0 && serve.err.contains(next), "{serve:?}");
        assert!(serve.err.contains(what), "{serve:?}");
    }
    home.run(&["admin", "reset", "--yes"]).expect(0);
    let shown = doctor(&home, &[]).expect(0);
    assert!(!shown.contains("WRONG"), "{shown}");
    let missing = ["--admin-token-file", "none"];
    advises(&home, &missing, "wrong", "none: No such file", "correct it");
}

#[test]
fn a_variable_whose_name_is_almost_a_known_one_is_reported() {
    let home = used();
    let mut doctor = home.tegata(&["doctor", "--listen", "127.0.0.1:0"]);
    let done = finish(doctor.env(["TEGATA", "PUBIC_URL"].join("_"), "https://example.com"));
    assert!(done.expect(0).contains("is TEGATA_PUBLIC_URL meant?"));
}

#[test]
fn a_revocation_journal_on_the_stores_own_disk_is_reported() {
    let home = used();
    // With the file and without it.
    advises(
        &home,
        &["--revocation-journal", "log"],
        "warning",
        "journal log is on",
        "another disk",
    );
    home.file("log", "");
    advises(
        &home,
        &["--revocation-journal", "log"],
        "warning",
        "journal log is on",
        "another disk",
    );
    // One of the two is another disk: a file system in memory, which every Linux has, or that of
    // the compiled tests.
    let disk = |folder: &Path| fs::metadata(folder).unwrap().dev();
    let places = ["/dev/shm", env!("CARGO_TARGET_TMPDIR")].map(Path::new);
    let elsewhere = places.into_iter().find(|it| disk(it) != disk(&home.path(".")));
    let other = tempfile::tempdir_in(elsewhere.unwrap()).unwrap();
    let elsewhere = other.path().join("log");
    let shown = doctor(&home, &["--revocation-journal", elsewhere.to_str().unwrap()]).expect(0);
    assert!(!shown.contains("WARNING"), "{shown}");
}

#[test]
fn settings_that_are_wrong_are_named() {
    let home = used();
    home.file("tegata.toml", "listn = \"127.0.0.1:1\"");
    advises(&home, &[], "wrong", "listn", "tegata serve --help");
    home.file("tegata.toml", "listen = \"0.0.0.0:0\"");
    let done = home.run(&["doctor"]).expect(0);
    assert!(done.contains("are not encrypted") && done.contains("public_url"), "{done}");
    home.file("tegata.toml", "");
    let mut short = home.tegata(&["doctor", "--listen", "127.0.0.1:0"]);
    let short = crate::program::finish(short.env("TEGATA_ADMIN_TOKEN", "short"));
    assert!(short.out.contains("at least 32 characters"), "{}", short.out);
    assert_eq!(short.code, 1);
    advises(&home, &["--dev"], "wrong", "not made with --dev", "start without --dev");
}

#[test]
fn files_that_others_can_read_are_lost_or_are_not_files_are_named() {
    let home = used();
    let key = home.path("master.key");
    let mode = |mode| fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    advises(&home, &[], "wrong", "master.key can be read by others", "chmod 600");
    mode(0o600);
    fs::rename(&key, home.path("elsewhere")).unwrap();
    advises(&home, &[], "wrong", "no master key", "restore the master key");
    symlink("nowhere", &key).unwrap();
    advises(&home, &[], "wrong", "a symbolic link to a missing file", "rm ");
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    advises(&home, &[], "wrong", "master.key is not a file", "path of a file");
    fs::remove_dir(&key).unwrap();
    home.file("master.key", &"ab".repeat(32));
    mode(0o600);
    advises(&home, &[], "wrong", "does not decrypt the signing key", "--master-key-file");
    home.file("master.key", "no key");
    advises(&home, &[], "wrong", "does not hold a master key", "bring it back");
    fs::remove_file(&key).unwrap();
    fs::rename(home.path("elsewhere"), &key).unwrap();
    doctor(&home, &[]).expect(0);

    let store = home.path("tegata.db");
    fs::hard_link(&store, home.path("other.db")).unwrap();
    advises(&home, &[], "wrong", "several names", "remove the others");
    fs::remove_file(home.path("other.db")).unwrap();
    fs::rename(&store, home.path("moved.db")).unwrap();
    advises(&home, &[], "warning", "there is a master key, but no store", "restore it");
    advises(&home, &["--store", "sqlite:none/it.db"], "wrong", "the folder none", "mkdir");
}

#[test]
fn a_store_that_is_damaged_too_new_or_from_the_future_is_named() {
    let home = used();
    let store = home.path("tegata.db");
    let whole = fs::read(&store).unwrap();
    let change = |sql: &str| {
        let conn = rusqlite::Connection::open(&store).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    change("UPDATE authority SET written_at = written_at + 1000");
    advises(&home, &[], "wrong", "behind the newest time in the store", "chrony");
    change("UPDATE authority SET written_at = written_at - 1000");
    doctor(&home, &[]).expect(0);
    change("UPDATE signing_key SET changed_at = changed_at - 91 * 86400");
    advises(&home, &[], "warning", "has signed for 91 days", "tegata signing-key rotate");
    change(
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (9999, 'later', '', '1')",
    );
    advises(&home, &[], "wrong", "version 9999", "newer program");
    let mut torn = whole.clone();
    let length = torn.len();
    torn[8_192..length].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::write(&store, torn).unwrap();
    let done = doctor(&home, &[]);
    assert_eq!(done.code, 1, "{}", done.out);
    assert!(done.out.contains("restore a backup"), "{}", done.out);
    fs::write(&store, "this is a text file and not a database").unwrap();
    advises(&home, &[], "wrong", "cannot be read as a store", "restore a backup");
}
