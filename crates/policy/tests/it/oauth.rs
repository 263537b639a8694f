//! Where the rules of RFC 7523 differ from LINE's page: an assertion that OAuth's clients send is
//! accepted on their endpoints, and what neither allows is rejected on both.

use crate::{
    channel::{ID, NOW, OWN_URL, audience, channel, registered, request},
    signer::{OTHER, OWN},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tegata_policy::{
    assertion::{
        AssertionRules::{self, Line, OAuth, OAuthOrLine},
        BadAssertion, OAUTH_PATHS, UnverifiedAssertion,
    },
    authorize::{Credential, authorize, check_assertion},
    channel::Channel,
    denied::Denied,
};
use tegata_token::{id::AssertionKeyId, kind::Kind};

/// The claims of a client that has read RFC 7523 alone.
fn claims() -> Value {
    json!({ "iss": ID, "sub": ID, "aud": OWN_URL, "exp": NOW.0 + 60, "iat": NOW.0, "jti": "1" })
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

/// By which key of the channel an assertion with this header and these claims is accepted.
fn check_on(
    channel: &Channel,
    header: &Value,
    claims: &Value,
    rules: AssertionRules,
) -> Result<AssertionKeyId, Denied> {
    let text = OWN.jws(&header.to_string(), &claims.to_string());
    let assertion = UnverifiedAssertion::parse(&text, rules)?;
    check_assertion(channel, &assertion, &audience(), NOW).map(|it| it.key)
}

fn check(header: &Value, claims: &Value, rules: AssertionRules) -> Result<(), Denied> {
    check_on(&channel(), header, claims, rules).map(|_| ())
}

/// The answer by LINE's rules, and by those of RFC 7523.
fn both(header: &Value, claims: &Value) -> [Result<(), Denied>; 2] {
    [Line, OAuth].map(|rules| check(header, claims, rules))
}

fn header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT", "kid": OWN.id })
}

fn bad(why: BadAssertion) -> Result<(), Denied> {
    Err(why.into())
}

#[test]
fn typ_may_be_absent_but_not_another() {
    let without = json!({ "alg": "RS256", "kid": OWN.id });
    assert_eq!(both(&without, &claims()), [bad(BadAssertion::Type), Ok(())]);
    for other in [json!("at+jwt"), json!("jwt"), json!(1), Value::Null] {
        let mut header = header();
        header["typ"] = other;
        assert_eq!(both(&header, &claims()), [bad(BadAssertion::Type); 2], "{header}");
    }
}

#[test]
fn without_a_kid_the_keys_of_the_channel_at_large_are_tried() {
    let header = json!({ "alg": "RS256" });
    let with_keys = |keys| Channel { assertion_keys: keys, ..channel() };
    let team = Some("team".parse().unwrap());
    let check = |channel: &Channel| check_on(channel, &header, &claims(), OAuth);
    for keys in [
        vec![registered(&OWN, None)],
        vec![registered(&OTHER, None), registered(&OWN, None)],
        vec![registered(&OTHER, team.clone()), registered(&OWN, None)],
    ] {
        assert_eq!(check(&with_keys(keys)), Ok(OWN.id));
    }
    let others = with_keys(vec![registered(&OTHER, None), registered(&OTHER, None)]);
    assert_eq!(check(&others), Err(BadAssertion::Signature.into()));
    let of_group = with_keys(vec![registered(&OWN, team)]);
    assert_eq!(check(&of_group), Err(Denied::UnknownAssertionKey));
    assert_eq!(check(&with_keys(vec![])), Err(Denied::UnknownAssertionKey));
    // A wrong claim is named, whichever key signed.
    let two = with_keys(vec![registered(&OTHER, None), registered(&OWN, None)]);
    let expired = check_on(&two, &header, &claims_with("exp", json!(NOW.0)), OAuth);
    assert_eq!(expired, Err(BadAssertion::Expired.into()));
}

#[test]
fn a_kid_of_another_type_is_not_an_absent_one() {
    for kid in [json!(1), Value::Null, json!([OWN.id])] {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid });
        assert_eq!(both(&header, &claims()), [bad(BadAssertion::KeyId); 2]);
    }
    let unknown = json!({ "alg": "RS256", "typ": "JWT", "kid": OTHER.id });
    assert_eq!(both(&unknown, &claims()), [Err(Denied::UnknownAssertionKey); 2]);
}

#[test]
fn aud_may_be_an_array_that_names_this_server() {
    let rejected = |rules| bad(BadAssertion::Audience(rules));
    for aud in [json!([OWN_URL]), json!(["https://other.example", format!("{OWN_URL}/")])] {
        let answers = both(&header(), &claims_with("aud", aud));
        assert_eq!(answers, [rejected(Line), Ok(())]);
    }
    for aud in
        [json!([]), json!(["https://other.example"]), json!([OWN_URL, 1]), json!([[OWN_URL]])]
    {
        let answers = both(&header(), &claims_with("aud", aud.clone()));
        assert_eq!(answers, [rejected(Line), rejected(OAuth)], "{aud}");
    }
}

