//! The rules for keys that a channel may register, one test each: a JWK that breaks
//! only this rule is rejected by this rule.

use crate::signer::{OWN, base64url};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tegata_policy::jwk::{AssertionKey, BadJwk};

/// Registers the usual JWK with one member changed; `Null` removes the member.
fn with(name: &str, value: Value) -> Result<(), BadJwk> {
    let mut jwk = OWN.jwk();
    let members = jwk.as_object_mut().unwrap();
    members.remove(name);
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
    register(&jwk.to_string())
}

fn register(text: &str) -> Result<(), BadJwk> {
    AssertionKey::from_jwk(text.as_bytes()).map(|_| ())
}

fn modulus() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(OWN.jwk()["n"].as_str().unwrap()).unwrap()
}

#[test]
fn a_key_that_breaks_no_rule_is_accepted_and_verifies_as_it_is_stored() {
    let key = AssertionKey::from_jwk(OWN.jwk().to_string().as_bytes()).unwrap();
    assert_eq!(key.modulus(), modulus());
    assert!(AssertionKey::from_modulus(key.modulus()).is_some());
    assert_eq!(format!("{key:?}"), "AssertionKey");
}

#[test]
fn it_is_one_json_object_without_repeated_members() {
    let twice = OWN.jwk().to_string().replacen('{', "{\"e\":\"AQAB\",", 1);
    for wrong in ["", "null", "[]", "\"RSA\"", "{", &format!("[{}]", OWN.jwk()), &twice] {
        assert_eq!(register(wrong), Err(BadJwk::NotAnObject), "{wrong}");
    }
}

#[test]
fn a_set_of_keys_is_not_a_key() {
    assert!(register(&json!({"keys": [OWN.jwk()]}).to_string()).is_err());
}

#[test]
fn no_private_member_is_accepted_whatever_its_value() {
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in [json!("AQAB"), json!(""), json!(0)] {
            assert_eq!(with(name, value), Err(BadJwk::Private), "{name}");
        }
    }
}

#[test]
fn a_private_part_is_rejected_as_private_at_any_depth_and_in_any_text() {
    let mut whole = OWN.jwk();
    whole["d"] = json!("AQAB");
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nAQAB\n-----END RSA PRIVATE KEY-----\n";
    for hidden in [
        json!({ "keys": [whole] }),
        json!([whole]),
        json!({ "keys": [[{ "key": { "qi": 1 } }]] }),
        json!(pem),
        json!({ "pem": pem }),
        json!({ "jwk": whole.to_string() }),
        json!({ pem: null }),
    ] {
        assert_eq!(register(&hidden.to_string()), Err(BadJwk::Private), "{hidden}");
        assert_eq!(with("x-more", hidden.clone()), Err(BadJwk::Private), "within a key: {hidden}");
    }
    let twice = OWN.jwk().to_string().replacen('{', "{\"x\":{\"d\":\"AQ\"},", 1);
    assert_eq!(register(&twice), Err(BadJwk::Private), "beside the public members");
    assert_eq!(with("x-note", json!("{ no key }")), Ok(()));
}

#[test]
fn kid_is_assigned_not_sent() {
    assert_eq!(with("kid", json!("mine")), Err(BadJwk::HasKid));
    assert_eq!(with("kid", json!("")), Err(BadJwk::HasKid));
}

/// The Web Crypto API of browsers writes `ext` and `key_ops`.
#[test]
fn other_members_are_accepted() {
    assert_eq!(with("ext", json!(true)), Ok(()));
    assert_eq!(with("x-note", json!({"a": [1]})), Ok(()));
    // Also those of RFC 7517 that are not read here.
    assert_eq!(with("x5c", json!("not even an array")), Ok(()));
    assert_eq!(with("x5u", json!(1)), Ok(()));
    let mut jwk = OWN.jwk();
    jwk.as_object_mut().unwrap().remove("use");
    jwk["ext"] = json!(true);
    jwk["key_ops"] = json!(["verify"]);
    assert_eq!(register(&jwk.to_string()), Ok(()));
}

#[test]
fn kty_is_rsa() {
    for wrong in [Value::Null, json!("EC"), json!("oct"), json!("rsa"), json!(1)] {
        assert_eq!(with("kty", wrong), Err(BadJwk::NotRsa));
    }
}

#[test]
fn alg_is_rs256() {
    for wrong in [Value::Null, json!("RS512"), json!("PS256"), json!("ES256"), json!("rs256")] {
        assert!(matches!(with("alg", wrong), Err(BadJwk::Algorithm)));
    }
}

#[test]
fn use_is_sig() {
    for wrong in [json!("enc"), json!("SIG"), json!("")] {
        assert_eq!(with("use", wrong), Err(BadJwk::Purpose));
    }
}

#[test]
fn use_or_key_ops_is_required() {
    assert_eq!(with("use", Value::Null), Err(BadJwk::Purpose));
}

#[test]
fn key_ops_is_verify_and_nothing_else() {
    for wrong in [
        json!([]),
        json!(["sign"]),
        json!(["verify", "sign"]),
        json!(["verify", "verify"]),
        json!(["encrypt"]),
    ] {
        let mut jwk = OWN.jwk();
        jwk["key_ops"] = wrong.clone();
        assert_eq!(register(&jwk.to_string()), Err(BadJwk::Purpose), "{wrong} beside use");
        jwk.as_object_mut().unwrap().remove("use");
        assert_eq!(register(&jwk.to_string()), Err(BadJwk::Purpose), "{wrong} alone");
    }
}

#[test]
fn the_exponent_is_65537_in_its_only_spelling() {
    for wrong in [&[3][..], &[1], &[1, 0, 0], &[0, 1, 0, 1], &[]] {
        assert_eq!(with("e", json!(base64url(wrong))), Err(BadJwk::Exponent), "{wrong:?}");
    }
}

#[test]
fn the_modulus_has_2048_bits_no_more_and_no_less() {
    let n = modulus();
    let mut one_bit_less = n.clone();
    one_bit_less[0] &= 0x7F;
    for wrong in [
        one_bit_less,
        n[1..].to_vec(),
        n[..128].to_vec(),
        [&[0], &n[..]].concat(),
        [&[1], &n[..]].concat(),
        n.repeat(2),
        Vec::new(),
    ] {
        assert_eq!(with("n", json!(base64url(&wrong))), Err(BadJwk::Size), "{} bytes", wrong.len());
    }
}

#[test]
fn the_numbers_are_base64url_without_padding() {
    let n = OWN.jwk()["n"].as_str().unwrap().to_owned();
    for wrong in [json!(format!("{n}==")), json!(format!(" {n}")), json!(65537), Value::Null] {
        assert_eq!(with("n", wrong), Err(BadJwk::NotRsa));
    }
    for wrong in [json!("AQAB="), json!("AQ+B"), json!(65537), Value::Null] {
        assert_eq!(with("e", wrong), Err(BadJwk::NotRsa));
    }
}

#[test]
fn an_even_modulus_or_one_with_a_small_factor_is_weak() {
    let mut even = modulus();
    *even.last_mut().unwrap() &= 0xFE;
    assert_eq!(with("n", json!(base64url(even))), Err(BadJwk::Weak));
    // Of three numbers that lie 4 apart one is divided by 3.
    let near = [0, 2, 4].map(|add| {
        let mut n = modulus();
        *n.last_mut().unwrap() = (n.last().unwrap() & 0xF1) | 1 | add << 1;
        with("n", json!(base64url(n)))
    });
    assert!(near.contains(&Err(BadJwk::Weak)), "{near:?}");
}
