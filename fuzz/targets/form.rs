//! Forms and query strings.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use std::collections::BTreeMap;
use tegata_server::api::form::{BadEncoding, BadForm, Form, pairs};

/// The parser agrees with a simple one that was not written for speed.
pub fn any(data: &[u8]) {
    let model = model(data);
    match (pairs(data), &model) {
        (Ok(ours), Some(model)) => {
            let ours: Vec<_> = ours.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(&ours, model);
        }
        (Err(BadEncoding), None) => {}
        (ours, model) => panic!("{ours:?} where the model says {model:?}"),
    }
    let mut fields = BTreeMap::new();
    let repeated = model.iter().flatten().any(|(name, value)| fields.insert(name, value).is_some());
    match Form::parse(data) {
        Ok(form) => {
            assert!(model.is_some() && !repeated);
            for (name, value) in fields {
                assert_eq!(form.get(name), Some(&**value).filter(|value| !value.is_empty()));
            }
        }
        Err(BadForm::Repeated) => assert!(repeated),
        Err(bad) => assert_eq!((bad, model), (BadForm::Encoding(BadEncoding), None)),
    }
    // As its own media type: any header value is accepted or rejected.
    if let Ok(value) = HeaderValue::from_bytes(data) {
        let _ = Form::of_body(&HeaderMap::from_iter([(CONTENT_TYPE, value)]), b"a=1");
    }
}

/// WHATWG, "URL", section 5.1, but strict: `None` for an invalid escape and for text
/// that is not UTF-8.
fn model(data: &[u8]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    for field in data.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let equals = field.iter().position(|byte| *byte == b'=');
        let (name, value) = match equals {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &[][..]),
        };
        fields.push((decoded(name)?, decoded(value)?));
    }
    Some(fields)
}

fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?
            }
            byte => *byte,
        });
    }
    // A literal replacement character counts as one that a lenient decoder inserted.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\u{FFFD}'))
}
