//! Text for a terminal, whatever a server or a file gave: nothing in it steers the terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use tegata_policy::text::escaped_but;

/// Prints a line on stderr; what steers a terminal is escaped. A command goes on also if stderr is
/// closed: an act must not stop in the middle for it.
pub fn note(text: &str) {
    let _ = writeln!(stderr().lock(), "{}", printable(text));
}

/// A text for a terminal. Line breaks stay; other characters that steer it are escaped.
pub fn printable(text: &str) -> String {
    escaped_but(text, &['\n', '\t'])
}

/// A bar on stderr; hidden if that is no terminal.
pub fn progress_bar() -> anyhow::Result<ProgressBar> {
    let bar = match stderr().is_terminal() {
        true => ProgressBar::no_length(),
        false => ProgressBar::hidden(),
    };
    Ok(bar.with_style(ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_stay_and_what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("a\tb\n手形\u{1b}[2J\u{9b}"), "a\tb\n手形\\u{1b}[2J\\u{9b}");
    }
}
