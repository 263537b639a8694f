//! HTTP/1.1 as bytes: the harness must send and compare exact requests and responses,
//! which a client library would normalise.
//!
//! It supports one request at a time on an open connection, and responses with a
//! `content-length`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

/// The bytes of a request. With a body, `headers` holds its `content-type`.
pub(super) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if method != "GET" {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    text += body;
    text.into_bytes()
}

/// A `POST` of form fields.
pub(super) fn form(to: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request(to, "POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], &body)
}

/// A response, its headers in the order of the wire.
#[derive(Debug)]
pub(super) struct HttpResponse {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl HttpResponse {
    /// The JSON body of a 2xx; any other status is an error that shows the response.
    pub(super) fn json(self) -> anyhow::Result<serde_json::Value> {
        ensure!((200..300).contains(&self.status), "answered {} {}", self.status, self.body);
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

/// An open connection.
pub(super) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(super) fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends the bytes and reads one response.
    pub(super) fn send(&mut self, request: &[u8]) -> anyhow::Result<HttpResponse> {
        self.0.get_mut().write_all(request)?;
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.with_context(|| format!("not an HTTP response: {first:?}"))?;
        let mut headers = Vec::new();
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(": ").with_context(|| format!("not a header: {line:?}"))?;
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.parse()?);
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut body = vec![0; length.context("a response without content-length")?];
        self.0.read_exact(&mut body)?;
        Ok(HttpResponse { status, headers, body: String::from_utf8(body)? })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
