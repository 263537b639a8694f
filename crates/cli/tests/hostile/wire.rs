//! Sends arbitrary bytes to the server and counts the responses, without the rules of an
//! HTTP client.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Slow senders are cut off within ten seconds; a busy machine may need a few more.
const PATIENCE: Duration = Duration::from_secs(20);
/// For how long a response too many is waited for.
const QUIET: Duration = Duration::from_millis(60);

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether a handler sent it, and not the HTTP parser.
    pub(crate) fn is_ours(&self) -> bool {
        self.header("x-line-request-id").is_some()
    }

    /// The fault of the response, if it has one: a bug, or an error without advice.
    pub(crate) fn fault(&self, head_only: bool) -> Option<String> {
        if self.status >= 500 && self.status != 503 {
            return Some("a bug".to_owned());
        }
        if self.status < 400 || !self.is_ours() || head_only {
            return None;
        }
        let kind = self.header("content-type").unwrap_or("");
        if !["application/json", "application/problem+json"].contains(&kind) {
            return Some(format!("an error of type {kind:?}"));
        }
        let Ok(json) = serde_json::from_str::<serde_json::Value>(&self.body) else {
            return Some("an error that is no JSON".to_owned());
        };
        let words = ["message", "error_description", "detail", "error"];
        let says = words.iter().any(|it| json[*it].as_str().is_some_and(|it| it.len() > 8));
        (!says).then(|| "an error without words".to_owned())
    }
}

/// The end of a connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) replies: Vec<Reply>,
    /// The server closed it first.
    pub(crate) closed: bool,
    /// The server did not close it after the test did: a hang.
    pub(crate) hangs: bool,
    /// Bytes that are not a response.
    pub(crate) junk: Vec<u8>,
}

/// Sends `bytes` on a connection of their own and reads until `answers` have come,
/// and a little longer. `head_only`: what comes first has no body (RFC 9110, 9.3.2).
pub(crate) async fn exchange(
    to: SocketAddr,
    bytes: &[u8],
    responses: usize,
    head_only: bool,
) -> Exchange {
    let stream = TcpStream::connect(to).await.expect("the server takes us");
    stream.set_nodelay(true).expect("a socket");
    let (mut read, mut write) = stream.into_split();
    let sent = bytes.to_vec();
    // Concurrently with reading: a server that responds early must not block. It may then
    // refuse the rest.
    let sender = tokio::spawn(async move {
        let _ = write.write_all(&sent).await;
        write
    });
    let mut exchange =
        Exchange { replies: Vec::new(), closed: false, hangs: false, junk: Vec::new() };
    loop {
        let enough = exchange.replies.len() >= responses && responses > 0;
        let patience = if enough { QUIET } else { PATIENCE };
        match timeout(patience, some(&mut read, &mut exchange, head_only)).await {
            Ok(true) => {}
            Ok(false) => {
                exchange.closed = true;
                break;
            }
            Err(_) => break,
        }
    }
    let mut write = sender.await.expect("the sender");
    if !exchange.closed {
        let _ = write.shutdown().await;
        exchange.hangs = loop {
            match timeout(PATIENCE, some(&mut read, &mut exchange, head_only)).await {
                Ok(true) => {}
                Ok(false) => break false,
                Err(_) => break true,
            }
        };
    }
    exchange
}

/// Reads a piece and takes the whole answers off it; `false` at the end.
async fn some(
    read: &mut tokio::net::tcp::OwnedReadHalf,
    exchange: &mut Exchange,
    head_only: bool,
) -> bool {
    let mut piece = [0; 16 * 1024];
    // A reset connection is closed, too.
    let length = read.read(&mut piece).await.unwrap_or(0);
    exchange.junk.extend_from_slice(&piece[..length]);
    while let Some(reply) = take(&mut exchange.junk, head_only && exchange.replies.is_empty()) {
        exchange.replies.push(reply);
    }
    length > 0
}

fn take(buffer: &mut Vec<u8>, head_only: bool) -> Option<Reply> {
    let head_ends = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(buffer[..head_ends].to_vec()).expect("a head is text");
    let status = head.strip_prefix("HTTP/1.1 ").or(head.strip_prefix("HTTP/1.0 "))?;
    let status = status.get(..3)?.parse().ok()?;
    let mut reply = Reply { status, head, body: String::new() };
    let bare = head_only || status < 200 || status == 204 || status == 304;
    let length = reply.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let ends = head_ends + if bare { 0 } else { length };
    let body = buffer.get(head_ends..ends)?;
    reply.body = String::from_utf8_lossy(body).into_owned();
    buffer.drain(..ends);
    Some(reply)
}
