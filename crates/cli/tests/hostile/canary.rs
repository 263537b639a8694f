//! Sends secrets through every path, as intended and by mistake, and then searches for them
//! in everything that the program prints and writes: logs at the highest level, metrics,
//! errors, traces, the audit, the store with its WAL, the revocation journal, a backup, and
//! every other file.
//!
//! None may be found, in any encoding, except in the one response that returns it and in
//! the two files that hold one. Names that users choose (channels, groups, reasons, members
//! of a body) are data and may be repeated; the documentation says to put no secret there,
//! and no test does.

use crate::{
    collector::{Collector, Mood},
    line::{Channel, With, token_in},
    process::{ADMIN_TOKEN, Server, http::Request, key::Key, serve},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::PoisonError};

/// The secrets that must not be found, a name for each, and their encodings.
#[derive(Default)]
struct Secrets(BTreeMap<String, (String, Vec<String>)>);

impl Secrets {
    /// Records a secret, and returns it.
    fn keep(&mut self, what: &str, secret: &str) -> String {
        self.0.insert(secret.to_owned(), (what.to_owned(), spellings(secret)));
        secret.to_owned()
    }

    /// A made-up secret, to be sent where none belongs.
    fn fresh(&mut self, what: &str) -> String {
        let seed = format!("canary {}", self.0.len());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, seed.as_bytes());
        let secret = BASE64_URL_SAFE_NO_PAD.encode(digest);
        self.keep(what, &secret)
    }

    /// The secrets that `text` contains, except `but`.
    fn found_in(&self, text: &[u8], but: &[&str]) -> Vec<String> {
        // All encodings are ASCII, so other bytes cannot match.
        let text = String::from_utf8_lossy(text);
        let kept = self.0.iter().filter(|(secret, _)| !but.contains(&secret.as_str()));
        let found = kept.filter_map(|(_, (what, spellings))| {
            let spelling = spellings.iter().find(|it| text.contains(it.as_str()))?;
            Some(format!("{what} as {spelling:?}"))
        });
        found.collect()
    }
}

/// A part of a secret counts, too, so it is searched in pieces of 20: as it is,
/// percent-encoded, in hex, and in base64 at each offset in a group of three.
fn spellings(secret: &str) -> Vec<String> {
    const PIECE: usize = 20;
    // Of a token, its signature; the rest is not secret.
    let secret = if secret.len() > 100 { &secret[secret.len() - 80..] } else { secret };
    let mut spellings = Vec::new();
    for piece in secret.as_bytes().chunks(PIECE).filter(|piece| piece.len() == PIECE) {
        let text = String::from_utf8_lossy(piece).into_owned();
        spellings.push(form_urlencoded::byte_serialize(piece).collect());
        let (mut percent, mut hex) = (String::new(), String::new());
        for byte in piece {
            // Writing to a string does not fail.
            let _ = write!(percent, "%{byte:02X}");
            let _ = write!(hex, "{byte:02x}");
        }
        spellings.extend([percent.to_lowercase(), percent, hex.to_uppercase(), hex]);
        for offset in 0..3 {
            let shifted = [&b"xx"[..offset], piece].concat();
            // The neighbouring bytes change the first and the last letters.
            let inside = |text: String| text[4..text.len() - 4].to_owned();
            spellings.push(inside(BASE64_STANDARD_NO_PAD.encode(&shifted)));
            spellings.push(inside(BASE64_URL_SAFE_NO_PAD.encode(&shifted)));
        }
        spellings.push(text);
    }
    spellings
}

/// A server with all logs on, and its responses.
struct Watched {
    server: Server,
    collector: Collector,
    asked: usize,
    secrets: Secrets,
    leaks: Vec<String>,
}

impl Watched {
    async fn start(home: &Path, format: &str) -> Self {
        let mut secrets = Secrets::default();
        let collectors = secrets.fresh("the collector's key");
        let collector = Collector::start(Mood::Takes).await;
        let url = collector.url();
        let mut command =
            serve(home, &["--revocation-journal", "revocations.log", "--otlp-endpoint", &url]);
        command.env("TEGATA_LOG", "trace").env("TEGATA_LOG_FORMAT", format);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-api-key={collectors}"));
        // No span may be lost, since all are searched.
        command.env("OTEL_BSP_MAX_QUEUE_SIZE", "100000").env("OTEL_BSP_SCHEDULE_DELAY", "50");
        let server = Server::start(command).await;
        secrets.keep("the administrator's token", ADMIN_TOKEN);
        Self { server, collector, asked: 0, secrets, leaks: Vec::new() }
    }

