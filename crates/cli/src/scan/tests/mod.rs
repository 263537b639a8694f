//! Searches texts with secrets, which the tests make.

mod containers;

use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::io::{Seek, Write};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, ProviderId, Serial, TokenId},
    key::SigningKey,
    kind::Kind,
    time::UnixTime,
    wire::write,
};

pub fn token(kind: Kind, group: Option<&str>) -> String {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let claims = Claims {
        id: TokenId([1; 16]),
        kind,
        provider: ProviderId::from_number(1_234_567_890).unwrap(),
        channel: ChannelId::from_number(2_345_678_901).unwrap(),
        group: group.map(|it| it.parse().unwrap()),
        assertion_key: None,
        serial: Serial(3),
        issued_at: UnixTime(1_764_000_000),
        expires_at: UnixTime(1_764_000_900),
        key: key.public().id(),
    };
    write(&claims, "https://tegata.example.com", &key)
}

const KINDS: [Kind; 4] = [Kind::V21, Kind::Stateless, Kind::ShortLived, Kind::LongLived];

/// A reader that returns pieces of this length.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(room.len()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        room[..length].copy_from_slice(piece);
        self.0 = rest;
        Ok(length)
    }
}

/// An event as text: `part:line:column what`.
fn met(event: Event<'_>) -> String {
    match event {
        Event::Found { within, place: Place { line, column }, secret } => {
            let what = match secret {
                FoundSecret::Token(..) => "token".to_owned(),
                FoundSecret::AdminToken => "admin".to_owned(),
                FoundSecret::VerifierToken => "verifier".to_owned(),
                FoundSecret::PersonToken => "person".to_owned(),
                FoundSecret::PrivateJwk(kty) => format!("jwk {kty}"),
                FoundSecret::PrivatePem(label) => format!("pem {label}"),
                FoundSecret::Packed(_) => unreachable!("reported as unread"),
            };
            format!("{}:{line}:{column} {what}", within.unwrap_or(""))
        }
        Event::Unread { within, why } => format!("{} not read: {why}", within.unwrap_or("")),
    }
}

fn scan_with(limits: Limits, stream: impl Read) -> (Vec<String>, Tally) {
    let mut scan = Scan::new(limits).unwrap();
    let mut all = Vec::new();
    let mut report = |event: Event<'_>| {
        all.push(met(event));
        Ok(())
    };
    scan.stream(stream, &mut report).unwrap();
    (all, scan.tally)
}

fn scan(stream: impl Read) -> Vec<String> {
    scan_with(Limits::default(), stream).0
}

fn scan_file(content: &[u8]) -> Vec<String> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    let mut all = Vec::new();
    let mut report = |event: Event<'_>| {
        all.push(met(event));
        Ok(())
    };
    Scan::new(Limits::default()).unwrap().file(file, &mut report).unwrap();
    all
}

fn places(text: &[u8], piece: usize) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut report = |event: Event<'_>| {
        if let Event::Found { place, .. } = event {
            found.push((place.line, place.column));
        }
        Ok(())
    };
    Scan::new(Limits::default()).unwrap().stream(Pieces(text, piece), &mut report).unwrap();
    found
}

#[test]
fn a_token_is_found_at_any_place_and_however_the_text_is_cut() {
    for (kind, group) in KINDS.iter().flat_map(|kind| [(*kind, None), (*kind, Some("kitchen"))]) {
        let it = token(kind, group);
        let text = format!(
            "nothing\nAuthorization: Bearer {it}\r\n?access_token={it}&x=1 \"{it}\".\n{it}"
        );
        for piece in [1, 7, 100, 1_000, 1 << 20] {
            let found = places(text.as_bytes(), piece);
            let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, [2, 3, 3, 4], "{kind:?}, in pieces of {piece}");
            assert_eq!((found[0].1, found[3].1), (23, 1));
        }
    }
}

