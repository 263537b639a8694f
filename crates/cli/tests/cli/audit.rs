//! `tegata audit verify`, and what the audit shows about a token that was revoked.

use crate::program::{ADMIN_TOKEN, Desk, Home, Server};
use serde_json::Value;
use std::path::Path;

fn on(home: Home, store: &str) -> Desk {
    let words = ["serve", "--listen", "127.0.0.1:0", "--store", store];
    let server = Server::start(home.tegata(&words).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
    Desk { home, server }
}

/// Waits until a checkpoint covers all events.
fn checkpointed(desk: &Desk) -> Value {
    for _ in 0..600 {
        let report = desk.json(&["audit", "verify"]);
        if report["pending"] == 0 {
            return report;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("no checkpoint covers the newest event");
}

fn replace(path: &Path, from: &[u8], to: &[u8]) -> usize {
    let mut bytes = std::fs::read(path).unwrap();
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    std::fs::write(path, bytes).unwrap();
    found
}

#[test]
fn the_audit_is_verified_live_offline_and_from_an_export_and_tampering_is_found() {
    let desk = on(Home::new(), "sqlite:a.db");
    let (channel, _) = desk.channel();
    desk.json(&["token", "revoke", "--channel", &channel, "--all", "--reason", "canary one"]);
    let report = checkpointed(&desk);
    assert_eq!((&report["ok"], report["events"].as_u64() >= Some(4)), (&true.into(), true));
    let export = desk.run(&["audit", "export"]).expect(0);
    let file = desk.home.file("export.jsonl", &export);
    let key = report["public_key"].as_str().unwrap();
    std::fs::copy(desk.home.path("a.db.guard.audit"), desk.home.path("anchor")).unwrap();
    let check = ["audit", "verify", "--export", "export.jsonl", "--public-key", key];
    desk.run(&check).expect_error(1, "cannot be confirmed");
    desk.run(&[&check[..], &["--without-anchor"]].concat()).expect(0);
    let check = [&check[..], &["--anchor", "anchor"]].concat();
    desk.run(&check).expect(0);
    std::fs::write(&file, export.replace("canary one", "canary two")).unwrap();
    desk.run(&check).expect_error(1, "does not match its checkpoints");
    let offline = ["audit", "verify", "--store", "sqlite:a.db"];
    desk.run(&offline).expect(0);

    let Desk { home, server } = desk;
    assert!(server.stop().success());
    home.run(&offline).expect(0);
    assert_eq!(replace(&home.path("a.db"), b"canary one", b"canary two"), 1);
    home.run(&offline).expect_error(1, "does not match its checkpoints");
    let desk = on(home, "sqlite:a.db");
    desk.run(&["audit", "verify"]).expect_error(1, "does not match its checkpoints");
}

#[test]
fn a_revoked_token_is_explained_by_its_cause_its_actor_and_its_successor() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = |kind: &str| -> String {
        let words = ["token", "issue", "--channel", &channel, "--kind", kind, "-o", "json"];
        let mut command = desk.command(&words);
        let issued = crate::program::finish(command.env("TEGATA_CHANNEL_SECRET", &secret));
        let issued: Value = serde_json::from_str(&issued.expect(0)).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let why = |token: &str| {
        let explained = desk.json(&["token", "explain", token]);
        explained["tokens"][0]["why"].as_str().unwrap().to_owned()
    };
    let (stored, stateless) = (issue("short-lived"), issue("stateless"));
    for token in [&stored, &stateless] {
        desk.json(&["token", "revoke", token, "--reason", "leaked to a log"]);
        let why = why(token);
        for said in ["revoked", "By administrator from 127.0.0.1", "leaked to a log"] {
            assert!(why.contains(said), "{said}: {why}");
        }
    }
    let first = desk.json(&["token", "reissue", "--channel", &channel]);
    let second = desk.json(&["token", "reissue", "--channel", &channel]);
    let replaced = why(first["access_token"].as_str().unwrap());
    let newer = second["token_id"].as_str().unwrap();
    assert!(replaced.contains("replaced it") && replaced.contains(newer), "{replaced}");
    let current = second["access_token"].as_str().unwrap();
    desk.run(&["channel", "suspend", &channel]).expect(0);
    let suspended = why(current);
    assert!(
        suspended.contains("suspended. By") || suspended.contains("By administrator"),
        "{suspended}"
    );
    assert!(suspended.contains("channel.suspend"), "{suspended}");
    desk.run(&["token", "verify", current]).expect_error(1, "state: suspended");
    desk.run(&["channel", "resume", &channel]).expect(0);
    assert_eq!(desk.json(&["token", "verify", current])["state"], "active");
}

/// A store in which a server ran and wrote a checkpoint.
fn store_with_checkpoint() -> Home {
    let desk = on(Home::new(), "sqlite:a.db");
    let (channel, _) = desk.channel();
    desk.json(&["token", "revoke", "--channel", &channel, "--all"]);
    assert_eq!(checkpointed(&desk)["end"], "confirmed");
    let Desk { home, server } = desk;
    assert!(server.stop().success());
    home
}

const OFFLINE: [&str; 6] = ["audit", "verify", "--store", "sqlite:a.db", "-o", "json"];

/// Removes the last checkpoint and its events from the database.
fn cut_off(home: &Home) {
    let conn = rusqlite::Connection::open(home.path("a.db")).unwrap();
    conn.execute_batch(
        "DELETE FROM audit WHERE id > coalesce((SELECT last FROM audit_checkpoint WHERE number =
             (SELECT max(number) - 1 FROM audit_checkpoint)), 0);
         DELETE FROM audit_checkpoint WHERE number = (SELECT max(number) FROM audit_checkpoint)",
    )
    .unwrap();
}

#[test]
fn an_audit_cut_off_with_its_anchor_is_not_confirmed_until_an_operator_accepts_it() {
    let home = store_with_checkpoint();
    cut_off(&home);
    std::fs::remove_file(home.path("a.db.guard.audit")).unwrap();
    let done = home.run(&OFFLINE);
    let report: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!((&report["ok"], &report["end"]), (&false.into(), &"unconfirmed".into()));
    done.expect_error(1, "cannot be confirmed");
    let doctor = ["doctor", "--listen", "127.0.0.1:0", "--store", "sqlite:a.db"];
    assert!(home.run(&doctor).expect(1).contains("cannot be confirmed"));

    // A server starts, and reports this as a problem and not as a notice.
    let desk = on(home, "sqlite:a.db");
    for _ in 0..2 {
        let report: Value =
            serde_json::from_str(&desk.run(&["audit", "verify", "-o", "json"]).expect(1)).unwrap();
        assert_eq!(report["end"], "unconfirmed", "{report}");
        while desk.json(&["audit", "list"])["events"][0]["act"] != "audit.continue" {}
    }
    assert_eq!(desk.server.status("/readyz"), 200, "it answers as before");
    let Desk { home, server } = desk;
    assert!(server.stop().success());
    home.run(&OFFLINE).expect(1);
    let accept =
        |why: &str| home.run(&["audit", "accept", "--store", "sqlite:a.db", "--reason", why]);
    for unreadable in ["", "   ", "\u{1b}[2J", &"x".repeat(501)] {
        accept(unreadable).expect_error(2, "give 1 to 500 characters");
    }
    home.run(&OFFLINE).expect(1);
    accept("lost").expect(0);
    let report: Value = serde_json::from_str(&home.run(&OFFLINE).expect(0)).unwrap();
    assert!(report["notices"].to_string().contains("operator accepted"), "{report}");
    let desk = on(home, "sqlite:a.db");
    assert_eq!(checkpointed(&desk)["ok"], true);
}

#[test]
fn an_anchor_that_is_unreadable_old_or_of_another_store_confirms_nothing() {
    let home = store_with_checkpoint();
    let anchor = home.path("a.db.guard.audit");
    let own = std::fs::read(&anchor).unwrap();
    let beginning = br#"{"epoch":1,"number":0,"chain":"","kept_from":1}"#;
    let other = br#"{"epoch":1,"number":1,"chain":"00","kept_from":1}"#;
    for wrong in [&b"{"[..], beginning, other] {
        std::fs::write(&anchor, wrong).unwrap();
        let report: Value = serde_json::from_str(&home.run(&OFFLINE).expect(1)).unwrap();
        assert_eq!(report["end"], "unconfirmed", "{report}");
    }
    std::fs::write(&anchor, own).unwrap();
    home.run(&OFFLINE).expect(0);
    let conn = rusqlite::Connection::open(home.path("a.db")).unwrap();
    conn.execute_batch("DELETE FROM audit; DELETE FROM audit_checkpoint; DELETE FROM audit_key")
        .unwrap();
    drop(conn);
    home.run(&OFFLINE).expect_error(1, "If neither applies, the store's audit was removed");
    std::fs::remove_file(&anchor).unwrap();
    let desk = on(home, "sqlite:a.db");
    desk.run(&["audit", "verify"]).expect(1);
}

#[test]
fn a_first_start_and_a_recovery_raise_no_alarm() {
    let desk = on(Home::new(), "sqlite:a.db");
    assert_eq!(desk.json(&["audit", "verify"])["end"], "confirmed");
    desk.channel();
    checkpointed(&desk);
    desk.run(&["backup", "--store", "sqlite:a.db", "old.db"]).expect(0);
    desk.channel();
    checkpointed(&desk);
    let Desk { home, server } = desk;
    assert!(server.stop().success());
    home.run(&["restore", "old.db", "--store", "sqlite:a.db"]).expect(0);
    home.run(&["recover", "--revoke-everything", "--store", "sqlite:a.db"]).expect(0);
    let report: Value = serde_json::from_str(&home.run(&OFFLINE).expect(0)).unwrap();
    assert!(report["notices"].to_string().contains("recovered"), "{report}");
    let desk = on(home, "sqlite:a.db");
    assert_eq!(checkpointed(&desk)["ok"], true);
}

#[test]
fn an_export_without_a_checkpoint_does_not_verify() {
    let desk = on(Home::new(), "sqlite:a.db");
    desk.channel();
    checkpointed(&desk);
    let export = desk.run(&["audit", "export"]).expect(0);
    let lines = export.lines().filter(|line| !line.starts_with("{\"checkpoint\""));
    let without: String = lines.map(|line| line.to_owned() + "\n").collect();
    desk.home.file("export.jsonl", &without);
    let check = ["audit", "verify", "--export", "export.jsonl", "--without-anchor"];
    assert!(desk.run(&check).expect(1).contains("there is no checkpoint"));
}

#[test]
fn the_audit_list_takes_filters_and_shows_the_object_of_each_event() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.run(&["group", "set", "--channel", &channel, "blue", "--cap", "2"]).expect(0);
    desk.json(&["token", "revoke", "--channel", &channel, "--kind", "v2.1"]);
    let list = |filter: &[&str]| desk.run(&[&["audit", "list"], filter].concat()).expect(0);
    let table = list(&["--channel", &channel, "--group", "blue", "--act", "group.set"]);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains(&format!("channel {channel}, group blue")), "{table}");
    let table = list(&["--actor", "administrator", "--source", "127.0.0.1", "--limit", "1"]);
    assert!(table.contains(&format!("channel {channel}, kind v2.1")), "{table}");
    let none = list(&["--since", "2100-01-01T09:00:00+09:00"]);
    assert_eq!(none.lines().count(), 1, "{none}");
    assert_eq!(list(&["--until", "2001-01-01T00:00:00Z"]), none);
    desk.run(&["audit", "list", "--act", "group.sett"]).expect_error(2, "group.set");
    desk.run(&["audit", "list", "--since", "yesterday"]).expect_error(2, "yesterday");
}
