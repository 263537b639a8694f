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
    assertion::{AssertionRules, Audience, OAUTH_PATHS, UnverifiedAssertion},
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
    for rules in RULES {
        let Ok(assertion) = UnverifiedAssertion::parse(text, rules) else { continue };
        assert!(text.len() <= LONGEST);
        assert_eq!(format!("{assertion:?}").find(text), None, "Debug prints the assertion");
        let verified = assertion.verify(*ID, &KEY, &AUDIENCE, false, NOW);
        assert!(verified.is_err(), "the key did not sign {text}");
    }
}

const RULES: [AssertionRules; 3] =
    [AssertionRules::Line, AssertionRules::OAuth, AssertionRules::OAuthOrLine];

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
    if RULES.iter().all(|rules| UnverifiedAssertion::parse(&unsigned, *rules).is_err()) {
        return;
    }
    let mut signature = vec![0; PAIR.public_modulus_len()];
    PAIR.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
        .expect("signed");
    let signed = format!("{message}.{}", text(&signature));
    for rules in RULES {
        let before = UnverifiedAssertion::parse(&unsigned, rules);
        let after = UnverifiedAssertion::parse(&signed, rules);
        assert_eq!(
            before.is_ok(),
            after.is_ok(),
            "the signature must not change whether it parses"
        );
        if let Ok(assertion) = after
            && let Ok(verified) = assertion.verify(*ID, &KEY, &AUDIENCE, false, NOW)
        {
            follows(rules, &assertion, verified.expires_at, [header, claims]);
        }
    }
}

/// Asserts that an accepted assertion with this header and these claims follows every rule.
fn follows(
    rules: AssertionRules,
    assertion: &UnverifiedAssertion,
    expires_at: UnixTime,
    parts: [&[u8]; 2],
) {
    let [header, claims] = parts.map(|part| {
        let value = serde_json::from_slice::<serde_json::Value>(part).expect("JSON");
        assert_eq!(json::members(&value), json::written_members(part), "a member is repeated");
        value
    });
    let is_line = rules == AssertionRules::Line;
    let may_lack = |member: &str| !is_line && header.get(member).is_none();
    assert_eq!(header["alg"], "RS256");
    assert!(header["typ"] == "JWT" || may_lack("typ"));
    assert!(header["kid"].is_string() || may_lack("kid"));
    assert!(header.get("crit").is_none());
    assert_eq!(claims["iss"].as_str(), Some(&*assertion.channel().to_string()));
    assert_eq!(claims["sub"], claims["iss"]);
    let mut audiences =
        vec!["https://tegata.example".to_owned(), "https://tegata.example/".to_owned()];
    if rules != AssertionRules::OAuth {
        audiences.push("https://api.line.me/".to_owned());
    }
    let mut longest = 30 * 60 + 60;
    if !is_line {
        audiences.extend(OAUTH_PATHS.map(|path| format!("https://tegata.example{path}")));
        longest = 60 * 60 + 60;
    }
    let is_ours = |aud: &serde_json::Value| audiences.iter().any(|it| aud == it);
    let many = claims["aud"].as_array().filter(|_| !is_line);
    assert!(
        is_ours(&claims["aud"])
            || many.is_some_and(|it| it
                .iter()
                .any(|aud| is_ours(aud) && aud != "https://api.line.me/"))
    );
    let exp = &claims["exp"];
    let exp = exp.as_i64().or(exp.as_f64().filter(|_| !is_line).map(|it| it.floor() as i64));
    let exp = exp.expect("a number");
    assert_eq!(expires_at, UnixTime(exp));
    assert!(exp > NOW.0 && exp <= NOW.0 + longest, "{exp}");
    if let Some(nbf) = claims.get("nbf") {
        assert!(nbf.as_f64().is_some_and(|nbf| nbf <= (NOW.0 + 60) as f64), "{nbf}");
    }
    if let Ok(lifetime) = assertion.token_lifetime(None, 2_592_000) {
        assert_eq!(claims["token_exp"].as_i64(), Some(lifetime));
        assert!((1..=2_592_000).contains(&lifetime));
    }
}
