//! Commands against a running server.

use crate::program::{ADMIN_TOKEN, Desk, Home, finish, finish_unheard, finish_with, mode};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpListener,
};

#[test]
fn a_token_is_issued_verified_explained_and_revoked() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let issue = ["token", "issue", "--channel", &channel, "--kind", "short-lived", "-o", "json"];
    let issued = finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    assert!(token.starts_with("tgs_"));

    let verified = finish_with(&mut desk.command(&["token", "verify", "-"]), token).expect(0);
    assert!(verified.contains(&channel), "{verified}");
    let explained =
        desk.json(&["token", "explain", &format!("Bearer {token}")])["tokens"][0].take();
    let foreign = desk.run(&["token", "explain", "nonsense"]);
    foreign.expect_error(2, "there is no such file, and it is not a token");
    assert_eq!(
        (&explained["state"], &explained["kind"]),
        (&json!("active"), &json!("short-lived"))
    );
    let id = explained["token_id"].as_str().unwrap();
    let shown = desk.run(&["token", "show", "--channel", &channel, id]).expect(0);
    assert!(shown.starts_with("token_id "), "{shown}");

    let list = desk.run(&["token", "list", "--channel", &channel]).expect(0);
    let mut rows = list.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap()[..4], ["TOKEN", "ID", "KIND", "GROUP"]);
    assert_eq!(rows.next().unwrap()[..4], [id, "short-lived", "-", "active"]);

    let revoke = ["token", "revoke", "--channel", &channel, "--token-id", id, "--reason", "leaked"];
    let dry = desk.json(&[&revoke[..], &["--dry-run"]].concat());
    assert_eq!((&dry["revoked"], &dry["dry_run"]), (&json!(1), &json!(true)));
    let dry = desk.run(&[&revoke[..], &["--dry-run"]].concat()).expect(0);
    let lines: Vec<_> = dry.lines().collect();
    assert!(lines[1].starts_with(id) && lines.contains(&"would_revoke  1"), "{dry}");
    desk.run(&["token", "verify", &format!("Bearer {token}")]).expect(0);
    assert_eq!(desk.json(&revoke)["revoked"], 1);
    desk.run(&["token", "verify", token]).expect_error(1, "invalid");
    let audit = desk.run(&["audit", "list", "--channel", &channel, "--limit", "1"]);
    assert!(audit.err.contains("there are more: --after "), "{}", audit.err);
    let audit = audit.expect(0);
    assert!(audit.contains("token.revoke") && audit.contains("leaked"), "{audit}");
}

#[test]
fn a_generated_key_is_private_and_tokens_are_requested_with_it() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let generate = ["key", "generate", "--channel", &channel, "--file", "shop.json"];
    let kid = desk.json(&generate)["kid"].as_str().unwrap().to_owned();
    let file = desk.home.path("shop.json");
    assert_eq!(mode(&file), 0o600);
    let written = std::fs::read(&file).unwrap();
    desk.run(&generate).expect_error(1, "shop.json");
    assert_eq!(std::fs::read(&file).unwrap(), written, "it was written over");
    let listed = desk.json(&["key", "list", "--channel", &channel]);
    assert_eq!(listed["assertion_keys"].as_array().unwrap().len(), 1);
    assert_eq!(listed["assertion_keys"][0]["kid"], json!(kid));

    let issue = ["token", "issue", "--channel", &channel, "--key", "shop.json"];
    let v21 = desk.json(&[&issue[..], &["--kind", "v2.1", "--lifetime", "60"]].concat());
    assert_eq!(v21["expires_in"], 60);
    let token = v21["access_token"].as_str().unwrap();
    desk.run(&["token", "verify", token]).expect(0);
    desk.json(&issue);
    desk.run(&["token", "issue", "--channel", &channel, "--kind", "v2.1"])
        .expect_error(2, "tegata key generate");
    desk.run(&[&issue[..], &["--kind", "short-lived"]].concat()).expect_error(2, "--secret-file");

    let secret = desk.home.file("secret", &format!("{secret}\n"));
    let secret = ["--secret-file", secret.to_str().unwrap()];
    let issue = ["token", "issue", "--channel", &channel];
    let stateless = desk.json(&[&issue[..], &secret].concat());
    assert_eq!(stateless["expires_in"], 900);
    for kind in ["stateless", "short-lived"] {
        let mut wrong = desk.command(&[&issue[..], &["--kind", kind]].concat());
        let wrong = finish(wrong.env("TEGATA_CHANNEL_SECRET", "x".repeat(32)));
        wrong.expect_error(1, &format!("the secret is not that of channel {channel}"));
    }
    desk.run(&issue).expect_error(2, "or that of an assertion key with --key");

    let delete = ["key", "delete", "--channel", &channel, &kid, "--revoke-tokens"];
    let dry = desk.json(&[&delete[..], &["--dry-run"]].concat());
    assert_eq!((&dry["dry_run"], &dry["revoked"]), (&json!(true), &json!(1)));
    assert_eq!(desk.json(&delete)["revoked"], 1);
    desk.run(&["token", "verify", token]).expect_error(1, "revoked");
}

