//! The two wire forms: a token reads back as it was written, and a string that differs in
//! a single bit is rejected.

use crate::channel::{NOW, OWN_URL, base64url, group, id};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;
use std::sync::LazyLock;
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::{Kind, WireForm},
    time::UnixTime,
    verify::{Invalid, Signatures, verify},
    view::{Providers, View, ViewKey},
    wire::{LONGEST, Malformed, Unverified, VERSION, write},
};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[1; 32]).unwrap());
static OTHER_KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_seed(&[2; 32]).unwrap());

fn claims(kind: Kind, of: Option<&str>) -> Claims {
    Claims {
        id: TokenId([0x5A; 16]),
        kind,
        provider: ProviderId::from_number(77).unwrap(),
        channel: id(),
        group: of.map(group),
        assertion_key: (kind == Kind::V21).then(|| AssertionKeyId::from_random([9; 16])),
        serial: Serial(12),
        issued_at: NOW,
        expires_at: NOW.plus(900),
        key: KEY.public().id(),
    }
}

fn written(claims: &Claims) -> String {
    write(claims, OWN_URL, &KEY)
}

fn read(token: &[u8]) -> Option<Claims> {
    Unverified::parse(token).ok()?.verify(KEY.public()).ok()
}

/// One token of each kind, without and, where there may be one, with a group.
fn samples() -> Vec<Claims> {
    let with = |kind: &Kind| *kind != Kind::LongLived;
    let plain = Kind::all().map(|kind| claims(kind, None));
    plain.chain(Kind::all().filter(with).map(|kind| claims(kind, Some("team-a")))).collect()
}

// ---- round trips

prop_compose! {
    /// Any claims that an authority could sign. Opaque tokens have no assertion
    /// key, and 48 bits of time, which reach past the year four million.
    fn any_claims()(
        id: [u8; 16],
        kind in proptest::sample::select(Kind::all().collect::<Vec<_>>()),
        provider in 0..10_000_000_000_u64,
        channel in 0..10_000_000_000_u64,
        group in proptest::option::of("[a-zA-Z0-9._-]{1,63}[a-zA-Z0-9_-]"),
        assertion_key in proptest::option::of(any::<[u8; 16]>()),
        serial: u64,
        issued_at in 0..1_i64 << 47,
        life in 0..1_i64 << 47,
    ) -> Claims {
        let is_jws = kind.form() == WireForm::Jws;
        Claims {
            id: TokenId(id),
            kind,
            provider: ProviderId::from_number(provider).unwrap(),
            channel: ChannelId::from_number(channel).unwrap(),
            group: group.map(|it| it.parse::<Group>().unwrap()),
            assertion_key: assertion_key.filter(|_| is_jws).map(AssertionKeyId),
            serial: Serial(serial),
            issued_at: UnixTime(issued_at),
            expires_at: UnixTime(issued_at + life),
            key: KEY.public().id(),
        }
    }
}

proptest! {
    #[test]
    fn any_claims_read_back_as_they_were_written(claims in any_claims()) {
        let token = written(&claims);
        prop_assert_eq!(read(token.as_bytes()), Some(claims.clone()));
        prop_assert_eq!(written(&claims), token, "the second writing differs");
    }

    #[test]
    fn any_bit_changed_in_any_token_is_rejected(claims in any_claims(), bit: proptest::sample::Index) {
        let mut token = written(&claims).into_bytes();
        let bit = bit.index(token.len() * 8);
        token[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(read(&token), None);
    }

    #[test]
    fn any_token_of_another_key_is_rejected(mut claims in any_claims()) {
        claims.key = OTHER_KEY.public().id();
        let token = write(&claims, OWN_URL, &OTHER_KEY);
        prop_assert_eq!(read(token.as_bytes()), None);
    }
}

#[test]
fn an_opaque_token_without_a_group_is_172_characters_long() {
    for kind in [Kind::ShortLived, Kind::LongLived] {
        assert_eq!(written(&claims(kind, None)).len(), 172);
    }
}

#[test]
fn the_prefixes_are_those_that_secret_scanners_look_for() {
    assert!(written(&claims(Kind::ShortLived, None)).starts_with("tgs_"));
    assert!(written(&claims(Kind::LongLived, None)).starts_with("tgl_"));
}

// ---- every other spelling is rejected

/// The expressions of `docs/book/src/scanners.md`, by which scanners of others recognise tokens.
/// Those who use them do not learn of a change, so this test must not be changed for one.
#[test]
fn what_the_published_patterns_fix_stays_as_it_is() {
    let is_letters =
        |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_'));
    let longest = "a".repeat(64);
    for kind in Kind::all() {
        for of in [None, Some("a"), Some(longest.as_str())] {
            let token = written(&claims(kind, of));
            if let WireForm::Opaque(prefix) = kind.form() {
                let body = token.strip_prefix(prefix).unwrap();
                assert!(matches!(prefix, "tgs_" | "tgl_") && is_letters(body));
                assert!((168..=254).contains(&body.len()), "{}", body.len());
                continue;
            }
            let parts: Vec<&str> = token.split('.').collect();
            let [header, payload, signature] = parts[..] else { panic!("{token}") };
            let fixed = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6I";
            let kid = header.strip_prefix(fixed).unwrap();
            assert_eq!((kid.len(), signature.len()), (18, 86));
            assert!(is_letters(kid) && is_letters(payload) && is_letters(signature));
        }
    }
}

#[test]
fn every_bit_of_a_token_is_significant() {
    for claims in samples() {
        let token = written(&claims).into_bytes();
        for bit in 0..token.len() * 8 {
            let mut changed = token.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&changed), None, "bit {bit} of a {} token", claims.kind);
        }
    }
}

