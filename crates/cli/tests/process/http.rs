//! A minimal HTTP/1.1 client: requests are bytes, so that a test can hold back the last one,
//! and responses have a given length. A client library would hide when a request was sent
//! and whether its response was complete, which tests of races and crashes must see.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ADMIN_TOKEN;

/// One request, written out.
#[derive(Clone)]
pub(crate) struct Request(String);

impl Request {
    /// `headers` as `(name, value)`; the body's length is added.
    pub(crate) fn new(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        for (name, value) in headers {
            // Writing to a string does not fail.
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if method != "GET" {
            let _ = write!(text, "content-length: {}\r\n", body.len());
        }
        text.push_str("\r\n");
        text.push_str(body);
        Self(text)
    }

    /// An administrator's request; `path` follows `/admin/v1`.
    pub(crate) fn admin(method: &str, path: &str, body: Option<&Value>) -> Self {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let path = format!("/admin/v1{path}");
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        Self::new(method, &path, &headers, &body)
    }

    /// The bytes on the wire.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// One response, read completely.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    closing: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), closing: false })
    }

    /// Sends a request and reads its response.
    pub(crate) async fn ask(&mut self, request: &Request) -> io::Result<HttpResponse> {
        self.send(request.bytes()).await?;
        self.response().await
    }

    /// Whether the server announced that it closes the connection.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_closing() {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the server said goodbye"));
        }
        self.stream.write_all(bytes).await
    }

    /// Reads one response; an incomplete response is an error.
    pub(crate) async fn response(&mut self) -> io::Result<HttpResponse> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let status = head.get(9..12).and_then(|digits| digits.parse().ok());
        let mut response = HttpResponse {
            status: status.ok_or_else(|| bad("no status"))?,
            head,
            body: Vec::new(),
        };
        if matches!(response.status, 100 | 204) {
            return Ok(response);
        }
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        let length: usize = length.ok_or_else(|| bad("no content-length"))?;
        self.closing = response.header("connection").is_some_and(|it| it == "close");
        while self.buffer.len() < length {
            self.more().await?;
        }
        response.body = self.buffer.drain(..length).collect();
        Ok(response)
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
