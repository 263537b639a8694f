//! HTTP/2 from attackers: handwritten frames over a socket. Each abuse closes its own
//! connection, or is bounded, and other clients are served meanwhile.

use crate::world::World;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// An indexed `:method: GET` and `:method: POST` (RFC 7541, appendix A).
const GET: u8 = 0x82;
const POST: u8 = 0x83;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block that requests `path`.
fn ask(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'x']);
    block
}

async fn begin(world: &World, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(world.running().address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// Sends `bytes` while reading; returns the kinds of frames received until the server
/// closed the connection or sent GOAWAY. Panics if it does not within `patience`.
async fn until_the_end(stream: TcpStream, bytes: Vec<u8>, patience: u64) -> Vec<u8> {
    let (mut from, mut to) = stream.into_split();
    let write = tokio::spawn(async move {
        // The server may close the connection midway.
        let _ = to.write_all(&bytes).await;
        to
    });
    let mut all = Vec::new();
    let mut kinds = Vec::new();
    let read = async {
        let mut part = [0; 4096];
        while let Ok(more @ 1..) = from.read(&mut part).await {
            all.extend_from_slice(&part[..more]);
            kinds = kinds_in(&all);
            if kinds.contains(&GOAWAY) {
                break;
            }
        }
    };
    let closed = timeout(Duration::from_secs(patience), read).await;
    assert!(closed.is_ok(), "the server continues; it sent {} bytes", all.len());
    drop(write.await.unwrap());
    kinds_in(&all)
}

fn kinds_in(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = *bytes {
        kinds.push(kind);
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handwritten_request_is_answered() {
    let world = World::new().await;
    let mut stream = begin(&world, &[]).await;
    let flags = END_HEADERS | END_STREAM;
    stream.write_all(&frame(HEADERS, flags, 1, &ask(GET, "/livez"))).await.unwrap();
    let mut all = Vec::new();
    let answered = async {
        while !kinds_in(&all).contains(&DATA) {
            stream.read_buf(&mut all).await.unwrap();
        }
    };
    timeout(Duration::from_secs(10), answered).await.unwrap();
    assert!(kinds_in(&all).contains(&HEADERS));
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_without_a_request_close_the_connection() {
    let world = World::new().await;
    let floods = [
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(0x77, 0, 0, &[])),
    ];
    for (name, one) in floods {
        let stream = begin(&world, &[]).await;
        let kinds = until_the_end(stream, one.repeat(20_000), 10).await;
        assert!(kinds.len() < 3_000, "{name}: {} frames in answer", kinds.len());
        assert_eq!(world.get("/livez").await.status, 200, "after {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_as_fast_as_they_are_opened_close_the_connection() {
    let world = World::new().await;
    let stream = begin(&world, &[]).await;
    let mut bytes = Vec::new();
    for number in 0..5_000 {
        let stream = 1 + 2 * number;
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &ask(GET, "/livez")));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    until_the_end(stream, bytes, 20).await;
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_header_block_closes_the_connection() {
    let world = World::new().await;
    let stream = begin(&world, &[]).await;
    let mut bytes = frame(HEADERS, 0, 1, &ask(GET, "/livez"));
    // Literal headers, never indexed: a name of one character, a long value.
    let mut more = vec![0x10, 1, b'a', 0x7F, 0x80 | 1, 0x01];
    more.extend([b'x'; 256]);
    for _ in 0..20_000 {
        bytes.extend(frame(CONTINUATION, 0, 1, &more));
    }
    until_the_end(stream, bytes, 20).await;
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_decompress_beyond_the_limit_are_rejected() {
    let world = World::new().await;
    let mut stream = begin(&world, &[]).await;
    let mut block = ask(GET, "/livez");
    // One entry of 3,000 bytes is added to the table and referenced 5,000 times.
    block.extend([0x40, 1, b'a', 0x7F]);
    let mut left = 3_000 - 127;
    while left >= 128 {
        block.push(0x80 | u8::try_from(left % 128).unwrap());
        left /= 128;
    }
    block.push(u8::try_from(left).unwrap());
    block.extend([b'x'; 3_000]);
    block.extend([0xBE; 5_000]);
    let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    stream.write_all(&bytes).await.unwrap();
    let mut all = Vec::new();
    let refused = async {
        while !kinds_in(&all).iter().any(|kind| [HEADERS, RST_STREAM, GOAWAY].contains(kind)) {
            if stream.read_buf(&mut all).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    timeout(Duration::from_secs(10), refused).await.unwrap();
    assert!(!kinds_in(&all).contains(&DATA), "it was answered: {all:?}");
    assert_eq!(world.get("/livez").await.status, 200);
}

/// A header block of so many fields.
fn many_fields(mut block: Vec<u8>, count: usize) -> Vec<u8> {
    // An empty field `a` is added to the table, and named by one byte each time.
    block.extend([0x40, 1, b'a', 0]);
    block.extend(vec![0xBE; count - 2]);
    block
}

#[tokio::test]
async fn the_admin_api_says_what_is_wrong_with_a_head() {
    let world = World::new().await;
    let mut stream = begin(&world, &[]).await;
    let block = many_fields(ask(GET, "/admin/v1/people"), 105);
    let bytes = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    stream.write_all(&bytes).await.unwrap();
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains("\"request_id\":\"") {
        let read = timeout(Duration::from_secs(5), stream.read_buf(&mut all)).await.unwrap();
        assert_ne!(read.unwrap(), 0, "closed: {all:?}");
    }
    let text = String::from_utf8_lossy(&all);
    assert!(text.contains("\"status\":431,\"code\":\"head-too-long\""), "{text}");
    assert!(text.contains("\"request_id\":\""), "{text}");

    let mut stream = TcpStream::connect(world.running().address).await.unwrap();
    let head = "GET /admin/v1/people HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("application/problem+json"));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&body["code"], &body["status"]), (&"malformed-head".into(), &400.into()));
    let id = body["request_id"].as_str().unwrap();
    assert!(head.contains(id), "{head}: {body}");
}

#[tokio::test]
async fn a_request_of_very_many_fields_is_refused_before_its_body() {
    let world = World::new().await;
    let mut stream = begin(&world, &[]).await;
    let fields = |count: usize| many_fields(ask(POST, "/v2/oauth/verify"), count);
    // Neither body is ever sent. The second request has as many fields as one may have.
    for (number, count) in [(1, 1_900), (3, 100)] {
        let bytes = frame(HEADERS, END_HEADERS, number, &fields(count));
        stream.write_all(&bytes).await.unwrap();
    }
    let answered = async {
        let mut all = Vec::new();
        while !kinds_in(&all).contains(&HEADERS) {
            assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "closed: {all:?}");
        }
        all
    };
    let mut all = timeout(Duration::from_secs(5), answered).await.unwrap();
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    while !kinds_in(&all).contains(&PING) {
        assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0, "closed: {all:?}");
    }
    let answers = kinds_in(&all).into_iter().filter(|kind| *kind == HEADERS).count();
    assert_eq!(answers, 1, "the one of 100 fields waits for its body");
}

// Waits for real time limits: all at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_begun_and_never_completed_does_not_hold_a_connection() {
    let world = World::with(|settings| settings.idle_timeout = Duration::from_secs(3)).await;
    let whole = END_HEADERS | END_STREAM;
    let get = frame(HEADERS, whole, 1, &ask(GET, "/livez"));
    // A header block, a frame, and many bodies that are never completed.
    let block = frame(HEADERS, END_STREAM, 1, &ask(GET, "/livez"));
    let half = frame(PING, 0, 0, &[0; 8])[..12].to_vec();
    let bodies: Vec<u8> = (0..128)
        .flat_map(|number| {
            frame(HEADERS, END_HEADERS, 1 + 2 * number, &ask(POST, "/v2/oauth/verify"))
        })
        .collect();
    let silent = until_the_end(begin(&world, &[]).await, Vec::new(), 15);
    let block = until_the_end(begin(&world, &[]).await, block, 15);
    let half = until_the_end(begin(&world, &[]).await, [get.clone(), half].concat(), 15);
    let bodies = until_the_end(begin(&world, &[]).await, bodies, 20);
    // No window: the responses cannot be sent.
    let no_window = [0, 4, 0, 0, 0, 0];
    let stalled: Vec<u8> = (0..20)
        .flat_map(|number| frame(HEADERS, whole, 1 + 2 * number, &ask(GET, "/livez")))
        .collect();
    let stalled = until_the_end(begin(&world, &no_window).await, stalled, 40);
    let pinging = async {
        let mut stream = begin(&world, &[]).await;
        stream.write_all(&get).await.unwrap();
        let alive = async {
            while stream.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
                let mut part = [0; 4096];
                let read = timeout(Duration::from_millis(300), stream.read(&mut part));
                if let Ok(Ok(0) | Err(_)) = read.await {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(15), alive).await.expect("a client that only pings is cut off");
    };
    tokio::join!(silent, block, half, bodies, stalled, pinging);
    assert_eq!(world.get("/livez").await.status, 200);
}