#[test]
fn a_key_that_was_not_registered_leaves_no_file() {
    let desk = Desk::new();
    let generate = ["key", "generate", "--channel", "1234567890"];
    desk.run(&generate).expect_error(1, "not-found");
    assert!(!desk.home.path("1234567890.private.jwk.json").exists());
}

#[test]
fn only_the_public_half_of_a_key_is_sent() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let (other, _) = desk.channel();
    desk.json(&["key", "generate", "--channel", &channel, "--file", "a.json"]);
    let register = ["key", "register", "--channel", &other, "--group", "kitchen"];
    desk.run(&[&register[..], &["a.json"]].concat()).expect_error(2, "public half only");
    let text = std::fs::read_to_string(desk.home.path("a.json")).unwrap();
    let whole: Value = serde_json::from_str(&text).unwrap();
    let public = json!({
        "kty": "RSA", "alg": "RS256", "use": "sig", "n": whole["n"], "e": whole["e"],
    });
    let mut command = desk.command(&[&register[..], &["-"]].concat());
    finish_with(&mut command, &public.to_string()).expect(0);
    let listed = desk.json(&["key", "list", "--channel", &other]);
    assert_eq!(listed["assertion_keys"][0]["group"], "kitchen");
}

/// Runs a command that must fail; its listener fails the test if the command connects.
fn nothing_is_sent(home: &Home, words: &[&str], said: &str) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let mut command = home.tegata(words);
    command.env("TEGATA_URL", &url).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
    finish(&mut command).expect_error(2, said);
    assert!(server.accept().is_err(), "it was sent: {words:?}");
}

#[test]
fn no_form_of_a_private_key_is_sent_and_every_form_of_a_public_one_is_registered() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let home = &desk.home;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    desk.json(&["key", "generate", "--channel", &channel, "--file", "whole.json"]);
    let whole: Value =
        serde_json::from_str(&std::fs::read_to_string(home.path("whole.json")).unwrap()).unwrap();
    let mut without_d = whole.clone();
    without_d.as_object_mut().unwrap().remove("d");
    let private = pem("PRIVATE KEY", private.as_ref());
    for (name, text) in [
        ("set.json", json!({ "keys": [whole] }).to_string()),
        ("without_d.json", without_d.to_string()),
        ("deep.json", json!({ "a": [{ "b": without_d }] }).to_string()),
        ("private.pem", private.clone()),
        ("encrypted.pem", private.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        ("openssh.pem", private.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY")),
        ("both.pem", format!("{}{private}", pem("PUBLIC KEY", public.as_ref()))),
    ] {
        home.file(name, &text);
        let register = ["key", "register", "--channel", &channel, name];
        nothing_is_sent(home, &register, "public half only");
    }
    let issue = ["token", "issue", "--channel", &channel, "--secret-file", "one_line.json"];
    home.file("one_line.json", &whole.to_string());
    nothing_is_sent(home, &issue, "a private key");
    nothing_is_sent(home, &["token", "explain", &whole.to_string()], "a private key");
    let two = json!({ "keys": [{ "kty": "RSA" }, { "kty": "RSA" }] }).to_string();
    home.file("two.json", &two);
    let register = ["key", "register", "--channel", &channel, "two.json"];
    nothing_is_sent(home, &register, "a set of 2 keys");

    let n = json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": "mine",
                    "n": whole["n"], "e": whole["e"] });
    for (name, text) in [
        ("spki.pem", pem("PUBLIC KEY", public.as_ref())),
        ("pkcs1.pem", pem("RSA PUBLIC KEY", pair.public_key().as_ref())),
        ("set.json", json!({ "keys": [n] }).to_string()),
    ] {
        home.file(name, &text);
        let (other, _) = desk.channel();
        assert!(desk.json(&["key", "register", "--channel", &other, name])["kid"].is_string());
    }
}