/// Some bits of the last base64 character can be unused. Of all the characters that
/// decode to the same bytes, only one must be accepted.
#[test]
fn the_last_character_of_each_part_has_one_spelling() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for claims in samples() {
        let token = written(&claims).into_bytes();
        let ends = (0..token.len()).filter(|&at| token.get(at + 1).is_none_or(|&b| b == b'.'));
        for at in ends {
            for &other in ALPHABET.iter().chain(b"=+/. \n").filter(|&&it| it != token[at]) {
                let mut changed = token.clone();
                changed[at] = other;
                assert_eq!(read(&changed), None, "{} for {}", other as char, token[at] as char);
            }
        }
    }
}

#[test]
fn a_token_cut_short_anywhere_is_rejected() {
    for claims in samples() {
        let token = written(&claims);
        for length in 0..token.len() {
            assert_eq!(read(&token.as_bytes()[..length]), None, "{length} bytes");
            assert_eq!(read(&token.as_bytes()[token.len() - length..]), None, "last {length}");
        }
    }
}

#[test]
fn a_token_with_anything_before_or_behind_it_is_rejected() {
    for claims in samples() {
        let token = written(&claims);
        for extra in ["=", "==", "A", "AA", "AAAA", " ", "\n", "\0", ".", "..", "&"] {
            assert_eq!(read(format!("{token}{extra}").as_bytes()), None, "{extra:?} behind");
            assert_eq!(read(format!("{extra}{token}").as_bytes()), None, "{extra:?} before");
        }
    }
}

#[test]
fn a_token_with_the_other_kinds_prefix_is_rejected() {
    let short = written(&claims(Kind::ShortLived, None));
    let long = written(&claims(Kind::LongLived, None));
    assert_eq!(read(short.replace("tgs_", "tgl_").as_bytes()), None);
    assert_eq!(read(long.replace("tgl_", "tgs_").as_bytes()), None);
    for prefix in ["TGS_", "tgs-", "tgx_", ""] {
        assert_eq!(read(short.replace("tgs_", prefix).as_bytes()), None);
    }
}

#[test]
fn a_jws_whose_parts_are_those_of_two_tokens_is_rejected() {
    let a = written(&claims(Kind::V21, None));
    let b = written(&claims(Kind::Stateless, None));
    let (a, b): (Vec<_>, Vec<_>) = (a.split('.').collect(), b.split('.').collect());
    assert_eq!(read([a[0], b[1], a[2]].join(".").as_bytes()), None);
    assert_eq!(read([a[0], a[1], b[2]].join(".").as_bytes()), None);
}

