//! The JSON objects of a text, each of which is read once however often it is asked for.

use serde_json::Value;
use std::collections::HashMap;
use tegata_policy::jwk::holds_private_part;

/// What begins with a brace.
#[derive(Clone)]
pub enum Object {
    /// No JSON object.
    Bad,
    /// An object, as far as the text goes.
    Cut,
    /// An object.
    Whole {
        /// Where it ends.
        end: usize,
        /// Its member `kty`, if that is a string.
        kty: Option<Box<str>>,
        /// Whether it, or an object in it, has the private part of a key.
        private: bool,
    },
}

/// What is known of the objects of one text.
///
/// The work is linear in the text's length, whatever the text is. Whether a byte is in a string is
/// all that two readings which began at different braces can disagree about, since a backslash
/// outside a string ends a reading; and one that comes to a brace which is known takes the result.
/// So a byte is read for one object inside a string, and for one outside, each time for the
/// innermost object that has it, and parsed once more when that object ends.
#[derive(Default)]
pub struct Objects {
    known: HashMap<usize, Object>,
    /// The bytes that were read and parsed.
    pub work: usize,
}

/// An object whose end is not reached yet.
struct Open {
    begin: usize,
    /// Its text, with `{}` for each object in it.
    text: Vec<u8>,
    private: bool,
}

impl Open {
    fn at(begin: usize) -> Self {
        Self { begin, text: vec![b'{'], private: false }
    }

    /// The end of an object that is in this one.
    fn close(&mut self, private: bool) {
        self.text.push(b'}');
        self.private |= private;
    }

    /// Whether a value can follow.
    fn expects_value(&self) -> bool {
        matches!(self.text.trim_ascii_end().last(), Some(b':' | b',' | b'['))
    }
}

impl Objects {
    /// The object at the brace `begin` of `text`, which is the same in each call.
    pub fn at(&mut self, text: &[u8], begin: usize) -> Object {
        if !self.known.contains_key(&begin) {
            self.read(text, begin);
        }
        self.known.get(&begin).cloned().unwrap_or(Object::Bad)
    }

    /// Reads the object at `begin`, and those in it.
    fn read(&mut self, text: &[u8], begin: usize) {
        let (mut open, mut at) = (vec![Open::at(begin)], begin + 1);
        while let Some(innermost) = open.last_mut() {
            let Some(&byte) = text.get(at) else { return self.cut(open) };
            let mut end = at + 1;
            match byte {
                b'{' => {
                    if !innermost.expects_value() {
                        return self.bad(open);
                    }
                    innermost.text.push(byte);
                    match self.known.get(&at) {
                        None => open.push(Open::at(at)),
                        Some(Object::Bad) => return self.bad(open),
                        Some(Object::Cut) => return self.cut(open),
                        Some(&Object::Whole { end: behind, private, .. }) => {
                            innermost.close(private);
                            // Its bytes are not read again.
                            (at, end) = (behind - 1, behind);
                        }
                    }
                }
                b'}' => {
                    innermost.text.push(byte);
                    let Some(object) = self.end(&mut open, end) else { return self.bad(open) };
                    if let (Some(around), Object::Whole { private, .. }) = (open.last_mut(), object)
                    {
                        around.close(private);
                    }
                }
                // Nowhere in JSON; and from here on, readings that differ about strings would agree.
                b'\\' => return self.bad(open),
                b'"' => {
                    end += string(&text[end..]);
                    innermost.text.extend_from_slice(&text[at..end]);
                }
                _ => innermost.text.push(byte),
            }
            self.work += end - at;
            at = end;
        }
    }

    /// The innermost object, which ends before `end`; `None` if it is bad.
    fn end(&mut self, open: &mut Vec<Open>, end: usize) -> Option<Object> {
        let innermost = open.pop()?;
        self.work += innermost.text.len();
        let Ok(value) = serde_json::from_slice::<Value>(&innermost.text) else {
            self.bad([innermost]);
            return None;
        };
        let private = innermost.private || holds_private_part(&value);
        let object = Object::Whole { end, kty: value["kty"].as_str().map(Box::from), private };
        self.known.insert(innermost.begin, object.clone());
        Some(object)
    }

