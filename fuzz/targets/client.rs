//! Requests to OAuth's endpoints, which anyone may send.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use tegata_policy::assertion::AssertionRules;
use tegata_server::api::{
    form::{Form, JWT_BEARER},
    oauth::client::{self, BadClient, ClientCredential},
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
    let Ok(form) = Form::of_body(&headers, body) else { return };
    let ways = [
        headers.contains_key(AUTHORIZATION),
        form.get("client_secret").is_some(),
        form.get("client_assertion").is_some() || form.get("client_assertion_type").is_some(),
    ];
    let count = ways.iter().filter(|is_used| **is_used).count();
    let client_id = form.get("client_id");
    match client::read(&headers, &form, AssertionRules::OAuth) {
        Err(BadClient::Request(_)) => {
            // Two credentials, half of one, or two ids.
            let is_half = ways[2] || (ways[1] && client_id.is_none());
            assert!(count > 1 || is_half || (ways[0] && client_id.is_some()));
        }
        Err(BadClient::Credential(is_basic, _)) => {
            assert!(count == 1 && is_basic == ways[0]);
        }
        Ok(ClientCredential::None) => assert_eq!(count, 0),
        Ok(ClientCredential::Bearer) => assert!(count == 1 && ways[0]),
        Ok(ClientCredential::Secret { is_basic, id, secret }) => {
            assert!(count == 1 && !ways[2]);
            assert_eq!(is_basic, ways[0]);
            assert!(client_id.is_none_or(|it| it == id.to_string()));
            if ways[1] {
                assert!(client_id.is_some());
                assert_eq!(form.get("client_secret"), Some(secret.reveal()));
            }
        }
        Ok(ClientCredential::Assertion(assertion)) => {
            assert!(count == 1 && ways[2]);
            assert_eq!(form.get("client_assertion_type"), Some(JWT_BEARER));
            assert!(client_id.is_none_or(|id| id == assertion.channel().to_string()));
        }
    }
}
