//! What the feed is compared with: subscribers of NATS, and bare sockets. Each replies to
//! each message.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::answer;

/// Length of a message to a follower, and of its reply over a bare socket: those of a
/// response with one change, and of the request that follows it.
pub(in super::super) const MESSAGE: usize = 400;
pub(in super::super) const REPLY: usize = 350;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Nats,
    Sockets,
}

pub(super) fn run(to: SocketAddr, count: usize, kind: Kind) -> anyhow::Result<()> {
    let ready = Arc::new(AtomicUsize::new(0));
    let shared = ready.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            for _ in 0..count {
                let ready = shared.clone();
                tokio::spawn(async move {
                    let served = match kind {
                        Kind::Nats => nats(to, &ready).await,
                        Kind::Sockets => sockets(to, &ready).await,
                    };
                    eprintln!("a follower has ended: {served:?}");
                });
            }
            std::future::pending::<()>().await;
        });
    });
    answer(|_| ready.load(SeqCst).to_string())
}

async fn sockets(to: SocketAddr, ready: &AtomicUsize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    ready.fetch_add(1, SeqCst);
    let (mut message, reply) = ([0; MESSAGE], [b'r'; REPLY]);
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&reply).await?;
    }
}

/// The client protocol of NATS: text lines, with a payload after `MSG` and `PUB`.
async fn nats(to: SocketAddr, ready: &AtomicUsize) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nSUB revoked 1\r\nPING\r\n").await?;
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "closed");
        while let Some(end) = bytes.windows(2).position(|it| it == b"\r\n") {
            let line = std::str::from_utf8(&bytes[..end])?.to_owned();
            let mut used = end + 2;
            if line.starts_with("MSG") {
                let words: Vec<_> = line.split(' ').collect();
                let length: usize = words[words.len() - 1].parse()?;
                if bytes.len() < used + length + 2 {
                    break;
                }
                used += length + 2;
                // MSG subject id reply-to length
                let reply = format!("PUB {} 50\r\n{}\r\n", words[3], "r".repeat(50));
                stream.write_all(reply.as_bytes()).await?;
            } else if line == "PONG" {
                ready.fetch_add(1, SeqCst);
            } else if line == "PING" {
                stream.write_all(b"PONG\r\n").await?;
            }
            bytes.drain(..used);
        }
    }
}
