//! Traces: their content and destination, and that a failing collector does no harm.

use crate::{
    collector::{Collector, Mood, Seen, hex},
    line::{Channel, With, provider, token_in, verify},
    process::{
        Server,
        http::{Connection, Request},
        key::Key,
        serve,
    },
};
use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitStatus,
    sync::PoisonError,
    time::{Duration, Instant},
};

/// A server that sends its traces to `collector`, often.
async fn traced(home: &Path, collector: &str, set: &[(&str, &str)]) -> Server {
    let mut command = serve(home, &["--otlp-endpoint", collector]);
    command.env("OTEL_BSP_SCHEDULE_DELAY", "100").env("TEGATA_LOG", "info");
    command.env("TEGATA_LOG_FORMAT", "json").envs(set.iter().copied());
    Server::start(command).await
}

fn is_gone(process: &mut std::process::Child) -> Option<ExitStatus> {
    process.try_wait().unwrap()
}

/// Stops it; returns its exit status and how long that took.
#[expect(clippy::disallowed_methods, reason = "how long people really wait")]
async fn stop(server: &mut Server) -> (ExitStatus, Duration) {
    let asked = Instant::now();
    let id = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    loop {
        if let Some(status) = is_gone(&mut server.process) {
            return (status, asked.elapsed());
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn named<'a>(spans: &'a [Seen], name: &str) -> Vec<&'a Seen> {
    spans.iter().filter(|it| it.span.name == name).collect()
}

/// The lines of the log that hold all these.
fn logged(server: &Server, words: &[&str]) -> Vec<serde_json::Value> {
    let said = server.said.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = said.lines().filter(|line| words.iter().all(|word| line.contains(word)));
    lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[tokio::test(flavor = "multi_thread")]
async fn requests_leave_as_spans_that_continue_the_callers_trace() {
    let home = tempfile::tempdir().unwrap();
    let collector = Collector::start(Mood::Takes).await;
    let set = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of%20the%20collector"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let mut server = traced(home.path(), &collector.url(), &set).await;
    let provider = provider(&server).await;
    let channel = Channel::create(&server, &provider, &Key::generate()).await;
    let issued = server.ask(&channel.issue_short_lived(With::default())).await;
    let issue_id = issued.header("x-line-request-id").unwrap().to_owned();
    server.ask(&verify(&token_in(&issued))).await;
    let continued = format!("00-{TRACE}-{CALLER}-01");
    let path = format!("/admin/v1/channels/{}", channel.id);
    let headers = [
        ("authorization", "Bearer an-administrator's-token-for-tests-only!"),
        ("traceparent", &*continued),
        ("tracestate", "vendor=what-any-client-may-write"),
    ];
    assert_eq!(server.ask(&Request::new("GET", &path, &headers, "")).await.status, 200);
    let malformed = [("traceparent", "00-zz-zz-01")];
    server.ask(&Request::new("GET", "/no/such/path-of-mine", &malformed, "")).await;
    assert!(stop(&mut server).await.0.success());

    let spans = collector.spans();
    // Only methods, routes and statuses of requests, span names, and ids.
    let keys: BTreeSet<&str> =
        spans.iter().flat_map(|it| it.attributes.keys()).map(|it| &**it).collect();
    let known = [
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "tegata.channel",
        "tegata.kind",
        "tegata.request_id",
    ];
    assert_eq!(keys, BTreeSet::from(known));
    assert!(spans.iter().all(|it| it.span.events.is_empty() && it.span.trace_state.is_empty()));

    let [issue] = named(&spans, "POST /v2/oauth/accessToken")[..] else { panic!("one issue") };
    assert_eq!(issue.attributes["tegata.request_id"], issue_id);
    assert_eq!(issue.attributes["http.response.status_code"], "200");
    assert_eq!(issue.attributes["http.route"], "/v2/oauth/accessToken");
    assert_eq!((issue.span.kind, &*hex(&issue.span.parent_span_id)), (2, ""));
    // Below it are the operations that it waited for.
    let inside = |of: &Seen, name: &str| {
        let found = spans
            .iter()
            .find(|it| it.span.name == name && it.span.parent_span_id == of.span.span_id);
        spans.iter().position(|it| found.is_some_and(|found| std::ptr::eq(found, it)))
    };
    let work = &spans[inside(issue, "issue").expect("the issue's own span")];
    assert_eq!(work.attributes["tegata.channel"], channel.id);
    assert_eq!(work.attributes["tegata.kind"], "short-lived");
    assert!(inside(work, "commit").is_some(), "no span tells of the commit");
    assert_eq!(work.trace(), issue.trace());
    assert_eq!(issue.resource["service.name"], "tegata");
    assert_eq!(issue.resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(issue.resource["deployment.environment.name"], "test");

    // A verification bypasses the router, but has a span, too.
    let [check] = named(&spans, "POST /v2/oauth/verify")[..] else { panic!("one check") };
    assert_eq!(check.attributes["http.route"], "/v2/oauth/verify");

    let [show] = named(&spans, "GET /admin/v1/channels/{channel}")[..] else { panic!("one look") };
    assert_eq!((&*show.trace(), &*hex(&show.span.parent_span_id)), (TRACE, CALLER));
    assert_eq!(show.attributes["tegata.channel"], channel.id);
    let [lost] = named(&spans, "GET")[..] else { panic!("one request for nothing") };
    assert_eq!(lost.attributes["http.response.status_code"], "404");
    assert!(!lost.attributes.contains_key("http.route"));
    assert_eq!(hex(&lost.span.parent_span_id), "", "a malformed traceparent counts for none");

    // The log leads to the trace, and the other way round.
    let [line] = &logged(&server, &["/v2/oauth/accessToken", "\"request\""])[..] else {
        panic!("a line")
    };
    assert_eq!((&line["route"], &line["path"]), (&"/v2/oauth/accessToken".into(), &().into()));
    assert_eq!((&line["trace_id"], &line["request_id"]), (&issue.trace().into(), &issue_id.into()));
    let [line] = &logged(&server, &[TRACE])[..] else { panic!("a line") };
    assert_eq!(
        (&line["route"], &line["channel"]),
        (&"/admin/v1/channels/{channel}".into(), &channel.id.into())
    );
    let [line] = &logged(&server, &["\"status\":404,"])[..] else { panic!("a line") };
    assert_eq!((&line["route"], &line["path"]), (&().into(), &"/*/*/*".into()));

    let came = collector.came();
    assert!(came.iter().all(|it| it.path == "/v1/traces"));
    assert!(came.iter().all(|it| it.headers["x-api-key"] == "of the collector"));
    assert!(came.iter().all(|it| it.headers["content-type"] == "application/x-protobuf"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_variable_names_the_collector_and_the_sampler_is_the_callers() {
    let home = tempfile::tempdir().unwrap();
    let collector = Collector::start(Mood::Takes).await;
    let mut command = serve(home.path(), &[]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    // The standard variable, and the caller's sampling decision.
    command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    // Nothing is logged, but the spans below still belong to the request's.
    command.env("TEGATA_LOG", "off").env("OTEL_SERVICE_NAME", "authority-1");
    let mut server = Server::start(command).await;
    let sampled = format!("00-{TRACE}-{CALLER}-01");
    let not_sampled = format!("00-{}-{CALLER}-00", TRACE.replace('0', "1"));
    for parent in [&*sampled, &*not_sampled] {
        let header = [("traceparent", parent)];
        server.ask(&Request::new("GET", "/.well-known/jwks.json", &header, "")).await;
        let body = "grant_type=client_credentials&client_id=1234567890&client_secret=x";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let header = [("traceparent", parent), form];
        server.ask(&Request::new("POST", "/v2/oauth/accessToken", &header, body)).await;
    }
    server.ask(&Request::new("GET", "/.well-known/jwks.json", &[], "")).await;
    assert!(stop(&mut server).await.0.success());
    let spans = collector.spans();
    assert!(
        spans.iter().all(|it| it.trace() == TRACE && it.resource["service.name"] == "authority-1")
    );
    let names: BTreeSet<&str> = spans.iter().map(|it| &*it.span.name).collect();
    let expected = ["GET /.well-known/jwks.json", "POST /v2/oauth/accessToken", "issue"];
    assert_eq!(names, BTreeSet::from(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_collector_gets_spans() {
    let home = tempfile::tempdir().unwrap();
    let other = Collector::start(Mood::Takes).await;
    let named = Collector::start(Mood::SendsOn(format!("{}/v1/traces", other.url()))).await;
    let mut server = traced(home.path(), &named.url(), &[]).await;
    server.ask(&Request::new("GET", "/livez", &[], "")).await;
    assert!(stop(&mut server).await.0.success());
    assert!(!named.came().is_empty());
    assert!(other.came().is_empty(), "a redirect took spans away");
    let said = logged(&server, &["the collector does not accept traces"]);
    assert_eq!(said.len(), 1, "said once, and not for each batch");
    assert!(said[0]["why"].as_str().unwrap().contains("307"), "{}", said[0]);
}

/// Of the process, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends far more requests than the queue holds; returns the duration of the slowest.
#[expect(clippy::disallowed_methods, reason = "how long people really wait")]
async fn many_requests(server: &Server, many: usize) -> Duration {
    let mut connection = Connection::open(server.address()).await.unwrap();
    let request = Request::new("GET", "/gateway/verify", &[("authorization", "Bearer x")], "");
    let mut slowest = Duration::ZERO;
    for _ in 0..many {
        let asked = Instant::now();
        assert_eq!(connection.ask(&request).await.unwrap().status, 401);
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_or_is_absent_delays_no_request_and_takes_no_memory() {
    let hanging = Collector::start(Mood::Hangs).await;
    let absent = {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", taken.local_addr().unwrap())
    };
    for (what, address) in [("hangs", hanging.url()), ("is not there", absent)] {
        let home = tempfile::tempdir().unwrap();
        let mut server = traced(home.path(), &address, &[]).await;
        // After this the queue is full.
        let mut slowest = many_requests(&server, 5_000).await;
        let before = resident(&server);
        slowest = slowest.max(many_requests(&server, 20_000).await);
        let after = resident(&server);
        let (status, took) = stop(&mut server).await;
        println!(
            "a collector that {what}: the slowest of 25,000 took {slowest:?}, {before} to {after} KiB, stopped after {took:?}"
        );
        assert!(status.success());
        assert!(took < Duration::from_secs(5), "{what}: it stopped after {took:?}");
        assert!(slowest < Duration::from_secs(1), "{what}: a request took {slowest:?}");
        assert!(after < before + 4_096, "{what}: {before} to {after} KiB");
    }
    assert!(!hanging.came().is_empty(), "nothing hung");
}
