//! Health, metrics, and the clock of `--dev`.

use crate::world::{HttpResponse, JSON, World};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tegata_system::http::client_for;
use tegata_token::kind::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_is_live_and_ready() {
    let world = World::new().await;
    world.get("/livez").await.is(200, r#"{"status":"alive"}"#);
    world.get("/readyz").await.is(200, r#"{"status":"ready"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_counted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    assert!(world.is_good(&token).await);
    world.verify_opaque("junk").await;
    world.revoke(&shop, &token).await;
    world.gateway(&token, "").await;
    let good = world.issue(&shop, Kind::Stateless).await;
    world.gateway(&good, "?kind=v2.1").await;
    world.gateway(&spoilt(&good), "").await;
    world.post("/oauth2/v3/token", &[("grant_type", "client_credentials")]).await;
    let mut shown = world.get("/metrics").await;
    assert!(shown.header("content-type").starts_with("application/openmetrics-text"));
    // An act of a job may wait at that moment.
    for _ in 0..100 {
        if shown.text.contains("tegata_writer_queue 0") {
            break;
        }
        shown = world.get("/metrics").await;
    }
    for line in [
        r#"tegata_issues_total{kind="short-lived",result="issued"} 1"#,
        r#"tegata_issue_seconds_count{kind="short-lived"} 1"#,
        r#"tegata_verifications_total{api="line-v2",result="active"} 1"#,
        r#"tegata_verifications_total{api="line-v2",result="malformed"} 1"#,
        r#"tegata_verifications_total{api="gateway",result="revoked"} 1"#,
        r#"tegata_verifications_total{api="gateway",result="denied"} 1"#,
        r#"tegata_verifications_total{api="gateway",result="bad_signature"} 1"#,
        r#"tegata_revocations_total{scope="token"} 1"#,
        r#"tegata_evictions_total{kind="short-lived"} 0"#,
        r#"tegata_ready{check="store"} 1"#,
        "tegata_view_revocations 1",
        "tegata_writer_queue 0",
        "tegata_signing_key_rotation_due_seconds 77",
        "tegata_view_channels 1",
        "tegata_internal_errors_total 0",
    ] {
        assert!(shown.text.contains(line), "{line} is missing in {}", shown.text);
    }
    assert!(!shown.text.contains(&token) && !shown.text.contains(&shop.secret));
}

/// With another signature.
fn spoilt(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{first}{}", &signature[1..])
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_evicted_by_an_issue_are_counted_as_evicted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    for _ in 0..32 {
        world.issue(&shop, Kind::ShortLived).await;
    }
    let shown = world.get("/metrics").await.text;
    assert!(shown.contains(r#"tegata_evictions_total{kind="short-lived"} 2"#), "{shown}");
    let commits = shown.lines().find(|it| it.starts_with("tegata_commit_seconds_count")).unwrap();
    let commits: u64 = commits.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(commits >= 34, "one for each token, provider and channel: {commits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_days_until_a_signing_keys_rotation_are_counted_down() {
    let world = World::with(|settings| settings.warn.signing_key_days = 3).await;
    let due = async || {
        let shown = world.get("/metrics").await.text;
        let line = shown.lines().find(|it| it.starts_with("tegata_signing_key_rotation_due_sec"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<i64>().unwrap()
    };
    assert!((3 * 86_400 - 60..=3 * 86_400).contains(&due().await));
    world.advance(4 * 86_400).await;
    assert!((-86_460..=-86_400).contains(&due().await), "a day overdue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verbose_readiness_request_names_what_is_wrong() {
    let world = World::with(|settings| settings.min_free_disk = u64::MAX).await;
    world.get("/readyz").await.is(503, r#"{"failing":["disk"],"status":"unready"}"#);
    let verbose = world.get("/readyz?verbose").await;
    assert_eq!((verbose.status, verbose.header("retry-after")), (503, "1"));
    let checks = verbose.json()["checks"].as_array().unwrap().clone();
    let shown: Vec<_> = checks
        .iter()
        .map(|it| (it["check"].as_str().unwrap(), it["ok"].as_bool().unwrap()))
        .collect();
    let expected = [
        ("running", true),
        ("store", true),
        ("disk", false),
        ("signing_key", true),
        ("audit", true),
        ("jobs", true),
    ];
    assert_eq!(shown, expected);
    assert!(verbose.text.contains("MiB free on the store's disk"), "{}", verbose.text);
    world.get("/livez").await.is(200, r#"{"status":"alive"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn frequent_readiness_requests_commit_at_most_once_a_second() {
    let world = World::new().await;
    let commits = async || {
        let shown = world.get("/metrics").await.text;
        let line = shown.lines().find(|it| it.starts_with("tegata_commit_seconds_count"));
        line.unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let clock = world.authority().clock();
    let (began, before) = (clock.steady(), commits().await);
    for _ in 0..200 {
        assert_eq!(world.get("/readyz").await.status, 200);
    }
    let (after, took) = (commits().await, clock.steady().duration_since(began).as_secs());
    assert!(after - before <= took + 2, "{} commits in {took} s", after - before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_is_unready_and_serves_for_a_while() {
    let mut world = World::with(|it| it.drain_delay = std::time::Duration::from_secs(2)).await;
    world.get("/readyz").await.is(200, r#"{"status":"ready"}"#);
    let url = world.url("");
    let http = client_for(&url.parse().unwrap()).build().unwrap();
    let stopping = world.stop();
    let asking = async {
        // Not before the other has been polled once.
        tokio::task::yield_now().await;
        let ready = http.get(format!("{url}/readyz")).send().await.unwrap();
        let alive = http.get(format!("{url}/livez")).send().await.unwrap().status();
        (ready.status().as_u16(), ready.text().await.unwrap(), alive.as_u16())
    };
    let ((), (status, text, alive)) = tokio::join!(stopping, asking);
    assert_eq!((status, &*text), (503, r#"{"failing":["running"],"status":"unready"}"#));
    assert_eq!(alive, 200);
    assert!(http.get(format!("{url}/livez")).send().await.is_err(), "it has stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clock_only_advances_and_keeps_its_time_over_a_restart() {
    let mut world = World::new().await;
    let before = world.get("/dev/clock").await.json()["now_unix"].as_i64().unwrap();
    let body = json!({ "advance_seconds": 100_000 }).to_string();
    let moved = world.send(Method::POST, "/dev/clock", &[JSON], body).await;
    assert_eq!(moved.status, 200);
    assert!(moved.json()["now_unix"].as_i64().unwrap() >= before + 100_000);
    for bad in [
        r#"{"advance_seconds": -1}"#,
        r#"{"advance_seconds": 1.5}"#,
        r#"{"advance_seconds": "1"}"#,
        r#"{"advance_seconds": 1, "x": 1}"#,
        r#"{"advance_seconds": 9223372036854775807}"#,
        "{}",
        "",
    ] {
        let response = world.send(Method::POST, "/dev/clock", &[JSON], bad.into()).await;
        assert_eq!(response.status, 400, "{bad}");
    }
    world.restart().await;
    assert!(world.now() >= before + 100_000);
}

/// What a page in a developer's browser can send without permission.
#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_can_neither_move_the_clock_nor_set_faults() {
    let world = World::new().await;
    let before = world.now();
    let clock = json!({ "advance_seconds": 100_000 }).to_string();
    let fault = json!({ "status": 503 }).to_string();
    for (path, body) in [("/dev/clock", clock), ("/dev/faults", fault)] {
        for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let headers = [("content-type", form), ("origin", "https://evil.example")];
            let response = world.send(Method::POST, path, &headers, body.clone()).await;
            assert_eq!(response.status, 415, "{path} {form}");
        }
        assert_eq!(world.send(Method::POST, path, &[], body.clone()).await.status, 415, "{path}");
        let rebound = [JSON, ("host", "evil.example:8080")];
        let response = world.send(Method::POST, path, &rebound, body).await;
        assert_eq!(response.status, 403, "{path}");
        assert_eq!(world.get_with(path, &[("host", "evil.example")]).await.status, 403, "{path}");
    }
    assert!(world.now() < before + 50_000);
    assert_eq!(world.get("/dev/faults").await.json()["faults"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_date_of_every_response_follows_the_development_clock() {
    let world = World::new().await;
    let date = |response: &HttpResponse| {
        let text = response.headers["date"].to_str().unwrap();
        let zoned = jiff::fmt::rfc2822::parse(text).unwrap();
        zoned.timestamp().as_second()
    };
    world.advance(100_000).await;
    for path in ["/dev/clock", "/gateway/verify", "/livez", "/none", "/admin/v1/providers"] {
        let off = date(&world.get(path).await) - world.now();
        assert!((-5..=0).contains(&off), "{path}: {off}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_replaces_the_next_answers_in_the_form_of_each_api() {
    let world = World::new().await;
    let set = async |fault: Value| {
        let set = world.send(Method::POST, "/dev/faults", &[JSON], fault.to_string()).await;
        assert_eq!(set.status, 200, "{}", set.text);
        set.json()["faults"].clone()
    };
    let fault = json!({ "status": 503, "delay_ms": 0, "count": 2, "path": "/gateway" });
    assert_eq!(set(fault.clone()).await, json!([fault]));
    for status in [503, 503, 401] {
        let response = world.get("/gateway/verify").await;
        assert_eq!(response.status, status);
        assert_eq!(response.headers.contains_key("retry-after"), status == 503);
        assert!(response.headers.contains_key("x-line-request-id"));
    }
    for status in [429, 500, 503] {
        set(json!({ "status": status, "count": 2 })).await;
        assert_eq!(world.get("/readyz").await.status, 200, "probes are not affected");
        assert_eq!(world.get("/oauth2/v2.1/verify").await.status, status);
        let response = world.get("/admin/v1/providers").await;
        assert_eq!((response.status, response.json()["code"].is_string()), (status, true));
    }
    set(json!({ "status": 500, "count": 9 })).await;
    let cleared = world.send(Method::DELETE, "/dev/faults", &[], String::new()).await;
    assert_eq!((cleared.status, cleared.json()["faults"].clone()), (200, json!([])));
    assert_eq!(world.get("/gateway/verify").await.status, 401);
    let bad = world.send(Method::POST, "/dev/faults", &[JSON], "{}".to_owned()).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_dev_no_clock_can_be_advanced() {
    let world = World::with(|settings| settings.dev = false).await;
    for path in ["/dev/clock", "/dev/faults"] {
        world.get(path).await.is(404, r#"{"message":"Not found"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_a_stored_token_is_noted() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    assert!(world.is_good(&token).await);
    let used = world.now();
    // Stopping writes the times of last use.
    world.restart().await;
    let page = tegata_store::Page { before: None, most: 10 };
    let rows = world.admin().tokens(shop.id, Default::default(), page).await;
    let at = rows.unwrap()[0].1.last_used_at.unwrap().0;
    assert!((used - 5..=used).contains(&at));
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_that_no_longer_matter_are_forgotten() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::Stateless).await;
    world.revoke(&shop, &token).await;
    assert_eq!(world.authority().view().channels(), 1);
    world.advance(40 * 86_400).await;
    assert_eq!(world.authority().view().channels(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grew_fast_is_trimmed_after_a_day() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut writers = tokio::task::JoinSet::new();
    // More than two transactions of the job delete, written by many at once.
    for writer in 0..50 {
        let (admin, id) = (world.admin_client(), shop.id.to_string());
        writers.spawn(async move {
            for n in 0..50 {
                let name = json!({ "name": format!("shop {writer} {n}") });
                admin.patch(&["channels", &id], &name).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let conn = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    let count = || -> usize {
        conn.query_row("SELECT count(*) FROM change_log", [], |row| row.get(0)).unwrap()
    };
    assert!(count() > 2_500, "{}", count());
    world.advance(2 * 86_400).await;
    assert!(count() < 10, "{}", count());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_each_secret_and_each_assertion_key_is_noted() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let (admin, id) = (world.admin_client(), shop.id.to_string());
    let secrets = async || {
        let shown = admin.get(&["channels", &id], &()).await.unwrap();
        let all = shown["secrets"].as_array().unwrap().clone();
        all.into_iter().map(|it| it["last_used_at"].clone()).collect::<Vec<_>>()
    };
    let key = async || {
        let keys = admin.rows(&["channels", &id, "assertion-keys"], "assertion_keys").await;
        keys.unwrap()[0]["last_used_at"].clone()
    };
    assert_eq!((secrets().await, key().await), (vec![Value::Null], Value::Null));
    world.issue(&shop, Kind::ShortLived).await;
    world.issue(&shop, Kind::V21).await;
    world.advance(60).await;
    let (used, key_used) = (secrets().await, key().await);
    assert!(used[0].is_string() && key_used.is_string(), "{used:?} {key_used}");

    world.replace_secret(shop.id, 86_400).await;
    assert_eq!(secrets().await, [Value::Null, used[0].clone()], "a new one was never used");
    // Revoking a token uses it, too.
    world.revoke(&shop, &world.issue(&shop, Kind::V21).await).await;
    world.advance(60).await;
    let again = secrets().await;
    assert!(again[0].is_null() && again[1].is_string() && again[1] != used[0], "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_swept_in_rounds_of_a_bounded_length() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let conn = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 160000)
                INSERT INTO token (channel, serial, id, kind, signing_key, form, issued_at,
                    expires_at, past)
                SELECT ?1, i, zeroblob(16), 'v2.1', 1, 1, 0, 60, 1 FROM n";
    conn.execute(many, [shop.id.number()]).unwrap();
    let left =
        || -> usize { conn.query_row("SELECT count(*) FROM token", [], |row| row.get(0)).unwrap() };
    world.advance(60).await;
    // A round of the server's own may have run in between: at most two ran.
    assert!((60_000..=110_000).contains(&left()), "{}", left());
    for _ in 0..3 {
        world.advance(60).await;
    }
    assert_eq!(left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_answer_is_503_and_verification_continues() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::ShortLived).await;
    // Another process holds the database's write lock.
    let other = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (issued, revoked, ready) = tokio::join!(
        world.short_lived(&shop, &[]),
        world.revoke_opaque(&token),
        world.get("/readyz"),
    );
    ready.is(503, r#"{"failing":["store"],"status":"unready"}"#);
    for response in [issued, revoked] {
        response
            .is(503, r#"{"message":"The service is temporarily unavailable. Try again later."}"#);
        assert_eq!(response.header("retry-after"), "1");
    }
    assert!(world.is_good(&token).await);
    other.execute_batch("ROLLBACK").unwrap();
    world.revoke(&shop, &token).await;
    assert!(!world.is_good(&token).await);
    // The response of a second ago may still be cached.
    while world.get("/readyz").await.status != 200 {}
}

// On one thread, so that the whole server logs to the subscriber set here.
#[tokio::test]
async fn the_log_names_paths_and_never_a_credential() {
    let (log, _here) = Log::begin();
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let short = world.issue(&shop, Kind::ShortLived).await;
    let v21 = world.issue(&shop, Kind::V21).await;
    let assertion = shop.assertion(world.now());
    world.line.key_ids(&assertion).await.unwrap();
    assert!(world.is_good(&v21).await && world.is_good(&short).await);
    world.gateway(&v21, "").await;
    world.revoke(&shop, &v21).await;
    world.revoke(&shop, &short).await;
    let log = log.text();
    for path in ["/v2/oauth/accessToken", "/oauth2/v2.1/tokens/kid", "/oauth2/v2.1/revoke"] {
        let line = log.lines().find(|line| line.contains(path)).unwrap();
        assert!(line.contains("INFO") && line.contains("status=200"), "{line}");
        assert!(line.contains("request_id=") && line.contains("source=127.0.0.1"), "{line}");
    }
    let check = log.lines().find(|line| line.contains("/oauth2/v2.1/verify")).unwrap();
    assert!(check.contains("DEBUG"), "{check}");
    for secret in [&shop.secret, &short, &v21, &assertion] {
        assert!(!log.contains(&**secret), "{log}");
        let tail = &secret[secret.len() - 20..];
        assert!(!log.contains(tail), "{log}");
    }
    assert!(!log.contains('?'), "a query string: {log}");
}

#[tokio::test]
async fn a_log_line_of_a_request_has_the_request_id_of_its_response() {
    let (log, _here) = Log::begin();
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let other = rusqlite::Connection::open(world.folder.path().join("tegata.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let response = world.short_lived(&shop, &[]).await;
    assert_eq!(response.status, 503);
    let log = log.text();
    let line = log
        .lines()
        .find(|line| line.contains("a request failed: the answer cannot be known"))
        .unwrap();
    assert!(
        line.contains(&format!("request{{id={}}}", response.header("x-line-request-id"))),
        "{line}"
    );
}

#[tokio::test]
async fn the_log_has_the_route_and_its_channel_and_of_other_paths_only_known_words() {
    let (log, _here) = Log::begin();
    let world = World::new().await;
    let long = "a".repeat(70_000);
    for (path, expected) in [
        (
            "/admin/v1/channels/1234567890/tokens/x",
            "channels/{channel}/tokens/{token}\" channel=1234567890",
        ),
        ("/admin/v1/channels/not-an-id", "route=\"/admin/v1/channels/{channel}\" status=401"),
        ("/.well-known/jwks.json", "route=\"/.well-known/jwks.json\" status=200"),
        ("/v2/oauth/accesstoken", "path=\"/v2/oauth/*\" status=404"),
        ("/admin/v1/no-such-path", "path=\"/admin/v1/*\" status=401"),
    ] {
        let id = world.get(path).await.header("x-line-request-id").to_owned();
        let log = log.text();
        let line = log.lines().find(|line| line.contains(&id)).unwrap();
        assert!(line.contains(expected), "{expected}: {line}");
    }
    // A rejection before the handler logs the route, too.
    for (path, status) in [("/oauth2/v2.1/token", 413), ("/v2/oauth/verify", 413)] {
        let response = world.send(Method::POST, path, &[], long.clone()).await;
        let log = log.text();
        let line = log.lines().find(|line| line.contains(response.header("x-line-request-id")));
        let expected = format!("route=\"{path}\" status={status}");
        assert!(line.is_some_and(|line| line.contains(&expected)), "{line:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_names_the_request_that_it_answers() {
    let world = World::new().await;
    let long = "a".repeat(70_000);
    for (method, path, body, status) in [
        (Method::GET, "/admin/v1/providers", "", 401),
        (Method::GET, "/admin/v1/no/such/path", "", 401),
        (Method::PATCH, "/admin/v1/providers", "", 401),
        (Method::POST, "/admin/v1/providers", &*long, 413),
    ] {
        let response = world.send(method, path, &[], body.to_owned()).await;
        assert_eq!(
            (response.status, response.header("content-type")),
            (status, "application/problem+json")
        );
        assert_eq!(response.json()["request_id"], response.header("x-line-request-id"), "{path}");
        assert_eq!(response.header("content-length"), response.text.len().to_string());
    }
    // The length is sent even where the body is not requested.
    let head = world.send(Method::HEAD, "/admin/v1/providers", &[], String::new()).await;
    assert_eq!((head.status, &*head.text), (401, ""));
    assert!(head.header("content-length").parse::<usize>().unwrap() > 100);
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records all events on this thread until the returned guard is dropped.
    fn begin() -> (Self, (tracing::subscriber::DefaultGuard, tracing::Dispatch)) {
        let log = Self::default();
        let to = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("tegata_server=trace,tegata_store=trace")
            .with_writer(move || to.clone())
            .with_ansi(false)
            .finish();
        let here = tracing::subscriber::set_default(subscriber);
        // With a single subscriber `tracing` caches the interest of the thread that reaches a
        // log line first, which may be another test's; with two it asks both each time.
        (log, (here, tracing::Dispatch::new(tracing_subscriber::registry())))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