#[test]
fn aud_may_be_the_url_of_an_endpoint() {
    for path in OAUTH_PATHS {
        for aud in [json!(format!("{OWN_URL}{path}")), json!([format!("{OWN_URL}{path}")])] {
            let answers = both(&header(), &claims_with("aud", aud));
            assert_eq!(answers, [bad(BadAssertion::Audience(Line)), Ok(())], "{path}");
        }
    }
    for other in
        ["/oauth2", "/oauth2/token/", "/oauth2/tokens", "//oauth2/token", "/oauth2/v3/token"]
    {
        let aud = json!(format!("{OWN_URL}{other}"));
        let answer = check(&header(), &claims_with("aud", aud), OAuth);
        assert_eq!(answer, bad(BadAssertion::Audience(OAuth)), "{other}");
    }
    let of_other = json!("https://other.example/oauth2/token");
    let answer = check(&header(), &claims_with("aud", of_other), OAuth);
    assert_eq!(answer, bad(BadAssertion::Audience(OAuth)));
}

#[test]
fn aud_of_line_is_accepted_only_where_both_rules_hold() {
    let claims = claims_with("aud", json!("https://api.line.me/"));
    assert_eq!(both(&header(), &claims), [Ok(()), bad(BadAssertion::Audience(OAuth))]);
    assert_eq!(check(&header(), &claims, OAuthOrLine), Ok(()));
    assert_eq!(
        check(&json!({ "alg": "RS256" }), &claims_with("aud", json!([OWN_URL])), OAuthOrLine),
        Ok(())
    );
    let in_array = claims_with("aud", json!(["https://api.line.me/"]));
    for rules in [Line, OAuth, OAuthOrLine] {
        let answer = check(&header(), &in_array, rules);
        assert_eq!(answer, bad(BadAssertion::Audience(rules)), "LINE's page has one string");
    }
    let own_only = Channel { own_audience_only: true, ..channel() };
    let answer = check_on(&own_only, &header(), &claims, OAuthOrLine).map(|_| ());
    assert_eq!(answer, bad(BadAssertion::Audience(OAuthOrLine)));
}

#[test]
fn exp_may_be_60_minutes_ahead() {
    let check = |ahead: i64| both(&header(), &claims_with("exp", json!(NOW.0 + ahead)));
    let too_far = |rules| bad(BadAssertion::ExpiryTooFar(rules));
    assert_eq!(check(1_860), [Ok(()), Ok(())]);
    assert_eq!(check(3_660), [too_far(Line), Ok(())]);
    assert_eq!(check(3_661), [too_far(Line), too_far(OAuth)]);
    assert_eq!(check(0), [bad(BadAssertion::Expired); 2]);
    let words = BadAssertion::ExpiryTooFar(OAuth).to_string();
    assert_eq!(words, "Invalid exp: must be at most 60 minutes ahead");
}

#[test]
fn exp_may_have_a_fraction_which_does_not_lengthen_it() {
    let check = |exp: Value| both(&header(), &claims_with("exp", exp));
    let no_number = bad(BadAssertion::ExpiryType);
    assert_eq!(check(json!(NOW.0 as f64 + 60.5)), [no_number, Ok(())]);
    assert_eq!(check(json!(NOW.0 as f64 + 0.9)), [no_number, bad(BadAssertion::Expired)]);
    assert_eq!(check(json!(-0.5)), [no_number, bad(BadAssertion::Expired)]);
    for other in [json!(1e300), json!("1"), json!([NOW.0 + 60])] {
        assert_eq!(check(other), [no_number; 2]);
    }
}

#[test]
fn iss_and_sub_are_the_channel_by_both_rules() {
    let other = claims_with("sub", json!("1234567891"));
    assert_eq!(both(&header(), &other), [bad(BadAssertion::Subject); 2]);
    let number = claims_with("iss", json!(1_234_567_890));
    assert_eq!(both(&header(), &number), [bad(BadAssertion::Issuer); 2]);
}

/// The lifetime of a v2.1 token whose assertion has this `token_exp`, and whose request has that
/// one.
fn lifetime(own: Option<Value>, requested: Option<i64>) -> Result<i64, Denied> {
    let claims = own.map_or_else(claims, |own| claims_with("token_exp", own));
    let text = OWN.jws(&header().to_string(), &claims.to_string());
    let assertion = UnverifiedAssertion::parse(&text, OAuth)?;
    let mut request = request(Kind::V21, Credential::Assertion(assertion), None);
    request.lifetime = requested;
    Ok(authorize(request, Arc::new(channel()), audience(), NOW)?.parameters().0)
}

#[test]
fn token_exp_is_in_the_assertion_or_in_the_request() {
    let bad = Err(BadAssertion::TokenExpiry.into());
    assert_eq!(lifetime(Some(json!(60)), None), Ok(60));
    assert_eq!(lifetime(None, Some(60)), Ok(60));
    assert_eq!(lifetime(Some(json!(60)), Some(60)), Ok(60));
    assert_eq!(lifetime(None, None), bad);
    let differ = Err(BadAssertion::TokenExpiriesDiffer.into());
    assert_eq!(lifetime(Some(json!(60)), Some(61)), differ);
    assert_eq!(lifetime(Some(json!("60")), Some(60)), bad, "of another type is not absent");
    for requested in [0, -1, 2_592_001] {
        assert_eq!(lifetime(None, Some(requested)), bad, "{requested}");
    }
}