#[test]
fn a_line_without_end_is_searched_in_bounded_memory() {
    let it = token(Kind::V21, None);
    let before = ROOM * 3 + 12_345;
    let text = ["x".repeat(before), format!("={it}"), "y".repeat(ROOM)].concat();
    let column = u64::try_from(before).unwrap() + 2;
    assert_eq!(places(text.as_bytes(), 10_000), [(1, column)]);
}

#[test]
fn a_long_run_of_bytes_that_flatten_to_nothing_hides_no_token() {
    let it = token(Kind::ShortLived, None);
    for (begin, filler) in [("", b"\0"), ("a", b"\0"), ("a\n", b" "), ("tgs_", b"\n")] {
        let text = [begin.as_bytes(), &filler.repeat(3 * ROOM), b"x ", it.as_bytes()].concat();
        let found = scan(&text[..]);
        assert!(
            found.len() == 1 && found[0].ends_with("token"),
            "{begin:?}, {filler:?}: {found:?}"
        );
    }
}

#[test]
fn a_text_that_only_looks_like_a_token_is_not_reported() {
    let it = token(Kind::ShortLived, None);
    let broken = format!("{} {}", &it[..60], &it[60..]);
    let jws = token(Kind::V21, None);
    let cut = &jws[..jws.len() - 1];
    for text in
        [broken.as_str(), cut, "tgs_", "tgs_tgl_tgs_", "tga_00", "eyJhbGciOiJFZERTQSJ9.e30.e30"]
    {
        assert_eq!(places(text.as_bytes(), 50), [], "{text}");
    }
    // One inside the beginning of another.
    assert_eq!(places(format!("tgs_tgs_{it}tgl_").as_bytes(), 50), [(1, 9)]);
}

#[test]
fn a_token_is_reported_as_soon_as_its_line_is_there() {
    let it = token(Kind::Stateless, None);
    let line = format!("a={it}\n");
    // The reader fails the test if it is asked for more before the report.
    struct Live<'a>(&'a [u8], std::rc::Rc<std::cell::Cell<bool>>);
    impl Read for Live<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                assert!(self.1.get(), "it waits for more");
                return Ok(0);
            }
            self.0.read(room)
        }
    }
    let reported = std::rc::Rc::new(std::cell::Cell::new(false));
    let mut report = |_: Event<'_>| {
        reported.set(true);
        Ok(())
    };
    let live = Live(line.as_bytes(), reported.clone());
    Scan::new(Limits::default()).unwrap().stream(live, &mut report).unwrap();
}

