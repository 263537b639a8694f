//! Requests and responses of HTTP/1.1 without the HTTP library: those that verifiers send one
//! after the other, each of which waits long for its response.
//!
//! The library keeps its buffers and its state for as long as a request waits, and most of
//! the work of thousands of them was its own. What is read here are whole requests without a
//! body, with nothing in them but what these requests need; the library reads all others,
//! so this changes the costs and never the response.

use http::{HeaderMap, StatusCode, header};

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

/// The head of a response whose body has this length.
pub(super) fn head(status: StatusCode, headers: &HeaderMap, length: u64, closes: bool) -> Vec<u8> {
    let mut head = Vec::with_capacity(1_024);
    let mut line = |parts: [&[u8]; 3]| {
        parts.iter().for_each(|it| head.extend_from_slice(it));
        head.extend_from_slice(b"\r\n");
    };
    let reason = status.canonical_reason().unwrap_or_default();
    line([b"HTTP/1.1 ", status.as_str().as_bytes(), &[b" ", reason.as_bytes()].concat()]);
    for (name, value) in headers {
        line([name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    if !headers.contains_key(header::CONTENT_LENGTH) {
        line([b"content-length", b": ", length.to_string().as_bytes()]);
    }
    if closes {
        line([b"connection", b": ", b"close"]);
    }
    line([b""; 3]);
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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

    #[test]
    fn a_head_has_the_length_once_and_ends_with_an_empty_line() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let text = |headers: &HeaderMap, closes| {
            String::from_utf8(head(StatusCode::GONE, headers, 7, closes)).unwrap()
        };
        let whole = "HTTP/1.1 410 Gone\r\ncache-control: no-store\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(text(&headers, false), whole);
        assert!(text(&headers, true).ends_with("\r\nconnection: close\r\n\r\n"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
        assert_eq!(text(&headers, false), whole);
    }
}
