//! Text for a terminal, whatever a server or a file gave: nothing in it steers the terminal.

use std::io::{Write, stderr};
use tegata_policy::text::is_plain;

/// Prints a line on stderr; what steers a terminal is escaped. A command goes on also if stderr is
/// closed: an act must not stop in the middle for it.
pub fn note(text: &str) {
    let _ = writeln!(stderr().lock(), "{}", printable(text));
}

/// A text for a terminal. Line breaks stay; other characters that steer it are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_plain(letter) || letter == '\n' || letter == '\t' {
            true => shown.push(letter),
            false => shown.extend(letter.escape_unicode()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_stay_and_what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("a\tb\n手形\u{1b}[2J\u{9b}"), "a\tb\n手形\\u{1b}[2J\\u{9b}");
    }
}
