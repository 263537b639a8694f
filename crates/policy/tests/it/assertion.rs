//! The rules for assertions, one test each: an assertion that breaks only this rule is
//! rejected by this rule, and one that barely keeps it is accepted.

use crate::{
    channel::{ID, NOW, OWN_URL, audience, channel},
    signer::{OTHER, OWN, base64url},
};
use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tegata_policy::{
    assertion::{
        Assertion, AssertionRules, Audience, BadAssertion, UnverifiedAssertion, verify_compact,
    },
    authorize::check_assertion,
    denied::Denied,
};
use tegata_token::{
    kind::{Kind, Lifetime},
    time::UnixTime,
};

type Answer = Result<Assertion, BadAssertion>;

fn header() -> Value {
    json!({"alg": "RS256", "typ": "JWT", "kid": OWN.id})
}

fn claims() -> Value {
    json!({
        "iss": ID, "sub": ID, "aud": "https://api.line.me/",
        "exp": NOW.0 + 1_800, "token_exp": 86_400,
    })
}

/// Authenticates a text with the channel's own key and this server's audience.
fn check(text: &str) -> Answer {
    check_with(text, &audience(), false)
}

fn check_with(text: &str, audience: &Audience, only_own: bool) -> Answer {
    UnverifiedAssertion::parse(text, AssertionRules::Line)?.verify(
        OWN.id,
        &OWN.key(),
        audience,
        only_own,
        NOW,
    )
}

/// The usual assertion with one header parameter changed; `Null` removes it.
fn with_header(name: &str, value: Value) -> Answer {
    check(&OWN.jws(&changed(header(), name, value).to_string(), &claims().to_string()))
}

/// The usual assertion with one claim changed; `Null` removes it.
fn with_claim(name: &str, value: Value) -> Answer {
    check(&OWN.jws(&header().to_string(), &changed(claims(), name, value).to_string()))
}

fn changed(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    members.remove(name);
    if !value.is_null() {
        members.insert(name.to_owned(), value);
    }
    object
}

/// An assertion with these texts as header and claims.
fn with_texts(header: &str, claims: &str) -> Answer {
    check(&OWN.jws(header, claims))
}

#[track_caller]
fn accepted(answer: Answer) {
    assert_eq!(answer.map(|_| ()), Ok(()));
}

#[track_caller]
fn rejected(answer: Answer, why: BadAssertion) {
    assert_eq!(answer.map(|_| ()), Err(why));
}

#[test]
fn an_assertion_that_breaks_no_rule_is_accepted() {
    let answer = check(&OWN.jws(&header().to_string(), &claims().to_string())).unwrap();
    assert_eq!((answer.key, answer.expires_at), (OWN.id, NOW.plus(1_800)));
}

// ---- form

#[test]
fn it_has_three_parts() {
    let whole = OWN.jws(&header().to_string(), &claims().to_string());
    let parts: Vec<_> = whole.split('.').collect();
    rejected(check(""), BadAssertion::Shape);
    rejected(check(parts[0]), BadAssertion::Shape);
    rejected(check(&parts[..2].join(".")), BadAssertion::Shape);
    rejected(check(&format!("{whole}.")), BadAssertion::Shape);
    rejected(check(&format!("{whole}.{}", parts[2])), BadAssertion::Shape);
}

#[test]
fn its_parts_are_base64url_without_padding_or_white_space() {
    let whole = OWN.jws(&header().to_string(), &claims().to_string());
    for extra in ["=", "==", " ", "\n", "?", "+"] {
        rejected(check(&format!("{whole}{extra}")), BadAssertion::Shape);
        rejected(check(&format!("{extra}{whole}")), BadAssertion::Shape);
    }
}

#[test]
fn its_header_is_a_json_object() {
    for wrong in ["[]", "null", "\"RS256\"", "", "{", "{}{}", "{'alg':'RS256'}"] {
        rejected(with_texts(wrong, &claims().to_string()), BadAssertion::Shape);
    }
}

