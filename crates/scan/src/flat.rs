//! Flattens text, so that secrets in it can be matched: removes line breaks and decodes
//! common escapes, and keeps the place of each byte in the original.
//!
//! Secrets are plain ASCII, so dropping zero bytes decodes UTF-16 and UTF-32 of either
//! byte order, with and without a byte order mark.

/// A piece of text, flattened.
#[derive(Debug, Default)]
pub struct Flat {
    /// The bytes, without what was left out.
    pub bytes: Vec<u8>,
    /// The starts, here and in the original, of runs of bytes that are adjacent there.
    runs: Vec<(usize, usize)>,
    /// How much of the original was processed.
    end: usize,
}

/// The longest escape, in bytes.
const ESCAPE: usize = 12;

/// The bytes that are not copied as they are.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut at = 0;
    while at < SPECIALS.len() {
        special[SPECIALS[at] as usize] = true;
        at += 1;
    }
    special
};
const SPECIALS: &[u8] = b"\0\r\n=%\\";

impl Flat {
    /// Flattens `raw`. Unless it is the last piece of its text, an escape that may be cut off
    /// at the end of the piece is left out.
    pub fn fill(&mut self, raw: &[u8], last: bool) {
        self.bytes.clear();
        self.runs.clear();
        let raw = if last { raw } else { &raw[..whole(raw)] };
        self.end = raw.len();
        let mut at = 0;
        while at < raw.len() {
            let plain = raw[at..].iter().position(|&byte| SPECIAL[usize::from(byte)]);
            let end = plain.map_or(raw.len(), |plain| at + plain);
            self.copy(raw, at, end);
            at = end;
            if at < raw.len() {
                at = self.special(raw, at);
            }
        }
    }

    /// The position in the original of the byte at `at`, or of the end.
    #[must_use]
    pub fn raw(&self, at: usize) -> usize {
        if at >= self.bytes.len() {
            return self.end;
        }
        let run = self.runs.partition_point(|&(flat, _)| flat <= at);
        match run.checked_sub(1).and_then(|run| self.runs.get(run)) {
            Some(&(flat, raw)) => raw + (at - flat),
            None => at,
        }
    }

    /// Whether something was left out, or decoded, just before the byte at `at`.
    #[must_use]
    pub fn begins_run(&self, at: usize) -> bool {
        self.runs.binary_search_by_key(&at, |&(flat, _)| flat).is_ok()
    }

    /// The first byte here whose position in the original is `raw` or later.
    #[must_use]
    pub fn at_raw(&self, raw: usize) -> usize {
        let run = self.runs.partition_point(|&(_, begins)| begins <= raw);
        let end = self.runs.get(run).map_or(self.bytes.len(), |&(flat, _)| flat);
        match run.checked_sub(1).and_then(|run| self.runs.get(run)) {
            Some(&(flat, begins)) => (flat + (raw - begins)).min(end),
            None => 0,
        }
    }

    fn copy(&mut self, raw: &[u8], from: usize, to: usize) {
        if from < to {
            self.runs.push((self.bytes.len(), from));
            self.bytes.extend_from_slice(&raw[from..to]);
        }
    }

    fn put(&mut self, byte: u8, from: usize) {
        self.runs.push((self.bytes.len(), from));
        self.bytes.push(byte);
    }

    /// Processes the sequence that begins with the special byte at `at`; returns where to
    /// continue.
    fn special(&mut self, raw: &[u8], at: usize) -> usize {
        let rest = &raw[at..];
        let decoded = match rest[0] {
            b'\n' => return at + line_break(rest),
            b'=' => quoted_printable(rest),
            b'%' => percent(rest),
            b'\\' => backslash(rest),
            _ => return at + 1,
        };
        match decoded {
            Some((Some(byte), length)) => {
                self.put(byte, at);
                at + length
            }
            Some((None, length)) => at + length,
            None => {
                self.copy(raw, at, at + 1);
                at + 1
            }
        }
    }
}

/// The length of the part of a piece that certainly ends with no incomplete escape.
fn whole(raw: &[u8]) -> usize {
    let tail = raw.len().saturating_sub(ESCAPE);
    let begins = |byte: &u8| b"=%\\".contains(byte);
    let Some(special) = raw[tail..].iter().position(begins) else { return raw.len() };
    // Several backslashes are one escape.
    let before = raw[..tail + special].iter().rev().take_while(|byte| begins(byte)).count();
    tail + special - before
}

