//! `tegata verify-proxy` as a process of its own: with an authority, without it, and while
//! it is stopped.

use crate::{
    program::{Desk, Home, Server, finish, mode},
    proxies::token,
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::FileTypeExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How long a view may take to become fresh or stale on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(50);
const DOWN: &str = r#"{"message":"The service is temporarily unavailable. Try again later."}"#;

/// A verifier's token.
pub fn verifier(desk: &Desk, more: &[&str]) -> String {
    let words = [&["verifier", "create", "gateway", "--max-staleness", "60s"], more].concat();
    desk.json(&words)["verifier_token"].as_str().unwrap().to_owned()
}

/// The command of a proxy of this authority.
pub fn command(home: &Home, authority: &str, verifier: &str, words: &[&str]) -> Command {
    let words = [&["verify-proxy", "--authority", authority], words].concat();
    let mut command = home.tegata(&words);
    command.env("TEGATA_VERIFIER_TOKEN", verifier);
    command
}

/// A running proxy, on a free port unless `words` name an address.
pub fn start(desk: &Desk, verifier: &str, words: &[&str]) -> Server {
    let port = ["--listen", "127.0.0.1:0"];
    let port = if words.contains(&"--listen") { &[][..] } else { &port[..] };
    let words = [port, words].concat();
    Server::start(&mut command(&desk.home, &desk.server.url, verifier, &words))
}

/// A running proxy whose process has this umask.
pub fn start_with(umask: &str, desk: &Desk, verifier: &str, words: &[&str]) -> Server {
    let program = command(&desk.home, &desk.server.url, verifier, words);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args()).current_dir(desk.home.path(""));
    Server::start(shell.env("TEGATA_VERIFIER_TOKEN", verifier))
}

/// The status and the body of a response, with its head.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    head: String,
    pub body: String,
}

