//! Checks values against the schemas of the API's description. It supports the keywords
//! that the description uses, and fails on any other, so that none is skipped. In one
//! thing it is stricter than JSON Schema: a member that an object's schema does not name
//! is an error.

use http::Method;
use serde_json::{Map, Value};
use std::sync::LazyLock;
use tegata_server::api::admin;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(admin::document()).unwrap());

pub fn document() -> &'static Value {
    &DOCUMENT
}

/// A call that the document describes.
pub struct Call {
    pub method: Method,
    /// Its path, with `{names}` for ids.
    pub path: &'static str,
    pub described: &'static Value,
}

/// All calls, in the document's order.
pub fn calls() -> impl Iterator<Item = Call> {
    let paths = document()["paths"].as_object().unwrap();
    paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, described)| Call {
            method: method.to_uppercase().parse().unwrap(),
            path,
            described,
        })
    })
}

/// The call that a request to `path` makes, if it makes one.
fn call_of(method: &Method, path: &str) -> Option<Call> {
    let path = path.split('?').next().unwrap();
    let matches = |template: &str| {
        let (a, b) = (template.split('/'), path.split('/'));
        a.clone().count() == b.clone().count()
            && a.zip(b).all(|(a, b)| a == b || a.starts_with('{'))
    };
    calls().find(|call| call.method == *method && matches(call.path))
}

/// Checks a response against the description of its call.
#[track_caller]
pub fn check_response(method: &Method, path: &str, status: u16, content_type: &str, body: &Value) {
    // What is no call, or is rejected before it is one, has the schema of a problem.
    let default = &document()["paths"]["/providers"]["get"]["responses"]["default"];
    let call = call_of(method, path);
    let described = call.as_ref().map_or(default, |call| {
        let responses = &call.described["responses"];
        match &responses[status.to_string()] {
            Value::Null => &responses["default"],
            described => described,
        }
    });
    let named = status.to_string();
    let success = (200..300).contains(&status);
    let own = call.as_ref().is_some_and(|it| it.described["responses"].get(&named).is_some());
    assert!(!success || own, "{method} {path} is not described to answer {status}");
    if described["content"].is_null() {
        assert_eq!((body, content_type), (&Value::Null, ""), "{method} {path}: {status}");
        return;
    }
    let schema = &described["content"][content_type]["schema"];
    assert!(!schema.is_null(), "{method} {path} is not described to answer {content_type:?}");
    if let Err(wrong) = fits(schema, body) {
        panic!("{method} {path}, {status}: {wrong}, in {body:#}");
    }
}

/// The schema itself, or the one that it refers to.
pub fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(reference) => document().pointer(&reference[1..]).expect("the schema is there"),
        None => schema,
    }
}

/// Keywords that do not restrict the value.
const REMARKS: [&str; 4] = ["description", "examples", "example", "default"];

/// Checks that `value` fits `schema`; returns what does not.
fn fits(schema: &'static Value, value: &Value) -> Result<(), String> {
    let schema = resolved(schema);
    let keywords = schema.as_object().ok_or("a schema that is no object")?;
    // An object that inherits from several schemas is checked as a whole.
    if let Some(parts) = keywords.get("allOf") {
        let whole = joined(parts);
        return fits_object(&whole, value);
    }
    if let Some(choices) = keywords.get("oneOf") {
        let choices = choices.as_array().unwrap();
        let fit = choices.iter().filter(|choice| fits(choice, value).is_ok()).count();
        return if fit == 1 { Ok(()) } else { Err(format!("{value} fits {fit} choices, not one")) };
    }
    if let Some(types) = keywords.get("type") {
        let types: Vec<&str> = match types {
            Value::String(one) => vec![one],
            many => many.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect(),
        };
        let of = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_i64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.contains(&of) {
            return Err(format!("{value} is {of}, not {types:?}"));
        }
    }
    for (keyword, rule) in keywords {
        let number = |it: &Value| it.as_f64().unwrap_or(0.0);
        let right = match keyword.as_str() {
            "type" | "required" | "properties" | "additionalProperties" => true,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.is_null() || number(value) >= number(rule),
            "maximum" => value.is_null() || number(value) <= number(rule),
            "format" => matches!(rule.as_str(), Some("int32" | "int64")),
            "pattern" => follows(rule.as_str().unwrap(), value.as_str().unwrap()),
            "items" => {
                for item in value.as_array().unwrap() {
                    fits(rule, item)?;
                }
                true
            }
            remark if REMARKS.contains(&remark) => true,
            other => return Err(format!("the keyword {other} is not supported here")),
        };
        if !right {
            return Err(format!("{value} breaks {keyword}: {rule}"));
        }
    }
    if value.is_object() && keywords.contains_key("properties") {
        return fits_object(keywords, value);
    }
    Ok(())
}