#[test]
fn a_revocation_of_an_unknown_target_fails_and_lists_the_known_ones() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    for group in ["blue", "red"] {
        let issue = ["token", "issue", "--channel", &channel, "--group", group];
        finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    }
    let revoke = ["token", "revoke", "--channel", &channel];
    let there = "no such group; there are blue, red";
    desk.run(&[&revoke[..], &["--group", "blu"]].concat()).expect_error(1, there);
    desk.run(&[&revoke[..], &["--group", "blu", "--dry-run"]].concat()).expect_error(1, there);
    desk.run(&["group", "delete", "--channel", &channel, "blu"]).expect_error(1, there);
    let never = ["--assertion-key", "00000000-0000-4000-8000-000000000000"];
    desk.run(&[&revoke[..], &never].concat()).expect_error(1, "no such assertion key");
    let listed = desk.run(&["token", "list", "--channel", &channel, "--group", "blu"]);
    assert!(
        listed.err.contains("there is no group blu; the groups are: blue, red"),
        "{}",
        listed.err
    );
    listed.expect(0);
    let done = desk.json(&[&revoke[..], &["--group", "blue"]].concat());
    assert_eq!((&done["revoked"], &done["stateless_too"]), (&json!(0), &json!(true)));
}

#[test]
fn channels_and_groups_are_managed_by_noun_and_verb() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let set = desk.json(&["channel", "set", &channel, "--group-cap", "1", "--name", "店"]);
    assert_eq!((&set["group_cap"], &set["name"]), (&json!(1), &json!("店")));
    let limits = ["--surge-limit", "5", "--issue-rate", "7", "--surge-cooldown", "60"];
    let set = desk.json(&[&["channel", "set", &channel], &limits[..]].concat());
    assert_eq!(
        (&set["limits"]["surge_limit"], &set["limits"]["issue_rate"]),
        (&json!(5), &json!(7))
    );
    let set = desk.json(&["channel", "set", &channel, "--issue-rate", "default"]);
    assert_eq!(set["limits"]["issue_rate"], json!(null));
    assert_eq!(
        (&set["limits"]["surge_cooldown_seconds"], &set["cooldowns"]),
        (&json!(60), &json!([]))
    );
    desk.run(&["channel", "set", &channel, "--issue-rate", "fast"]).expect_error(2, "`default`");
    desk.run(&["channel", "set", &channel]).expect_error(2, "nothing to set");
    assert_eq!(desk.json(&["channel", "suspend", &channel])["state"], "suspended");
    let issue = ["token", "issue", "--channel", &channel, "--group", "kitchen"];
    let refused = finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret));
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert_eq!(desk.json(&["channel", "resume", &channel])["state"], "active");

    let of = ["--channel", &channel, "kitchen"];
    let set = desk.json(&[&["group", "set"], &of[..], &["--cap", "3"]].concat());
    assert_eq!(set["cap"], 3);
    let set = desk.json(&[&["group", "set"], &of[..], &["--cap", "channel"]].concat());
    assert_eq!(set["cap"], json!(null));
    let issue = [&issue[..], &["--kind", "short-lived"]].concat();
    finish(desk.command(&issue).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let list = desk.run(&["group", "list", "--channel", &channel]).expect(0);
    assert!(list.lines().nth(1).unwrap().starts_with("kitchen "), "{list}");
    let dry = desk.json(&[&["group", "delete"], &of[..], &["--dry-run"]].concat());
    assert_eq!((&dry["dry_run"], &dry["revoked"]), (&json!(true), &json!(1)));
    let gone = desk.json(&[&["group", "delete"], &of[..]].concat());
    assert_eq!(gone["revoked"], 1);

    let new = desk.json(&["channel", "rotate-secret", &channel, "--keep-previous", "60"]);
    assert_ne!(new["channel_secret"], json!(secret));
    assert!(new["previous_valid_until"].is_string());
    let by_secret =
        ["channel", "rotate-secret", &channel, "--revoke-tokens", "by-secret", "--dry-run"];
    // It was used above, within the last hour.
    assert_eq!(desk.json(&by_secret)["previous_in_use"], json!(true));
    let table = desk.run(&by_secret).expect(0);
    assert!(table.contains("previous_in_use  true"), "{table}");
    let delete = ["channel", "delete-previous-secret", &channel];
    assert_eq!(desk.json(&delete)["receipt"]["state"], "complete");
    desk.run(&delete).expect_error(1, "no such previous secret");
    desk.run(&["channel", "delete", &channel, "--dry-run"]).expect(0);
    desk.run(&["channel", "show", &channel]).expect(0);
    let done = desk.run(&["channel", "delete", &channel]).expect(0);
    assert!(done.starts_with(&format!("channel {channel} is deleted\n")), "{done}");
    desk.run(&["channel", "show", &channel]).expect_error(1, "not-found");
}