#[test]
fn its_claims_are_a_json_object() {
    for wrong in ["[]", "null", "foo", "", "{", "{}{}"] {
        rejected(with_texts(&header().to_string(), wrong), BadAssertion::Shape);
    }
}

#[test]
fn its_texts_are_utf_8() {
    let claims = claims().to_string();
    let bytes = [&claims.as_bytes()[..claims.len() - 1], b",\"x\":\"\xFF\"}"].concat();
    let message = format!("{}.{}", base64url(header().to_string()), base64url(bytes));
    let signature = base64url(OWN.sign(message.as_bytes()));
    rejected(check(&format!("{message}.{signature}")), BadAssertion::Shape);
}

#[test]
fn deeply_nested_json_is_rejected_without_using_the_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(900), close.repeat(900));
        let claims = claims().to_string().replacen('{', &format!("{{\"x\":{deep},"), 1);
        rejected(with_texts(&header().to_string(), &claims), BadAssertion::Shape);
    }
}

#[test]
fn its_length_is_at_most_8192_bytes() {
    let of_length = |padding: usize| {
        let claims = changed(claims(), "padding", "x".repeat(padding).into());
        OWN.jws(&header().to_string(), &claims.to_string())
    };
    // Four characters hold three bytes.
    let room = (8_192 - of_length(0).len()) * 3 / 4;
    let (longest, too_long) = (of_length(room), of_length(room + 3));
    assert!((8_189..=8_192).contains(&longest.len()) && too_long.len() > 8_192);
    accepted(check(&longest));
    rejected(check(&too_long), BadAssertion::TooLong);
    // At exactly the limit the text is read, and rejected for its content.
    rejected(check(&"a".repeat(8_192)), BadAssertion::Shape);
    rejected(check(&"a".repeat(8_193)), BadAssertion::TooLong);
}

// ---- header

#[test]
fn alg_is_not_none() {
    for none in ["none", "None", "NONE", ""] {
        rejected(with_header("alg", json!(none)), BadAssertion::Algorithm);
    }
    let unsigned = |alg| {
        let header = changed(header(), "alg", json!(alg)).to_string();
        format!("{}.{}.", base64url(header), base64url(claims().to_string()))
    };
    rejected(check(&unsigned("none")), BadAssertion::Algorithm);
    rejected(check(&unsigned("RS256")), BadAssertion::Signature);
}

/// The key confusion attack: the public key used as the secret of an HMAC.
#[test]
fn alg_is_not_hs256() {
    let header = changed(header(), "alg", json!("HS256")).to_string();
    let message = format!("{}.{}", base64url(header), base64url(claims().to_string()));
    let public = OWN.key();
    let key = hmac::Key::new(hmac::HMAC_SHA256, public.modulus());
    let tag = hmac::sign(&key, message.as_bytes());
    rejected(check(&format!("{message}.{}", base64url(tag))), BadAssertion::Algorithm);
}

#[test]
fn alg_is_not_rs512() {
    rejected(with_header("alg", json!("RS512")), BadAssertion::Algorithm);
    rejected(with_header("alg", json!("RS384")), BadAssertion::Algorithm);
    rejected(with_header("alg", json!("PS256")), BadAssertion::Algorithm);
}

#[test]
fn alg_is_not_es256() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let header = changed(header(), "alg", json!("ES256")).to_string();
    let message = format!("{}.{}", base64url(header), base64url(claims().to_string()));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    rejected(check(&format!("{message}.{}", base64url(signature))), BadAssertion::Algorithm);
}

#[test]
fn alg_is_rs256_in_these_letters() {
    for wrong in [json!("rs256"), json!("RS256 "), json!(256), json!(["RS256"]), Value::Null] {
        rejected(with_header("alg", wrong), BadAssertion::Algorithm);
    }
}

#[test]
fn typ_is_there() {
    rejected(with_header("typ", Value::Null), BadAssertion::Type);
}

