//! Fields of query strings and forms (`application/x-www-form-urlencoded`), split and decoded
//! strictly.

use std::borrow::Cow;

/// A field's name and value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A `%` without two hex digits behind it, or bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is not percent-encoded UTF-8")]
pub struct BadEncoding;

/// All fields in their order, repeated ones too.
///
/// # Errors
/// [`BadEncoding`].
pub fn pairs(text: &[u8]) -> Result<Vec<Pair<'_>>, BadEncoding> {
    text.split(|byte| *byte == b'&').filter(|field| !field.is_empty()).map(pair).collect()
}

/// The fields of a query string that has nothing to decode, without a list of them; `None`: it
/// has something.
pub fn plain_pairs(text: &str) -> Option<impl Iterator<Item = (&str, &str)>> {
    let is_plain = !text.bytes().any(|byte| matches!(byte, b'%' | b'+') || byte >= 0x80);
    let fields = text.split('&').filter(|field| !field.is_empty());
    is_plain.then(|| fields.map(|field| field.split_once('=').unwrap_or((field, ""))))
}

/// Tokens, assertions, ids and secrets contain nothing to decode, and reading the form is
/// most of the work of a verification: such a field is only split.
fn pair(field: &[u8]) -> Result<Pair<'_>, BadEncoding> {
    let decodes = |byte: u8| (byte == b'%') | (byte == b'+') | (byte >= 0x80);
    let encoded = field.iter().fold(false, |any, byte| any | decodes(*byte));
    match std::str::from_utf8(field) {
        Ok(plain) if !encoded => {
            let (name, value) = plain.split_once('=').unwrap_or((plain, ""));
            Ok((name.into(), value.into()))
        }
        _ => decode_pair(field),
    }
}

/// A name or a value alone.
///
/// # Errors
/// [`BadEncoding`].
pub fn decode(value: &[u8]) -> Result<Cow<'_, str>, BadEncoding> {
    // As the value of an empty name, since the parser splits at the first `=`, and at `&`.
    let plain = |byte: &u8| !matches!(byte, b'&' | b'=');
    if !value.iter().all(plain) {
        return Err(BadEncoding);
    }
    if value.is_empty() {
        return Ok(Cow::Borrowed(""));
    }
    pair(value).map(|(text, _)| text)
}

fn decode_pair(field: &[u8]) -> Result<Pair<'_>, BadEncoding> {
    let escapes = field.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    for (at, _) in escapes {
        let digits = field.get(at + 1..at + 3).ok_or(BadEncoding)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadEncoding);
        }
    }
    let (name, value) = form_urlencoded::parse(field).next().ok_or(BadEncoding)?;
    // The parser puts this character in place of bytes that are not UTF-8; no name,
    // secret or token contains it.
    let torn = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    if torn(&name) || torn(&value) {
        return Err(BadEncoding);
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_and_decoded_as_the_url_standard_says() {
        let plain = ["", "a", "=", "a=", "=b", "a=b", "a=b=c", "&&a=b&&", "a&b=&=c&d==", "a=b&"];
        let encoded = ["%61=b", "a=%26%3d&b", "a+b=c+d&&e", "=%20&%3D=", "a=\u{e9}"];
        for text in plain.into_iter().chain(encoded) {
            let standard: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            assert_eq!(pairs(text.as_bytes()).unwrap(), standard, "{text}");
            let read: Option<Vec<_>> = plain_pairs(text).map(Iterator::collect);
            let borrowed = standard.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read, (!encoded.contains(&text)).then_some(borrowed), "{text}");
        }
    }

    #[test]
    fn a_value_alone_is_decoded_in_the_same_way() {
        for (text, value) in [("", ""), ("a", "a"), ("a+b%26%3D%25", "a b&=%"), ("%e3%81%82", "あ")]
        {
            assert_eq!(decode(text.as_bytes()).unwrap(), value, "{text}");
        }
        for text in ["%", "%4", "%ff", "a=b", "a&b"] {
            assert_eq!(decode(text.as_bytes()), Err(BadEncoding), "{text}");
        }
    }

    #[test]
    fn malformed_encoding_is_rejected() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%c3=1"] {
            assert_eq!(pairs(text.as_bytes()), Err(BadEncoding), "{text}");
        }
    }
}
