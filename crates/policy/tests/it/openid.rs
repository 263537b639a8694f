//! ID tokens of identity providers.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tegata_policy::openid::{
    BadIdToken, ExpectedIdToken, IdTokenFacts, LONGEST_ID_TOKEN, ProviderKeys,
};
use tegata_token::time::UnixTime;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A provider with one key on P-256.
struct Provider(EcdsaKeyPair);

impl Provider {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self, more: Value) -> Value {
        let point = self.0.public_key().as_ref();
        let part = |range| URL_SAFE_NO_PAD.encode(&point[range]);
        let mut jwk = json!({ "kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65) });
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk
    }

    fn keys(&self) -> ProviderKeys {
        keys(&json!({ "keys": [self.jwk(json!({ "kid": "a", "alg": "ES256", "use": "sig" }))] }))
    }

    fn sign(&self, header: &Value, claims: &str) -> String {
        let part = |it: &[u8]| URL_SAFE_NO_PAD.encode(it);
        let message =
            format!("{}.{}", part(header.to_string().as_bytes()), part(claims.as_bytes()));
        let signed = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", part(signed.as_ref()))
    }
}

fn keys(set: &Value) -> ProviderKeys {
    ProviderKeys::parse(set.to_string().as_bytes()).unwrap()
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "a" })
}

fn claims(change: &[(&str, Value)]) -> String {
    let mut it = json!({
        "iss": "https://id.example.com", "aud": "tegata", "sub": "24400320", "nonce": "n-0S6",
        "exp": NOW.0 + 300, "iat": NOW.0, "preferred_username": "mika",
    });
    for (name, value) in change {
        it[*name] = value.clone();
    }
    it.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    it.to_string()
}

fn verify(keys: &ProviderKeys, token: &str) -> Result<IdTokenFacts, BadIdToken> {
    let expected =
        ExpectedIdToken { issuer: "https://id.example.com", client_id: "tegata", nonce: "n-0S6" };
    keys.verify(token, expected, NOW)
}

#[test]
fn an_id_token_for_this_sign_in_states_the_account() {
    let provider = Provider::new();
    let token = provider.sign(&header(), &claims(&[]));
    let facts = verify(&provider.keys(), &token).unwrap();
    assert_eq!((&*facts.subject, facts.label.as_deref()), ("24400320", Some("mika")));
}

#[test]
fn each_claim_that_is_absent_or_of_another_sign_in_is_an_error_of_its_own() {
    use BadIdToken::*;
    let (provider, null) = (Provider::new(), Value::Null);
    for (name, value, error) in [
        ("iss", json!("https://id.example.com/"), Issuer),
        ("iss", json!(["https://id.example.com"]), Issuer),
        ("iss", null.clone(), Issuer),
        ("aud", json!("other"), Audience),
        ("aud", json!([]), Audience),
        ("aud", json!(["tegata", "other"]), Audience),
        ("aud", null.clone(), Audience),
        ("azp", json!("other"), Audience),
        ("azp", json!(["tegata"]), Audience),
        ("exp", json!(NOW.0 - 60), Expired),
        ("exp", json!("1800000300"), Expired),
        ("exp", null.clone(), Expired),
        ("iat", json!(NOW.0 + 61), IssuedAt),
        ("iat", null.clone(), IssuedAt),
        ("nonce", json!("n-0S7"), Nonce),
        ("nonce", null.clone(), Nonce),
        ("sub", json!(""), Subject),
        ("sub", json!("é"), Subject),
        ("sub", json!("a".repeat(256)), Subject),
        ("sub", json!(24_400_320), Subject),
        ("sub", null, Subject),
    ] {
        let token = provider.sign(&header(), &claims(&[(name, value.clone())]));
        assert_eq!(verify(&provider.keys(), &token), Err(error), "{name} {value}");
    }
    for good in [
        ("aud", json!(["tegata"])),
        ("azp", json!("tegata")),
        ("exp", json!(1_800_000_000.5)),
        ("iat", json!(NOW.0 + 60)),
    ] {
        let token = provider.sign(&header(), &claims(std::slice::from_ref(&good)));
        assert!(verify(&provider.keys(), &token).is_ok(), "{good:?}");
    }
    let both = [("aud", json!(["other", "tegata"])), ("azp", json!("tegata"))];
    assert!(verify(&provider.keys(), &provider.sign(&header(), &claims(&both))).is_ok());
}

