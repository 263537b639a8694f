//! The audit as people check it, and what it tells about a token that was ended.

use crate::program::{ADMIN_TOKEN, Desk, Home, Server};
use serde_json::Value;
use std::path::Path;

fn on(home: Home, store: &str) -> Desk {
    let words = ["serve", "--listen", "127.0.0.1:0", "--store", store];
    let server = Server::start(home.tegata(&words).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
    Desk { home, server }
}

/// Waits until the server has sealed all there is.
fn sealed(desk: &Desk) -> Value {
    for _ in 0..600 {
        let report = desk.json(&["audit", "verify"]);
        if report["unsealed"] == 0 {
            return report;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the audit is not sealed");
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
    let report = sealed(&desk);
    assert_eq!((&report["ok"], report["events"].as_u64() >= Some(4)), (&true.into(), true));
    let export = desk.run(&["audit", "list", "--all"]).expect(0);
    let file = desk.home.file("export.jsonl", &export);
    let key = report["public_key"].as_str().unwrap();
    let check = ["audit", "verify", "--export", "export.jsonl", "--public-key", key];
    desk.run(&check).expect(0);
    std::fs::write(&file, export.replace("canary one", "canary two")).unwrap();
    desk.run(&check).expect_error(1, "not as it was sealed");
    let offline = ["audit", "verify", "--store", "sqlite:a.db"];
    desk.run(&offline).expect(0);

    let Desk { home, server } = desk;
    assert!(server.stop().success());
    home.run(&offline).expect(0);
    assert_eq!(replace(&home.path("a.db"), b"canary one", b"canary two"), 1);
    home.run(&offline).expect_error(1, "not as it was sealed");
    let desk = on(home, "sqlite:a.db");
    desk.run(&["audit", "verify"]).expect_error(1, "not as it was sealed");
}

#[test]
fn an_ended_token_is_explained_by_who_ended_it_and_what_took_its_place() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = |kind: &str| -> String {
        let words = ["token", "issue", "--channel", &channel, "--kind", kind, "-o", "json"];
        let mut command = desk.command(&words);
        let issued = crate::program::finish(command.env("TEGATA_CHANNEL_SECRET", &secret));
        let issued: Value = serde_json::from_str(&issued.expect(0)).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let why =
        |token: &str| desk.json(&["token", "explain", token])["why"].as_str().unwrap().to_owned();
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
}
