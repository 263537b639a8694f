//! Requests for introspection, which anyone may send.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use tegata_server::api::{
    form::{Form, JWT_BEARER},
    introspection::credential::{self, BadCaller, CallerCredential},
};

/// A request is read without a panic, and never by more than one credential: the value of
/// `Authorization` up to the first line feed, then the form.
pub fn request(data: &[u8]) {
    let (authorization, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (&[][..], data),
    };
    let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type)]);
    if let Ok(value) = HeaderValue::from_bytes(authorization)
        && !authorization.is_empty()
    {
        headers.insert(AUTHORIZATION, value);
    }
    let form = Form::of_body(&headers, body).ok();
    let field = |name| form.as_ref().and_then(|it| it.get(name));
    let ways = [
        headers.contains_key(AUTHORIZATION),
        field("client_secret").is_some(),
        field("client_assertion").is_some() || field("client_assertion_type").is_some(),
    ];
    let count = ways.iter().filter(|is_used| **is_used).count();
    match credential::read(&headers, form.as_ref()) {
        Err(BadCaller::Request(_)) => assert!(count > 1 || ways[2]),
        Err(BadCaller::Client(scheme, _)) => {
            assert!(count == 1 && ["Basic", "Bearer"].contains(&scheme));
        }
        Ok(CallerCredential::Bearer) => {
            // A secret without an id is none.
            assert!(count <= 1 && !ways[2] && !(ways[1] && field("client_id").is_some()));
        }
        Ok(CallerCredential::Secret(scheme, id, secret)) => {
            assert!(count == 1 && !ways[2]);
            assert_eq!(scheme == "Basic", ways[0]);
            if ways[1] {
                assert_eq!(field("client_id"), Some(&*id.to_string()));
                assert_eq!(field("client_secret"), Some(secret.reveal()));
            }
        }
        Ok(CallerCredential::Assertion(assertion)) => {
            assert!(count == 1 && ways[2]);
            assert_eq!(field("client_assertion_type"), Some(JWT_BEARER));
            let channel = assertion.channel().to_string();
            assert!(field("client_id").is_none_or(|id| id == channel));
        }
    }
}
