//! A client's own `X-Tegata-…` headers reach no API behind the book's proxies, in any
//! spelling that a back end reads as one of these headers.

use crate::{
    program::finish,
    proxies::{PAGE, Running, World, token},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

const NAMES: [&str; 5] = ["Channel", "Kind", "Token-Id", "Expires-In", "Group"];

/// The caller's identity as the API reads it: every header with Tegata's name. An empty
/// value counts as absent.
type Identity = BTreeMap<String, String>;

/// Answers of one proxy: the status, and what the API got if it was asked.
struct HttpResponse {
    status: u16,
    api: Option<Value>,
}

impl HttpResponse {
    fn identity(&self) -> Identity {
        let api = self.api.as_ref().expect("the api answered");
        let headers = api["headers"].as_object().unwrap().iter();
        headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .filter(|(name, value)| name.to_uppercase().contains("TEGATA") && !value.is_empty())
            .collect()
    }

    fn header(&self, name: &str) -> &str {
        self.api.as_ref().map_or("", |api| api["headers"][name].as_str().unwrap_or_default())
    }
}

/// Sends `lines` as they are, behind a request line and a Host, and `body` after them.
fn send(to: SocketAddr, method: &str, lines: &[&str], body: &str) -> HttpResponse {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let lines = lines.join("\r\n");
    write!(stream, "{method} /api/x HTTP/1.1\r\nHost: {to}\r\n{lines}\r\n\r\n{body}").unwrap();
    let mut bytes = Vec::new();
    let mut some = [0; 8_192];
    // An upgraded connection may stay open: the response is complete by its length.
    while let Ok(n @ 1..) = stream.read(&mut some) {
        bytes.extend_from_slice(&some[..n]);
        if is_whole(&String::from_utf8_lossy(&bytes)) {
            break;
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    let status = text.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status for {lines:?}: {text}"));
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let api = serde_json::from_str(body).ok().filter(|api: &Value| api["headers"].is_object());
    HttpResponse { status, api }
}

/// Whether `answer` has its full length.
fn is_whole(response: &str) -> bool {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| length.parse().is_ok_and(|n: usize| body.len() >= n))
}

/// The authority's own response for a token.
fn vouched(world: &World, token: &str) -> Identity {
    let url = format!("{}/gateway/verify", world.desk.server.url);
    let bearer = format!("Authorization: Bearer {token}");
    let head = finish(Command::new("curl").args(["-sSf", "-i", "-H", &bearer, &url])).expect(0);
    let all = head.lines().filter_map(|line| line.split_once(": "));
    let ours = all.filter(|(name, _)| name.starts_with("x-tegata-"));
    let identity: Identity = ours
        .map(|(name, value)| (name.to_uppercase().replace('-', "_"), value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    assert!(identity.len() >= 4, "{head}");
    identity
}

/// Compares the identity at the API with the authority's; the remaining lifetime may be
/// shorter.
#[track_caller]
fn agrees(response: &HttpResponse, vouched: &Identity, what: &dyn std::fmt::Debug) {
    const LEFT: &str = "X_TEGATA_EXPIRES_IN";
    let mut got = response.identity();
    let left = got.get(LEFT).and_then(|it| it.parse::<u32>().ok());
    let most: u32 = vouched[LEFT].parse().unwrap();
    if left.is_some_and(|left| left <= most && left + 600 > most) {
        got.insert(LEFT.to_owned(), vouched[LEFT].clone());
    }
    assert_eq!(&got, vouched, "{what:?}");
    let hop = response.header("CONNECTION").to_lowercase();
    assert!(!hop.contains("tegata"), "the next hop drops what the authority says: {hop}");
}

/// Every spelling of these names that some back end reads as `X-Tegata-…`: each `-` may
/// be `_` or `.`, in any case. One list holds all names in one spelling.
fn spellings(names: &[&str]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for style in 0..27 {
        let separators = [style % 3, style / 3 % 3, style / 9].map(|n| ["-", "_", "."][n]);
        let spelled = |name: &&str| {
            let full = format!("X-Tegata-{name}");
            let parts = full.split('-').zip(separators.into_iter().chain([""]));
            let joined: String =
                parts.map(|(part, separator)| part.to_owned() + separator).collect();
            joined.trim_end_matches(['-', '_', '.']).to_owned()
        };
        let names: Vec<String> = names.iter().map(spelled).collect();
        all.push(names.iter().map(|name| name.to_lowercase()).collect());
        all.push(names.iter().map(|name| name.to_uppercase()).collect());
        all.push(names);
    }
    all
}

/// Requests that hide a header from the proxy or make it drop one. A proxy may refuse
/// them; if one reaches the API, the identity is the authority's.
const TRICKS: [&[&str]; 12] = [
    &["X-Tegata-Channel: a", "X-Tegata-Channel: b", "x-tegata-group: a", "X-TEGATA-GROUP: b"],
    &["X-Tegata-Group:"],
    &["X-Tegata-Group : forged"],
    &["X-Tegata-Group:", "\tforged"],
    &["A: b", " X-Tegata-Group: forged"],
    &["A: b\rX-Tegata-Group: forged"],
    &["A: b\nX-Tegata-Group: forged"],
    &["Connection: close, X-Tegata-Group, X-Tegata-Channel", "X-Tegata-Group: forged"],
    &["Connection: keep-alive", "Connection: x-tegata-Group,X-TEGATA-KIND,X-Tegata-Token-Id"],
    &[
        "Connection: Upgrade, X-Tegata-Group",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "X-Tegata-Group: forged",
    ],
    &["X-Forwarded-Uri: /gateway/verify?group=x", "X-Forwarded-Method: PUT", "X-Tegata-Group: x"],
    &["Connection: close, Authorization", "X-Tegata-Channel: forged"],
];

/// Forges `names` and more through the proxy, with a token of a group and with one of none.
fn none_passes(world: &World, proxy: &Running, names: &[&str]) {
    for more in [&["--group", "team"][..], &[]] {
        let token = token(&world.desk, more);
        let bearer = format!("Authorization: Bearer {token}");
        let vouched = vouched(world, &token);
        assert_eq!(vouched.contains_key("X_TEGATA_GROUP"), !more.is_empty());
        for spelling in spellings(names) {
            let forged: Vec<_> = spelling.iter().map(|name| format!("{name}: forged")).collect();
            let lines = [&bearer, "Connection: close"].into_iter();
            let lines: Vec<_> = lines.chain(forged.iter().map(String::as_str)).collect();
            let response = send(proxy.at, "GET", &lines, "");
            assert_eq!(response.status, 200, "{spelling:?}");
            agrees(&response, &vouched, &spelling);
        }
        for trick in TRICKS {
            let response = send(proxy.at, "GET", &[&[bearer.as_str()], trick].concat(), "");
            if response.api.is_some() {
                agrees(&response, &vouched, &trick);
            } else {
                assert!((400..500).contains(&response.status), "{}: {trick:?}", response.status);
            }
        }
        let chunked =
            ["Transfer-Encoding: chunked", "Trailer: X-Tegata-Group", "Connection: close"];
        let lines = [&[bearer.as_str()], &chunked[..]].concat();
        let response = send(proxy.at, "POST", &lines, "0\r\nX-Tegata-Group: forged\r\n\r\n");
        agrees(&response, &vouched, &chunked);
        refused_ones_stop(world, proxy, &bearer);
    }
}

/// Asserts that a refused request stops at the proxy, whatever its headers are.
fn refused_ones_stop(world: &World, proxy: &Running, good: &str) {
    let seen = || world.api.ask("127.0.0.1", &[], "/seen").1.lines().last().map(str::to_owned);
    let before = seen();
    let bad = "Authorization: Bearer bad";
    for credentials in [&[][..], &[bad], &[good, bad], &[bad, good], &[good, good]] {
        for spelling in spellings(&NAMES).iter().step_by(7) {
            let forged: Vec<_> = spelling.iter().map(|name| format!("{name}: forged")).collect();
            let forged: Vec<_> = forged.iter().map(String::as_str).collect();
            for hop in ["Connection: close", "Connection: Upgrade\r\nUpgrade: websocket"] {
                let lines = [credentials, &forged, &[hop]].concat();
                let status = send(proxy.at, "GET", &lines, "").status;
                assert!((400..500).contains(&status), "{status}: {lines:?}");
            }
        }
    }
    assert_eq!(before, seen(), "a refused request reached the api");
}

/// The same over HTTP/2 without TLS, where header names are all in small letters.
fn none_passes_by_http2(world: &World, proxy: &Running) {
    let token = token(&world.desk, &["--group", "team"]);
    let vouched = vouched(world, &token);
    for spelling in spellings(&[&NAMES[..], &["Unknown"]].concat()).iter().step_by(3) {
        let mut curl = Command::new("curl");
        curl.args(["-sSf", "--max-time", "30", "--http2-prior-knowledge"]);
        curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        for name in spelling {
            curl.args(["-H", &format!("{name}: forged"), "-H", &format!("{name}: again")]);
        }
        let body = finish(curl.arg(format!("http://{}/api/x", proxy.at))).expect(0);
        let response = HttpResponse { status: 200, api: serde_json::from_str(&body).ok() };
        agrees(&response, &vouched, spelling);
    }
}

/// What is true of a proxy that removes headers by pattern: names that this release does
/// not know stop there, too.
fn nothing_of_ours_passes(world: &World, proxy: &Running) {
    none_passes(world, proxy, &[&NAMES[..], &["Unknown"]].concat());
    none_passes_by_http2(world, proxy);
}

#[test]
fn nginx_of_the_book_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.nginx_of_the_book();
    none_passes(&world, &proxy, &NAMES);
}

#[test]
fn nginx_that_passes_named_headers_only_lets_no_unknown_one_through() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let line = "proxy_pass_request_headers off;";
    assert!(fs::read_to_string(page).unwrap().contains(line), "the book does not say so");
    let mut world = World::new();
    let api = "    proxy_pass http://127.0.0.1:9000;";
    world.edits.push((api.to_owned(), format!("    {line}\n{api}")));
    let proxy = world.nginx_of_the_book();
    none_passes(&world, &proxy, &[&NAMES[..], &["Unknown"]].concat());
}

#[test]
fn caddy_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.caddy();
    nothing_of_ours_passes(&world, &proxy);
}

#[test]
fn haproxy_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.haproxy();
    nothing_of_ours_passes(&world, &proxy);
}

