//! `tegata token explain` on texts: which tokens are in it, whose they are, and revoking
//! them.

use crate::program::{Desk, finish, finish_unread, finish_with};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

/// Tokens of a group with a contact, and texts that hold them.
struct Leak {
    desk: Desk,
    channel: String,
    /// A stored token and a stateless one, both active, and one that is revoked.
    stored: String,
    stateless: String,
    revoked: String,
    /// Another active token of the group, which did not leak.
    other: String,
}

impl Leak {
    fn new() -> Self {
        let desk = Desk::new();
        let (channel, secret) = desk.channel();
        let set =
            ["group", "set", "--channel", &channel, "kitchen", "--contact", "ops@example.com"];
        desk.run(&set).expect(0);
        let issue = |kind: &str| {
            let words = ["token", "issue", "--channel", &channel, "--group", "kitchen", "--kind"];
            let mut issue = desk.command(&[&words[..], &[kind, "-o", "json"]].concat());
            let printed = finish(issue.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
            let issued: Value = serde_json::from_str(&printed).unwrap();
            issued["access_token"].as_str().unwrap().to_owned()
        };
        // First, since a group has at most two active tokens of a kind.
        let revoked = issue("short-lived");
        desk.run(&["token", "revoke", &revoked, "--reason", "a former leak"]).expect(0);
        let [stored, stateless, other] = ["short-lived", "stateless", "short-lived"].map(issue);
        Self { desk, channel, stored, stateless, revoked, other }
    }

    /// A log with all of them, the first one twice, and one that this authority did not sign.
    fn log(&self) -> String {
        let Self { stored, stateless, revoked, .. } = self;
        let place = stored.len() - 20;
        let altered = if &stored[place..=place] == "x" { "y" } else { "x" };
        let foreign = format!("{}{altered}{}", &stored[..place], &stored[place + 1..]);
        format!(
            "GET /?t={stored} HTTP/1.1\nagain {stored}\n{{\"t\": \"{stateless}\"}}\n{revoked}\n{foreign}\n"
        )
    }

    /// Asserts that no output holds a token.
    fn nothing_is_printed(&self, text: &str) {
        for token in [&self.stored, &self.stateless, &self.revoked, &self.other] {
            assert!(!text.contains(&token[token.len() - 30..]), "{text}");
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_token_in_a_text_is_explained_with_its_owner_and_none_is_printed() {
    let leak = Leak::new();
    let desk = &leak.desk;
    std::fs::write(desk.home.path("access.log.gz"), gzip(leak.log().as_bytes())).unwrap();
    let found = desk.json(&["token", "explain", "access.log.gz"]);
    let tokens = found["tokens"].as_array().unwrap();
    let states: Vec<_> = tokens.iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["active", "active", "revoked"], "{found}");
    assert_eq!(found["foreign"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found["foreign"][0]["line"], &found["more"]), (&json!(5), &json!(0)));
    let stored = &tokens[0];
    assert_eq!(
        (&stored["line"], &stored["column"], &stored["occurrences"]),
        (&json!(1), &json!(9), &json!(2))
    );
    for (member, value) in [
        ("channel_id", json!(leak.channel)),
        ("channel_name", json!("shop")),
        ("provider_name", json!("Company")),
        ("kind", json!("short-lived")),
        ("group", json!("kitchen")),
        ("contact", json!("ops@example.com")),
        ("code", json!("valid")),
        ("assertion_key", Value::Null),
    ] {
        assert_eq!(stored[member], value, "{member} of {stored}");
    }
    let others = stored["group_tokens"].as_array().unwrap();
    assert_eq!(others.len(), 1, "the one that did not leak: {stored}");
    let revoked = &tokens[2];
    assert_eq!(
        (&revoked["code"], &revoked["reason"], &revoked["revoked_by"]),
        (&json!("revoked"), &json!("a former leak"), &json!("administrator"))
    );
    leak.nothing_is_printed(&found.to_string());

    let done = finish_with(&mut desk.command(&["token", "explain", "-"]), &leak.log());
    assert!(done.err.contains("not of this authority"), "{}", done.err);
    let table = done.expect(0);
    for said in ["stdin:1:9: short-lived token, found 2 times", "ops@example.com", "Company"] {
        assert!(table.contains(said), "{said}: {table}");
    }
    leak.nothing_is_printed(&table);
    let done =
        finish_with(&mut desk.command(&["token", "explain", "-", "--limit", "1"]), &leak.log());
    assert!(done.err.contains("3 tokens more"), "{}", done.err);
}

#[test]
fn all_active_tokens_in_a_text_are_revoked_with_one_command() {
    let leak = Leak::new();
    let desk = &leak.desk;
    desk.home.file("access.log", &leak.log());
    let revoke = ["token", "explain", "access.log", "--revoke", "--reason", "in a repository"];
    let dry = desk.run(&[&revoke[..], &["--dry-run"]].concat()).expect(0);
    assert!(dry.contains("2 active tokens would be revoked"), "{dry}");
    let dry = desk.json(&[&revoke[..], &["--dry-run"]].concat());
    assert_eq!(dry["revocation"]["would_revoke"].as_array().unwrap().len(), 2, "{dry}");
    desk.run(&["token", "verify", &leak.stored]).expect(0);
    desk.run(&["token", "verify", &leak.stateless]).expect(0);

    let done = desk.run(&revoke).expect(0);
    let lines: Vec<_> = done.lines().filter(|line| line.starts_with("revoked ")).collect();
    assert_eq!(lines.len(), 2, "{done}");
    assert!(lines.iter().all(|line| line.contains("position ") && line.contains("receipt ")));
    for token in [&leak.stored, &leak.stateless] {
        desk.run(&["token", "verify", token]).expect_error(1, "in a repository");
    }
    desk.run(&["token", "verify", &leak.other]).expect(0);
    let again = desk.json(&revoke);
    assert_eq!(again["revocation"]["revoked"], json!([]), "nothing is left to revoke: {again}");
    leak.nothing_is_printed(&done);
}

#[test]
fn all_tokens_in_a_text_are_revoked_where_the_reader_of_the_output_has_stopped() {
    for form in ["table", "json"] {
        let leak = Leak::new();
        leak.desk.home.file("access.log", &leak.log());
        let words = ["token", "explain", "access.log", "--revoke", "-o", form];
        let done = finish_unread(&mut leak.desk.command(&words));
        assert_eq!((done.code, done.err.contains("error")), (1, false), "{}", done.err);
        for token in [&leak.stored, &leak.stateless] {
            leak.desk.run(&["token", "verify", token]).expect_error(1, "revoked");
        }
    }
}

#[test]
fn what_an_actor_created_is_revoked_where_the_reader_of_the_list_has_stopped() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let made = desk.json(&["token", "reissue", "--channel", &channel]);
    let token = made["access_token"].as_str().unwrap();
    let since = ["--since", "2020-01-01T00:00:00Z"];
    let words = ["token", "revoke", "--created-by", "administrator"];
    let done = finish_unread(&mut desk.command(&[&words[..], &since].concat()));
    assert_eq!((done.code, done.err.as_str()), (1, ""));
    desk.run(&["token", "verify", token]).expect_error(1, "revoked");
}

#[test]
fn tokens_of_a_suspended_channel_are_revoked_too() {
    let leak = Leak::new();
    leak.desk.run(&["channel", "suspend", &leak.channel]).expect(0);
    let revoked = leak.desk.json(&["token", "explain", &leak.stored, "--revoke"]);
    assert_eq!(revoked["tokens"][0]["state"], "suspended");
    assert_eq!(revoked["revocation"]["revoked"][0]["revoked"], 1, "{revoked}");
    leak.desk.run(&["channel", "resume", &leak.channel]).expect(0);
    leak.desk.run(&["token", "verify", &leak.stored]).expect_error(1, "revoked");
}

#[test]
fn what_is_not_read_is_named_and_a_text_without_tokens_is_an_error() {
    let leak = Leak::new();
    let desk = &leak.desk;
    desk.home.file("access.log", &leak.log());
    desk.home.file("a\u{1b}[2J.bz2", "BZh91AY&SY");
    desk.home.file("empty.log", "nothing\nat all\n");
    let done = desk.run(&["token", "explain", "access.log", "a\u{1b}[2J.bz2"]);
    assert!(done.err.contains("not read: a\\u{1b}[2J.bz2: bzip2"), "{}", done.err);
    done.expect_error(1, "1 part not read");
    let cut = "no token of this authority found; nothing in the text has the form of a token: was it \
               cut off?";
    desk.run(&["token", "explain", "empty.log"]).expect_error(1, cut);
    desk.run(&["token", "explain", "no/such.log"]).expect_error(2, "no such file");
    let stdin = |text: &str| finish_with(&mut desk.command(&["token", "explain", "-"]), text);
    stdin("nothing\nat all\n").expect_error(1, "no token of this authority");
    stdin(&leak.stored[..40]).expect_error(1, "cut short");
    let done = stdin(&format!("token=tgv_{}\n", "0f".repeat(32)));
    assert!(done.out.contains(": verifier's token"), "{}", done.out);
    for prefix in ["tgp", "tgc", "tgi"] {
        let done = stdin(&format!("token={prefix}_{}\n", "0f".repeat(32)));
        assert!(done.out.contains("person's token by its form"), "{prefix}: {}", done.out);
    }
}
