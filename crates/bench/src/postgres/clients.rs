//! Clients that each send one request after the other, to the servers in turn, over a
//! connection to each. All run on one thread.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::stopwatch;

/// A load.
pub(super) struct Clients {
    pub(super) to: Vec<SocketAddr>,
    pub(super) count: usize,
    /// Maximum number of requests.
    pub(super) most: usize,
    pub(super) limit: Duration,
}

/// Result of a load: every response was 200.
pub(super) struct Outcome {
    pub(super) answered: usize,
    pub(super) seconds: f64,
    /// Milliseconds of each request, in ascending order.
    times: Vec<f64>,
}

impl Outcome {
    /// Responses a second.
    pub(super) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// The time that so many percent of the requests took at most, in milliseconds.
    pub(super) fn percentile(&self, part: usize) -> f64 {
        percentile(&self.times, part)
    }
}

/// The figure that so many percent of the sorted figures do not exceed.
pub(super) fn percentile(sorted: &[f64], part: usize) -> f64 {
    let at = (sorted.len() * part / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(0.0)
}

impl Clients {
    /// Sends requests until the time is over or all are sent. `request` gets the number of
    /// the server, and that of the request.
    pub(super) fn run<'a>(
        &self,
        request: impl Fn(usize, usize) -> &'a [u8] + Copy,
    ) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let next = AtomicUsize::new(0);
            let mut open = Vec::new();
            for _ in 0..self.count {
                let mut own = Vec::new();
                for &to in &self.to {
                    own.push(Connection::open(to).await?);
                }
                open.push(own);
            }
            let began = stopwatch();
            let clients = open.into_iter().enumerate().map(|(client, mut own)| {
                let next = &next;
                async move {
                    let mut times = Vec::new();
                    for turn in client.. {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.most || began.elapsed() >= self.limit {
                            break;
                        }
                        let server = turn % own.len();
                        let sent = stopwatch();
                        own[server].ask(request(server, number)).await?;
                        times.push(sent.elapsed().as_secs_f64() * 1e3);
                    }
                    anyhow::Ok(times)
                }
            });
            let times = futures_util::future::try_join_all(clients).await?;
            let seconds = began.elapsed().as_secs_f64();
            let mut times = times.concat();
            times.sort_by(f64::total_cmp);
            ensure!(!times.is_empty(), "no response at all");
            Ok(Outcome { answered: times.len(), seconds, times })
        })
    }
}

/// A connection of HTTP/1.1, and the bytes of the response that it reads.
struct Connection {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Connection {
    async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("connecting to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, bytes: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its response, which must be a 200 with `content-length`.
    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        self.bytes.clear();
        let mut whole = None;
        while whole.is_none_or(|length| self.bytes.len() < length) {
            let read = self.stream.read_buf(&mut self.bytes).await?;
            ensure!(read > 0, "the server closed the connection");
            if whole.is_none() {
                whole = length(&self.bytes)?;
            }
        }
        let text = || String::from_utf8_lossy(&self.bytes);
        ensure!(self.bytes.starts_with(b"HTTP/1.1 200 "), "answered {}", text());
        Ok(())
    }
}

/// The length of the whole response, once its headers are there.
fn length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else { return Ok(None) };
    let headers = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let body = headers.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body: usize = body.context("a response without content-length")?.trim().parse()?;
    Ok(Some(head + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_to_its_end_and_no_further() {
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(length(whole).unwrap(), Some(whole.len()));
        assert!(length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_percentile_is_one_of_the_figures() {
        let figures: Vec<f64> = (0..200).map(f64::from).collect();
        assert_eq!(percentile(&figures, 50), 100.0);
        assert_eq!(percentile(&figures, 99), 198.0);
        assert_eq!(percentile(&[7.0], 99), 7.0);
        assert_eq!(percentile(&[], 99), 0.0);
    }
}
