//! The least that a follower can do: it reads the position in a response and asks after it, as a
//! subscriber of NATS reads a message and replies. What a follower does with a change is left
//! out on both sides, since followers are machines of their own; here all share one core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use tegata_token::feed::InstanceId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer;

pub(super) fn run(
    to: SocketAddr,
    token: &str,
    staleness: &str,
    count: usize,
) -> anyhow::Result<()> {
    let random = SystemRandom::new();
    let fresh = Arc::new(AtomicUsize::new(0));
    let mut queries = Vec::with_capacity(count);
    for _ in 0..count {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).ok().context("no random bytes")?;
        let instance = InstanceId::from_random(bytes);
        queries.push(format!("instance={instance}&staleness={staleness}&on_stale=deny&speaks=1"));
    }
    let end = format!(" HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let shared = fresh.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            for query in queries {
                let (end, fresh) = (end.clone(), shared.clone());
                tokio::spawn(async move {
                    let followed = follow(to, &query, &end, &fresh).await;
                    eprintln!("a follower has ended: {followed:?}");
                });
            }
            std::future::pending::<()>().await;
        });
    });
    answer(|_| fresh.load(SeqCst).to_string())
}

async fn follow(to: SocketAddr, query: &str, end: &str, fresh: &AtomicUsize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4_096);
    let mut position = loop {
        let request = format!("GET /feed/snapshot?{query}{end}");
        match exchange(&mut stream, &request, &mut bytes, r#""position":""#).await? {
            Some(position) => break position,
            // The authority registers fifty per second.
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    fresh.fetch_add(1, SeqCst);
    loop {
        let request = format!("GET /feed/changes?{query}&after={position}&hold=25000{end}");
        let through = exchange(&mut stream, &request, &mut bytes, r#""through":""#).await?;
        position = through.context("not answered with 200")?;
    }
}

/// Sends a request and returns the text after `member` in its response, up to the next quote;
/// `None` if the status is not 200.
async fn exchange(
    stream: &mut TcpStream,
    request: &str,
    bytes: &mut Vec<u8>,
    member: &str,
) -> anyhow::Result<Option<String>> {
    stream.write_all(request.as_bytes()).await?;
    bytes.clear();
    loop {
        anyhow::ensure!(stream.read_buf(bytes).await? > 0, "closed");
        let text = std::str::from_utf8(bytes)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let (_, length) = head.split_once("content-length: ").context("no length")?;
        let length = length.split_once('\r').map_or(length, |(length, _)| length);
        if body.len() < length.parse()? {
            continue;
        }
        if head.get(9..12) != Some("200") {
            return Ok(None);
        }
        let (_, after) = body.split_once(member).with_context(|| format!("no {member}"))?;
        return Ok(Some(after.split('"').next().unwrap_or_default().to_owned()));
    }
}