pub fn ask(proxy: &Server, path: &str, words: &[&str]) -> Said {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", "--max-time", "30"]).args(words);
    match proxy.url.strip_prefix("unix:") {
        Some(socket) => curl.args(["--unix-socket", socket]).arg(format!("http://proxy{path}")),
        None => curl.arg(format!("{}{path}", proxy.url)),
    };
    let text = finish(&mut curl).expect(0);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Said { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The beginning of the response to these bytes.
fn raw(proxy: &Server, bytes: &str) -> String {
    let mut stream = TcpStream::connect(proxy.url.strip_prefix("http://").unwrap()).unwrap();
    // The proxy may close the connection before it has read everything.
    let _ = stream.write_all(bytes.as_bytes());
    let mut some = [0; 1_024];
    let length = stream.read(&mut some).unwrap();
    String::from_utf8_lossy(&some[..length]).into_owned()
}

pub fn verify(proxy: &Server, token: &str, query: &str) -> Said {
    let bearer = format!("Authorization: Bearer {token}");
    ask(proxy, &format!("/gateway/verify{query}"), &["-H", &bearer])
}

/// Waits until `/readyz` has this status, and returns its body.
#[track_caller]
pub fn until_ready_is(proxy: &Server, status: u16) -> String {
    until(|| ask(proxy, "/readyz", &[]), |said| said.status == status).body
}

/// Waits until `/readyz` is 503 for a reason with these words. It names no instance, whose id
/// is confidential.
#[track_caller]
pub fn until_reason(proxy: &Server, words: &str) {
    let is = |said: &Said| said.status == 503 && said.body.contains(words);
    let said = until(|| ask(proxy, "/readyz", &[]), is);
    assert!(!said.body.contains("instance="), "{said:?}");
}

/// Looks again and again until what is seen is as expected.
#[track_caller]
fn until<T: std::fmt::Debug>(look: impl Fn() -> T, is: impl Fn(&T) -> bool) -> T {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        let seen = look();
        if is(&seen) {
            return seen;
        }
        thread::sleep(PAUSE);
    }
    panic!("{:?}", look());
}

#[test]
fn a_proxy_verifies_as_the_authority_does_and_refuses_what_was_revoked() {
    let desk = Desk::new();
    let proxy = start(&desk, &verifier(&desk, &[]), &["--max-staleness", "5s"]);
    until_ready_is(&proxy, 200);
    let token = token(&desk, &["--group", "team"]);
    let said = verify(&proxy, &token, "?group=team");
    assert_eq!((said.status, said.body.as_str()), (200, ""), "{said:?}");
    for header in ["x-tegata-kind: short-lived", "x-tegata-group: team", "x-line-request-id: "] {
        assert!(said.head.contains(header), "{header}: {said:?}");
    }
    for (query, status) in [("?group=other", 403), ("", 200)] {
        assert_eq!(verify(&proxy, &token, query).status, status, "{query}");
    }
    let words = "the parameter 'grup' is unknown; the query may narrow by kind, channel and group, \
                 each of which may be repeated";
    let said = verify(&proxy, &token, "?grup=team");
    assert_eq!((said.status, said.body), (400, format!(r#"{{"message":"{words}"}}"#)));
    assert!(said.head.contains(&format!("x-tegata-message: {words}")), "{}", said.head);
    let said = verify(&proxy, "junk", "");
    assert_eq!(said.status, 401);
    assert!(said.head.contains("www-authenticate: bearer error=\"invalid_token\""), "{said:?}");
    assert_eq!(verify(&proxy, &"x".repeat(8_193), "").status, 400);
    // The receipt is complete once no proxy accepts the token.
    let revoked = desk.json(&["token", "revoke", &token, "--wait", "30"]);
    assert_eq!(revoked["receipt"]["state"], "complete", "{revoked}");
    let said = verify(&proxy, &token, "");
    assert_eq!(said.status, 401, "{said:?}");
    // By the beginning of its id the process is found that a receipt names.
    let instance = revoked["receipt"]["verifiers"][0]["instance"].as_str().unwrap();
    let ready = until_ready_is(&proxy, 200);
    assert!(ready.contains(&format!(r#""instance_begins":"{}""#, &instance[..6])), "{ready}");
    assert!(!ready.contains(instance), "the whole id is confidential: {ready}");

    assert_eq!(ask(&proxy, "/livez", &[]).status, 200);
    assert_eq!(ask(&proxy, "/other", &[]).status, 404);
    assert_eq!(ask(&proxy, "/livez", &["-X", "POST"]).status, 405);
    assert!(raw(&proxy, "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").contains(" 400 "));
    assert!(raw(&proxy, "GET //livez HTTP/1.1\r\nHost: a\r\n\r\n").contains(" 200 "));
    let long = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    assert!(raw(&proxy, &long).contains(" 431 "));
    let metrics = ask(&proxy, "/metrics", &[]).body;
    for line in [
        r#"tegata_verify_proxy_verifications_total{api="gateway",result="active"} 2"#,
        r#"tegata_verify_proxy_verifications_total{api="gateway",result="denied"} 1"#,
        r#"tegata_verify_proxy_verifications_total{api="gateway",result="revoked"} 1"#,
        "tegata_verify_proxy_view_stale 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn without_the_authority_deny_and_ask_refuse_as_unknown_and_allow_lets_through() {
    let desk = Desk::new();
    let usual = verifier(&desk, &[]);
    let lenient = verifier(&desk, &["--allow"]);
    let short = ["--max-staleness", "1s", "--on-stale"];
    let start =
        |verifier: &str, on_stale| start(&desk, verifier, &[&short[..], &[on_stale]].concat());
    let [deny, ask_it, allow] =
        [start(&usual, "deny"), start(&usual, "ask"), start(&lenient, "allow")];
    let all = [&deny, &ask_it, &allow];
    all.iter().for_each(|proxy| drop(until_ready_is(proxy, 200)));
    let (token, revoked) = (token(&desk, &[]), token(&desk, &[]));
    desk.json(&["token", "revoke", &revoked, "--wait", "30"]);
    for proxy in all {
        let fresh = verify(proxy, &token, "");
        assert!(fresh.status == 200 && !fresh.head.contains("x-tegata-stale"), "{fresh:?}");
        assert_eq!(verify(proxy, &revoked, "").status, 401);
    }
    assert!(!desk.server.crash().success());
    for proxy in all {
        let body = until_ready_is(proxy, 503);
        assert!(body.contains("s old, where 1 s is allowed"), "{body}");
        assert_eq!(ask(proxy, "/livez", &[]).status, 200);
        // Of this one it stays known.
        assert_eq!(verify(proxy, &revoked, "").status, 401);
    }
    for proxy in [&deny, &ask_it] {
        let said = verify(proxy, &token, "");
        assert_eq!((said.status, said.body.as_str()), (503, DOWN), "{said:?}");
        assert!(said.head.contains("retry-after: 1"), "{said:?}");
        assert!(said.head.contains("x-tegata-message: the service is"), "{said:?}");
        assert!(!said.head.contains("www-authenticate"), "{said:?}");
    }
    let stale = verify(&allow, &token, "");
    assert!(stale.status == 200 && stale.head.contains("x-tegata-stale: 1"), "{stale:?}");
    let metrics = ask(&allow, "/metrics", &[]).body;
    let flagged = r#"{api="gateway",result="active_stale"} 1"#;
    assert!(metrics.contains(flagged), "{metrics}");
}

#[test]
fn a_stale_proxy_asks_the_authority_about_each_token() {
    let desk = Desk::new();
    let relay = Relay::start(&desk.server.url);
    let words = ["--listen", "127.0.0.1:0", "--max-staleness", "1s", "--on-stale", "ask"];
    let token_of_verifier = verifier(&desk, &[]);
    let proxy = Server::start(&mut command(&desk.home, &relay.url, &token_of_verifier, &words));
    until_ready_is(&proxy, 200);
    let (token, revoked) = (token(&desk, &[]), token(&desk, &[]));
    assert_eq!(verify(&proxy, &revoked, "").status, 200);
    relay.refuse_the_feed();
    until_ready_is(&proxy, 503);
    assert_eq!(verify(&proxy, &token, "").status, 200, "the authority vouches for it");
    desk.run(&["token", "revoke", &revoked]).expect(0);
    assert_eq!(verify(&proxy, &revoked, "").status, 401, "the authority knows better");
    let metrics = ask(&proxy, "/metrics", &[]).body;
    assert!(metrics.contains(r#"result="inactive"} 1"#), "{metrics}");
    drop(relay);
    assert_eq!(verify(&proxy, &token, "").status, 503);
}

#[test]
fn a_refused_verifiers_token_is_503_with_the_next_step_and_the_process_lives() {
    let desk = Desk::new();
    let proxy = start(&desk, "tgv_wrong", &[]);
    until_ready_is(&proxy, 503);
    let said = verify(&proxy, &token(&desk, &[]), "");
    assert_eq!((said.status, said.body.as_str()), (503, DOWN), "{said:?}");
    assert_eq!(verify(&proxy, "junk", "").status, 503, "nothing is known");
    assert_eq!(ask(&proxy, "/livez", &[]).status, 200);
    until(|| ask(&proxy, "/readyz", &[]), |said| said.body.contains("TEGATA_VERIFIER_TOKEN"));
    // A verifier that may not use `allow`, too.
    let strict = start(&desk, &verifier(&desk, &[]), &["--on-stale", "allow"]);
    until_ready_is(&strict, 503);
    assert_eq!(verify(&strict, &token(&desk, &[]), "").status, 503);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a stop is measured in real time")]
fn sigterm_ends_a_proxy_with_0_and_a_receipt_no_longer_waits_for_it() {
    let desk = Desk::new();
    let made = desk.json(&["verifier", "create", "gateway", "--max-staleness", "60s"]);
    let (id, verifier) = (&made["verifier_id"], made["verifier_token"].as_str().unwrap());
    let copy = desk.home.path("view");
    let words = ["--max-staleness", "60s", "--copy", copy.to_str().unwrap()];
    let proxy = start(&desk, verifier, &words);
    until_ready_is(&proxy, 200);
    let instances = |desk: &Desk| {
        let shown = desk.json(&["verifier", "show", id.as_str().unwrap()]);
        shown["instances"].as_array().unwrap().len()
    };
    assert_eq!(instances(&desk), 1);
    let kept = |path: &Path| fs::metadata(path).is_ok_and(|it| it.len() > 0);
    assert!(kept(&copy));
    assert!(proxy.stop().success());
    assert_eq!(instances(&desk), 0, "it said `bye`");
    assert!(!kept(&copy), "a copy could be used by the next process");
    // Without an authority, too, within the ten seconds that supervisors give.
    let proxy = start(&desk, verifier, &[]);
    until_ready_is(&proxy, 200);
    assert!(!desk.server.crash().success());
    let began = Instant::now();
    assert!(proxy.stop().success());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_copy_serves_the_next_process_while_the_authority_is_down() {
    let desk = Desk::new();
    let verifier = verifier(&desk, &[]);
    let copy = desk.home.path("view");
    let words = ["--max-staleness", "60s", "--copy", copy.to_str().unwrap()];
    let proxy = start(&desk, &verifier, &words);
    until_ready_is(&proxy, 200);
    let token = token(&desk, &[]);
    assert_eq!(verify(&proxy, &token, "").status, 200);
    assert!(!proxy.crash().success());
    let (home, url) = (desk.home, desk.server.url.clone());
    assert!(!desk.server.crash().success());
    let words = [&["--listen", "127.0.0.1:0"], &words[..]].concat();
    let proxy = Server::start(&mut command(&home, &url, &verifier, &words));
    assert_eq!(verify(&proxy, &token, "").status, 200);
}

#[test]
fn a_unix_socket_is_open_to_all_that_the_umask_allows_and_replaced_only_if_its_process_is_gone() {
    let desk = Desk::new();
    let verifier = verifier(&desk, &[]);
    let socket = desk.home.path("verify.sock");
    let listen = format!("unix:{}", socket.display());
    for (umask, expected) in [("0022", 0o644), ("0000", 0o666), ("0007", 0o660)] {
        let proxy = start_with(umask, &desk, &verifier, &["--listen", &listen]);
        assert_eq!((proxy.url.as_str(), mode(&socket)), (listen.as_str(), expected));
        // The second one of the same socket says what to do, and leaves it.
        let second =
            finish(&mut command(&desk.home, &desk.server.url, &verifier, &["--listen", &listen]));
        second.expect_error(1, "another process listens there; stop it, or set another socket");
        until_ready_is(&proxy, 200);
        assert_eq!(verify(&proxy, &token(&desk, &[]), "").status, 200);
        if umask == "0007" {
            assert!(proxy.stop().success());
            assert!(!socket.exists(), "it is removed at the end");
        } else {
            // Killed: the next one replaces it.
            assert!(!proxy.crash().success());
            assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
        }
    }
    fs::write(&socket, "a file").unwrap();
    let far = format!("{}/verify.sock", "x".repeat(108));
    for (path, next) in [
        ("verify.sock", "a file that is no socket is there: remove it, or set another socket"),
        ("none/verify.sock", "create the folder none, or set another socket"),
        ("verify.sock/x", "verify.sock is no folder: set another socket"),
        (&far, "set a socket whose path has at most 107 bytes"),
    ] {
        let at = format!("unix:{path}");
        let refused =
            finish(&mut command(&desk.home, &desk.server.url, &verifier, &["--listen", &at]));
        assert!(refused.err.contains(&format!("cannot listen on {at}: ")), "{}", refused.err);
        refused.expect_error(1, next);
    }
    assert_eq!(fs::read_to_string(&socket).unwrap(), "a file", "no other file is replaced");
}

#[test]
fn wrong_settings_are_refused_with_the_next_step() {
    let home = Home::new();
    let run = |words: &[&str], token: &str| {
        let words = [&["verify-proxy"], words].concat();
        finish(home.tegata(&words).env("TEGATA_VERIFIER_TOKEN", token))
    };
    let good = ["--authority", "http://127.0.0.1:1"];
    let with = |more: &[&'static str]| [&good[..], more].concat();
    run(&good, "").expect_error(2, "tegata verifier create NAME");
    run(&[], "tgv_x").expect_error(2, "--authority");
    run(&with(&["--listen", "/run/x"]), "tgv_x").expect_error(2, "unix:/run/tegata/verify.sock");
    run(&with(&["--max-staleness", "1ms"]), "tgv_x").expect_error(2, "500ms to 24h");
    run(&with(&["--on-stale", "maybe"]), "tgv_x").expect_error(2, "`deny`, `ask` or `allow`");
    run(&with(&["--authority-ca", "none.pem"]), "tgv_x").expect_error(2, "none.pem");
    home.file("empty.pem", "");
    run(&with(&["--authority-ca", "empty.pem"]), "tgv_x").expect_error(2, "no certificate in PEM");
    run(&["--authority", "ftp://x"], "tgv_x").expect_error(2, "write it as https://HOST");
    for address in ["https://admin:hun/ter2@h", "https://admin:hunter2@h", "https://u:hunter2@h/?x"]
    {
        let words = ["verify-proxy", "--authority", address];
        let refused = finish(home.tegata(&words).env("TEGATA_VERIFIER_TOKEN", "tgv_x"));
        assert!(!refused.err.contains("ter2"), "{}", refused.err);
        refused.expect_error(2, "--authority");
        let mut help = home.tegata(&["verify-proxy", "--help"]);
        let help = finish(help.env("TEGATA_AUTHORITY", address));
        assert!(!help.expect(0).contains("hun"));
    }
    let missing = finish(
        home.tegata(&[&["verify-proxy"], &good[..]].concat())
            .env("TEGATA_VERIFIER_TOKEN_FILE", "none"),
    );
    missing.expect_error(2, "TEGATA_VERIFIER_TOKEN_FILE");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let words = [&["verify-proxy"], &good[..], &["--listen", &at]].concat();
    let taken = finish(home.tegata(&words).env("TEGATA_VERIFIER_TOKEN", "tgv_x"));
    taken.expect_error(1, "stop the program that uses it, or choose another address");
}

#[test]
fn the_reports_of_uses_name_the_clients_of_the_machines_own_proxy() {
    let desk = Desk::new();
    let proxy = start(&desk, &verifier(&desk, &[]), &[]);
    until_ready_is(&proxy, 200);
    let token = token(&desk, &[]);
    let bearer = format!("Authorization: Bearer {token}");
    let said = ask(&proxy, "/gateway/verify", &["-H", &bearer, "-H", "X-Forwarded-For: 192.0.2.7"]);
    assert_eq!(said.status, 200);
    // A minute is reported once it is over by the authority's clock.
    desk.server.advance(61);
    let explain = || desk.json(&["token", "explain", &token]).to_string();
    until(explain, |explained| explained.contains("192.0.2.7"));
}

/// A relay in front of the authority that can refuse the feed alone.
struct Relay {
    process: std::process::Child,
    folder: tempfile::TempDir,
    url: String,
}

impl Relay {
    fn start(authority: &str) -> Self {
        use std::io::{BufRead, BufReader};
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/relay.py");
        let mut python = Command::new("python3");
        let python = python.arg(script).arg(authority).arg(folder.path().join("refuse"));
        let mut process = python.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, folder, url: format!("http://127.0.0.1:{}", port.trim()) }
    }

    fn refuse_the_feed(&self) {
        fs::write(self.folder.path().join("refuse"), "").unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