/// A JWS signed by our key, but with this header and payload.
fn signed_jws(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", base64url(header), base64url(payload));
    let signature = KEY.sign(message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

fn parts_of(token: &str) -> (String, String) {
    let decode = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let mut parts = token.split('.').map(decode);
    (parts.next().unwrap(), parts.next().unwrap())
}

/// The signature is valid for all of these: the form alone rejects them.
#[test]
fn a_signed_header_in_any_other_words_is_rejected() {
    let (header, payload) = parts_of(&{
        // The last part is not text; only the first two are compared.
        let token = written(&claims(Kind::V21, None));
        token[..token.rfind('.').unwrap()].to_owned()
    });
    assert!(read(signed_jws(&header, &payload).as_bytes()).is_some());
    for (from, to) in [
        ("EdDSA", "none"),
        ("EdDSA", "HS256"),
        ("at+jwt", "JWT"),
        ("\"alg\":\"EdDSA\",", ""),
        ("{", "{\"crit\":[],"),
        ("{", "{ "),
        ("}", ",\"jwk\":{}}"),
        ("}", ",\"kid\":\"AAAAAAAAAAA\"}"),
    ] {
        let changed = header.replace(from, to);
        assert_ne!(changed, header);
        assert_eq!(read(signed_jws(&changed, &payload).as_bytes()), None, "{changed}");
    }
}

#[test]
fn a_token_that_names_another_key_than_signed_it_is_rejected() {
    for claims in samples() {
        let token = written(&claims);
        let other = OTHER_KEY.public().id();
        let renamed = match claims.kind.form() {
            WireForm::Jws => {
                let (header, payload) = parts_of(&token[..token.rfind('.').unwrap()]);
                signed_jws(&header.replace(&claims.key.to_string(), &other.to_string()), &payload)
            }
            WireForm::Opaque(prefix) => {
                let mut layout = URL_SAFE_NO_PAD.decode(&token[prefix.len()..]).unwrap();
                layout.truncate(layout.len() - 64);
                layout[1..9].copy_from_slice(&other.0);
                let signature = KEY.sign(&[prefix.as_bytes(), &layout].concat());
                format!("{prefix}{}", base64url([&layout[..], &signature].concat()))
            }
        };
        assert_eq!(read(renamed.as_bytes()), None, "{}", claims.kind);
    }
}

/// Another program that signs with the same key does not write the same claims.
#[test]
fn a_signed_payload_of_another_program_is_rejected() {
    let token = written(&claims(Kind::V21, Some("team-a")));
    let (header, payload) = parts_of(&token[..token.rfind('.').unwrap()]);
    assert!(read(signed_jws(&header, &payload).as_bytes()).is_some());
    for (from, to) in [
        ("\"v2.1\"", "\"short-lived\""),
        ("\"v2.1\"", "\"v9\""),
        ("team-a", "team a"),
        ("\"0000000077\"", "77"),
        ("\"serial\":12", "\"serial\":-1"),
        ("\"serial\":12", "\"serial\":12.0"),
        ("\"serial\":12", "\"serial\":12,\"serial\":13"),
        ("\"serial\":12", "\"serial\":12,\"admin\":true"),
        ("\"serial\":12,", ""),
    ] {
        let changed = payload.replace(from, to);
        assert_ne!(changed, payload);
        assert_eq!(read(signed_jws(&header, &changed).as_bytes()), None, "{changed}");
    }
}

#[test]
fn a_signed_layout_of_another_program_is_rejected() {
    let token = written(&claims(Kind::ShortLived, Some("team-a")));
    let layout = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
    let revocations = layout[..layout.len() - 64].to_vec();
    let signed = |revocations: &[u8]| {
        let signature = KEY.sign(&[b"tgs_", revocations].concat());
        format!("tgs_{}", base64url([revocations, &signature].concat()))
    };
    assert_eq!(signed(&revocations), token);
    // The offset in the layout, the byte there, and what is wrong with it.
    for (at, byte, why) in [
        (0, VERSION + 1, "another version"),
        (9, 1, "a provider of more than ten digits"),
        (17, 1, "a channel of more than ten digits"),
        (61, 5, "a length that is not the group's"),
        (61, 7, "a length that is not the group's"),
        (62, b' ', "a group of other characters"),
        (62, 0xFF, "a group that is no text"),
    ] {
        let mut changed = revocations.clone();
        assert_ne!(std::mem::replace(&mut changed[at], byte), byte);
        assert_eq!(read(signed(&changed).as_bytes()), None, "{why}");
    }
}

// ---- junk

proptest! {
    #[test]
    fn junk_is_rejected_without_a_panic(junk: Vec<u8>) {
        prop_assert_eq!(read(&junk), None);
    }

    #[test]
    fn junk_in_the_shape_of_a_token_is_rejected(
        prefix in "tgs_|tgl_|[A-Za-z0-9_-]{0,80}\\.",
        body in "[A-Za-z0-9_.-]{0,300}",
    ) {
        prop_assert_eq!(read(format!("{prefix}{body}").as_bytes()), None);
    }

    #[test]
    fn junk_signed_by_our_own_key_is_rejected(
        prefix in "tgs_|tgl_",
        mut layout in proptest::collection::vec(any::<u8>(), 62..140),
        payload in "\\PC{0,200}",
    ) {
        layout[0] = VERSION;
        layout[1..9].copy_from_slice(&KEY.public().id().0);
        layout[61] = (layout.len() - 62) as u8;
        let signature = KEY.sign(&[prefix.as_bytes(), &layout].concat());
        let token = format!("{prefix}{}", base64url([&layout[..], &signature].concat()));
        // It can happen to be a token: then it must be the one that reads the same.
        if let Some(claims) = read(token.as_bytes()) {
            prop_assert_eq!(written(&claims), token);
        }
        let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"}}"#, KEY.public().id());
        prop_assert_eq!(read(signed_jws(&header, &payload).as_bytes()), None);
    }
}

#[test]
fn a_malformed_token_is_reported_by_the_form_that_it_resembles_most() {
    let why = |token: &[u8]| Unverified::parse(token).err();
    assert_eq!(why(b""), Some(Malformed::OtherShape));
    assert_eq!(why(b"secret"), Some(Malformed::OtherShape));
    assert_eq!(why(b"a.b.c"), Some(Malformed::Jws));
    assert_eq!(why(b"tgs_AAAA"), Some(Malformed::Opaque));
    assert_eq!(why(&vec![b'.'; LONGEST + 1]), Some(Malformed::OtherShape));
    let too_long = format!("tgs_{}", "A".repeat(LONGEST - 3));
    assert_eq!(why(too_long.as_bytes()), Some(Malformed::OtherShape));
}

// ---- other libraries

#[test]
fn a_jwt_library_checks_the_jws_by_the_jwk_and_reads_its_claims() {
    let jwk = serde_json::from_value(KEY.public().to_jwk()).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[OWN_URL]);
    rules.set_issuer(&[OWN_URL]);
    rules.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    rules.validate_exp = false; // The cases take place at a time of their own.
    for claims in samples().into_iter().filter(|it| it.kind.form() == WireForm::Jws) {
        let token = written(&claims);
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules).unwrap();
        assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(read.header.kid, Some(KEY.public().id().to_string()));
        let mut expected = serde_json::json!({
            "iss": OWN_URL, "aud": OWN_URL, "sub": "1234567890", "client_id": "1234567890",
            "iat": NOW.0, "exp": NOW.0 + 900, "jti": claims.id, "serial": 12,
            "scope": "profile chat_message.write", "kind": claims.kind, "provider": "0000000077",
        });
        if let Some(group) = claims.group {
            expected["group"] = group.as_str().into();
        }
        if let Some(key) = claims.assertion_key {
            expected["ak"] = key.to_string().into();
        }
        assert_eq!(read.claims, expected);
        let forged = token.replace(&token[token.len() - 9..token.len() - 5], "AAAA");
        assert!(jsonwebtoken::decode::<serde_json::Value>(&forged, &key, &rules).is_err());
    }
}

