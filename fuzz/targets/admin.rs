//! What administrators send: bodies and queries.

use super::json;
use serde_json::Value;
use tegata_server::api::admin::fuzzing;

/// Whatever a call takes is one JSON object without a repeated or unknown member;
/// whatever it refuses is refused as the caller's mistake, with a way out.
pub fn body(data: &[u8]) {
    for (call, read) in fuzzing::bodies(data) {
        match read {
            Ok(()) => {
                let value = serde_json::from_slice::<Value>(data);
                let Ok(Value::Object(object)) = value else { panic!("{call} took no object") };
                // A JWK's inside is judged as a JWK.
                if !object.contains_key("jwk") {
                    assert_eq!(
                        json::members(&Value::Object(object)),
                        json::written_members(data),
                        "{call} took a repeated member"
                    );
                }
            }
            Err(problem) => refused(call, &problem),
        }
    }
}

/// The same of a query string.
pub fn query(data: &[u8]) {
    for (call, read) in fuzzing::queries(data) {
        if let Err(problem) = read {
            refused(call, &problem);
        }
    }
}

fn refused(call: &str, problem: &(u16, String)) {
    let (status, detail) = problem;
    assert!((400..500).contains(status), "{call}: {status} {detail}");
    assert!(!detail.is_empty() && detail.len() < 1_000, "{call}: {detail}");
    assert!(!detail.chars().any(char::is_control), "{call}: {detail:?}");
}
