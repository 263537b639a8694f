//! Requests and responses of HTTP/1.1 without the HTTP library: those that verifiers send one
//! after the other, each of which waits long for its response.
//!
//! The library keeps its buffers and its state for as long as a request waits, and most of
//! the work of thousands of them was its own. What is read here are whole requests without a
//! body, with nothing in them but what these requests need; the library reads all others,
//! so this changes the costs and never the response.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Body;
use std::{io, pin::pin};

/// Maximum number of headers.
const MOST: usize = 16;

/// A request `GET` of a known path, as far as its response depends on it.
pub(super) struct PlainRequest<'a> {
    /// What follows the `?`.
    pub query: &'a str,
    pub authorization: Option<&'a [u8]>,
    pub accept_encoding: Option<&'a [u8]>,
}

impl<'a> PlainRequest<'a> {
    /// Reads a request for `path` that is there as a whole, and nothing after it; `None`: the
    /// library must read it.
    pub fn read(bytes: &'a [u8], path: &str) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MOST];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = request.parse(bytes) else { return None };
        if length != bytes.len() || request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let query = request.path?.strip_prefix(path)?.strip_prefix('?')?;
        if !query.bytes().all(is_plain) {
            return None;
        }
        let (mut host, mut authorization, mut accept_encoding) = (None, None, None);
        for httparse::Header { name, value } in request.headers.iter().copied() {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            let once = match name {
                _ if is("host") => &mut host,
                _ if is("authorization") => &mut authorization,
                _ if is("accept-encoding") => &mut accept_encoding,
                _ if is("accept") || is("user-agent") => continue,
                _ => return None,
            };
            if once.replace(value).is_some() {
                return None;
            }
        }
        host.map(|_| Self { query, authorization, accept_encoding })
    }
}

/// Whether the library takes this byte in a query string as it is.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%&=+".contains(&byte)
}

/// A response whose head is written, but for its end.
pub struct PlainResponse {
    bytes: Vec<u8>,
    body: Vec<Bytes>,
}

impl PlainResponse {
    /// A response with this body and no header but its length.
    pub fn new(status: StatusCode, body: Vec<Bytes>) -> Self {
        let mut new = Self { bytes: Vec::with_capacity(1_024), body };
        let reason = status.canonical_reason().unwrap_or_default();
        new.line(&["HTTP/1.1 ", status.as_str(), " ", reason].map(str::as_bytes));
        let length: usize = new.body.iter().map(Bytes::len).sum();
        new.header(header::CONTENT_LENGTH.as_str(), length.to_string().as_bytes());
        new
    }

    /// The same response as the library would send.
    ///
    /// # Errors
    /// Those of the body.
    pub async fn of<B>(response: Response<B>) -> io::Result<Self>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = response.into_parts();
        let mut body = pin!(body);
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            pieces.extend(frame.map_err(io::Error::other)?.into_data());
        }
        let mut new = Self::new(parts.status, pieces);
        for (name, value) in &parts.headers {
            if name != header::CONTENT_LENGTH {
                new.header(name.as_str(), value.as_bytes());
            }
        }
        Ok(new)
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        self.line(&[name.as_bytes(), b": ", value]);
    }

    fn line(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|it| self.bytes.extend_from_slice(it));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The whole head, and the parts of the body that follow it.
    pub(super) fn end(mut self, closes: bool) -> (Vec<u8>, Vec<Bytes>) {
        if closes {
            self.header(header::CONNECTION.as_str(), b"close");
        }
        self.line(&[]);
        (self.bytes, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    const GOOD: &str = "GET /feed/changes?after=3-4&hold=1%2B HTTP/1.1\r\nHost: a\r\n\
                        Authorization: Bearer x\r\nAccept-Encoding: gzip\r\n\r\n";

    fn read(text: &str) -> Option<PlainRequest<'_>> {
        PlainRequest::read(text.as_bytes(), "/feed/changes")
    }

    #[test]
    fn a_whole_request_is_read() {
        let read = read(GOOD).unwrap();
        assert_eq!(read.query, "after=3-4&hold=1%2B");
        assert_eq!(read.authorization, Some(&b"Bearer x"[..]));
        assert_eq!(read.accept_encoding, Some(&b"gzip"[..]));
    }

    #[test]
    fn what_needs_the_library_is_not_read() {
        for end in 0..GOOD.len() {
            assert!(read(&GOOD[..end]).is_none(), "{}", &GOOD[..end]);
        }
        let more = |header: &str| GOOD.replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"));
        let others = [
            format!("{GOOD}GET"),
            GOOD.replace("GET", "POST"),
            GOOD.replace("HTTP/1.1", "HTTP/1.0"),
            GOOD.replace("/feed", "//feed"),
            GOOD.replace("changes?", "changes"),
            GOOD.replace("changes?", "changes/?"),
            GOOD.replace("hold=1", "hold=\"1"),
            GOOD.replace("Host: a\r\n", ""),
            more("Host: b"),
            more("Authorization: Bearer y"),
            more("Accept-Encoding: br"),
            more("Connection: close"),
            more("Content-Length: 1"),
            more("Transfer-Encoding: chunked"),
            more("Expect: 100-continue"),
            more("X-Forwarded-For: 192.0.2.1"),
            more("traceparent: 00"),
        ];
        for other in others {
            assert!(read(&other).is_none(), "{other}");
        }
        assert!(read(&more("Accept: */*\r\nUser-Agent: curl")).is_some());
    }

    #[tokio::test]
    async fn a_head_has_the_length_once_and_ends_with_an_empty_line() {
        let text = |it: PlainResponse, closes| String::from_utf8(it.end(closes).0).unwrap();
        let gone = || async {
            let body = Full::new(Bytes::from_static(b"no more"));
            let of = Response::builder().status(StatusCode::GONE);
            let of = of.header("content-length", 7).header("cache-control", "no-store");
            PlainResponse::of(of.body(body).unwrap()).await.unwrap()
        };
        let whole = "HTTP/1.1 410 Gone\r\ncontent-length: 7\r\ncache-control: no-store\r\n\r\n";
        assert_eq!(text(gone().await, false), whole);
        assert!(text(gone().await, true).ends_with("\r\nconnection: close\r\n\r\n"));
        assert_eq!(gone().await.end(false).1, [&b"no more"[..]]);
        let two = ["one", "three"].map(|it| Bytes::from_static(it.as_bytes())).to_vec();
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n";
        assert_eq!(text(PlainResponse::new(StatusCode::OK, two), false), whole);
    }
}
