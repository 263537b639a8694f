//! Bodies of reports: what is read, and what is rejected.

use super::*;

fn texts(read: Result<Vec<ReportedToken>, BadReport>) -> Result<Vec<String>, BadReport> {
    read.map(|all| all.iter().map(|it| it.text.reveal().to_owned()).collect())
}

fn finder() -> Finder {
    Finder::for_tokens().unwrap()
}

#[test]
fn a_programmes_array_is_read_with_members_that_are_not_known() {
    let body = br#"[{"token":"a","type":"t","url":"https://x","source":"commit","new":{"a":[1]}},
        {"type":"u","location":null,"token":"\u0062"}]"#;
    let read = array(body).unwrap();
    let shown: Vec<_> =
        read.iter().map(|it| (it.text.reveal(), &*it.kind, it.url.as_deref())).collect();
    assert_eq!(shown, [("a", "t", Some("https://x")), ("b", "u", None)]);
    assert_eq!(texts(credentials(br#"{"credentials":["a","b"]}"#)).unwrap(), ["a", "b"]);
    assert_eq!(texts(token(br#"{"other":1,"token":"a"}"#)).unwrap(), ["a"]);
}

#[test]
fn what_two_parsers_could_read_differently_is_rejected() {
    let deep = format!("[{{\"token\":\"a\",\"type\":\"t\",\"x\":{}}}]", "[".repeat(100_000));
    let many: String = (0..40).map(|n| format!(",\"m{n}\":0")).collect();
    let many = format!("[{{\"token\":\"a\",\"type\":\"t\"{many}}}]");
    let utf16: Vec<u8> = r#"[{"token":"a","type":"t"}]"#.bytes().flat_map(|it| [it, 0]).collect();
    let bodies: [&[u8]; 19] = [
        b"",
        b"null",
        b"{}",
        br#"{"token":"a","type":"t"}"#,
        b"[null]",
        br#"["a"]"#,
        br#"[{"type":"t"}]"#,
        br#"[{"token":"a"}]"#,
        br#"[{"token":1,"type":"t"}]"#,
        br#"[{"token":["a"],"type":"t"}]"#,
        br#"[{"token":"a","type":"t"}"#,
        br#"[{"token":"a","type":"t"}] []"#,
        br#"[{"token":"a","token":"b","type":"t"}]"#,
        br#"[{"token":"a","type":"t","x":1,"x":1}]"#,
        br#"[{"token":"a","type":"t","\u0074oken":"b"}]"#,
        b"\xef\xbb\xbf[{\"token\":\"a\",\"type\":\"t\"}]",
        b"[{\"token\":\"\xff\",\"type\":\"t\"}]",
        deep.as_bytes(),
        many.as_bytes(),
    ];
    for body in bodies.into_iter().chain([&utf16[..]]) {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(array(body).err(), Some(BadReport::Form(ARRAY)), "{shown}");
    }
    for body in [
        "",
        "[]",
        r#"{"credentials":"a"}"#,
        r#"{"credentials":[1]}"#,
        r#"{"credentials":["a"],"credentials":["a"]}"#,
        r#"{"credentials":[["a"]]}"#,
        r#"{"token":"a"}"#,
    ] {
        assert_eq!(
            credentials(body.as_bytes()).err(),
            Some(BadReport::Form(CREDENTIALS)),
            "{body}"
        );
    }
    for body in ["", "\"a\"", "{}", r#"{"token":1}"#, r#"{"token":"a","token":"a"}"#, "{\"token\":"]
    {
        assert_eq!(token(body.as_bytes()).err(), Some(BadReport::Form(TOKEN)), "{body}");
    }
}

#[test]
fn a_report_has_1_to_1000_entries() {
    let arrays = |count: usize| {
        let entry = r#"{"token":"a","type":"t"}"#;
        array(format!("[{}]", vec![entry; count].join(",")).as_bytes()).map(|it| it.len())
    };
    let lists = |count: usize| {
        let body = serde_json::json!({ "credentials": vec!["a"; count] }).to_string();
        credentials(body.as_bytes()).map(|it| it.len())
    };
    for read in [&arrays as &dyn Fn(usize) -> Result<usize, BadReport>, &lists] {
        assert_eq!(read(0), Err(BadReport::Empty));
        assert_eq!((read(1), read(1_000)), (Ok(1), Ok(1_000)));
        assert_eq!(read(1_001), Err(BadReport::TooMany));
    }
    // What follows a report that is too long is not read.
    let body = format!("[{}", r#"{"token":"a","type":"t"},"#.repeat(1_001));
    assert_eq!(array(body.as_bytes()).err(), Some(BadReport::TooMany));
    let long = serde_json::json!({ "token": "a".repeat(LONGEST + 1) }).to_string();
    assert_eq!(token(long.as_bytes()).err(), Some(BadReport::LongToken));
}

#[test]
fn a_text_is_utf_8_and_is_searched_in_a_time_that_its_length_limits() {
    let of = |body: &[u8]| text(&finder(), body).map(|it| it.len());
    assert_eq!(of(b"nothing here"), Ok(0));
    assert_eq!(of(b""), Ok(0));
    let utf16: Vec<u8> = "\u{feff}tgs_".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bad in [&utf16[..], b"\xff\xfe", b"tgs_\0", b"\x1f\x8b\x08\0\0"] {
        assert_eq!(of(bad), Err(BadReport::NotText));
    }
    // Each place where a token may begin is looked at, but not all that follows it.
    for begin in ["tgs_", "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6I", "\"kty\"{"] {
        assert_eq!(of(begin.repeat((1 << 20) / begin.len()).as_bytes()), Ok(0), "{begin}");
    }
}

#[test]
fn an_address_is_kept_without_the_parts_that_can_hold_secrets() {
    let of = |url: &str| address(&finder(), url);
    let kept = "https://github.com/a/b/blob/0123/c.env";
    assert_eq!(of(kept).as_deref(), Some(kept));
    assert_eq!(of(&format!("{kept}?token=x#L3")).as_deref(), Some(kept));
    for url in [
        "",
        "c.env",
        "javascript:alert(1)",
        "https://",
        "https://a:b@c/",
        "https://a/\u{202e}",
        "https://a/ b",
    ] {
        assert_eq!(of(url), None, "{url}");
    }
    assert_eq!(of(&format!("https://a/{}", "b".repeat(300))), None);
}
