//! The access log, as programs read it.

use crate::program::{Desk, finish};
use serde_json::Value;
use std::process::Command;

/// The lines of requests in a log of JSON.
fn requests(log: &str) -> Vec<Value> {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "request").collect()
}

#[test]
fn lines_of_lines_operations_and_of_the_gateway_hold_the_channel() {
    let mut desk = Desk::with(&["--log-format", "json", "--log", "debug"]);
    let (channel, secret) = desk.channel();
    desk.run(&["key", "generate", "--channel", &channel, "--file", "key.json"]).expect(0);
    let issue = |kind: &str, key: &[&str]| {
        let words = ["token", "issue", "--channel", &channel, "--kind", kind, "-o", "json"];
        let mut command = desk.command(&[&words[..], key].concat());
        let issued = finish(command.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let issued: Value = serde_json::from_str(&issued).unwrap();
        issued["access_token"].as_str().unwrap().to_owned()
    };
    let opaque = issue("short-lived", &[]);
    let jws = issue("v2.1", &["--key", "key.json"]);
    issue("stateless", &[]);
    let ask = |path: &str, words: &[&str]| {
        let url = format!("{}{path}", desk.server.url);
        finish(Command::new("curl").args(["-sS"]).args(words).arg(url)).expect(0);
    };
    let bearer = format!("Authorization: Bearer {opaque}");
    let token = |token: &str| format!("access_token={token}");
    let (id, right) = (format!("client_id={channel}"), format!("client_secret={secret}"));
    ask("/gateway/verify", &["-H", &bearer]);
    ask("/gateway/verify?kind=v2.1", &["-H", &bearer]);
    ask("/oauth2/v2.1/verify", &["-G", "-d", &token(&jws)]);
    ask("/v2/oauth/verify", &["-d", &token(&opaque)]);
    ask("/v2/oauth/revoke", &["-d", &token(&opaque)]);
    ask("/oauth2/v2.1/revoke", &["-d", &token(&jws), "-d", &id, "-d", &right]);
    let wrong = ["-d", "grant_type=client_credentials", "-d", &id, "-d", "client_secret=wrong"];
    ask("/v2/oauth/accessToken", &wrong);

    let log = desk.server.log();
    assert!(desk.server.stop().success());
    let log = log.join().unwrap();
    let requests = requests(&log);
    let public = |line: &&Value| {
        let route = line["route"].as_str().unwrap_or_default();
        route.starts_with("/oauth2/") || route.starts_with("/v2/") || route.starts_with("/gateway/")
    };
    let lines: Vec<_> = requests.iter().filter(public).collect();
    assert_eq!(lines.len(), 10, "{log}");
    for line in lines {
        assert_eq!(line["channel"], *channel, "{line}");
    }
    for line in &requests {
        assert!(line["micros"].is_u64() && line["status"].is_u64(), "{line}");
        // No command asks for what production servers do not have.
        assert!(line["route"].is_string() && line["route"] != "/dev/clock", "{line}");
    }
}

#[test]
fn with_the_setting_each_verification_has_a_line_with_its_token_and_result() {
    let verifications = |more: &[&str]| {
        let mut desk = Desk::with(&[&["--log-format", "json"], more].concat());
        let (channel, secret) = desk.channel();
        let words = ["token", "issue", "--channel", &channel, "--kind", "short-lived"];
        let words = [&words[..], &["--group", "kitchen", "-o", "json"]].concat();
        let issued = finish(desk.command(&words).env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
        let issued: Value = serde_json::from_str(&issued).unwrap();
        let token = issued["access_token"].as_str().unwrap();
        let explained = desk.json(&["token", "explain", token]);
        let id = explained["tokens"][0]["token_id"].as_str().unwrap().to_owned();
        let ask = |token: &str| {
            let (url, bearer) = (
                format!("{}/gateway/verify", desk.server.url),
                format!("Authorization: Bearer {token}"),
            );
            finish(Command::new("curl").args(["-sS", "-H", &bearer, &url])).expect(0);
        };
        ask(token);
        desk.run(&["token", "revoke", token]).expect(0);
        ask(token);
        ask("nonsense");
        let log = desk.server.log();
        assert!(desk.server.stop().success());
        let log = log.join().unwrap();
        assert!(!log.contains(&token[token.len() - 20..]), "{log}");
        let lines = requests(&log).into_iter().filter(|it| it["route"] == "/gateway/verify");
        (channel, id, lines.collect::<Vec<_>>())
    };
    let (channel, id, lines) = verifications(&["--log-verifications"]);
    let results: Vec<_> = lines.iter().map(|it| it["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["active", "revoked", "malformed"], "{lines:?}");
    for line in &lines[..2] {
        for (member, value) in [
            ("token_id", &*id),
            ("channel", &*channel),
            ("kind", "short-lived"),
            ("group", "kitchen"),
            ("source", "127.0.0.1"),
        ] {
            assert_eq!(line[member], value, "{line}");
        }
    }
    assert_eq!(verifications(&[]).2, [] as [Value; 0], "off unless it is set");
}
