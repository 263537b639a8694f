//! Project Wycheproof's vectors for JWS and JWK (C2SP/wycheproof, Apache-2.0).
//!
//! They are not part of this repository. `TEGATA_WYCHEPROOF` names the folder that holds
//! them; where it is absent, the tests print that and test nothing.

use serde_json::Value;
use std::{collections::BTreeSet, io::Write, path::PathBuf};
use tegata_policy::{
    assertion::verify_compact,
    jwk::{AssertionKey, BadJwk},
};

/// The test groups of a file, and how many vectors it holds.
fn groups(file: &str, vectors: usize) -> Option<Vec<Value>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/wycheproof");
    let folder = std::env::var_os("TEGATA_WYCHEPROOF").map_or(beside.into(), PathBuf::from);
    let path = folder.join(file);
    let Ok(text) = std::fs::read(&path) else {
        // The test runner repeats this line at its end.
        let said = format!(
            "\nNOT TESTED: Project Wycheproof's {file}; set TEGATA_WYCHEPROOF to the folder that \
             has it\n"
        );
        // Directly to stderr, since the runner captures what a passing test prints.
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return None;
    };
    let mut file: Value = serde_json::from_slice(&text).unwrap();
    let Value::Array(groups) = file["testGroups"].take() else { panic!("no groups") };
    let held: usize = groups.iter().map(|group| tests(group).len()).sum();
    assert_eq!(held, vectors, "another edition of {}", path.display());
    Some(groups)
}

fn tests(group: &Value) -> &Vec<Value> {
    group["tests"].as_array().unwrap()
}

/// The keys of a group: its public ones, or, where it has none, its secret ones, so
/// that no type of key is left out.
fn keys(group: &Value) -> Vec<Value> {
    let held = group.get("public").unwrap_or(&group["private"]);
    held["keys"].as_array().cloned().unwrap_or_else(|| vec![held.clone()])
}

fn without(jwk: &Value, name: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn registered(jwk: &Value) -> Result<AssertionKey, BadJwk> {
    AssertionKey::from_jwk(jwk.to_string().as_bytes())
}

/// The key as a channel would have it: registered by our rules, except that the vectors
/// name it themselves and may omit its purpose.
fn key_of(jwk: &Value) -> Option<AssertionKey> {
    let mut jwk = without(jwk, "kid");
    if jwk.get("use").is_none() && jwk.get("key_ops").is_none() {
        jwk["use"] = "sig".into();
    }
    registered(&jwk).ok()
}

/// The vectors of a file that our verification of a compact JWS accepts.
fn accepted(groups: &[Value]) -> BTreeSet<u64> {
    let mut accepted = BTreeSet::new();
    for group in groups {
        let keys = keys(group);
        let named = keys.iter().map(|jwk| (jwk["kid"].as_str().unwrap(), key_of(jwk)));
        let named: Vec<_> = named.filter_map(|(kid, key)| Some((kid, key?))).collect();
        let named: Vec<_> = named.iter().map(|(kid, key)| (*kid, key)).collect();
        for test in tests(group) {
            // Some are encrypted (JWE), two are JSON instead of the compact form.
            let given = test.get("jws").unwrap_or(&test["jwe"]);
            let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
            if verify_compact(&text, &named).is_some() {
                accepted.insert(test["tcId"].as_u64().unwrap());
            }
        }
    }
    accepted
}

#[test]
fn of_the_jws_vectors_exactly_the_valid_rs256_ones_are_accepted() {
    let Some(groups) = groups("json_web_signature_test.json", 401) else { return };
    assert_eq!(accepted(&groups), BTreeSet::from([33, 259, 260, 261, 262, 263, 345, 349]));
}

#[test]
fn of_the_vectors_on_cryptography_exactly_the_valid_rs256_one_is_accepted() {
    let Some(groups) = groups("json_web_crypto_test.json", 83) else { return };
    assert_eq!(accepted(&groups), BTreeSet::from([33]));
}

/// The keys that could be registered, by the first vector of their group.
fn registrable(groups: &[Value], edit: impl Fn(&Value) -> Value) -> BTreeSet<u64> {
    let whole = |group: &&Value| {
        let held = group.get("public").unwrap_or(&group["private"]);
        let keys = keys(group);
        // A set is not a key, neither as a whole nor each of its keys in turn.
        registered(held).is_err() && keys.len() == 1 && registered(&edit(&keys[0])).is_ok()
    };
    groups.iter().filter(whole).map(|group| tests(group)[0]["tcId"].as_u64().unwrap()).collect()
}

#[test]
fn of_the_jwk_vectors_only_the_valid_rsa_key_can_be_registered() {
    let Some(groups) = groups("json_web_key_test.json", 26) else { return };
    assert_eq!(registrable(&groups, |jwk| without(jwk, "kid")), BTreeSet::from([5]));
}

#[test]
fn of_the_jwk_vectors_none_can_be_registered_with_its_kid() {
    let Some(groups) = groups("json_web_key_test.json", 26) else { return };
    assert_eq!(registrable(&groups, Value::clone), BTreeSet::new());
}