#[test]
fn signing_keys_rotate_and_everything_can_be_revoked() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let made = desk.json(&["token", "reissue", "--channel", &channel]);
    let token = made["access_token"].as_str().unwrap();
    assert_eq!(desk.json(&["signing-key", "rotate"])["state"], "pending");
    let keys = desk.json(&["signing-key", "list"]);
    let active = keys["signing_keys"].as_array().unwrap();
    let active = active.iter().find(|key| key["state"] == "active").unwrap()["kid"].clone();
    desk.run(&["signing-key", "revoke", active.as_str().unwrap()]).expect(0);
    desk.run(&["token", "verify", token]).expect_error(1, "");
    desk.json(&["token", "reissue", "--channel", &channel]);
    let dry = desk.json(&["token", "revoke", "--everything", "--dry-run"]);
    assert_eq!(dry["revoked"], 1, "the others were revoked with their key: {dry}");
}

#[test]
fn the_exit_code_distinguishes_refused_from_misused_from_unreachable() {
    let desk = Desk::new();
    desk.run(&["channel", "show", "1234567890"]).expect_error(1, "not-found");
    desk.run(&["channel", "show", "123"]).expect_error(2, "exactly ten digits");
    desk.run(&["channel", "paint"]).expect_error(2, "paint");
    for wrong in [
        &["channel", "rotate-secret", "1234567890", "--keep-previous", "86401"][..],
        &["token", "reissue", "--channel", "1234567890", "--delay", "86401"],
        &["token", "issue", "--channel", "1234567890", "--lifetime", "0"],
        &["token", "issue", "--channel", "1234567890", "--lifetime", "2592001"],
    ] {
        desk.run(wrong).expect_error(2, "<DURATION>': give ");
    }
    for wrong in [&["provider", "list", "--limit", "0"], &["audit", "list", "--limit", "1001"]] {
        desk.run(wrong).expect_error(2, " is not in ");
    }
    desk.run(&["serve", "--listen", "8080"]).expect_error(2, "such as 127.0.0.1:8080");
    desk.run(&["--url", "here", "provider", "list"]).expect_error(2, "or http://HOST");
    desk.run(&["token", "revoke"]).expect_error(2, "--everything");
    desk.run(&["token", "revoke", "--all"]).expect_error(2, "--channel");
    desk.run(&["token", "revoke", "tok", "--channel", "1234567890", "--all"])
        .expect_error(2, "--all");
    let unreachable = ["--url", "http://127.0.0.1:1", "provider", "list"];
    desk.run(&unreachable).expect_error(3, "tegata serve");
    let mut wrong = desk.command(&["provider", "list"]);
    let wrong = finish(wrong.env("TEGATA_ADMIN_TOKEN", "wrong"));
    assert!(!wrong.err.contains("Authorization:"), "advice for HTTP clients: {}", wrong.err);
    wrong.expect_error(1, "the administrator's token was refused");
    let mut none = desk.command(&["provider", "list"]);
    finish(none.env_remove("TEGATA_ADMIN_TOKEN")).expect_error(2, "TEGATA_ADMIN_TOKEN_FILE");

    let file = desk.home.file("token", &format!("{ADMIN_TOKEN}\n"));
    let mut by_file = desk.command(&["provider", "list"]);
    by_file.env_remove("TEGATA_ADMIN_TOKEN").env("TEGATA_ADMIN_TOKEN_FILE", &file);
    finish(&mut by_file).expect(0);
    let mut by_flag = desk.command(&["provider", "list", "--admin-token-file", "token"]);
    finish(by_flag.env("TEGATA_ADMIN_TOKEN", "wrong")).expect(0);
}