/// Lines of this many letters.
fn wrapped(text: &str, width: usize, between: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
    lines.join(between)
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

/// The encodings of a secret, except plain text.
fn encodings(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let each = |escape: fn(u8) -> String| {
        secret
            .bytes()
            .map(|it| if it.is_ascii_alphanumeric() { char::from(it).into() } else { escape(it) })
            .collect::<String>()
    };
    let base64 = |before: &str| STANDARD.encode(format!("{before}{secret} and more"));
    let quoted = each(|it| format!("={it:02X}"));
    let mut all = vec![
        ("UTF-16 LE", utf16(secret, u16::to_le_bytes)),
        ("UTF-16 BE", utf16(secret, u16::to_be_bytes)),
        ("UTF-16 LE, marked", utf16(&format!("\u{feff}{secret}\r\n"), u16::to_le_bytes)),
        ("UTF-16 BE, marked", utf16(&format!("\u{feff}{secret}"), u16::to_be_bytes)),
        ("quoted-printable", wrapped(secret, 75, "=\r\n").into_bytes()),
        ("quoted-printable, all", quoted.into_bytes()),
        ("wrapped", wrapped(secret, 76, "\r\n").into_bytes()),
        ("wrapped narrowly", wrapped(secret, 20, "\n   ").into_bytes()),
        ("quoted", wrapped(secret, 70, "\n> > ").into_bytes()),
        ("wrapped within JSON", wrapped(secret, 64, "\\n").into_bytes()),
        ("percent", each(|it| format!("%{it:02x}")).into_bytes()),
        ("percent twice", each(|it| format!("%25{it:02X}")).into_bytes()),
        ("JSON", each(|it| format!("\\u{it:04x}")).into_bytes()),
        ("JSON twice", each(|it| format!("\\\\u{it:04X}")).into_bytes()),
    ];
    for before in ["", "a", "ab", "some words: "] {
        all.push(("base64", base64(before).into_bytes()));
        let part = format!(
            "Content-Transfer-Encoding: base64\r\n\r\n{}",
            wrapped(&base64(before), 76, "\r\n")
        );
        all.push(("a part of a mail", part.into_bytes()));
    }
    all
}

#[test]
fn secrets_are_found_in_every_encoding_and_however_the_text_is_cut() {
    let jwk = r#"{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}"#;
    let admin = format!("tga_{}", "0123456789abcdef".repeat(4));
    let mut secrets: Vec<_> = KINDS.iter().map(|&kind| (token(kind, Some("a")), "token")).collect();
    secrets.push((admin.replace("tga_", "tgv_"), "verifier"));
    for prefix in ["tgp_", "tgc_", "tgi_"] {
        secrets.push((admin.replace("tga_", prefix), "person"));
    }
    secrets.push((admin, "admin"));
    secrets.push((jwk.to_owned(), "jwk RSA"));
    for (secret, what) in &secrets {
        for (how, text) in encodings(secret) {
            for before in [&b""[..], b"nothing here, only words ...\n"] {
                let text = [before, &text].concat();
                for piece in [1, 7, 1 << 20] {
                    let found = scan(Pieces(&text, piece));
                    assert_eq!(found.len(), 1, "{what}, {how}, in pieces of {piece}: {found:?}");
                    assert!(found[0].ends_with(what), "{how}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn a_prefix_that_a_line_break_cuts_is_found_at_the_first_letter() {
    let it = token(Kind::ShortLived, None);
    for cut in 1..4 {
        let text = format!("a line\nmore: {}\n{}\n", &it[..cut], &it[cut..]);
        assert_eq!(scan(text.as_bytes()), [":2:7 token"]);
    }
}

#[test]
fn private_keys_are_found_and_public_ones_are_not() {
    let body = "QUJD".repeat(30);
    for (text, found) in [
        (r#"{"n":"AQ","kty":"RSA","e":"AQAB"}"#.to_owned(), &[][..]),
        (r#"{"kty":"RSA"}, {"d":1}"#.to_owned(), &[]),
        (
            r#"x = {"keys":[{"d":"AQ","kty":"EC"}, {"qi":"A","kty":"RSA"}]}"#.to_owned(),
            &[":1:14 jwk EC", ":1:37 jwk RSA"],
        ),
        (r#"{"text":"{\"kty\":\"RSA\",\"p\":\"AQ\"}"}"#.to_owned(), &[":1:10 jwk RSA"]),
        ("-----BEGIN PRIVATE KEY-----, as it begins".to_owned(), &[]),
        (format!("a\n-----BEGIN PUBLIC KEY-----\n{body}\n"), &[]),
        (format!("a\n-----BEGIN PRIVATE KEY-----\n{body}\n"), &[":2:1 pem PRIVATE KEY"]),
        (
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n{}\n",
                wrapped(&body, 64, "\n")
            ),
            &[":1:1 pem RSA PRIVATE KEY"],
        ),
        (format!("K=\"-----BEGIN EC PRIVATE KEY-----\\n{body}\\n\""), &[":1:4 pem EC PRIVATE KEY"]),
    ] {
        for piece in [1, 50, 1 << 20] {
            assert_eq!(scan(Pieces(text.as_bytes(), piece)), found, "{text}");
        }
    }
}