#[test]
fn envoy_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.envoy();
    nothing_of_ours_passes(&world, &proxy);
}

#[test]
fn traefik_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.traefik();
    nothing_of_ours_passes(&world, &proxy);
}

#[test]
fn envoy_over_grpc_lets_no_forged_identity_through() {
    let world = World::new();
    let proxy = world.envoy_over_grpc();
    nothing_of_ours_passes(&world, &proxy);
}

#[test]
fn envoy_over_grpc_without_its_own_filter_lets_no_forged_identity_through() {
    let mut world = World::new();
    // The authority's own headers and removals alone.
    world.edits.push(("regex: \"x.tegata.*\"".to_owned(), "regex: \"none\"".to_owned()));
    let proxy = world.envoy_over_grpc();
    none_passes(&world, &proxy, &[&NAMES[..], &["Unknown"]].concat());
}

#[test]
fn no_forged_identity_passes_by_the_verifying_proxy() {
    let world = World::by_proxy();
    let proxy = world.nginx_of_the_book();
    none_passes(&world, &proxy, &NAMES);
    drop(proxy);
    let proxy = world.caddy();
    nothing_of_ours_passes(&world, &proxy);
    drop(proxy);
    let proxy = world.envoy_over_grpc();
    nothing_of_ours_passes(&world, &proxy);
    drop(proxy);
    let world = World::by_proxy_at_an_address();
    let proxy = world.haproxy();
    nothing_of_ours_passes(&world, &proxy);
    drop(proxy);
    let proxy = world.traefik();
    nothing_of_ours_passes(&world, &proxy);
}