#[test]
fn a_server_that_knows_no_such_path_may_be_another_one_than_the_authority() {
    let desk = Desk::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let response = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(response.as_bytes()).unwrap();
    });
    let next =
        "answered 404 Not Found; is this the authority's address? Name it with --url or TEGATA_URL";
    desk.run(&["--url", &url, "provider", "list"]).expect_error(1, next);
    answering.join().unwrap();
}

#[test]
fn a_request_for_the_authority_is_sent_nowhere_else() {
    let desk = Desk::new();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let away = elsewhere.local_addr().unwrap();
    let redirecting = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", redirecting.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = redirecting.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        // A client that follows it repeats the request with its body (RFC 9110, 15.4.8).
        let response = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: ";
        write!(stream, "{response}http://{away}/\r\nConnection: close\r\n\r\n").unwrap();
    });
    desk.run(&["--url", &url, "token", "revoke", "tok"]).expect_error(1, "redirect");
    answering.join().unwrap();
    assert!(elsewhere.accept().is_err(), "it went there");
}

#[test]
fn an_error_of_the_server_names_the_request_id() {
    let home = Home::new();
    for (status, named) in [("503 Service Unavailable", true), ("409 Conflict", false)] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            let head = format!("HTTP/1.1 {status}\r\nRetry-After: 1\r\nX-Line-Request-Id: 6f0e-1");
            let body = r#"{"code":"unavailable","detail":"not now"}"#;
            let length = body.len();
            write!(stream, "{head}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        });
        let revoke = ["--url", &url, "token", "revoke", "tok"];
        let done = finish(home.tegata(&revoke).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        assert_eq!(done.code, 1, "{}", done.err);
        answering.join().unwrap();
        let expected =
            "not now (unavailable); try again in 1 s; the server's log has more on request 6f0e-1";
        assert_eq!(done.err.contains(expected), named, "{}", done.err);
    }
}

/// Each noun and verb of the program, from its help texts.
fn commands(home: &Home) -> Vec<Vec<String>> {
    let verbs = |words: &[&str]| -> Vec<String> {
        let help = home.run(&[words, &["--help"]].concat()).expect(0);
        let listed = help.split_once("Commands:\n").map_or("", |(_, rest)| rest);
        let listed = listed.lines().take_while(|line| !line.is_empty());
        // A continuation of the line before is indented farther.
        let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        names.filter(|it| !it.is_empty() && *it != "help").map(str::to_owned).collect()
    };
    let mut all = Vec::new();
    for noun in verbs(&[]) {
        let under = verbs(&[&noun]);
        all.extend(under.iter().map(|verb| vec![noun.clone(), verb.clone()]));
        if under.is_empty() {
            all.push(vec![noun]);
        }
    }
    assert!(all.len() > 25, "{all:?}");
    all
}

#[test]
fn a_reset_in_the_wrong_folder_creates_nothing() {
    let home = Home::new();
    home.run(&["admin", "reset"]).expect_error(1, "there is no store at");
    assert!(!home.path("admin.token").exists());
}

#[test]
fn a_recovery_without_a_choice_names_both() {
    let done = Home::new().run(&["recover"]);
    assert!(done.err.contains("--revoke-everything"), "{}", done.err);
    done.expect_error(2, "--replay");
}

#[test]
fn the_man_pages_and_the_completions_name_every_command() {
    let home = Home::new();
    home.run(&["man", "pages"]).expect(0);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completions", shell]).expect(0);
        for command in commands(&home) {
            assert!(
                script.contains(command.last().unwrap()),
                "the {shell} script lacks {command:?}"
            );
        }
    }
    for command in commands(&home) {
        let page = home.path("pages").join(format!("tegata-{}.1", command.join("-")));
        let page = std::fs::read_to_string(&page).expect("every command has its page");
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{command:?}");
    }
    assert!(home.path("pages/tegata.1").exists());
}