/// Merges an object that is described in parts.
fn joined(parts: &'static Value) -> Map<String, Value> {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for part in parts.as_array().unwrap() {
        let part = resolved(part);
        let inherited = part.get("allOf").map(joined);
        for of in inherited.iter().chain(part.as_object()) {
            properties.extend(
                of.get("properties").and_then(Value::as_object).cloned().unwrap_or_default(),
            );
            required
                .extend(of.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
        }
    }
    [("properties".to_owned(), properties.into()), ("required".to_owned(), required.into())]
        .into_iter()
        .collect()
}

fn fits_object(keywords: &Map<String, Value>, value: &Value) -> Result<(), String> {
    let members = value.as_object().ok_or(format!("{value} is no object"))?;
    let properties = keywords["properties"].as_object().unwrap();
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !members.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing"));
        }
    }
    for (name, value) in members {
        let schema = properties.get(name).ok_or(format!("`{name}` is not described"))?;
        // Leaked for the length of the tests; there are few of them.
        let schema: &'static Value = Box::leak(Box::new(schema.clone()));
        fits(schema, value).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    Ok(())
}

/// Whether `text` matches one of the document's patterns, each of which is written here
/// by its meaning.
fn follows(pattern: &str, text: &str) -> bool {
    let all = |is: fn(char) -> bool| text.chars().all(is);
    let base64url = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    match pattern {
        "^[0-9]{10}$" => text.len() == 10 && all(|it| it.is_ascii_digit()),
        "^[A-Za-z0-9._-]{1,64}$" => {
            (1..=64).contains(&text.len()) && text.chars().all(|it| base64url(it) || it == '.')
        }
        "^[A-Za-z0-9_-]{22}$" => text.len() == 22 && text.chars().all(base64url),
        "^[A-Za-z0-9_-]{11}$" => text.len() == 11 && text.chars().all(base64url),
        "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" => {
            let lengths: Vec<usize> = text.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12] && all(|it| matches!(it, '0'..='9' | 'a'..='f' | '-'))
        }
        "^[0-9]+-[0-9]+$" => {
            let number = |it: &str| !it.is_empty() && it.chars().all(|it| it.is_ascii_digit());
            text.split_once('-').is_some_and(|(a, b)| number(a) && number(b))
        }
        "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$" => {
            text.parse::<jiff::Timestamp>().is_ok() && text.ends_with('Z')
        }
        r"^[^\x00-\x1F\x7F-\x9F\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069\uFEFF\uFFF9-\uFFFB]{1,100}$" => {
            (1..=100).contains(&text.chars().count()) && all(tegata_policy::text::is_plain)
        }
        "^tgv_[0-9a-f]{64}$" | "^tgi_[0-9a-f]{64}$" | "^tgc_[0-9a-f]{64}$"
        | "^tgp_[0-9a-f]{64}$" => {
            let hex = |it: char| matches!(it, '0'..='9' | 'a'..='f');
            let digits = text.strip_prefix(&pattern[1..5]);
            digits.is_some_and(|it| it.len() == 64 && it.chars().all(hex))
        }
        "^[A-Z2-7]{52}$" => text.len() == 52 && all(|it| matches!(it, 'A'..='Z' | '2'..='7')),
        "^[a-z0-9._@+-]{1,64}$" => {
            let fits =
                |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "._@+-".contains(it);
            (1..=64).contains(&text.len()) && text.chars().all(fits)
        }
        "^.+$" => !text.is_empty(),
        other => panic!("the pattern {other} is not supported here"),
    }
}

#[test]
fn a_value_that_does_not_fit_the_description_is_found() {
    use serde_json::json;
    let schema = &document()["components"]["schemas"]["Provider"];
    let good = json!({
        "provider_id": "1234567890", "name": "a", "created_at": "2026-11-26T09:00:00Z",
        "revocation": null, "channels": 1, "active_tokens": null,
    });
    assert_eq!(fits(schema, &good), Ok(()));
    for (name, wrong) in [
        ("provider_id", json!("123")),
        ("provider_id", json!(1_234_567_890)),
        ("name", json!("a\nb")),
        ("created_at", json!("yesterday")),
        ("more", json!(1)),
    ] {
        let mut value = good.clone();
        value[name] = wrong;
        assert!(fits(schema, &value).is_err(), "{value}");
    }
    let mut less = good;
    less.as_object_mut().unwrap().remove("created_at");
    assert!(fits(schema, &less).is_err());
}
