//! JSON in which no member may stand twice.

use serde_json::Value;
use tegata_policy::strict_json;

/// Our reader takes what everybody's takes, and takes it for the same, unless a
/// member stands twice. Whether one does, is found by counting: each member is
/// written with one colon, and those that swallowed each other are missing from
/// the value.
pub fn strict(data: &[u8]) {
    let everybodys = serde_json::from_slice::<Value>(data).ok().filter(Value::is_object);
    match (strict_json::object(data), everybodys) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!(written_members(data), members(&theirs), "one stands twice, and was taken");
            assert_eq!(Value::Object(ours), theirs);
        }
        (Ok(ours), None) => panic!("nobody else takes it: {ours:?}"),
        (Err(_), Some(theirs)) => {
            assert_ne!(written_members(data), members(&theirs), "refused for no reason: {theirs}");
        }
        (Err(_), None) => {}
    }
}

/// How many members a value has, at any depth.
pub fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

/// How many members a text of JSON writes out: the colons outside of its strings.
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
