//! Tokens found in text.

use crate::program::{Desk, Home, finish, finish_with};
use serde_json::{Value, json};

#[test]
fn tokens_are_found_in_any_text_and_told_without_being_shown() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = |kind: &str| {
        let words = ["token", "issue", "--channel", &channel, "--kind", kind, "-o", "json"];
        let told = finish(desk.command(&words).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let told: Value = serde_json::from_str(&told).unwrap();
        told["access_token"].as_str().unwrap().to_owned()
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

    // Offline, by form alone; and from stdin, as a hook gives it.
    let home = Home::new();
    let inspect = ["token", "inspect", "-"];
    let done = finish_with(&mut home.tegata(&inspect), &text);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("by form alone"), "{}", done.err);
    let first = done.out.lines().next().unwrap();
    assert!(first.starts_with("stdin:1:20: short-lived token by its form"), "{first}");
    let log = log.to_str().unwrap();
    let altered = text.replacen(&short[..30], &format!("{}x", &short[..29]), 1);
    let done =
        finish_with(&mut desk.command(&["token", "inspect", "-", "--jwks", &jwks]), &altered);
    assert!(done.out.contains("no key given") || done.out.contains("WRONG"), "{}", done.out);
    finish_with(&mut home.tegata(&inspect), "nothing, tgs_ or tgl_\n").expect(0);

    let keys = home.file("jwks.json", "{\"keys\":[]}");
    for (words, said) in [
        (&["token", "inspect"][..], "<FILE>"),
        (&["token", "inspect", "/no/such"], "cannot read /no/such"),
        (&["token", "inspect", "."], "it is a folder"),
        (&["token", "inspect", log, "--jwks", keys.to_str().unwrap()], "no Ed25519 key"),
        (&["token", "inspect", log, "--jwks", "http://127.0.0.1:1/"], "no answer"),
        (&["token", "inspect", log, "--store", "sqlite:none.db"], "cannot be read as a store"),
    ] {
        home.run(words).expect_error(2, said);
    }
    assert!(!home.path("none.db").exists(), "looking makes nothing");
}
