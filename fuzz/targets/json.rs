//! JSON without repeated members.

use serde_json::Value;
use tegata_policy::strict_json;

/// Our parser accepts what `serde_json` accepts, with the same value, unless a member is
/// repeated. Repetition is found by counting: each member is written with one colon, and
/// repeated ones are missing from the value.
pub fn strict(data: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(data).ok().filter(Value::is_object);
    match (strict_json::object(data), theirs) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!(written_members(data), members(&theirs), "a repeated member was accepted");
            assert_eq!(Value::Object(ours), theirs);
        }
        (Ok(ours), None) => panic!("only our parser accepts it: {ours:?}"),
        (Err(_), Some(theirs)) => {
            assert_ne!(
                written_members(data),
                members(&theirs),
                "rejected without a reason: {theirs}"
            );
        }
        (Err(_), None) => {}
    }
}

/// Number of members of a value, at any depth.
pub fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

/// Number of members in a JSON text: the colons outside of strings.
pub fn written_members(text: &[u8]) -> usize {
    let (mut inside, mut escaped, mut colons) = (false, false, 0);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b':' if !inside => colons += 1,
            _ => {}
        }
    }
    colons
}
