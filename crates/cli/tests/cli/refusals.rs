//! What a client gets through the book's proxies when its request is refused, when Tegata
//! is down, and when a browser asks before it sends a request.

use crate::{
    book::fenced,
    program::finish,
    proxies::{PAGE, Running, World, token},
};
use serde_json::Value;
use std::process::Command;

/// A response in small letters.
#[derive(Debug)]
struct Said {
    status: u16,
    head: String,
    body: String,
}

impl Said {
    fn new((status, text): (u16, String)) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(it, _)| *it == name).map(|(_, value)| value);
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there twice: {}", self.head);
        first
    }

    /// The `message` of a JSON body.
    #[track_caller]
    fn message(&self) -> String {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/json"), "{self:?}");
        json["message"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

fn through(proxy: &Running, words: &[&str]) -> Said {
    Said::new(proxy.ask("127.0.0.2", words, "/api/x?a=b"))
}

/// The authority's own response.
fn direct(world: &World, words: &[&str], query: &str) -> Said {
    let url = format!("{}/gateway/verify{query}", world.desk.server.url);
    let text = finish(Command::new("curl").args(["-sS", "-i"]).args(words).arg(url)).expect(0);
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    Said::new((status, text.to_ascii_lowercase()))
}

/// Asserts that the proxy's response is the authority's.
#[track_caller]
fn agrees(got: &Said, authority: &Said) {
    assert_eq!((got.status, &got.body), (authority.status, &authority.body), "{got:?}");
    got.message();
    for name in ["www-authenticate", "content-type"] {
        assert_eq!(got.header(name), authority.header(name), "{got:?}");
    }
    let id = got.header("x-line-request-id").unwrap_or_else(|| panic!("{got:?}"));
    assert!(uuid(id), "{got:?}");
}

fn uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// Bearer tokens that are refused: none, one that is invalid, one that is too long.
fn refused() -> [Vec<String>; 3] {
    let bearer = |token: &str| vec!["-H".to_owned(), format!("Authorization: Bearer {token}")];
    [vec![], bearer("no"), bearer(&"x".repeat(8_193))]
}

/// What the API's client gets from each proxy; `down` is the status without Tegata, with a
/// JSON body unless it is 500.
fn hands_refusals_on(world: World, proxy: &Running, down: u16) {
    for words in refused() {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let authority = direct(&world, &words, "");
        assert!((400..402).contains(&authority.status));
        agrees(&through(proxy, &words), &authority);
        agrees(&through(proxy, &[&words[..], &["-d", "a=body"]].concat()), &authority);
    }
    let token = token(&world.desk, &[]);
    let bearer = format!("Authorization: Bearer {token}");
    let many: Vec<String> = (0..120).map(|n| format!("X-Many-{n}: x")).collect();
    let mut words = vec!["-H", &bearer];
    many.iter().for_each(|header| words.extend(["-H", header]));
    let got = through(proxy, &words);
    assert!(got.status == 200 || (400..500).contains(&got.status), "{got:?}");
    if got.status != 200 {
        assert!(got.message().contains("headers"), "{got:?}");
    }
    assert_eq!(through(proxy, &["-X", "OPTIONS"]).status, 401, "a preflight has no token");

    world.stop_answering();
    let got = through(proxy, &["-H", &bearer]);
    assert_eq!(got.status, down, "{got:?}");
    if down != 500 {
        assert!(got.message().contains("temporarily unavailable"), "{got:?}");
        let wait = got.header("retry-after").and_then(|it| it.parse::<u32>().ok());
        assert!(wait.is_some_and(|seconds| seconds > 0), "{got:?}");
    }
}

/// Asserts that a token which does not meet the configuration's conditions gets the
/// authority's 403.
fn hands_403_on(mut world: World, start: fn(&World) -> Running) {
    let conditions = "/gateway/verify?group=other";
    for before in ["/gateway/verify?", "/gateway/verify"] {
        world.edits.push((before.to_owned(), "GATE".to_owned()));
    }
    world.edits.push(("GATE".to_owned(), conditions.to_owned()));
    let proxy = start(&world);
    let bearer = format!("Authorization: Bearer {}", token(&world.desk, &["--group", "team"]));
    let authority = direct(&world, &["-H", &bearer], "?group=other");
    assert_eq!(authority.status, 403);
    agrees(&through(&proxy, &["-H", &bearer]), &authority);
}

const PREFLIGHT: [&str; 6] = [
    "-XOPTIONS",
    "-HOrigin: https://app.example.com",
    "-HAccess-Control-Request-Method: PUT",
    "-HAccess-Control-Request-Headers: authorization",
    "-HCache-Control: no-cache",
    "-HAccept: */*",
];

/// Asserts that the proxy answers a preflight, and nothing else, without a token.
fn answers_preflights(mut world: World, edits: Vec<(&str, String)>, start: fn(&World) -> Running) {
    let edits = edits.into_iter().map(|(from, to)| (from.to_owned(), to));
    // First: those of the world are in the inserted blocks, too.
    world.edits = edits.chain(world.edits).collect();
    let proxy = start(&world);
    let seen = || world.api.ask("127.0.0.1", &[], "/seen").1.lines().last().map(str::to_owned);
    let before = seen();
    let got = through(&proxy, &PREFLIGHT);
    assert!([200, 204].contains(&got.status), "{got:?}");
    let origin = Some("https://app.example.com");
    assert_eq!(got.header("access-control-allow-origin"), origin);
    let methods = got.header("access-control-allow-methods").unwrap();
    let headers = got.header("access-control-allow-headers").unwrap();
    assert!(methods.contains("put") && headers.contains("authorization"), "{got:?}");
    let got = through(&proxy, &PREFLIGHT[1..]);
    assert_eq!(got.status, 401, "{got:?}");
    assert_eq!(got.header("access-control-allow-origin"), origin, "{got:?}");
    assert_eq!(before, seen(), "a request without a token reached the api");
    let bearer = format!("Authorization: Bearer {}", token(&world.desk, &[]));
    let got = through(&proxy, &["-H", PREFLIGHT[1].trim_start_matches("-H"), "-H", &bearer]);
    assert_eq!(got.status, 200, "{got:?}");
}

/// The book's blocks about preflights in this language, behind `anchor` in the proxy's own.
fn cors(language: &str) -> Vec<String> {
    fenced(PAGE, "## Answer CORS", language)
}

fn indented(block: &str, by: usize) -> String {
    block.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

#[test]
fn nginx_hands_refusals_on_and_logs_the_tokens_id() {
    let world = World::new();
    let proxy = world.nginx_of_the_book();
    let good = token(&world.desk, &[]);
    let bearer = format!("Authorization: Bearer {good}");
    let id = direct(&world, &["-H", &bearer], "").header("x-tegata-token-id").unwrap().to_owned();
    assert_eq!(through(&proxy, &["-H", &bearer]).status, 200);
    let refused = through(&proxy, &[]);
    let request = refused.header("x-line-request-id").unwrap();
    // nginx writes a line after the response.
    let file = world.desk.home.path("nginx/api.log");
    let read = || std::fs::read_to_string(&file).unwrap();
    for _ in 0..200 {
        if read().lines().count() >= 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let log = read();
    let lines: Vec<_> = log.lines().collect();
    assert!(lines[0].contains("GET /api/x 200"), "{log}");
    assert!(lines[0].to_lowercase().contains(&format!("token={id}")), "{log}");
    assert!(lines[1].contains(" 401 ") && lines[1].contains(request), "{log}");
    assert!(!log.contains(&good) && !log.contains("a=b"), "{log}");
    // nginx itself refuses a header line that is longer still.
    let endless = format!("Authorization: Bearer {}", "x".repeat(40_000));
    let got = through(&proxy, &["-H", &endless]);
    assert!((400..500).contains(&got.status) && got.message().contains("too large"), "{got:?}");
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn caddy_hands_refusals_on() {
    let world = World::new();
    let proxy = world.caddy();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn haproxy_hands_refusals_on() {
    let world = World::new();
    let proxy = world.haproxy();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn haproxy_refuses_a_request_whose_check_fails_or_does_not_end() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/", silent.local_addr().unwrap());
    let broken = [
        ("    local asked = ", "    error(\"broken\") local asked = "),
        ("        txn:set_var", "        error(\"broken\") txn:set_var"),
        ("http://127.0.0.1:8080/", &silent),
    ];
    for (from, to) in broken {
        let mut world = World::new();
        world.edits.push((from.to_owned(), to.to_owned()));
        let proxy = world.haproxy();
        let seen = || world.api.ask("127.0.0.1", &[], "/seen").1.lines().last().map(str::to_owned);
        let before = seen();
        let bearer = format!("Authorization: Bearer {}", token(&world.desk, &[]));
        let got = through(&proxy, &["-H", &bearer]);
        assert_eq!(got.status, 503, "{to}: {got:?}");
        assert!(got.message().contains("temporarily unavailable"), "{to}: {got:?}");
        assert_eq!(got.header("retry-after"), Some("1"), "{to}");
        assert_eq!(before, seen(), "{to}: a request that was not checked reached the api");
    }
}

#[test]
fn envoy_hands_refusals_on() {
    let world = World::new();
    let proxy = world.envoy();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn traefik_hands_refusals_on() {
    let world = World::new();
    let proxy = world.traefik();
    hands_refusals_on(world, &proxy, 500);
}

#[test]
fn envoy_over_grpc_hands_refusals_on() {
    let world = World::new();
    let proxy = world.envoy_over_grpc();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn nginx_hands_refusals_of_the_verifying_proxy_on() {
    let world = World::by_proxy();
    let proxy = world.nginx_of_the_book();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn caddy_hands_refusals_of_the_verifying_proxy_on() {
    let world = World::by_proxy();
    let proxy = world.caddy();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn haproxy_hands_refusals_of_the_verifying_proxy_on() {
    let world = World::by_proxy_at_an_address();
    let proxy = world.haproxy();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn envoy_hands_refusals_of_the_verifying_proxy_on() {
    let world = World::by_proxy();
    let proxy = world.envoy_over_grpc();
    hands_refusals_on(world, &proxy, 503);
}

#[test]
fn traefik_hands_refusals_of_the_verifying_proxy_on() {
    let world = World::by_proxy_at_an_address();
    let proxy = world.traefik();
    hands_refusals_on(world, &proxy, 500);
}

#[test]
fn an_unmet_condition_of_envoys_route_is_403_and_a_misspelt_one_400() {
    let block = &fenced(PAGE, "## Let Envoy ask over gRPC", "yaml")[1];
    let host = "                      domains: [\"*\"]\n";
    for (mut world, misspelt, status) in
        [(World::new(), "", 403), (World::by_proxy(), "", 403), (World::new(), "s", 400)]
    {
        let block = block.replace("group: kitchen", &format!("group{misspelt}: kitchen"));
        world.edits.push((host.to_owned(), format!("{host}{}", indented(&block, 22))));
        let proxy = world.envoy_over_grpc();
        let bearer = format!("Authorization: Bearer {}", token(&world.desk, &["--group", "team"]));
        let got = through(&proxy, &["-H", &bearer]);
        assert_eq!(got.status, status, "{got:?}");
        got.message();
        assert!(uuid(got.header("x-line-request-id").unwrap()), "{got:?}");
    }
}

#[test]
fn an_unmet_condition_is_the_authoritys_403_through_a_proxy() {
    hands_403_on(World::new(), World::nginx_of_the_book);
    hands_403_on(World::new(), World::caddy);
    hands_403_on(World::new(), World::haproxy);
    hands_403_on(World::new(), World::traefik);
}

#[test]
fn nginx_answers_preflights_as_the_book_says() {
    let blocks = cors("nginx");
    let edits = vec![
        ("location /api/ {\n", format!("location /api/ {{\n{}", blocks[0])),
        ("location @refused {\n", format!("location @refused {{\n{}", blocks[1])),
    ];
    answers_preflights(World::new(), edits, World::nginx_of_the_book);
}

#[test]
fn caddy_answers_preflights_as_the_book_says() {
    let route = "    route /api/* {\n";
    let edits = vec![(route, format!("{route}{}", cors("caddyfile")[0]))];
    answers_preflights(World::new(), edits, World::caddy);
}

#[test]
fn haproxy_answers_preflights_as_the_book_says() {
    let call = "    http-request lua.tegata\n";
    let edits = vec![(call, format!("{}{call}", cors("haproxy")[0]))];
    answers_preflights(World::new(), edits, World::haproxy);
}

#[test]
fn envoy_answers_preflights_as_the_book_says() {
    let blocks = cors("yaml");
    let (filters, host) =
        ("                http_filters:\n", "                      domains: [\"*\"]\n");
    let edits = vec![
        (filters, format!("{filters}{}", indented(&blocks[0], 18))),
        (host, format!("{host}{}", indented(&blocks[1], 22))),
    ];
    answers_preflights(World::new(), edits.clone(), World::envoy);
    answers_preflights(World::by_proxy(), edits, World::envoy_over_grpc);
}

#[test]
fn traefik_answers_preflights_as_the_book_says() {
    let edits = vec![
        ("  middlewares:\n", format!("  middlewares:\n{}", indented(&cors("yaml")[2], 4))),
        ("middlewares: [tegata]", "middlewares: [cors, tegata]".to_owned()),
    ];
    answers_preflights(World::new(), edits, World::traefik);
}
