//! Bodies and queries of the admin API.

use super::json;
use serde_json::Value;
use tegata_server::api::admin::fuzzing;

/// A call accepts only a JSON object without repeated or unknown members, and rejects
/// anything else as a client error whose detail names the next step.
pub fn body(data: &[u8]) {
    for (call, read) in fuzzing::bodies(data) {
        match read {
            Ok(()) => {
                let value = serde_json::from_slice::<Value>(data);
                let Ok(Value::Object(object)) = value else {
                    panic!("{call} accepted something other than an object")
                };
                // The target `jwk` covers the inside of a JWK.
                if !object.contains_key("jwk") {
                    assert_eq!(
                        json::members(&Value::Object(object)),
                        json::written_members(data),
                        "{call} accepted a repeated member"
                    );
                }
            }
            Err(problem) => rejected(call, &problem),
        }
    }
}

/// As `body`, for a query string.
pub fn query(data: &[u8]) {
    for (call, read) in fuzzing::queries(data) {
        if let Err(problem) = read {
            rejected(call, &problem);
        }
    }
}

fn rejected(call: &str, problem: &(u16, String)) {
    let (status, detail) = problem;
    assert!((400..500).contains(status), "{call}: {status} {detail}");
    assert!(!detail.is_empty() && detail.len() < 1_000, "{call}: {detail}");
    assert!(!detail.chars().any(char::is_control), "{call}: {detail:?}");
}