/// The length of a line break, with the indentation or quote marks of the next line.
fn line_break(rest: &[u8]) -> usize {
    let indent = |byte: &u8| matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'>' | 0);
    rest.iter().position(|byte| !indent(byte)).unwrap_or(rest.len())
}

/// The decoded byte, if there is one, and the length of its escape.
type Decoded = Option<(Option<u8>, usize)>;

/// RFC 2045, section 6.7: `=2E`, and `=` at the end of a line.
fn quoted_printable(rest: &[u8]) -> Decoded {
    match rest.get(1..)? {
        [b'\n', ..] | [b'\r', b'\n', ..] => Some((None, 1)),
        more => hex(more, 2).map(|byte| (Some(byte), 3)),
    }
}

/// RFC 3986, section 2.1; also encoded more than once, as in a redirection's address.
fn percent(rest: &[u8]) -> Decoded {
    let mut at = 1;
    while rest[at..].starts_with(b"25") && at + 4 < ESCAPE {
        at += 2;
    }
    hex(&rest[at..], 2).map(|byte| (Some(byte), at + 2))
}

/// The escapes of JSON and most languages, also if they are escaped twice.
fn backslash(rest: &[u8]) -> Decoded {
    let slashes = rest.iter().take(4).take_while(|&&byte| byte == b'\\').count();
    let behind = &rest[slashes..];
    match behind.first()? {
        b'u' => hex(behind.get(1..)?.strip_prefix(b"00")?, 2).map(|it| (Some(it), slashes + 5)),
        b'x' => hex(&behind[1..], 2).map(|byte| (Some(byte), slashes + 3)),
        b'n' | b'r' => Some((None, slashes + 1)),
        b'\n' => Some((None, slashes)),
        &byte @ (b'"' | b'/') => Some((Some(byte), slashes + 1)),
        _ => None,
    }
}

/// Decodes the hexadecimal digits of a printable ASCII character.
fn hex(text: &[u8], digits: usize) -> Option<u8> {
    let text = std::str::from_utf8(text.get(..digits)?).ok()?;
    let byte = u8::from_str_radix(text, 16).ok()?;
    byte.is_ascii_graphic().then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &[u8]) -> String {
        let mut flat = Flat::default();
        flat.fill(text, true);
        String::from_utf8(flat.bytes).unwrap()
    }

    #[test]
    fn line_breaks_go_and_escapes_are_decoded() {
        for (text, read) in [
            (&b"a.b"[..], "a.b"),
            (b"a\r\n  b\n> c", "abc"),
            (b"a=\r\nb=\nc=2Ed=3D\"e\"", "abc.d=\"e\""),
            (b"?t=tgs_&u=eyJ", "?t=tgs_&u=eyJ"),
            (b"%2E%5f%252e%20%", "._.%20%"),
            (br#"{\"a\":\u002e\\u005F\x2d\n\/b} C:\tgs_"#, "{\"a\":._-/b} C:\\tgs_"),
            (b"\xFF\xFE".as_slice().split_at(2).1, ""),
            (b"t\0g\0s\0_\0\n\0 \0a\0", "tgs_a"),
            (b"\0t\0g\0s\0_\0\r\0\n\0a", "tgs_a"),
            (b"a\\\nb", "ab"),
        ] {
            assert_eq!(flat(text), read, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_original_position_of_each_byte_is_kept() {
        let text = b"ab\n  cd=2Ee%2Ff\0g";
        let mut flat = Flat::default();
        flat.fill(text, true);
        assert_eq!(flat.bytes, b"abcd.e/fg");
        let raw: Vec<_> = (0..flat.bytes.len()).map(|at| flat.raw(at)).collect();
        assert_eq!(raw, [0, 1, 5, 6, 7, 10, 11, 14, 16]);
        for (at, &raw) in raw.iter().enumerate() {
            assert_eq!(flat.at_raw(raw), at);
        }
        assert_eq!((flat.at_raw(3), flat.at_raw(12)), (2, 7));
    }

    #[test]
    fn an_incomplete_escape_is_left_for_the_next_piece() {
        let mut flat = Flat::default();
        for cut in
            [&b"some text before, a=2"[..], b"some text before, a%", b"some text before, a\\u0"]
        {
            flat.fill(cut, false);
            assert_eq!(flat.bytes, b"some text before, a");
        }
    }
}