#[test]
fn typ_is_jwt() {
    for wrong in [json!("jwt"), json!("at+jwt"), json!("JOSE"), json!(""), json!(["JWT"])] {
        rejected(with_header("typ", wrong), BadAssertion::Type);
    }
}

#[test]
fn kid_is_there() {
    rejected(with_header("kid", Value::Null), BadAssertion::KeyId);
}

#[test]
fn kid_is_a_string() {
    for wrong in [json!(1), json!([OWN.id]), json!({"id": OWN.id}), json!(true)] {
        rejected(with_header("kid", wrong), BadAssertion::KeyId);
    }
}

#[test]
fn kid_names_a_key_of_the_channel_exactly() {
    let id = OWN.id.to_string();
    for unknown in [OTHER.id.to_string(), id.to_uppercase(), format!("{id} "), String::new()] {
        let header = changed(header(), "kid", json!(unknown)).to_string();
        let parsed = UnverifiedAssertion::parse(
            &OWN.jws(&header, &claims().to_string()),
            AssertionRules::Line,
        )
        .unwrap();
        let answer = check_assertion(&channel(), &parsed, &audience(), NOW);
        assert_eq!(answer.map(|_| ()), Err(Denied::UnknownAssertionKey));
    }
}

#[test]
fn crit_is_rejected_whatever_it_names() {
    for crit in [json!(["exp"]), json!([]), json!("b64"), json!(false)] {
        rejected(with_header("crit", crit), BadAssertion::Critical);
    }
}

/// Signs with a key that is not registered and sends that key along.
fn brought_along(name: &str, value: Value) {
    let own_key_named = changed(header(), name, value).to_string();
    let by_stranger = OTHER.jws(&own_key_named, &claims().to_string());
    rejected(check(&by_stranger), BadAssertion::Signature);
    // An assertion signed with the registered key may carry the parameter.
    accepted(check(&OWN.jws(&own_key_named, &claims().to_string())));
}

#[test]
fn jwk_is_not_read() {
    brought_along("jwk", OTHER.jwk());
}

#[test]
fn jku_is_not_read() {
    brought_along("jku", json!("https://stranger.example/jwks.json"));
}

#[test]
fn x5u_is_not_read() {
    brought_along("x5u", json!("https://stranger.example/chain.pem"));
}

#[test]
fn x5c_is_not_read() {
    brought_along("x5c", json!(["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"]));
}

// ---- repeated members

#[test]
fn no_header_parameter_is_repeated() {
    for (name, value) in [("alg", "RS256"), ("kid", "x"), ("typ", "JWT"), ("other", "x")] {
        let twice = format!("{{\"{name}\":\"{value}\",\"{name}\":\"{value}\",");
        let header = header().to_string().replacen('{', &twice, 1);
        rejected(with_texts(&header, &claims().to_string()), BadAssertion::Shape);
    }
}

#[test]
fn no_claim_is_repeated() {
    for name in ["iss", "sub", "aud", "exp", "token_exp"] {
        let again = format!("{{\"{name}\":{},", claims()[name]);
        let claims = claims().to_string().replacen('{', &again, 1);
        rejected(with_texts(&header().to_string(), &claims), BadAssertion::Shape);
    }
}

#[test]
fn no_claim_is_repeated_within_another() {
    for nested in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"a":2}}]"#] {
        let claims = claims().to_string().replacen('{', &format!("{{\"x\":{nested},"), 1);
        rejected(with_texts(&header().to_string(), &claims), BadAssertion::Shape);
    }
}

