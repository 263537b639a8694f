//! Texts for people: names, reasons, contacts.

use std::fmt;
use tegata_token::id::PersonId;

/// Whether a character has no effect beyond its own place. Control characters steer
/// terminals; direction overrides and line separators make a line look like another one.
#[must_use]
pub fn is_plain(letter: char) -> bool {
    let changes_direction = matches!(letter,
        '\u{061C}' | '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let separates = matches!(letter, '\u{2028}'..='\u{2029}' | '\u{FFF9}'..='\u{FFFB}');
    !(letter.is_control() || changes_direction || separates || letter == '\u{FEFF}')
}

/// Whether a text shows anything: not if it consists of blanks and invisible characters.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    let is_blank = |letter: char| {
        letter.is_whitespace()
            || matches!(letter,
                '\u{00AD}' | '\u{034F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
                | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}'
                | '\u{206A}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
                | '\u{FFA0}' | '\u{E0000}'..='\u{E0FFF}')
    };
    text.chars().any(|letter| is_plain(letter) && !is_blank(letter))
}

/// The longest reason of an act, in characters.
pub const LONGEST_REASON: usize = 500;

/// What the reason of an act can be, in words.
pub const REASON_RULE: &str = "1 to 500 characters that show something, without those that control a \
                               terminal or the direction of writing";

/// Whether a text is one line for people: at most `most` characters that show something, without
/// those that are not [plain](is_plain).
#[must_use]
pub fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && is_visible(text) && text.chars().all(is_plain)
}

/// Whether a text may be the reason of an act.
#[must_use]
pub fn is_reason(text: &str) -> bool {
    is_line(text, LONGEST_REASON)
}

/// What a name to sign in with can be, in words.
pub const LOGIN_RULE: &str =
    "1 to 64 of a-z 0-9 . _ @ + -, beginning with a letter or a digit, and not ten digits alone";

/// Whether a text can be a name to sign in with: no command line reads it as an option, and
/// none as a person's id.
#[must_use]
pub fn is_login(text: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let fits = |it: u8| is_plain(it) || b"._@+-".contains(&it);
    (1..=64).contains(&text.len())
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(is_plain)
        && text.parse::<PersonId>().is_err()
}

/// A number with what it counts, in the singular or the plural.
#[must_use]
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(count: N, one: &str, many: &str) -> String {
    let what = if count == N::from(1) { one } else { many };
    format!("{count} {what}")
}

/// A text from elsewhere for a terminal: characters that are not plain are escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    escaped_but(text, &[])
}

/// As [`escaped`], without these characters.
#[must_use]
pub fn escaped_but(text: &str, stay: &[char]) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_plain(letter) || stay.contains(&letter) {
            true => plain.push(letter),
            false => plain.extend(letter.escape_unicode()),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_other_numbers_are_plural() {
        let shown = [0, 1, 2].map(|it: usize| counted(it, "token is", "tokens are"));
        assert_eq!(shown, ["0 tokens are", "1 token is", "2 tokens are"]);
    }

    #[test]
    fn names_of_every_script_are_plain_and_visible() {
        for name in ["My shop", "手形", "ร้านค้า", "محل", "👩‍🍳 bakery", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "می‌خواهم", "é"]
        {
            assert!(name.chars().all(is_plain) && is_visible(name), "{name}");
            assert_eq!(escaped(name), name);
        }
    }

    #[test]
    fn what_steers_a_terminal_or_the_direction_is_not_plain_and_is_escaped() {
        for letter in "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{2028}\u{2029}\u{feff}\u{fff9}".chars() {
            assert!(!is_plain(letter), "{}", letter.escape_unicode());
        }
        assert_eq!(escaped("a\u{202e}b\n"), "a\\u{202e}b\\u{a}");
    }

    #[test]
    fn blanks_and_invisible_characters_alone_show_nothing() {
        for text in [
            "",
            " ",
            "\u{3000}\u{a0}",
            "\u{200b}",
            "\u{200d}\u{200c}",
            "\u{3164}",
            "\u{2800} ",
            "\u{2060}\u{ad}",
        ] {
            assert!(!is_visible(text), "{}", text.escape_unicode());
        }
        assert!(is_visible(" a "));
    }
}