    fn bad(&mut self, open: impl IntoIterator<Item = Open>) {
        self.known.extend(open.into_iter().map(|it| (it.begin, Object::Bad)));
    }

    /// The text ends within these objects, or before a value of theirs does.
    fn cut(&mut self, mut open: Vec<Open>) {
        while let Some(innermost) = open.pop() {
            self.work += innermost.text.len();
            let read = serde_json::from_slice::<Value>(&innermost.text);
            let is_cut = read.is_err_and(|error| error.is_eof());
            if !is_cut {
                open.push(innermost);
                return self.bad(open);
            }
            self.known.insert(innermost.begin, Object::Cut);
        }
    }
}

/// The length of the rest of a string, with its quote.
fn string(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = rest.get(at..).and_then(|it| memchr::memchr2(b'"', b'\\', it)) {
        at += found;
        match rest[at] {
            b'"' => return at + 1,
            _ => at += 2,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is at a brace: as `serde_json` sees it.
    fn seen(text: &[u8], begin: usize) -> String {
        let mut values = serde_json::Deserializer::from_slice(&text[begin..]).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let (end, kty) = (begin + values.byte_offset(), value["kty"].as_str());
                format!("{end} {kty:?} {}", holds_private_part(&value))
            }
            Some(Err(error)) if error.is_eof() => "cut".to_owned(),
            _ => "bad".to_owned(),
        }
    }

    fn shown(object: &Object) -> String {
        match object {
            Object::Bad => "bad".to_owned(),
            Object::Cut => "cut".to_owned(),
            Object::Whole { end, kty, private } => format!("{end} {:?} {private}", kty.as_deref()),
        }
    }

    /// Texts of the letters that matter, every one different.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        const PARTS: [&str; 14] = [
            "{",
            "{",
            "}",
            "}",
            "\"",
            ":",
            ",",
            "[",
            "]",
            "\"kty\":\"EC\"",
            "\"d\":1",
            "\"a\":",
            "\\",
            " ",
        ];
        let mut state = 1_u64;
        (0..20_000).map(move |_| {
            let mut text = Vec::new();
            for _ in 0..14 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let part = usize::try_from(state >> 33).unwrap() % PARTS.len();
                text.extend_from_slice(PARTS[part].as_bytes());
            }
            text
        })
    }

    #[test]
    fn each_object_is_read_as_serde_json_reads_it_in_whatever_order_they_are_asked_for() {
        let mut fixed: Vec<_> = [
            r#"{"a":{"kty":"EC","x":[{"d":1}]},"kty":"RSA"} {"kty":1}"#,
            r#"{"a":"{\"kty\":\"EC\",","b":{"c":{"d":{"e":"#,
            r#"{"kty":"EC","kty":2} {"kty":2,"kty":"EC"} {"a":"\"}"} {"a" {"b":1}}"#,
            r#"[{"a":{}},{"b":[{}{}]},{"c":{}x}]"#,
        ]
        .map(|it| it.as_bytes().to_vec())
        .into();
        fixed.push(b"{\"a\":".repeat(120));
        fixed.push([b"{\"a\":".repeat(120), b"1".to_vec(), b"}".repeat(120)].concat());
        for text in fixed.into_iter().chain(texts()) {
            let braces: Vec<_> = (0..text.len()).filter(|&at| text[at] == b'{').collect();
            let orders = [braces.clone(), braces.iter().rev().copied().collect()];
            for order in orders {
                let mut objects = Objects::default();
                for begin in order {
                    let found = shown(&objects.at(&text, begin));
                    let text = String::from_utf8_lossy(&text);
                    assert_eq!(found, seen(text.as_bytes(), begin), "{begin} of {text}");
                }
            }
        }
    }
}
