//! A server that is not what it should be: its answers steer no terminal, and none is read
//! without end.

use crate::program::{ADMIN_TOKEN, Desk, Done, Home, finish};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};
use tegata_policy::text::is_plain;

/// Clears the screen, in both forms, turns the direction of writing, and forges a line.
const EVIL: &str = "a\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\u{feff}\nerror: b";

/// What the server answers to a request line.
type Answer = fn(&str, &mut TcpStream) -> std::io::Result<()>;

/// Listens until the test's process ends.
fn serve(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || respond(stream, answer));
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if header.is_empty() {
            break;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    answer(&line, &mut stream)
}

fn send(stream: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{body}"
    )
}

fn ask(home: &Home, server: SocketAddr, words: &[&str]) -> Done {
    let mut command = home.tegata(words);
    command.env("TEGATA_URL", format!("http://{server}")).env("TEGATA_ADMIN_TOKEN", ADMIN_TOKEN);
    finish(&mut command)
}

#[track_caller]
fn steers_nothing(words: &[&str], done: &Done) {
    let all = format!("{}{}", done.out, done.err);
    let evil = |it: &char| !is_plain(*it) && *it != '\n';
    assert_eq!(all.chars().find(evil), None, "{words:?}: {all:?}");
    assert!(all.contains("2J"), "{words:?} prints it in another form: {all:?}");
}

#[test]
fn no_member_or_text_of_an_answer_reaches_the_terminal_as_it_is() {
    let desk = Desk::new();
    let (channel, secret) = desk.channel();
    let mut issue = desk.command(&["token", "issue", "--channel", &channel, "-o", "json"]);
    let issued = finish(issue.env("TEGATA_CHANNEL_SECRET", &secret)).expect(0);
    let issued: Value = serde_json::from_str(&issued).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    let server = serve(|line, stream| {
        let row = json!({
            EVIL: EVIL, "provider_id": EVIL, "name": EVIL, "channel_id": EVIL, "kid": EVIL,
            "group": EVIL, "state": EVIL, "why": EVIL, "token_id": EVIL, "channel_name": EVIL,
            "contact": EVIL, "type": EVIL, "actor": EVIL, "act": EVIL, "detail": { EVIL: EVIL },
            "group_tokens": [{ "token_id": EVIL }],
            "recent_uses": [{ "source": EVIL, "minute": EVIL, "count": EVIL }],
        });
        let mut all = row.clone();
        for name in [
            "providers",
            "channels",
            "assertion_keys",
            "groups",
            "warnings",
            "events",
            "signing_keys",
        ] {
            all[name] = json!([row]);
        }
        all["tokens"] = json!([]);
        all["next"] = if line.contains("limit=1000") { Value::Null } else { EVIL.into() };
        match line.contains("/providers/") || line.contains("/oauth") {
            true => send(
                stream,
                409,
                &json!({ "code": EVIL, "title": EVIL, "detail": EVIL,
                    "error": EVIL, "error_description": EVIL, "message": EVIL }),
            ),
            false => send(stream, 200, &all),
        }
    });
    for words in [
        &["provider", "list"][..],
        &["provider", "create", "X"],
        &["channel", "list"],
        &["channel", "list", "--provider", "1234567890"],
        &["channel", "show", &channel],
        &["key", "list"],
        &["group", "list", "--channel", &channel],
        &["token", "list", "--channel", &channel, "--group", "kitchen"],
        &["token", "verify", token],
        &["token", "explain", token],
        &["token", "explain", token, "--revoke", "--dry-run"],
        &["token", "revoke", token],
        &["warning", "list"],
        &["warning", "send-test"],
        &["audit", "list"],
        &["signing-key", "list"],
    ] {
        for words in [words.to_vec(), [words, &["-o", "json"]].concat()] {
            steers_nothing(&words, &ask(&desk.home, server, &words));
        }
    }
}

#[test]
fn no_name_of_a_file_reaches_the_terminal_as_it_is() {
    let home = Home::new();
    let name = "a\u{1b}[2J\u{9b}2J.pem";
    home.file(name, "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n");
    home.file("b\u{1b}[2J.bz2", "BZh91AY&SY");
    for words in [
        &["token", "inspect", name][..],
        &["token", "inspect", name, "-o", "json"],
        &["token", "inspect", "b\u{1b}[2J.bz2"],
        &["token", "inspect", "no\u{1b}[2Jsuch"],
        &["token", "explain", "no\u{1b}[2Jsuch"],
        &["serve", "--config", "no\u{1b}[2Jsuch"],
    ] {
        steers_nothing(words, &home.run(words));
    }
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let home = Home::new();
    let server = serve(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[\"")?;
        loop {
            stream.write_all(&[b'a'; 64 << 10])?;
            SENT.fetch_add(64 << 10, Relaxed);
        }
    });
    ask(&home, server, &["provider", "list"]).expect_error(1, "longer than 16777216 bytes");
    let jwks = format!("http://{server}/jwks");
    home.file("log", "nothing");
    home.run(&["token", "inspect", "log", "--jwks", &jwks]).expect_error(2, "longer than");
    // The rest is in the buffers of the two sockets.
    assert!(SENT.load(Relaxed) < 64 << 20, "{}", SENT.load(Relaxed));
}

#[test]
fn a_list_whose_pages_never_end_is_an_error() {
    static PAGE: AtomicU64 = AtomicU64::new(0);
    let home = Home::new();
    let server = serve(|_, stream| {
        let next = PAGE.fetch_add(1, Relaxed).to_string();
        send(stream, 200, &json!({ "tokens": [], "groups": [{ "group": "g" }], "next": next }))
    });
    let list = ["token", "list", "--channel", "1234567890", "--group", "kitchen"];
    ask(&home, server, &list).expect_error(1, "does not end");
    assert!(PAGE.load(Relaxed) < 2_000, "{}", PAGE.load(Relaxed));
}