#[test]
fn the_header_selects_a_published_key_and_no_algorithm_beside_the_listed_ones() {
    let (provider, claims) = (Provider::new(), claims(&[]));
    let tried = |header: Value| verify(&provider.keys(), &provider.sign(&header, &claims));
    for alg in ["none", "HS256", "RS512", "es256", ""] {
        assert_eq!(tried(json!({ "alg": alg, "kid": "a" })), Err(BadIdToken::Algorithm), "{alg}");
    }
    assert_eq!(tried(json!({ "kid": "a" })), Err(BadIdToken::Algorithm));
    // A key of another kind than the algorithm, and one that is published for another.
    assert_eq!(tried(json!({ "alg": "RS256", "kid": "a" })), Err(BadIdToken::UnknownKey));
    assert_eq!(tried(json!({ "alg": "ES384", "kid": "a" })), Err(BadIdToken::UnknownKey));
    assert_eq!(tried(json!({ "alg": "ES256", "kid": "b" })), Err(BadIdToken::UnknownKey));
    let own = json!({ "alg": "ES256", "kid": "b", "jwk": provider.jwk(json!({})) });
    assert_eq!(tried(own), Err(BadIdToken::UnknownKey));
    let critical = json!({ "alg": "ES256", "kid": "a", "crit": ["exp"] });
    assert_eq!(tried(critical), Err(BadIdToken::Critical));
    assert!(tried(json!({ "alg": "ES256" })).is_ok(), "the only key");
}

#[test]
fn a_key_is_used_for_signatures_alone_and_without_a_name_only_if_it_is_the_only_one() {
    let (provider, other) = (Provider::new(), Provider::new());
    let token = provider.sign(&json!({ "alg": "ES256" }), &claims(&[]));
    let with = |keys_of: Value| verify(&keys(&keys_of), &token);
    let both = json!({ "keys": [provider.jwk(json!({})), other.jwk(json!({}))] });
    assert_eq!(with(both), Err(BadIdToken::UnknownKey));
    let encrypts = json!({ "keys": [provider.jwk(json!({ "use": "enc" }))] });
    assert_eq!(with(encrypts), Err(BadIdToken::UnknownKey));
    assert_eq!(with(json!({ "keys": [other.jwk(json!({}))] })), Err(BadIdToken::Signature));
    // Keys of kinds that this server does not know are no error.
    let odd = json!({ "kty": "OKP", "crv": "X448", "x": 5, "alg": "?" });
    assert!(with(json!({ "keys": [odd, 7, provider.jwk(json!({}))] })).is_ok());
    for not_a_set in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(ProviderKeys::parse(not_a_set.as_bytes()).is_none(), "{not_a_set}");
    }
}

#[test]
fn a_token_that_was_changed_cut_or_written_twice_is_refused() {
    let provider = Provider::new();
    let token = provider.sign(&header(), &claims(&[]));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let other = URL_SAFE_NO_PAD.encode(claims(&[("sub", json!("1"))]));
    let forged = format!("{head}.{other}.{signature}");
    assert_eq!(verify(&provider.keys(), &forged), Err(BadIdToken::Signature));
    assert_eq!(verify(&provider.keys(), &format!("{message}.")), Err(BadIdToken::Signature));
    let twice = claims(&[]).replace("\"sub\"", "\"sub\":\"1\",\"sub\"");
    let twice = provider.sign(&header(), &twice);
    assert_eq!(verify(&provider.keys(), &twice), Err(BadIdToken::Shape));
    for shapeless in ["", ".", "..", "a.b", "a.b.c.d", &format!("{token}.")] {
        assert_eq!(verify(&provider.keys(), shapeless), Err(BadIdToken::Shape), "{shapeless}");
    }
    let long = provider.sign(&header(), &claims(&[("x", json!("x".repeat(LONGEST_ID_TOKEN)))]));
    assert_eq!(verify(&provider.keys(), &long), Err(BadIdToken::Shape));
}