#[test]
fn every_destructive_command_has_a_dry_run() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let token = desk.json(&["token", "reissue", "--channel", &channel]);
    let token = token["access_token"].as_str().unwrap();
    for words in [
        &["channel", "delete", &channel][..],
        &["channel", "rotate-secret", &channel, "--revoke-tokens", "all"],
        &["token", "reissue", "--channel", &channel],
    ] {
        let dry = desk.json(&[words, &["--dry-run"]].concat());
        assert_eq!((&dry["dry_run"], &dry["revoked"]), (&json!(true), &json!(1)), "{words:?}");
        assert_eq!(dry["tokens"].as_array().map(Vec::len), Some(1), "{dry}");
    }
    let suspend = desk.json(&["channel", "suspend", &channel, "--dry-run"]);
    assert_eq!(suspend["revoked"], 1);
    let table = desk.run(&["channel", "delete", &channel, "--dry-run"]).expect(0);
    let rows: Vec<Vec<_>> = table.lines().map(|it| it.split_whitespace().collect()).collect();
    for row in [["would_revoke", "1"], ["stateless_too", "true"], ["would_delete_keys", "0"]] {
        assert!(rows.contains(&row.to_vec()), "{table}");
    }
    desk.run(&["token", "verify", token]).expect(0);
    let home = Home::new();
    for command in commands(&home) {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        let ends = [
            "delete",
            "delete-previous-secret",
            "remove-instance",
            "suspend",
            "rotate-secret",
            "revoke",
            "reissue",
            "restore",
            "recover",
            "set-role",
        ];
        if ends.contains(words.last().unwrap()) {
            let help = home.run(&[&words[..], &["--help"]].concat()).expect(0);
            assert!(help.contains("--dry-run"), "{command:?} has no --dry-run");
            assert!(help.contains("--yes"), "{command:?} does not ask");
        }
    }
}

#[test]
fn each_list_takes_a_cursor() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    desk.json(&["signing-key", "rotate"]);
    let page = desk.json(&["signing-key", "list", "--limit", "1"]);
    let next = page["next"].as_str().unwrap();
    let page = desk.json(&["signing-key", "list", "--limit", "1", "--after", next]);
    assert_eq!((page["signing_keys"].as_array().unwrap().len(), &page["next"]), (1, &json!(null)));
    for list in [&["key", "list"][..], &["group", "list"], &["token", "list"]] {
        let words = [list, &["--channel", &channel, "--limit", "5"]].concat();
        assert_eq!(desk.json(&words)["next"], json!(null));
    }
    for words in [&["audit", "list"][..], &["token", "revoke", "--created-by", "administrator"]] {
        let wrong = [words, &["--since", "yesterday"]].concat();
        desk.run(&wrong).expect_error(2, "such as 2026-11-26T09:00:00Z");
    }
    let id = desk.json(&["verifier", "create", "gateway"])["verifier_id"].take();
    let events = desk.run(&["audit", "list", "--act", "verifier.create"]).expect(0);
    assert!(events.contains(&format!("verifier {}", id.as_str().unwrap())), "{events}");
    // A cursor can begin with a hyphen.
    for wrong in ["nowhere", "-nowhere"] {
        desk.run(&["audit", "list", "--after", wrong]).expect_error(1, "invalid-member");
    }
}

