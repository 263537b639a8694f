//! Assertions, with which channels authenticate.

use super::{Input, json};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::LazyLock;
use tegata_policy::{
    assertion::{Audience, UnverifiedAssertion},
    jwk::AssertionKey,
};
use tegata_token::{id::AssertionKeyId, time::UnixTime, wire::LONGEST};

const NOW: UnixTime = UnixTime(1_764_000_000);

static PAIR: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));
static KEY: LazyLock<AssertionKey> = LazyLock::new(|| {
    let modulus = PAIR.public_key().modulus().big_endian_without_leading_zero();
    AssertionKey::from_modulus(modulus).expect("a key")
});
static ID: LazyLock<AssertionKeyId> = LazyLock::new(|| AssertionKeyId::from_random([1; 16]));
static AUDIENCE: LazyLock<Audience> = LazyLock::new(|| Audience::of("https://tegata.example"));

/// Untrusted input is parsed without a panic, and an assertion that the registered key
/// did not sign is rejected, whatever its header says.
pub fn any(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(assertion) = UnverifiedAssertion::parse(text) else { return };
    assert!(text.len() <= LONGEST);
    assert_eq!(format!("{assertion:?}").find(text), None, "Debug prints the assertion");
    let verified = assertion.verify(*ID, &KEY, &AUDIENCE, false, NOW);
    assert!(verified.is_err(), "the key did not sign {text}");
}

/// An assertion that a registered key signed is accepted only if it follows every rule,
/// compared with a simple reader.
pub fn signed(data: &[u8]) {
    let mut input = Input(data);
    let [header] = input.bytes();
    let rest = input.rest();
    let (header, claims) = rest.split_at(rest.len().min(header.into()));
    let header =
        if header.is_empty() { &br#"{"alg":"RS256","typ":"JWT","kid":"k"}"#[..] } else { header };
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", text(header), text(claims));
    let unsigned = format!("{message}.{}", text(&[0; 256]));
    // Signing is slow, so input that does not parse is not signed.
    if UnverifiedAssertion::parse(&unsigned).is_err() {
        return;
    }
    let mut signature = vec![0; PAIR.public_modulus_len()];
    PAIR.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .expect("signed");
    let Ok(assertion) = UnverifiedAssertion::parse(&format!("{message}.{}", text(&signature)))
    else {
        panic!("the signature must not change whether it parses");
    };
    let Ok(verified) = assertion.verify(*ID, &KEY, &AUDIENCE, false, NOW) else { return };

    let [header, claims] = [header, claims].map(|part| {
        let value = serde_json::from_slice::<serde_json::Value>(part).expect("JSON");
        assert_eq!(json::members(&value), json::written_members(part), "a member is repeated");
        value
    });
    assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"JWT".into()));
    assert!(header["kid"].is_string() && header.get("crit").is_none());
    assert_eq!(claims["iss"].as_str(), Some(&*assertion.channel().to_string()));
    assert_eq!(claims["sub"], claims["iss"]);
    let audiences = ["https://api.line.me/", "https://tegata.example", "https://tegata.example/"];
    assert!(audiences.iter().any(|aud| claims["aud"] == *aud), "{}", claims["aud"]);
    let exp = claims["exp"].as_i64().expect("a whole number");
    assert_eq!(verified.expires_at, UnixTime(exp));
    assert!(exp > NOW.0 && exp <= NOW.0 + 30 * 60 + 60, "{exp}");
    if let Some(nbf) = claims.get("nbf") {
        assert!(nbf.as_f64().is_some_and(|nbf| nbf <= (NOW.0 + 60) as f64), "{nbf}");
    }
    if let Ok(lifetime) = assertion.token_lifetime(2_592_000) {
        assert_eq!(claims["token_exp"].as_i64(), Some(lifetime));
        assert!((1..=2_592_000).contains(&lifetime));
    }
}
