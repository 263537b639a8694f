//! A backup restored by the book: what doctor, the lists and the explanations report then.

use crate::program::{ADMIN_TOKEN, Home, Server, finish};
use serde_json::{Value, json};
use std::fs;

/// A store with a revocation journal, and the server on it.
struct Place {
    home: Home,
    server: Option<Server>,
}

const SERVE: [&str; 6] =
    ["--dev", "--store", "sqlite:tegata.db", "--revocation-journal", "journal.log", "--listen"];

impl Place {
    fn new() -> Self {
        let mut place = Self { home: Home::new(), server: None };
        place.start();
        place
    }

    fn start(&mut self) {
        let words = [&["serve"], &SERVE[..], &["127.0.0.1:0"]].concat();
        let mut command = self.home.tegata(&words);
        self.server = Some(Server::start(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN)));
    }

    fn stop(&mut self) {
        assert!(self.server.take().unwrap().stop().success());
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        let mut command = self.home.tegata(&[words, &["-o", "json"]].concat());
        command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
        if let Some(server) = &self.server {
            command.env("TEGATA_URL", &server.url);
        }
        serde_json::from_str(&finish(&mut command).expect(0)).unwrap()
    }

    fn token(&self, channel: &str, secret: &str) -> (String, String) {
        let words = ["token", "issue", "--channel", channel, "--kind", "short-lived", "-o", "json"];
        let mut command = self.home.tegata(&words);
        command.env("TEGATA_URL", &self.server.as_ref().unwrap().url);
        let issued = finish(command.env("TEGATA_CHANNEL_SECRET", secret)).expect(0);
        let issued: Value = serde_json::from_str(&issued).unwrap();
        let token = issued["access_token"].as_str().unwrap().to_owned();
        let explained = self.json(&["token", "explain", &token]);
        let id = explained["tokens"][0]["token_id"].as_str().unwrap().to_owned();
        (token, id)
    }

    fn row(&self, channel: &str, id: &str) -> Value {
        self.json(&["token", "show", "--channel", channel, id])
    }

    /// The findings of doctor that are not ok; exit code 0.
    fn doctor(&self) -> Vec<Value> {
        let words = [&["doctor"], &SERVE[..], &["127.0.0.1:1", "-o", "json"]].concat();
        let mut command = self.home.tegata(&words);
        command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
        let report: Value = serde_json::from_str(&finish(&mut command).expect(0)).unwrap();
        assert_eq!(report["wrong"], 0, "{report:#}");
        let findings = report["findings"].as_array().unwrap().clone();
        // Nothing answers at that address, and the journal is on the store's disk.
        let own = ["address", "files"];
        let other =
            |it: &Value| it["state"] != "ok" && !own.contains(&it["check"].as_str().unwrap());
        findings.into_iter().filter(other).collect()
    }
}

/// Restores the backup as the runbook says.
fn restore(place: &Place) {
    let store = ["--store", "sqlite:tegata.db"];
    let run = |words: &[&str]| {
        place.home.run(&[words, &store[..]].concat()).expect(0);
    };
    run(&["restore", "backup.db"]);
    run(&["recover", "--replay", "journal.log", "--dry-run"]);
    run(&["recover", "--replay", "journal.log"]);
}

