//! What holds for every request, and the limits of the HTTP server.

use crate::world::{World, form_of};
use reqwest::Method;
use std::{collections::HashSet, time::Duration};
use tegata_system::http::client_for;
use tegata_token::kind::Kind;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

async fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.running().address).await.unwrap()
}

/// Reads until the server closes the connection.
async fn read_to_end(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    // A reset closes the connection, too.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_its_own_request_id_and_is_not_cached() {
    let world = World::new().await;
    let mut seen = HashSet::new();
    for path in
        ["/oauth2/v2.1/verify?access_token=x", "/gateway/verify", "/v2/oauth/verify", "/nowhere"]
    {
        let response = world.get(path).await;
        let id = response.header("x-line-request-id").to_owned();
        assert_eq!(uuid::Uuid::try_parse(&id).unwrap().get_version_num(), 4);
        assert!(seen.insert(id));
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("cache-control"), "max-age=0, no-cache, no-store");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_the_same_security_headers() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let token = world.issue(&shop, Kind::Stateless).await;
    let opaque = world.issue(&shop, Kind::ShortLived).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let bearer = format!("Bearer {token}");
    let bearer = [("authorization", bearer.as_str())];
    let jws = format!("/oauth2/v2.1/verify?access_token={token}");
    let (opaque, long) = (format!("access_token={opaque}"), "x".repeat(65_537));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let requests: [(Method, &str, Headers<'_>, &str); 16] = [
        (Method::GET, &jws, &[], ""),
        (Method::GET, "/oauth2/v2.1/verify?access_token=x", &[], ""),
        (Method::HEAD, "/oauth2/v2.1/verify", &[], ""),
        (Method::POST, "/v2/oauth/verify", &form, &opaque),
        (Method::POST, "/v2/oauth/verify", &form, &long),
        (Method::POST, "/v2/oauth/verify", &[], ""),
        (Method::GET, "/gateway/verify", &bearer, ""),
        (Method::POST, "/gateway/verify", &bearer, ""),
        (Method::GET, "/gateway/verify", &[], ""),
        (Method::POST, "/oauth2/v3/token", &form, ""),
        (Method::DELETE, "/oauth2/v3/token", &[], ""),
        (Method::GET, "/.well-known/jwks.json", &[], ""),
        (Method::GET, "/readyz", &[], ""),
        (Method::GET, "/metrics", &[], ""),
        (Method::GET, "/admin/v1/channels", &[], ""),
        (Method::OPTIONS, "/nowhere", &[], ""),
    ];
    for (method, path, headers, body) in requests {
        let response = world.send(method.clone(), path, headers, body.to_owned()).await;
        let policy = response.headers.get("content-security-policy");
        let policy = policy.unwrap_or_else(|| panic!("no policy for {method} {path}"));
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{method} {path}");
        assert_eq!(response.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert!(response.headers.contains_key("cache-control"), "{method} {path}");
        assert!(response.headers.contains_key("x-line-request-id"), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_doubled_slashes_is_answered_like_the_path_without_them() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    for path in ["//oauth2/v3/token", "/oauth2//v3///token", "////v2/oauth/accessToken"] {
        world.post(path, &shop.by_secret()).await.token();
    }
    let token = world.issue(&shop, Kind::Stateless).await;
    let verify = format!("//oauth2/v2.1//verify?access_token={token}");
    assert_eq!(world.get(&verify).await.status, 200);
    let opaque = world.issue(&shop, Kind::ShortLived).await;
    let fields = [("access_token", opaque.as_str())];
    assert_eq!(world.post("//v2/oauth/verify", &fields).await.status, 200);
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(world.get_with("//gateway/verify", &headers).await.status, 200);
    // An error of the administrators' API, in its own form.
    let unauthorized = world.get("//admin//v1/channels").await;
    assert_eq!(unauthorized.json()["code"], "unauthorized");
    world.get("//oauth2/v2.1/verify/").await.is(404, r#"{"message":"Not found"}"#);
    world.get("//nowhere").await.is(404, r#"{"message":"Not found"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_methods_and_media_types_have_json_bodies() {
    let world = World::new().await;
    world.get("/nowhere").await.is(404, r#"{"message":"Not found"}"#);
    world.get("/oauth2/v2.1/verify/").await.is(404, r#"{"message":"Not found"}"#);
    for (method, path, allow) in [
        (Method::GET, "/oauth2/v2.1/token", "POST"),
        (Method::GET, "/v2/oauth/verify", "POST"),
        (Method::POST, "/oauth2/v2.1/verify", "GET,HEAD"),
        (Method::DELETE, "/.well-known/jwks.json", "GET,HEAD"),
        (Method::POST, "/readyz", "GET,HEAD"),
    ] {
        let response = world.send(method, path, &[], String::new()).await;
        response.is(405, r#"{"message":"Method not allowed"}"#);
        assert_eq!(response.header("allow"), allow, "{path}");
    }
    for path in
        ["/v2/oauth/accessToken", "/v2/oauth/verify", "/v2/oauth/revoke", "/oauth2/v3/token"]
    {
        let headers = [("content-type", "application/json")];
        let response = world.send(Method::POST, path, &headers, "{}".into()).await;
        response.is(415, r#"{"message":"the body must be application/x-www-form-urlencoded"}"#);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_64_kib_is_413_with_json_and_one_of_64_kib_is_read() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let fields = form_of(&shop.by_secret());
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let padded = |length: usize| format!("{fields}&x={}", "x".repeat(length - fields.len() - 3));
    let send = async |body| world.send(Method::POST, "/v2/oauth/accessToken", &form, body).await;
    send(padded(65_536)).await.token();
    for length in [65_537, 500_000] {
        let refused = send(padded(length)).await;
        refused.is(413, r#"{"message":"the body is longer than 65536 bytes"}"#);
    }
    let verify = world.send(Method::POST, "/v2/oauth/verify", &form, padded(65_537)).await;
    assert_eq!(verify.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_counted_as_it_arrives() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    let head = "POST /v2/oauth/verify HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for _ in 0..3 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let response = read_to_end(stream).await;
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert!(response.contains(r#"{"message":"#), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_parsed_up_to_64_kib_and_the_server_continues() {
    let world = World::new().await;
    // A token of 60,000 characters is rejected by the handler, in JSON.
    let long = world.verify_jws(&"x".repeat(60_000)).await;
    long.is(400, r#"{"error":"invalid_request","error_description":"The access token not JWS"}"#);
    assert_eq!(world.gateway(&"x".repeat(60_000), "").await.status, 400);
    let mut stream = connect(&world).await;
    let head = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    let _ = stream.write_all(head.as_bytes()).await;
    let response = read_to_end(stream).await;
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 4"), "{response}");
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_bytes_close_their_connection_and_no_other() {
    let world = World::new().await;
    for junk in [
        &b"\x16\x03\x01\x02\x00"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\njunk-junk-junk",
    ] {
        let mut stream = connect(&world).await;
        stream.write_all(junk).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_end(stream).await;
    }
    assert_eq!(world.get("/livez").await.status, 200);
}

// Waits for real time limits: all kinds of slowness at once.
#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_are_cut_off_within_ten_seconds_and_others_served() {
    let world = World::new().await;
    let beginnings = [
        "",
        "G",
        "GET /livez HTTP/1.1\r\nhost: x\r\n",
        "GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HTTP/1.1\r\nho",
        "POST /v2/oauth/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nacc",
    ];
    let mut cut_off = tokio::task::JoinSet::new();
    for beginning in beginnings {
        let mut stream = connect(&world).await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        cut_off.spawn(async move {
            (beginning, timeout(Duration::from_secs(12), read_to_end(stream)).await)
        });
    }
    assert_eq!(world.get("/livez").await.status, 200);
    while let Some(done) = cut_off.join_next().await {
        let (beginning, response) = done.unwrap();
        let response = response.unwrap_or_else(|_| panic!("{beginning:?} was not cut off"));
        if beginning.starts_with("POST") {
            assert!(response.starts_with("HTTP/1.1 408"), "{response}");
            assert!(response.contains(r#"{"message":"#), "{response}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_body_together_have_ten_seconds() {
    let world = World::new().await;
    let mut stream = connect(&world).await;
    let began = tokio::time::Instant::now();
    stream.write_all(b"POST /admin/v1/providers HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    stream.write_all(b"content-length: 10\r\n\r\n{").await.unwrap();
    let response = read_to_end(stream).await;
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(response.contains("application/problem+json"), "{response}");
    assert!(response.contains(r#""code":"body-too-slow""#), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_served_again_and_closed_after_the_idle_timeout() {
    let world = World::with(|settings| settings.idle_timeout = Duration::from_secs(6)).await;
    let mut stream = connect(&world).await;
    let ask = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut response = vec![0; 4096];
    for _ in 0..2 {
        stream.write_all(ask).await.unwrap();
        let length = stream.read(&mut response).await.unwrap();
        assert!(response[..length].starts_with(b"HTTP/1.1 200"));
        // Longer than the time after which a connection counts as idle.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    // The next request comes in two parts, the first of them with the one before.
    stream.write_all(&[&ask[..], &ask[..20]].concat()).await.unwrap();
    let length = stream.read(&mut response).await.unwrap();
    assert!(response[..length].starts_with(b"HTTP/1.1 200"));
    tokio::time::sleep(Duration::from_secs(4)).await;
    stream.write_all(&ask[20..]).await.unwrap();
    let length = stream.read(&mut response).await.unwrap();
    assert!(response[..length].starts_with(b"HTTP/1.1 200"));
    let closed = timeout(Duration::from_secs(10), stream.read(&mut response)).await;
    assert_eq!(closed.expect("it is closed").unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_responses_is_cut_off() {
    let world = World::new().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.running().address).await.unwrap();
    let ask = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50);
    let cut_off = async { while stream.write_all(&ask).await.is_ok() {} };
    timeout(Duration::from_secs(60), cut_off).await.expect("it is cut off");
    assert_eq!(world.get("/livez").await.status, 200);
    assert!(world.get("/metrics").await.text.contains(r#"slow_at="reading"} 1"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_begins_with_http_2_gets_http_2() {
    let world = World::new().await;
    let url = world.url("/livez").parse().unwrap();
    let http = client_for(&url).http2_prior_knowledge().build().unwrap();
    let response = http.get(url).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
    let response = http.get(world.url("/gateway/verify")).send().await.unwrap();
    assert_eq!(response.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_closes_idle_connections_at_once() {
    let mut world = World::new().await;
    world.get("/livez").await;
    let idle = connect(&world).await;
    timeout(Duration::from_secs(5), world.stop()).await.unwrap();
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_completes_its_requests() {
    let mut world = World::new().await;
    let shop = world.channel("shop").await;
    let body = form_of(&shop.by_secret());
    let mut stream = connect(&world).await;
    let head = format!(
        "POST /v2/oauth/accessToken HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request has begun.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    let address = world.running().address;
    let finish = async {
        // The body is sent only once new connections are refused.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stream.write_all(body.as_bytes()).await.unwrap();
        read_to_end(stream).await
    };
    let (response, ()) = tokio::join!(finish, world.stop());
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("access_token"), "{response}");
}

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn at_the_connection_limit_a_connection_waits_until_a_request_completes() {
    let world = World::with(|settings| settings.max_connections = 1).await;
    let mut first = connect(&world).await;
    let head = b"POST /v2/oauth/verify HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na";
    first.write_all(head).await.unwrap();
    let mut second = connect(&world).await;
    second.write_all(ASK).await.unwrap();
    let mut byte = [0];
    let waits = timeout(Duration::from_millis(200), second.read(&mut byte)).await;
    assert!(waits.is_err(), "it was served at the same time as the first");
    drop(first);
    assert!(read_to_end(second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_connection_limit_the_longest_idle_connection_is_closed() {
    let world = World::with(|settings| settings.max_connections = 2).await;
    let oldest = connect(&world).await;
    // Long enough that the two idle times differ on a busy machine.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut older = connect(&world).await;
    let mut third = connect(&world).await;
    third.write_all(ASK).await.unwrap();
    let response = timeout(Duration::from_secs(5), read_to_end(third)).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert_eq!(timeout(Duration::from_secs(1), read_to_end(oldest)).await.unwrap(), "");
    older.write_all(ASK).await.unwrap();
    assert!(read_to_end(older).await.starts_with("HTTP/1.1 200"));
}

/// A request whose body has arrived but for its end.
async fn unfinished(world: &World, head: &str, length: usize) -> TcpStream {
    let mut stream = connect(world).await;
    let head = format!("{head}\r\nhost: x\r\ncontent-length: {}\r\n\r\n", length + 1);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'a'; length]).await.unwrap();
    stream
}

/// The first response to any of these, and the others, which still wait. It is not known which
/// of them the server read first.
pub(crate) async fn first_response(waiting: Vec<TcpStream>) -> (String, JoinSet<String>) {
    let mut reads: JoinSet<_> = waiting.into_iter().map(read_to_end).collect();
    (reads.join_next().await.unwrap().unwrap(), reads)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_have_a_room_and_leave_some_of_it_to_short_ones() {
    let world = World::new().await;
    let shop = world.channel("shop").await;
    let mut waiting = Vec::new();
    // 280 of them fill the half of 16 MiB.
    for _ in 0..290 {
        waiting.push(unfinished(&world, "POST /oauth2/token HTTP/1.1", 60_000).await);
    }
    let (text, waiting) = first_response(waiting).await;
    assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("retry-after"), "{text}");
    // What is short is answered, by HTTP/2 as well.
    world.issue(&shop, Kind::ShortLived).await;
    let http2 = client_for(&world.url("/").parse().unwrap()).http2_prior_knowledge();
    let http2 = http2.build().unwrap();
    let form = "access_token=x";
    let ask = http2.post(world.url("/v2/oauth/verify")).body(form);
    let ask = ask.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(ask.send().await.unwrap().status(), 400);
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_body_is_read_only_of_a_sender_whom_the_head_names() {
    let world = World::new().await;
    let report = "POST /feed/usage HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n";
    let mut stream = connect(&world).await;
    stream.write_all(report.as_bytes()).await.unwrap();
    // None of the body has been sent.
    let mut answer = [0; 12];
    timeout(Duration::from_secs(20), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
    let text = format!("text={}", "a".repeat(100_000));
    let desk = world.send(Method::POST, "/console/leak-desk", &[], text).await;
    assert_eq!(desk.status, 413, "{}", desk.text);
    assert!(desk.text.contains("longer than 65536 bytes"), "{}", desk.text);
}

/// A client that reads nothing before it has written all, as a proxy does that passes a request on.
#[tokio::test(flavor = "multi_thread")]
async fn who_writes_all_of_a_body_that_is_not_read_still_reads_the_response() {
    let world = World::new().await;
    for (request, more, length, status) in [
        ("POST /feed/usage", "", 1 << 20, "401"),
        ("POST /leaks/github", "", 1 << 20, "404"),
        ("POST /console/leak-desk", "", 3 << 20, "413"),
        ("POST /oauth2/token", "", 3 << 20, "413"),
        // What these send is not looked at.
        ("GET /gateway/verify", "", 1 << 20, "401"),
        ("POST /oauth2/token", "host: y\r\n", 1 << 20, "400"),
    ] {
        let head =
            format!("{request} HTTP/1.1\r\nhost: x\r\n{more}content-length: {length}\r\n\r\n");
        let mut stream = connect(&world).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        for piece in vec![b'a'; length].chunks(1 << 16) {
            stream.write_all(piece).await.unwrap_or_else(|why| panic!("{request}: {why}"));
        }
        let text = read_to_end(stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {text}");
    }
}
