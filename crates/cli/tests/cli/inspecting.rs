//! `tegata token inspect` on files and stdin.

use crate::program::{Desk, Done, Home, finish, finish_unread, finish_with};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::io::Write;

#[test]
fn tokens_are_found_in_any_text_and_reported_without_being_printed() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = |kind: &str| {
        let words = ["token", "issue", "--channel", &channel, "--kind", kind, "-o", "json"];
        let printed = finish(desk.command(&words).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let issued: Value = serde_json::from_str(&printed).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let (short, stateless) = (issue("short-lived"), issue("stateless"));
    let text = format!("GET /?access_token={short}&x HTTP/1.1\n{{\"t\": \"{stateless}\"}}\n");
    let log = desk.home.file("access.log", &text);
    let jwks = format!("{}/.well-known/jwks.json", desk.server.url);

    let words = ["token", "inspect", "access.log", "--jwks", &jwks, "-o", "json"];
    let done = desk.run(&words);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.err.contains("2 tokens found"), "{}", done.err);
    let found: Vec<Value> =
        done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let places: Vec<_> = found.iter().map(|it| (&it["line"], &it["column"])).collect();
    assert_eq!(places, [(&json!(1), &json!(20)), (&json!(2), &json!(8))]);
    let kinds: Vec<_> = found.iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["short-lived", "stateless"]);
    for it in &found {
        assert_eq!((&it["channel_id"], &it["signature"]), (&json!(channel), &json!("genuine")));
    }
    assert!(!done.out.contains(&short) && !done.out.contains(&stateless));
    let listed = desk.json(&["token", "list", "--channel", &channel]);
    assert_eq!(listed["tokens"][0]["token_id"], found[0]["token_id"]);

    // Offline, by their form alone; and from stdin, as in a hook.
    let home = Home::new();
    let inspect = ["token", "inspect", "-"];
    let done = finish_with(&mut home.tegata(&inspect), &text);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("by their form alone"), "{}", done.err);
    let first = done.out.lines().next().unwrap();
    assert!(first.starts_with("stdin:1:20: short-lived token by its form"), "{first}");
    let log = log.to_str().unwrap();
    let altered = text.replacen(&short[..30], &format!("{}x", &short[..29]), 1);
    let done =
        finish_with(&mut desk.command(&["token", "inspect", "-", "--jwks", &jwks]), &altered);
    assert!(
        done.out.contains("none of the given keys") || done.out.contains("WRONG"),
        "{}",
        done.out
    );
    let clean = finish_with(&mut home.tegata(&inspect), "nothing, tgs_ or tgl_\n");
    assert!(clean.err.contains("read 22 bytes in 1 text"), "{}", clean.err);
    clean.expect(0);
    finish_with(&mut home.tegata(&inspect), &text.replace("tgs_", "tgs=\n_")).expect_found(2);
    let packed = gzip(text.as_bytes());
    std::fs::write(home.path("access.log.gz"), &packed).unwrap();
    home.run(&["token", "inspect", "access.log.gz"]).expect_found(2);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(home.path("access.log"), &utf16).unwrap();
    home.run(&["token", "inspect", "access.log"]).expect_found(2);
    std::fs::write(home.path("cut.gz"), &packed[..packed.len() / 2]).unwrap();
    home.run(&["token", "inspect", "cut.gz"])
        .expect_error(1, "not read: cut.gz: its end is missing");
    home.file("a.bz2", "BZh91AY&SY");
    let unread = home.run(&["token", "inspect", "a.bz2", "-o", "json"]);
    assert_eq!(unread.out, "{\"file\":\"a.bz2\",\"not_read\":\"bzip2\",\"within\":null}\n");
    unread.expect_error(1, "nothing found, but 1 part not read");

    let keys = home.file("jwks.json", "{\"keys\":[]}");
    for (words, said) in [
        (&["token", "inspect"][..], "<FILE>"),
        (&["token", "inspect", "/no/such"], "cannot read /no/such"),
        (&["token", "inspect", "."], "it is a folder"),
        (&["token", "inspect", log, "--jwks", keys.to_str().unwrap()], "no Ed25519 key"),
        (&["token", "inspect", log, "--store", "sqlite:none.db"], "cannot be read as a store"),
    ] {
        home.run(words).expect_error(2, said);
    }
    let unreachable = ["token", "inspect", log, "--jwks", "http://127.0.0.1:1/"];
    home.run(&unreachable).expect_error(3, "no response");
    assert!(!home.path("none.db").exists(), "inspecting creates no file");
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

impl Done {
    /// Asserts that an inspection found this many tokens.
    #[track_caller]
    fn expect_found(self, count: usize) {
        let said = match count {
            1 => "1 token found".to_owned(),
            count => format!("{count} tokens found"),
        };
        self.expect_error(1, &said);
    }
}

#[test]
fn keys_come_from_the_authority_or_the_store_also_after_everything_was_revoked() {
    let desk = Desk::with(&["--store", "sqlite:kept.db"]);
    let (channel, secret) = desk.channel();
    let words = ["token", "issue", "--channel", &channel, "--kind", "short-lived", "-o", "json"];
    let printed = finish(desk.command(&words).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: Value = serde_json::from_str(&printed).unwrap();
    desk.home.file("log", issued["access_token"].as_str().unwrap());
    let listed = desk.json(&["token", "list", "--channel", &channel]);
    let id = listed["tokens"][0]["token_id"].as_str().unwrap();
    let inspect = ["token", "inspect", "log"];
    let ways = |is_listed: bool| {
        let mut by_store = desk.home.tegata(&inspect);
        by_store.env("TEGATA_STORE", "sqlite:kept.db");
        let mut by_jwks = desk.command(&inspect);
        by_jwks.env_remove("TEGATA_ADMIN_TOKEN");
        for (mut command, finds) in
            [(desk.command(&inspect), true), (by_store, true), (by_jwks, is_listed)]
        {
            let done = finish(&mut command);
            assert_eq!(done.out.contains(&format!("id {id},")), finds, "{done:?}");
        }
    };
    ways(true);
    desk.run(&["token", "revoke", "--everything"]).expect(0);
    ways(false);
    // Tokens are found without the authority, too.
    let mut command = desk.home.tegata(&inspect);
    let done = finish(command.env("TEGATA_URL", "http://127.0.0.1:1"));
    assert!(done.err.contains("by their form alone"), "{done:?}");
    done.expect_found(1);
}

#[test]
fn a_search_whose_output_is_not_read_to_the_end_is_no_clean_one() {
    let home = Home::new();
    home.file("log", &format!("tgv_{}\n", "0f".repeat(32)));
    let done = finish_unread(&mut home.tegata(&["token", "inspect", "log"]));
    assert_eq!(done.code, 1, "{}", done.err);
}