#[test]
fn completions_and_help_need_no_server() {
    let home = Home::new();
    assert!(home.run(&["completions", "bash"]).expect(0).contains("tegata"));
    let help = home.run(&["token", "revoke", "--help"]).expect(0);
    assert!(help.contains("--dry-run"), "{help}");
}

#[test]
fn a_command_without_a_store_names_the_place_where_there_is_none() {
    let home = Home::new();
    let said = format!("there is no store at {}", home.path("tegata.db").display());
    for words in [
        &["backup", "copy.db"][..],
        &["migrate"],
        &["recover", "--revoke-everything"],
        &["recover", "--replay", "journal"],
        &["master-key", "rotate"],
        &["admin", "reset"],
        &["admin", "invite", "mika@example.com"],
        &["audit", "accept", "--reason", "x"],
        &["audit", "verify", "--store", "sqlite:tegata.db"],
    ] {
        home.run(words).expect_error(1, &said);
    }
    assert_eq!(std::fs::read_dir(home.path("")).unwrap().count(), 0);
    let mode = ["serve", "--listen", "127.0.0.1:0", "--store"];
    for (store, said) in [
        ("sqlite://tegata.db", "write sqlite:tegata.db"),
        ("sqlite:tegata.db?mode=rwc", "no parameters"),
        ("sqlite::memory:", "serve --dev"),
        ("sqlite:.", "it is a folder"),
    ] {
        home.run(&[&mode[..], &[store]].concat()).expect_error(2, said);
    }
    assert_eq!(std::fs::read_dir(home.path("")).unwrap().count(), 0);
}

#[test]
fn a_value_from_a_variable_is_named_by_it_and_an_empty_one_is_unset() {
    let desk = Desk::new();
    for (name, value, words) in [
        ("TEGATA_URL", "ftp://here", &["provider", "list"][..]),
        ("TEGATA_ADMIN_TOKEN", "a\u{a0}b", &["provider", "list"]),
        ("TEGATA_CHANNEL_SECRET", "a\u{a0}b", &["token", "issue", "--channel", "1234567890"]),
        ("TEGATA_STORE", "sqlite://a", &["migrate"]),
        ("TEGATA_CONFIG", "none.toml", &["migrate"]),
        ("TEGATA_ADMIN_TOKEN", "short", &["serve", "--listen", "127.0.0.1:0"]),
        (
            "TEGATA_WEBHOOK_SECRET",
            "short",
            &["serve", "--listen", "127.0.0.1:0", "--webhook-url", "http://127.0.0.1:9"],
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "here", &["serve", "--listen", "127.0.0.1:0"]),
    ] {
        let mut command = desk.home.tegata(words);
        finish(command.env(name, value)).expect_error(2, name);
    }
    let mut command = desk.command(&["provider", "list"]);
    command.env_remove("TEGATA_ADMIN_TOKEN").env("TEGATA_ADMIN_TOKEN_FILE", "none");
    finish(&mut command).expect_error(2, "TEGATA_ADMIN_TOKEN_FILE");

    // Every variable that the help names.
    let help = desk.home.run(&["serve", "--help"]).expect(0);
    let names = help.split("[env: ").skip(1).map(|it| it.split('=').next().unwrap());
    let mut empty =
        desk.home.tegata(&["doctor", "--listen", "127.0.0.1:0", "--store", "sqlite:new.db"]);
    let mut count = 0;
    for name in names.filter(|it| *it != "TEGATA_LISTEN" && *it != "TEGATA_STORE") {
        empty.env(name, "");
        count += 1;
    }
    for name in ["TEGATA_ADMIN_TOKEN", "TEGATA_WEBHOOK_SECRET", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        empty.env(name, "");
    }
    assert!(count > 20, "{help}");
    finish(&mut empty).expect(0);
    // The other programs that take settings from variables: empty ones are not set.
    for (words, wanted) in
        [(&["verify-proxy"][..], "--authority"), (&["agent", "check"], "agent.toml")]
    {
        let help = desk.home.run(&[words, &["--help"]].concat()).expect(0);
        let names = help.split("[env: ").skip(1).map(|it| it.split(['=', ']']).next().unwrap());
        let mut command = desk.home.tegata(words);
        names.for_each(|name| {
            command.env(name, "");
        });
        finish(&mut command).expect_error(2, wanted);
    }
}