#[test]
fn after_a_restore_by_the_book_doctor_is_clean_and_revocations_keep_their_cause() {
    let mut place = Place::new();
    let provider = place.json(&["provider", "create", "Company"]);
    let provider = provider["provider_id"].as_str().unwrap().to_owned();
    let shop = place.json(&["channel", "create", "--provider", &provider, "shop"]);
    let text = |name: &str| shop[name].as_str().unwrap().to_owned();
    let (channel, secret) = (text("channel_id"), text("channel_secret"));
    let oldest = place.token(&channel, &secret);
    let leaked = place.token(&channel, &secret);
    let first = place.json(&["token", "reissue", "--channel", &channel]);
    let first_id = first["token_id"].as_str().unwrap().to_owned();
    // The recovery limits the old keys to tokens issued some seconds before the backup.
    place.server.as_ref().unwrap().advance(60);
    let kept = place.json(&["signing-key", "list"])["signing_keys"][0]["kid"].clone();
    place.home.run(&["backup", "backup.db", "--store", "sqlite:tegata.db"]).expect(0);

    let reason = ["--reason", "was in a log"];
    let revoke = ["token", "revoke", "--channel", &channel, "--token-id", &leaked.1];
    place.json(&[&revoke[..], &reason].concat());
    place.json(&["token", "reissue", "--channel", &channel, "--reason", "yearly"]);
    // The cap of a channel is 30: the oldest token is evicted.
    let mut newest = oldest.clone();
    while place.row(&channel, &oldest.1)["state"] == "active" {
        newest = place.token(&channel, &secret);
    }
    assert_eq!(place.row(&channel, &oldest.1)["cause"], "evicted");
    // A rotation after the backup: the backup's keys cannot be decrypted any more.
    place.json(&["master-key", "rotate", "--store", "sqlite:tegata.db"]);
    place.stop();

    restore(&place);
    assert_eq!(place.doctor(), Vec::<Value>::new(), "before the start");
    place.start();
    let said = |id: &str| {
        let row = place.row(&channel, id);
        [
            row["state"].clone(),
            row["cause"].clone(),
            row["revoked_by"].clone(),
            row["reason"].clone(),
        ]
    };
    assert_eq!(
        said(&leaked.1),
        [json!("revoked"), json!("requested"), json!("administrator"), json!("was in a log")]
    );
    assert_eq!(said(&oldest.1), [json!("revoked"), json!("evicted"), json!(null), json!(null)]);
    assert_eq!(
        said(&first_id),
        [json!("revoked"), json!("reissued"), json!("administrator"), json!("yearly")]
    );
    let why = place.json(&["token", "explain", &leaked.0])["tokens"][0]["why"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(why.contains("administrator") && why.contains("was in a log"), "{why}");

    // The key is limited, and not revoked; and the explanation says since when.
    let keys = place.json(&["signing-key", "list"]);
    let old = keys["signing_keys"].as_array().unwrap().iter().find(|it| it["kid"] == kept).unwrap();
    let before = old["issued_before"].as_str().unwrap();
    assert_eq!(old["state"], "retired");
    let lost = place.json(&["token", "explain", &newest.0])["tokens"][0].take();
    let why = lost["why"].as_str().unwrap();
    assert!(why.contains(before) && why.contains("recovered"), "{why}");
    assert!(!why.contains("was revoked"), "{why}");
    assert!(why.contains("store.recover, audit event"), "{why}");
    place.stop();
    assert_eq!(place.doctor(), Vec::<Value>::new(), "after the start");
    assert!(fs::metadata(place.home.path("master.key.previous")).is_ok());
}

#[test]
fn the_previous_master_key_is_kept_until_the_next_backup() {
    let mut place = Place::new();
    let read = |place: &Place, name: &str| fs::read_to_string(place.home.path(name)).ok();
    let old = read(&place, "master.key");
    place.json(&["master-key", "rotate", "--store", "sqlite:tegata.db"]);
    assert_eq!(read(&place, "master.key.previous"), old);
    let file = place.home.path("master.key.previous");
    assert_eq!(crate::program::mode(&file), 0o600);
    let second = read(&place, "master.key");
    assert_ne!(second, old);
    place.json(&["master-key", "rotate", "--store", "sqlite:tegata.db"]);
    assert_eq!(read(&place, "master.key.previous"), second, "the next rotation replaces it");
    let backup = place.home.run(&["backup", "backup.db", "--store", "sqlite:tegata.db"]);
    assert!(backup.err.contains("master.key.previous"), "{}", backup.err);
    assert!(!file.exists());
    place.stop();
    place.json(&["master-key", "rotate", "--store", "sqlite:tegata.db"]);
    assert!(file.exists(), "without a server, too");
}

#[test]
fn a_warning_names_a_backup_that_is_older_than_a_week_until_the_next_one() {
    const DAY: u32 = 86_400;
    let place = Place::new();
    let own = || {
        let found = place.json(&["warning", "list", "--type", "backup.old"]);
        found["authority"].as_array().unwrap().clone()
    };
    let server = place.server.as_ref().unwrap();
    server.advance(30 * DAY);
    assert_eq!(own(), Vec::<Value>::new(), "none was ever made");
    // A backup has the time of the machine, which is the server's if nothing moved its clock.
    place.json(&["backup", "backup.db", "--store", "sqlite:tegata.db"]);
    let found = own();
    assert_eq!(found[0]["runbook"], "restore", "{found:?}");
    assert!(found[0]["backed_up_at"].is_string(), "{found:?}");
    assert!(found[0]["advice"].as_str().unwrap().contains("tegata backup FILE"), "{found:?}");
    let note = fs::File::open(place.home.path("tegata.db.backup")).unwrap();
    let now = note.metadata().unwrap().modified().unwrap();
    note.set_modified(now + std::time::Duration::from_secs(24 * u64::from(DAY))).unwrap();
    assert_eq!(own(), Vec::<Value>::new(), "it is six days old");
}
