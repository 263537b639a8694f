//! The corpus as files: `requests/*.txt`, each a list of requests as bytes on the wire, with
//! the expected responses.
//!
//! ```text
//! == what it is
//! GET /livez HTTP/1.1
//! host: t
//!
//! => 200
//! ```
//!
//! Each line is sent with CR LF behind it, or without, if it ends in `\`. Inside,
//! `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` are bytes; `{name}` is something of the
//! server under attack, `{name%}` the same percent-encoded; `{fill A 70000}` is so
//! many times that text; `{length}` is the length of all that follows the first
//! empty line. Behind `=>` stand the statuses, one for each response, `400|404` where
//! either is right; `bare` in front of one lets it come from the HTTP parser,
//! without a body; `close` says that the server ends the connection by itself.

use std::collections::BTreeMap;

/// One request, or what looks like some.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// The expected responses.
pub(crate) struct Expected {
    /// One for each response.
    pub(crate) responses: Vec<Status>,
    pub(crate) close: bool,
}

/// The allowed statuses of one response.
pub(crate) struct Status {
    pub(crate) any_of: Vec<u16>,
    pub(crate) bare: bool,
}

/// The cases of a file, with `names` put in.
pub(crate) fn cases(file: &str, text: &str, names: &BTreeMap<&str, String>) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(name) = line.strip_prefix("== ") else {
            let between = line.is_empty() || line.starts_with('#');
            assert!(between, "{file}:{}: neither a case nor a comment", number + 1);
            continue;
        };
        let mut sent = String::new();
        let expected = loop {
            let (number, line) = lines.next().unwrap_or_else(|| panic!("{file}: {name} has no =>"));
            if let Some(expected) = line.strip_prefix("=> ") {
                break read_expected(expected)
                    .unwrap_or_else(|| panic!("{file}:{}: {expected}", number + 1));
            }
            match line.strip_suffix('\\') {
                Some(open) if !open.ends_with('\\') => sent.push_str(open),
                _ => {
                    sent.push_str(line);
                    sent.push_str("\\r\\n");
                }
            }
        };
        let bytes = written(&sent, names);
        cases.push(Case { name: format!("{file}: {name}"), bytes, expected });
    }
    cases
}

fn read_expected(text: &str) -> Option<Expected> {
    let mut expected = Expected { responses: Vec::new(), close: false };
    let mut bare = false;
    for word in text.split_whitespace() {
        match word {
            "bare" => bare = true,
            "close" => expected.close = true,
            statuses => {
                let any_of =
                    statuses.split('|').map(|it| it.parse().ok()).collect::<Option<_>>()?;
                expected.responses.push(Status { any_of, bare: std::mem::take(&mut bare) });
            }
        }
    }
    Some(expected)
}

fn written(text: &str, names: &BTreeMap<&str, String>) -> Vec<u8> {
    const LENGTH: &str = "{length}";
    let bytes = |text: &str| unescaped(&filled(text, names));
    let Some((before, after)) = text.split_once(LENGTH) else { return bytes(text) };
    let body = bytes(after);
    let head_ends = body.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let length = (body.len() - head_ends).to_string();
    [bytes(before), length.into_bytes(), body].concat()
}

fn filled(text: &str, names: &BTreeMap<&str, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        text = text.replace(&format!("{{{name}}}"), value);
        text = text.replace(&format!("{{{name}%}}"), &encoded);
    }
    while let Some(begins) = text.find("{fill ") {
        let length = text[begins..].find('}').expect("a closing brace");
        let inside = &text[begins + "{fill ".len()..begins + length];
        let (what, times) = inside.rsplit_once(' ').expect("{fill what times}");
        let filling = what.repeat(times.parse().expect("a number"));
        text.replace_range(begins..=begins + length, &filling);
    }
    text
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().expect("something behind a backslash") {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let mut digit = || char::from(rest.next().expect("a digit")).to_digit(16);
                let (high, low) = (digit().expect("hex"), digit().expect("hex"));
                bytes.push(u8::try_from(high << 4 | low).expect("a byte"));
            }
            other => panic!("\\{}", char::from(other)),
        }
    }
    bytes
}