#[test]
fn a_name_that_shows_nothing_or_misleads_is_refused_and_columns_stay_aligned() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let provider = desk.json(&["channel", "show", &channel])["provider_id"].clone();
    let provider = provider.as_str().unwrap();
    for bad in ["  ", "\u{3000}", "\u{200b}", "a\u{202e}b", "a\u{2028}b", "a\u{1b}[2J"] {
        for words in [
            &["provider", "create", bad][..],
            &["channel", "set", &channel, "--name", bad],
            &["group", "set", "--channel", &channel, "blue", "--contact", bad],
            &["token", "revoke", "--channel", &channel, "--all", "--reason", bad],
            &["channel", "create", "--provider", provider, bad],
            &["provider", "set", provider, "--name", bad],
            &["verifier", "create", bad],
            &["person", "invite", "mika", "--name", bad],
            &["provider", "show", bad],
            &["channel", bad],
        ] {
            let done = desk.run(words);
            assert!(matches!(done.code, 1 | 2), "{words:?}: {done:?}");
            assert!(!done.err.contains('\u{202e}') && !done.err.contains('\u{1b}'), "{done:?}");
        }
    }
    desk.run(&["provider", "create", "手形"]).expect(0);
    let list = desk.run(&["provider", "list"]).expect(0);
    assert!(list.contains("手形") && !list.contains('\u{202e}'), "{list}");
}

#[test]
fn a_closed_stderr_stops_no_command_and_loses_no_secret() {
    let desk = Desk::new();
    let (channel, _) = desk.channel();
    let provider = desk.json(&["channel", "show", &channel])["provider_id"].clone();
    let provider = provider.as_str().unwrap();
    // Another channel has the name, which is noted on stderr.
    let create = ["channel", "create", "--provider", provider, "shop", "-o", "json"];
    let made = finish_unheard(&mut desk.command(&create)).expect(0);
    assert!(made.contains("channel_secret"), "{made}");
    let suspend = finish_unheard(&mut desk.command(&["channel", "suspend", &channel]));
    assert!(suspend.expect(0).contains("suspended"));
    desk.home.file("clean.log", "nothing");
    finish_unheard(&mut desk.home.tegata(&["token", "inspect", "clean.log"])).expect(0);
}

#[test]
fn an_address_with_a_password_in_it_is_not_repeated() {
    let home = Home::new();
    home.file("log", "nothing");
    for words in [
        &["--url", "https://admin:hunter2@localhost", "channel", "list"][..],
        &["token", "inspect", "log", "--jwks", "https://admin:hunter2@localhost/jwks.json"],
    ] {
        let mut command = home.tegata(words);
        let done = finish(command.env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN));
        assert!(!done.err.contains("hunter2"), "{}", done.err);
        done.expect_error(2, "is not repeated here");
    }
    let mut command = home.tegata(&["channel", "list"]);
    let done = finish(command.env("TEGATA_URL", "https://admin:hun/ter2@localhost"));
    assert!(!done.err.contains("ter2"), "{}", done.err);
    done.expect_error(2, "is not repeated here");
}

#[test]
fn unreachable_keys_are_not_bad_usage_and_a_bad_address_of_the_agent_is() {
    let home = Home::new();
    home.file("log", "nothing");
    let jwks = ["token", "inspect", "log", "--jwks", "http://127.0.0.1:1/.well-known/jwks.json"];
    home.run(&jwks).expect_error(3, "no response");
    let settings = "authority = 'api.line.me'\n[[channel]]\nid = '1234567890'\nkey_file = 'k'\n\
                    [[token]]\nname = 'a'\nchannel = '1234567890'\n";
    home.file("agent.toml", settings);
    home.run(&["agent", "run"]).expect_error(2, "https://HOST");
}