#[test]
fn no_claim_is_repeated_in_another_spelling() {
    let claims = claims().to_string().replacen('{', r#"{"\u0069ss":"0000000000","#, 1);
    rejected(with_texts(&header().to_string(), &claims), BadAssertion::Shape);
}

#[test]
fn a_claim_in_another_spelling_is_still_the_claim() {
    let claims = claims().to_string().replace("\"iss\"", "\"\\u0069ss\"");
    accepted(with_texts(&header().to_string(), &claims));
}

// ---- iss, sub, aud

#[test]
fn iss_is_a_string_not_a_number() {
    rejected(with_claim("iss", json!(1_234_567_890)), BadAssertion::Issuer);
}

#[test]
fn iss_is_there_and_a_channel_id() {
    for wrong in [Value::Null, json!(""), json!("123456789"), json!(" 1234567890"), json!([ID])] {
        rejected(with_claim("iss", wrong), BadAssertion::Issuer);
    }
}

#[test]
fn sub_is_the_same_as_iss() {
    for wrong in [json!("1234567891"), json!(1_234_567_890), json!(""), Value::Null] {
        rejected(with_claim("sub", wrong), BadAssertion::Subject);
    }
}

#[test]
fn aud_is_one_string_not_an_array() {
    rejected(
        with_claim("aud", json!(["https://api.line.me/"])),
        BadAssertion::Audience(AssertionRules::Line),
    );
    rejected(with_claim("aud", Value::Null), BadAssertion::Audience(AssertionRules::Line));
}

#[test]
fn aud_of_line_ends_with_a_slash() {
    rejected(
        with_claim("aud", json!("https://api.line.me")),
        BadAssertion::Audience(AssertionRules::Line),
    );
    rejected(
        with_claim("aud", json!("https://api.line.me//")),
        BadAssertion::Audience(AssertionRules::Line),
    );
}

#[test]
fn aud_is_no_other_address() {
    for wrong in [
        "https://api.line.me/oauth2",
        "http://api.line.me/",
        "HTTPS://API.LINE.ME/",
        "https://other.example/",
        "https://tokens.example.other/",
        "https://tokens.example//",
        "",
        "/",
    ] {
        rejected(with_claim("aud", json!(wrong)), BadAssertion::Audience(AssertionRules::Line));
    }
}

#[test]
fn aud_may_be_this_servers_address_with_or_without_the_last_slash() {
    accepted(with_claim("aud", json!(OWN_URL)));
    accepted(with_claim("aud", json!(format!("{OWN_URL}/"))));
    // The spelling of the operator's setting makes no difference.
    let text =
        OWN.jws(&header().to_string(), &changed(claims(), "aud", json!(OWN_URL)).to_string());
    accepted(check_with(&text, &Audience::of(&format!("{OWN_URL}/")), false));
}

#[test]
fn aud_can_be_limited_to_this_servers_address() {
    let with_aud = |aud: &str| {
        let claims = changed(claims(), "aud", json!(aud));
        check_with(&OWN.jws(&header().to_string(), &claims.to_string()), &audience(), true)
    };
    rejected(with_aud("https://api.line.me/"), BadAssertion::Audience(AssertionRules::Line));
    accepted(with_aud(OWN_URL));
    accepted(with_aud(&format!("{OWN_URL}/")));
}

// ---- exp, nbf

fn exp(ahead: i64) -> Answer {
    with_claim("exp", json!(NOW.0 + ahead))
}

#[test]
fn exp_is_a_number_not_a_string() {
    rejected(with_claim("exp", json!((NOW.0 + 60).to_string())), BadAssertion::ExpiryType);
    rejected(with_claim("exp", json!([NOW.0 + 60])), BadAssertion::ExpiryType);
    rejected(with_claim("exp", Value::Null), BadAssertion::ExpiryType);
}

#[test]
fn exp_has_no_fraction() {
    rejected(with_claim("exp", json!(NOW.0 as f64 + 60.5)), BadAssertion::ExpiryType);
    rejected(with_claim("exp", json!(NOW.0 as f64 + 60.0)), BadAssertion::ExpiryType);
}

#[test]
fn exp_is_not_past() {
    rejected(exp(-1), BadAssertion::Expired);
    rejected(with_claim("exp", json!(0)), BadAssertion::Expired);
    rejected(with_claim("exp", json!(i64::MIN)), BadAssertion::Expired);
}

#[test]
fn exp_is_not_exactly_now() {
    rejected(exp(0), BadAssertion::Expired);
    accepted(exp(1));
}

#[test]
fn exp_may_be_30_minutes_ahead() {
    accepted(exp(1_800));
}

#[test]
fn exp_may_be_60_seconds_further_for_a_clock_that_runs_fast() {
    accepted(exp(1_860));
}

#[test]
fn exp_may_not_be_61_seconds_further() {
    rejected(exp(1_861), BadAssertion::ExpiryTooFar(AssertionRules::Line));
    rejected(with_claim("exp", json!(i64::MAX)), BadAssertion::ExpiryTooFar(AssertionRules::Line));
    assert!(with_claim("exp", json!(u64::MAX)).is_err());
}

#[test]
fn nbf_may_be_60_seconds_ahead() {
    accepted(with_claim("nbf", json!(NOW.0 + 60)));
    accepted(with_claim("nbf", json!(0)));
    accepted(with_claim("nbf", json!(NOW.0 as f64 + 59.5)));
}

#[test]
fn nbf_may_not_be_61_seconds_ahead() {
    rejected(with_claim("nbf", json!(NOW.0 + 61)), BadAssertion::NotBefore);
    rejected(with_claim("nbf", json!(NOW.0 as f64 + 60.5)), BadAssertion::NotBefore);
}

#[test]
fn nbf_is_a_number_not_a_string() {
    rejected(with_claim("nbf", json!("0")), BadAssertion::NotBefore);
    let null = claims().to_string().replacen('{', "{\"nbf\":null,", 1);
    rejected(with_texts(&header().to_string(), &null), BadAssertion::NotBefore);
}

// ---- token_exp

/// The `token_exp` that a v2.1 issue gets; the assertion itself is accepted all the
/// same, since other operations ignore the claim.
fn token_exp(text: Option<&str>) -> Result<i64, BadAssertion> {
    let claims = changed(claims(), "token_exp", Value::Null).to_string();
    let claims = match text {
        Some(text) => claims.replacen('{', &format!("{{\"token_exp\":{text},"), 1),
        None => claims,
    };
    let assertion = OWN.jws(&header().to_string(), &claims);
    accepted(check(&assertion));
    let Lifetime::Requested { longest } = Kind::V21.life() else { panic!("v2.1 is asked for") };
    UnverifiedAssertion::parse(&assertion, AssertionRules::Line)
        .unwrap()
        .token_lifetime(None, longest)
}

#[test]
fn token_exp_is_not_0_or_less() {
    assert_eq!(token_exp(Some("0")), Err(BadAssertion::TokenExpiry));
    assert_eq!(token_exp(Some("-1")), Err(BadAssertion::TokenExpiry));
}

#[test]
fn token_exp_may_be_1() {
    assert_eq!(token_exp(Some("1")), Ok(1));
}

#[test]
fn token_exp_may_be_30_days() {
    assert_eq!(token_exp(Some("2592000")), Ok(2_592_000));
}

#[test]
fn token_exp_may_not_be_more_than_30_days() {
    assert_eq!(token_exp(Some("2592001")), Err(BadAssertion::TokenExpiry));
    assert_eq!(token_exp(Some("18446744073709551616")), Err(BadAssertion::TokenExpiry));
}

#[test]
fn token_exp_is_a_number_not_a_string() {
    assert_eq!(token_exp(Some("\"86400\"")), Err(BadAssertion::TokenExpiry));
    assert_eq!(token_exp(Some("null")), Err(BadAssertion::TokenExpiry));
    assert_eq!(token_exp(Some("true")), Err(BadAssertion::TokenExpiry));
}

#[test]
fn token_exp_has_no_fraction() {
    assert_eq!(token_exp(Some("1.0")), Err(BadAssertion::TokenExpiry));
    assert_eq!(token_exp(Some("86400.5")), Err(BadAssertion::TokenExpiry));
}

#[test]
fn token_exp_has_no_exponent() {
    assert_eq!(token_exp(Some("1e3")), Err(BadAssertion::TokenExpiry));
}

#[test]
fn token_exp_has_no_default() {
    assert_eq!(token_exp(None), Err(BadAssertion::TokenExpiry));
}

// ---- signature

#[test]
fn the_signature_covers_this_exact_text() {
    let one = OWN.jws(&header().to_string(), &claims().to_string());
    let other = OWN.jws(&header().to_string(), &changed(claims(), "x", json!(1)).to_string());
    let (message, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    rejected(check(&format!("{message}.{signature}")), BadAssertion::Signature);
    rejected(check(&format!("{message}.")), BadAssertion::Signature);
}

#[test]
fn the_signature_is_not_another_channels() {
    let by_other = OTHER.jws(&header().to_string(), &claims().to_string());
    rejected(check(&by_other), BadAssertion::Signature);
}

#[test]
fn every_single_bit_of_an_assertion_counts() {
    let text = OWN.jws(&header().to_string(), &claims().to_string());
    let key = OWN.key();
    let mut verified = 0;
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone().into_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let audience = audience();
        let answer = UnverifiedAssertion::parse(&changed, AssertionRules::Line)
            .and_then(|it| it.verify(OWN.id, &key, &audience, false, NOW));
        assert!(answer.is_err(), "bit {bit}");
        verified += usize::from(answer.unwrap_err() == BadAssertion::Signature);
    }
    assert!(verified > 1_000, "only {verified} changes came as far as the signature");
}

// ---- identity of an assertion

fn fingerprint(claims: Value, header: Value) -> [u8; 32] {
    check(&OWN.jws(&header.to_string(), &claims.to_string())).unwrap().fingerprint
}

#[test]
fn two_assertions_with_one_jti_are_the_same() {
    let one = changed(claims(), "jti", json!("one"));
    let later = changed(one.clone(), "exp", json!(NOW.0 + 5));
    let two = changed(claims(), "jti", json!("two"));
    assert_eq!(fingerprint(one.clone(), header()), fingerprint(later, header()));
    assert_ne!(fingerprint(one, header()), fingerprint(two, header()));
}

#[test]
fn two_assertions_without_jti_are_the_same_if_their_texts_are() {
    assert_eq!(fingerprint(claims(), header()), fingerprint(claims(), header()));
    let later = changed(claims(), "exp", json!(NOW.0 + 5));
    assert_ne!(fingerprint(claims(), header()), fingerprint(later, header()));
}

// ---- the rest

#[test]
fn an_assertion_is_not_printed() {
    let text = OWN.jws(&header().to_string(), &claims().to_string());
    let printed = format!("{:?}", UnverifiedAssertion::parse(&text, AssertionRules::Line).unwrap());
    assert_eq!(printed, format!("UnverifiedAssertion(channel {ID})"));
}

#[test]
fn only_the_key_that_kid_names_is_used() {
    let text = OWN.jws(&header().to_string(), &claims().to_string());
    let (own, other, id) = (OWN.key(), OTHER.key(), OWN.id.to_string());
    assert!(verify_compact(&text, &[("x", &other), (&id, &own)]).is_some());
    assert!(verify_compact(&text, &[(&id, &other), ("x", &own)]).is_none());
    assert!(verify_compact(&text, &[(&id, &own), (&id, &other)]).is_none(), "one name, two keys");
    assert!(verify_compact(&text, &[]).is_none());
}

#[test]
fn no_assertion_is_accepted_at_the_maximum_time() {
    let text = OWN.jws(&header().to_string(), &claims().to_string());
    let parsed = UnverifiedAssertion::parse(&text, AssertionRules::Line).unwrap();
    let audience = Arc::new(audience());
    for (now, why) in [
        (UnixTime(i64::MAX), BadAssertion::Expired),
        (UnixTime(i64::MIN), BadAssertion::ExpiryTooFar(AssertionRules::Line)),
    ] {
        rejected(parsed.verify(OWN.id, &OWN.key(), &audience, false, now), why);
    }
}