#[test]
fn a_jwk_is_named_by_its_thumbprint() {
    // RFC 8037, appendix A.3: the key, and the thumbprint that it gives.
    let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let key = tegata_token::key::VerifyingKey::from_bytes(x.try_into().unwrap()).unwrap();
    let thumbprint = URL_SAFE_NO_PAD.decode("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k").unwrap();
    assert_eq!(key.id().0, thumbprint[..8]);
}

// ---- the cache of signatures

#[test]
fn a_cache_of_signatures_changes_no_result() {
    let view = |state| {
        let key = ViewKey { key: KEY.public().clone(), state };
        View::from_state(Providers::All, Position::default(), vec![key], [])
    };
    let token = written(&claims(Kind::V21, None)).into_bytes();
    let mut changed = token.clone();
    *changed.last_mut().unwrap() ^= 1;
    let unknown = View::new(Providers::All);
    let cases = [
        (&token, view(KeyState::Active), NOW),
        (&token, view(KeyState::Active), NOW.plus(900)),
        (&token, view(KeyState::Revoked), NOW),
        (&token, view(KeyState::Revoked), NOW.plus(900)),
        (&token, view(KeyState::Retired { issued_before: Some(NOW) }), NOW),
        (&token, view(KeyState::Retired { issued_before: Some(NOW.plus(1)) }), NOW),
        (&token, unknown, NOW),
        (&changed, view(KeyState::Active), NOW),
    ];
    let warm = Signatures::new(10);
    assert!(verify(&token, NOW, &view(KeyState::Active), &warm).is_ok());
    let answer = |(token, view, now): &(&Vec<u8>, View, UnixTime), cache: &Signatures| {
        verify(token, *now, view, cache).map(|it| it.until)
    };
    let answers =
        cases.iter().map(|case| (answer(case, &warm), answer(case, &Signatures::new(10))));
    let answers: Vec<Result<UnixTime, Invalid>> = answers
        .map(|(warm, cold)| {
            assert_eq!(warm, cold);
            warm
        })
        .collect();
    assert_eq!(answers.iter().filter(|it| it.is_ok()).count(), 2, "{answers:?}");
}
