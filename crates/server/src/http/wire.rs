//! The bytes of a connection, plain or through TLS. The wire records their progress in
//! the connection's pace, and can read ahead: a few bytes show which protocol is used,
//! and whether the peer of a parked connection is active again.

use super::{
    frames::{Frames, PREFACE},
    pace::Pace,
};
use bytes::{Buf, Bytes};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
    time::Instant,
};
use tokio_rustls::server::TlsStream;

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    /// Read ahead and not consumed yet.
    ahead: Bytes,
    speaks: Speaks,
    pace: Arc<Pace>,
}

/// What carries the bytes.
pub(super) enum Stream {
    Plain(TcpStream),
    Unix(UnixStream),
    /// Boxed, since it is ten times as large.
    Tls(Box<TlsStream<TcpStream>>),
}

enum Speaks {
    Http1,
    Http2 { frames: Box<Frames>, partly_in: Option<u64> },
}

/// The HTTP version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

impl Wire {
    pub fn new(stream: Stream, pace: Arc<Pace>) -> Self {
        Self { stream, ahead: Bytes::new(), speaks: Speaks::Http1, pace }
    }

    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Reads ahead far enough to detect the protocol; `None` if the peer sends nothing
    /// more.
    pub async fn version(&mut self) -> io::Result<Option<Version>> {
        let mut head = [0; PREFACE.len()];
        let mut have = 0;
        while have < head.len() {
            let more = self.stream.read(&mut head[have..]).await?;
            have += more;
            if more == 0 || head[..have] != PREFACE[..have] {
                break;
            }
        }
        self.ahead = Bytes::copy_from_slice(&head[..have]);
        if have == 0 {
            return Ok(None);
        }
        if head != *PREFACE {
            return Ok(Some(Version::Http1));
        }
        let mut frames = Box::<Frames>::default();
        frames.take(PREFACE).map_err(io::Error::other)?;
        self.speaks = Speaks::Http2 { frames, partly_in: None };
        Ok(Some(Version::Http2))
    }

    /// Waits until the peer sends something; `false` if it closes the connection.
    /// Dropping the future before it completes loses nothing.
    pub async fn more(&mut self) -> io::Result<bool> {
        let mut head = [0; PREFACE.len()];
        let have = self.stream.read(&mut head).await?;
        self.ahead = Bytes::copy_from_slice(&head[..have]);
        self.pace.bytes_came(Instant::now());
        Ok(have > 0)
    }

    /// Completes when the peer closes the connection. What it sends first is kept, and nothing
    /// more is read then. Dropping the future before it completes loses nothing.
    pub async fn ended(&mut self) {
        if self.is_ahead() || self.more().await.unwrap_or(false) {
            std::future::pending().await
        }
    }

    /// Puts back what was read and not used.
    pub fn put_back(&mut self, bytes: Bytes) {
        self.ahead = match (bytes.is_empty(), self.ahead.is_empty()) {
            // An empty one may keep the buffer alive that it was split from.
            (true, true) => Bytes::new(),
            (true, false) => return,
            (false, true) => bytes,
            (false, false) => [bytes, std::mem::take(&mut self.ahead)].concat().into(),
        };
    }

    /// What was read and not used.
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Whether something was read and not used.
    pub fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Shuts down the writing half.
    pub async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Shuts down the writing half, and then reads and drops what the peer still sends, until it
    /// closes its half or has sent more than this many bytes.
    pub async fn close_after(mut self, most: usize) -> io::Result<()> {
        self.stream.shutdown().await?;
        let (mut length, mut piece) = (0, [0; 2048]);
        while length <= most {
            match self.stream.read(&mut piece).await? {
                0 => break,
                read => length += read,
            }
        }
        Ok(())
    }

    fn note(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.speaks {
            Speaks::Http1 => self.pace.bytes_came(Instant::now()),
            Speaks::Http2 { frames, partly_in } => {
                frames.take(bytes).map_err(io::Error::other)?;
                let now_in = frames.partly_in();
                if now_in != *partly_in {
                    *partly_in = now_in;
                    self.pace.partly_in(now_in.map(|_| Instant::now()));
                }
            }
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut taken = 0;
        if !self.ahead.is_empty() {
            taken = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead[..taken]);
            self.ahead.advance(taken);
            if !self.ahead.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // An empty one keeps its memory alive.
            self.ahead = Bytes::new();
        }
        // More data goes into the same buffer: a caller that got the beginning of a head
        // alone would allocate a larger one for the rest.
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(self.note(&buffer.filled()[before..])),
            // The end or an error is returned again by the next read.
            _ if taken > 0 => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pace.written(written.is_ready(), Instant::now);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.pace.written(written.is_ready(), Instant::now);
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Unix(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.pace.written(flushed.is_ready(), Instant::now);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.speaks {
            // The library shuts down, but the connection may only be parked. See `close`.
            Speaks::Http1 => Poll::Ready(Ok(())),
            Speaks::Http2 { .. } => Pin::new(&mut self.stream).poll_shutdown(context),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn buffered_bytes_and_new_ones_come_in_one_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let question = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
        peer.write_all(question).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::new(Stream::Plain(stream), Arc::new(Pace::new(Instant::now())));
        assert_eq!(wire.version().await.unwrap(), Some(Version::Http1));
        assert!(wire.is_ahead());
        let mut buffer = [0; 1024];
        let have = wire.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..have], question);
        // And bytes that come alone are returned alone.
        wire.put_back(Bytes::from_static(b"GET"));
        let have = wire.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..have], b"GET");
        drop(peer);
        assert_eq!(wire.read(&mut buffer).await.unwrap(), 0);
    }
}