    /// Sends a request, whose response must contain no secret.
    async fn ask(&mut self, what: &str, request: &Request) {
        self.asked += 1;
        let response = self.server.ask(request).await;
        let text = format!("{response:?} {}", response.text());
        let found = self.secrets.found_in(text.as_bytes(), &[]);
        self.leaks.extend(found.iter().map(|found| format!("{what}: {found} in {text}")));
        assert!(response.status < 500, "{what}: {text}");
    }

    /// Sends a valid request, whose response contains a secret in this member.
    async fn handed_out(&mut self, what: &str, member: &str, request: &Request) -> String {
        let response = self.server.ask(request).await;
        assert!(matches!(response.status, 200 | 201), "{what}: {}", response.text());
        let secret = response.json()[member].as_str().expect("it is handed out").to_owned();
        let found = self.secrets.found_in(response.text().as_bytes(), &[&secret]);
        self.leaks.extend(found.iter().map(|found| format!("{what}: {found}")));
        self.secrets.keep(what, &secret)
    }

    fn search(&mut self, what: &str, text: &[u8], but: &[&str]) {
        let found = self.secrets.found_in(text, but);
        self.leaks.extend(found.iter().map(|found| format!("{what}: {found}")));
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The intended use: each secret is created, used, replaced and revoked.
async fn use_rightly(watched: &mut Watched, key: &Key) -> Channel {
    let provider = crate::line::provider(&watched.server).await;
    let channel = Channel::create(&watched.server, &provider, key).await;
    watched.secrets.keep("a channel's secret", &channel.secret);
    let assertion = channel.assertion(key, 0);
    watched.secrets.keep("an assertion", &assertion);
    let with = With { group: None, idempotency: None };
    let issues = [
        ("a v2.1 token", Channel::issue_v21(&assertion, with)),
        ("a stateless token", channel.issue_stateless(with)),
        ("a short-lived token", channel.issue_short_lived(with)),
        ("a long-lived token", channel.reissue_long_lived(0)),
        ("the next long-lived token", channel.reissue_long_lived(60)),
    ];
    let mut tokens = Vec::new();
    for (what, issue) in &issues {
        tokens.push(watched.handed_out(what, "access_token", issue).await);
    }
    let idempotent = watched.secrets.fresh("an Idempotency-Key");
    let with = With { group: Some("blue"), idempotency: Some(&idempotent) };
    let again = channel.issue_short_lived(with);
    let token = watched.handed_out("a token under a key", "access_token", &again).await;
    let repeated = token_in(&watched.server.ask(&again).await);
    assert_eq!(repeated, token);
    tokens.push(token);

    let path = format!("/channels/{}/secret", channel.id);
    let body = json!({ "keep_previous_seconds": 600 });
    let rotate = Request::admin("POST", &path, Some(&body));
    watched.handed_out("the next secret", "channel_secret", &rotate).await;

    for token in &tokens {
        let bearer = format!("Bearer {token}");
        let header = [("authorization", &*bearer)];
        watched.ask("verify", &crate::line::verify(token)).await;
        watched.ask("gateway", &Request::new("GET", "/gateway/verify", &header, "")).await;
        let explain = Request::admin("POST", "/explain", Some(&json!({ "access_token": token })));
        watched.ask("explain", &explain).await;
    }
    for token in &tokens {
        watched.ask("revoke", &channel.revoke(token)).await;
        let body = json!({ "access_token": token });
        watched.ask("revoke as administrator", &channel.revocation(&body)).await;
        let explain = Request::admin("POST", "/explain", Some(&body));
        watched.ask("explain what has ended", &explain).await;
        watched.ask("verify what has ended", &crate::line::verify(token)).await;
    }
    channel
}

/// Every mistake: a secret in each place where a careless program may send it.
async fn use_wrongly(watched: &mut Watched, channel: &Channel) {
    let own: Vec<String> = watched.secrets.0.keys().cloned().collect();
    for secret in own {
        misplace(watched, channel, &secret).await;
    }
    let private = ["d", "p", "q", "dp", "dq", "qi"];
    let mut jwk = json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB" });
    for name in private {
        jwk[name] = watched.secrets.fresh("a private key").into();
    }
    let path = format!("/channels/{}/assertion-keys", channel.id);
    let register = Request::admin("POST", &path, Some(&json!({ "jwk": jwk })));
    watched.ask("a private key registered", &register).await;
    let register = Request::admin("POST", &path, Some(&jwk));
    watched.ask("a private key for a body", &register).await;
    let fresh = watched.secrets.fresh("a made-up secret");
    misplace(watched, channel, &fresh).await;
}

async fn misplace(watched: &mut Watched, channel: &Channel, secret: &str) {
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let get = |path: &str, headers: &[(&str, &str)]| Request::new("GET", path, headers, "");
    let post = |path: &str, body: &str| Request::new("POST", path, &[FORM], body);
    let mut requests = Vec::new();
    for path in [
        format!("/{encoded}"),
        format!("/oauth2/v2.1/verify/{encoded}"),
        format!("/oauth2/v2.1/verify?access_token={encoded}"),
        format!("/oauth2/v2.1/verify?{encoded}"),
        format!("/oauth2/v2.1/tokens/kid?client_assertion={encoded}"),
        format!("/gateway/verify?access_token={encoded}"),
        format!("/gateway/verify?channel={encoded}"),
        format!("/gateway/verify?group={encoded}"),
        format!("/readyz?token={encoded}"),
        format!("/metrics?token={encoded}"),
        format!("/admin/v1/{encoded}"),
        format!("/admin/v1/channels/{encoded}"),
        format!("/admin/v1/providers?access_token={encoded}"),
    ] {
        requests.push(get(&path, &[]));
    }
    for path in [
        format!("/channels/{encoded}"),
        format!("/channels/{}/tokens/{encoded}", channel.id),
        format!("/channels/{}/tokens?after={encoded}", channel.id),
        format!("/channels/{}/tokens?kind={encoded}", channel.id),
        format!("/channels/{}/groups/{encoded}/x", channel.id),
        format!("/{encoded}"),
    ] {
        requests.push(Request::admin("GET", &path, None));
    }
    for value in [secret.to_owned(), format!("Bearer {secret}"), format!("Basic {secret}")] {
        requests.push(get("/gateway/verify", &[("authorization", &value)]));
        requests.push(get("/admin/v1/providers", &[("authorization", &value)]));
    }
    for name in [
        "cookie",
        "user-agent",
        "referer",
        "origin",
        "x-forwarded-for",
        "forwarded",
        "x-request-id",
        "x-line-request-id",
        "traceparent",
        "idempotency-key",
        "content-type",
        "accept",
        "x-api-key",
    ] {
        let body = "access_token=x";
        requests.push(Request::new("POST", "/v2/oauth/verify", &[(name, secret)], body));
        requests.push(Request::new("POST", "/v2/oauth/accessToken", &[(name, secret)], body));
        requests.push(get("/admin/v1/providers", &[(name, secret)]));
    }
    // Beside a valid parent this would be propagated, if the server read it.
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let state = format!("vendor={secret}");
    let headers = [("traceparent", parent), ("tracestate", &*state), ("baggage", &*state)];
    requests.push(get("/livez", &headers));
    requests.push(get("/gateway/verify", &headers));
    for path in [
        "/oauth2/v2.1/token",
        "/oauth2/v3/token",
        "/v2/oauth/accessToken",
        "/oauth2/v2.1/revoke",
        "/v2/oauth/verify",
    ] {
        for field in &FIELDS {
            // All the others are valid, so that this one is parsed.
            let body = FIELDS.iter().filter(|other| **other != *field).fold(
                format!("{field}={encoded}"),
                |body, other| match *other {
                    "grant_type" => body + "&grant_type=client_credentials",
                    "client_id" => body + "&client_id=" + &channel.id,
                    _ => body,
                },
            );
            requests.push(post(path, &body));
        }
        requests.push(post(path, secret));
        requests.push(post(path, &format!("{encoded}=1&{encoded}=1")));
    }
    for (path, member) in [
        ("/explain", "access_token"),
        ("/revocations", "access_token"),
        ("/revocations", "signing_key"),
        ("/revocations", "provider_id"),
    ] {
        let mut body = json!({});
        body[member] = Value::from(secret);
        requests.push(Request::admin("POST", path, Some(&body)));
    }
    for member in ["token_id", "kind", "assertion_key"] {
        let mut body = json!({});
        body[member] = Value::from(secret);
        requests.push(channel.revocation(&body));
    }
    requests.push(Request::admin("POST", "/providers", Some(&Value::from(secret))));
    requests.push(Request::new(secret, "/livez", &[], ""));
    for (number, request) in requests.iter().enumerate() {
        watched.ask(&format!("misplaced, request {number}"), request).await;
    }
}

/// All fields that LINE's operations read.
const FIELDS: [&str; 8] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion_type",
    "client_assertion",
    "access_token",
    "group",
    "state",
];

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn nothing_leaks(format: &str) {
    let home = tempfile::tempdir().expect("a folder");
    let mut watched = Watched::start(home.path(), format).await;
    let key = Key::generate();
    let channel = use_rightly(&mut watched, &key).await;
    use_wrongly(&mut watched, &channel).await;

    let master_key = std::fs::read(home.path().join("master.key")).expect("the master key");
    let master_key = String::from_utf8_lossy(&master_key).trim().to_owned();
    watched.secrets.keep("the master key", &master_key);
    for path in ["/metrics", "/.well-known/jwks.json", "/readyz"] {
        watched.ask(path, &Request::new("GET", path, &[], "")).await;
    }
    let tokens = format!("/channels/{}/tokens", channel.id);
    for path in ["/audit?limit=1000", &tokens, "/signing-keys", "/providers"] {
        watched.ask(path, &Request::admin("GET", path, None)).await;
    }
    let process = format!("/proc/{}", watched.server.process.id());
    let arguments = std::fs::read(format!("{process}/cmdline")).expect("a process of ours");
    watched.search("the arguments of the process", &arguments, &[]);
    for task in std::fs::read_dir(format!("{process}/task")).expect("a process of ours") {
        let children = std::fs::read_to_string(task.expect("a task").path().join("children"));
        assert_eq!(children.expect("a list"), "", "a child inherits the environment");
    }
    let backup = std::process::Command::new(env!("CARGO_BIN_EXE_tegata"))
        .args(["backup", "backup.db", "--store", "sqlite:tegata.db"])
        .current_dir(home.path())
        .output()
        .expect("start tegata");
    assert!(backup.status.success(), "{backup:?}");
    // While it runs, so that the WAL exists, and once more when everything is written.
    let during = search_files(&mut watched, home.path(), &master_key);
    for written in ["tegata.db-wal", "revocations.log", "backup.db"] {
        assert!(during.iter().any(|name| name == written), "no {written} in {during:?}");
    }
    let id = rustix::process::Pid::from_child(&watched.server.process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("a child of ours");
    watched.server.process.wait().expect("it ends");
    search_files(&mut watched, home.path(), &master_key);

    // The traces: all were sent before the server exited.
    let spans = watched.collector.spans();
    let requests = spans.iter().filter(|it| it.attributes.contains_key("tegata.request_id"));
    let (requests, asked) = (requests.count(), watched.asked);
    assert!(requests > asked, "{asked} requests left {requests} spans");
    for came in watched.collector.came() {
        watched.search("a trace", &came.body, &[]);
    }

    let said = watched.server.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(said.lines().count() > 300, "it logs next to nothing: {said}");
    if !watched.secrets.found_in(said.as_bytes(), &[]).is_empty() {
        for line in said.lines() {
            watched.search(&format!("logged: {line}"), line.as_bytes(), &[]);
        }
    }
    let leaks = &watched.leaks;
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}

/// Searches every file, and returns their names.
fn search_files(watched: &mut Watched, home: &Path, master_key: &str) -> Vec<String> {
    let mut names = Vec::new();
    for path in files(home) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read(&path).expect("a file of ours");
        let but = if name == "master.key" { vec![master_key] } else { Vec::new() };
        watched.search(&name, &text, &but);
        names.push(name);
    }
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_printed_or_written_with_logs_as_text() {
    nothing_leaks("text").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_printed_or_written_with_logs_as_json() {
    nothing_leaks("json").await;
}

/// The search proves something only if it finds a planted secret.
#[test]
fn a_planted_secret_is_found_in_every_encoding() {
    let mut secrets = Secrets::default();
    let secret = secrets.fresh("planted");
    let hex: String = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let percent: String =
        secret.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    let basic = BASE64_STANDARD_NO_PAD.encode(format!("1234567890:{secret}"));
    let jwt = BASE64_URL_SAFE_NO_PAD.encode(format!("{{\"secret\":\"{secret}\"}}"));
    for planted in
        [&secret, &hex, &hex.to_uppercase(), &percent, &basic, &jwt, &secret[..20].to_owned()]
    {
        let text = format!("before {planted} after");
        assert_eq!(secrets.found_in(text.as_bytes(), &[]).len(), 1, "{planted}");
    }
    let home = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(home.path().join("deep")).expect("a folder");
    std::fs::write(home.path().join("deep/file"), [&[0xFF, 0], secret.as_bytes()].concat())
        .expect("a file");
    let planted = files(home.path());
    assert_eq!(planted.len(), 1);
    let text = std::fs::read(&planted[0]).expect("a file");
    assert_eq!(secrets.found_in(&text, &[]).len(), 1);
    assert!(secrets.found_in(&text, &[&secret]).is_empty(), "what is handed out is no leak");
    assert!(secrets.found_in(b"nothing of the kind", &[]).is_empty());
}
