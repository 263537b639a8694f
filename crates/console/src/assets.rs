//! The files that pages load: one style sheet, one script and one icon, compiled in.

/// A file that pages load.
#[derive(Debug)]
pub struct Asset {
    /// The last part of its address. It changes with the content, so that a browser may keep
    /// the file for as long as it likes.
    pub name: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub body: &'static str,
    /// A value that changes with the content, for `ETag`.
    pub tag: u64,
}

const CSS: &str = include_str!("../assets/style.css");
const JS: &str = include_str!("../assets/script.js");
const SVG: &str = include_str!("../assets/icon.svg");

/// The style sheet.
pub static STYLE: Asset = Asset {
    name: STYLE_NAME,
    content_type: "text/css; charset=utf-8",
    body: CSS,
    tag: hash(CSS.as_bytes()),
};

/// The script.
pub static SCRIPT: Asset = Asset {
    name: SCRIPT_NAME,
    content_type: "text/javascript; charset=utf-8",
    body: JS,
    tag: hash(JS.as_bytes()),
};

/// The icon. Without one, a browser asks for a file that is not there.
pub static ICON: Asset =
    Asset { name: ICON_NAME, content_type: "image/svg+xml", body: SVG, tag: hash(SVG.as_bytes()) };

/// All files.
pub static ALL: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];

const STYLE_BYTES: [u8; 26] = named(b"style-", hash(CSS.as_bytes()), b".css");
const STYLE_NAME: &str = ascii(&STYLE_BYTES);
const SCRIPT_BYTES: [u8; 26] = named(b"script-", hash(JS.as_bytes()), b".js");
const SCRIPT_NAME: &str = ascii(&SCRIPT_BYTES);
const ICON_BYTES: [u8; 25] = named(b"icon-", hash(SVG.as_bytes()), b".svg");
const ICON_NAME: &str = ascii(&ICON_BYTES);

/// FNV-1a, which a constant can be computed with: the value only tells versions apart.
const fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

const fn named<const N: usize>(before: &[u8], hash: u64, after: &[u8]) -> [u8; N] {
    assert!(before.len() + 16 + after.len() == N, "the name's length");
    let mut name = [0; N];
    let mut at = 0;
    while at < N {
        name[at] = if at < before.len() {
            before[at]
        } else if at < before.len() + 16 {
            b"0123456789abcdef"[((hash >> ((at - before.len()) * 4)) & 15) as usize]
        } else {
            after[at - before.len() - 16]
        };
        at += 1;
    }
    name
}

const fn ascii(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("the name is ASCII"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_contains_its_hash() {
        for it in ALL {
            let digits = it.name.split(['-', '.']).nth(1).unwrap_or_default();
            let little: String = digits.chars().rev().collect();
            assert_eq!(u64::from_str_radix(&little, 16), Ok(it.tag), "{}", it.name);
        }
        assert_ne!(hash(b"a"), hash(b"b"));
    }

    #[test]
    fn the_style_sheet_loads_nothing() {
        for word in ["url(", "@import", "http:", "https:"] {
            assert!(!STYLE.body.contains(word), "{word}");
        }
    }
}
