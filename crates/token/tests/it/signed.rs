//! The signature over a snapshot. With `TEGATA_WRITE_VECTORS` set, the test writes
//! `testdata/feed/signed.json` anew.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tegata_token::{
    feed::{NotAuthentic, SignedSnapshot, Snapshot},
    key::{KeyState, SigningKey, VerifyingKey},
    view::{FeedChange, Providers, View, ViewKey},
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

/// A snapshot with a dot and an escape in it, since the payload is not encoded.
fn text() -> String {
    let added =
        FeedChange::SigningKey(ViewKey { key: key(1).public().clone(), state: KeyState::Active });
    let view = View::new(Providers::All).after(&[added], "3-41".parse().unwrap());
    Snapshot::write(&view, None, "https://tokens.example/\"..\"")
}

/// A JWS over the text with another header, by the right key.
fn with_header(header: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    let signature = key(1).sign(format!("{header}.{}", text()).as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature))
}

fn cases() -> Vec<(&'static str, String, String, bool)> {
    let signed = |seed| SignedSnapshot::sign(&text(), &key(seed)).jws;
    let good = signed(1);
    let kid = key(1).public().id();
    let attached = good.replace("..", &format!(".{}.", URL_SAFE_NO_PAD.encode(text())));
    let of_type = |typ: &str| {
        with_header(&format!(
            r#"{{"alg":"EdDSA","typ":"{typ}","kid":"{kid}","b64":false,"crit":["b64"]}}"#
        ))
    };
    let (mut cut, mut bit) = (good.clone(), good.clone());
    cut.pop();
    bit.replace_range(good.len() - 5..good.len() - 4, if bit.contains("A") { "-" } else { "A" });
    vec![
        ("the bytes and their signature", text(), good.clone(), true),
        ("a later position", text().replace("3-41", "3-42"), good.clone(), false),
        ("white space is not the same bytes", text() + " ", good.clone(), false),
        ("a key that is not trusted", text(), signed(2), false),
        ("the type of an access token", text(), of_type("at+jwt"), false),
        ("the right type", text(), of_type("snapshot+jws"), true),
        ("a payload in the JWS", text(), attached, false),
        ("a signature that is cut", text(), cut, false),
        ("a signature that is changed", text(), bit, false),
        ("no signature", text(), good.split("..").next().unwrap().to_owned() + "..", false),
        ("nothing", text(), String::new(), false),
        ("bytes that are not a snapshot", "{}".to_owned(), of_bytes("{}"), false),
    ]
}

fn of_bytes(text: &str) -> String {
    SignedSnapshot::sign(text, &key(1)).jws
}

fn trusted() -> [VerifyingKey; 2] {
    [key(3).public().clone(), key(1).public().clone()]
}

#[test]
fn a_copy_is_opened_only_with_the_signature_of_a_trusted_key_over_its_bytes() {
    for (name, text, jws, good) in cases() {
        let opened = SignedSnapshot::open(text.as_bytes(), &jws, &trusted());
        assert_eq!(opened.is_ok(), good, "{name}: {:?}", opened.err());
    }
    let opened = SignedSnapshot::open(text().as_bytes(), &of_bytes(&text()), &trusted()).unwrap();
    assert_eq!(opened.view.position(), "3-41".parse().unwrap());
    let unknown = SignedSnapshot::open(text().as_bytes(), &of_bytes(&text()), &[]);
    assert!(matches!(unknown, Err(NotAuthentic::UnknownForm)));
}

#[test]
fn the_file_holds_the_vectors_of_signatures() {
    let keys: Vec<Value> = trusted().iter().map(VerifyingKey::to_jwk).collect();
    let case = |(name, text, jws, good): (&str, String, String, bool)| json!({ "name": name, "snapshot": text, "jws": jws, "good": good });
    let cases: Vec<Value> = cases().into_iter().map(case).collect();
    let value = json!({ "trusted": keys, "cases": cases });
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/feed");
    let file = folder.join("signed.json");
    if std::env::var_os("TEGATA_WRITE_VECTORS").is_some() {
        fs::write(&file, &text).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap() == text, "write signed.json anew, as above");
}
