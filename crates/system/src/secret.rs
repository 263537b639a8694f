//! Reads secrets and private keys, from a file, a variable or stdin. It is the only reader
//! of them, so that a byte order mark, a line break or a stray character has the same
//! effect everywhere.

use crate::{
    file::{self, Exposure, Links},
    variable,
};
use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The longest secret or key, in bytes.
const LONGEST: u64 = 64 * 1024;

/// What a source holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A secret: one line of printable ASCII.
    Line,
    /// A token that was copied from elsewhere: a line, perhaps in quotes, with the name of
    /// its header or member before it.
    Pasted,
    /// A key: a document of several lines (PEM or JSON).
    Key,
}

/// A source without a usable secret. The message names the source and quotes nothing of
/// its content.
#[derive(Debug, thiserror::Error)]
#[error("{from}: {why}")]
pub struct UnusableSecret {
    from: String,
    why: Why,
}

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error(transparent)]
    File(#[from] file::Error),
    #[error("it {0}; {advice}", advice = .0.advice(.1))]
    Exposed(Exposure, PathBuf),
    #[error("it is not text in UTF-8")]
    NotText,
    #[error("it is empty")]
    Empty,
    #[error("it holds more than one line")]
    ManyLines,
    #[error(
        "it holds more than one line, and one token is expected; `tegata token explain -` reads \
         any text, finds the tokens in it, and revokes them with --revoke"
    )]
    ManyTokens,
    #[error(
        "character {nth} of it is U+{:04X}, but a secret consists of printable ASCII characters \
         alone; copy it again, as plain text",
        u32::from(*found)
    )]
    Character { found: char, nth: usize },
}

impl UnusableSecret {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(&self.why, Why::File(error) if error.is_not_found())
    }

    /// Whether the source was read and what it holds is no secret.
    #[must_use]
    pub fn is_about_content(&self) -> bool {
        !matches!(&self.why, Why::File(_) | Why::Exposed(..))
    }
}

/// Reads a regular file, which may be a symbolic link. It cannot block a service.
///
/// # Errors
/// [`UnusableSecret`].
pub fn in_file(path: &Path, form: Form) -> Result<Zeroizing<String>, UnusableSecret> {
    in_file_if(path, form, |_| None)
}

/// Reads a regular file that must be private, see [`Exposure::of`].
///
/// # Errors
/// [`UnusableSecret`].
pub fn in_private_file(path: &Path, form: Form) -> Result<Zeroizing<String>, UnusableSecret> {
    in_file_if(path, form, Exposure::of)
}

fn in_file_if(
    path: &Path,
    form: Form,
    exposure: impl Fn(&Metadata) -> Option<Exposure>,
) -> Result<Zeroizing<String>, UnusableSecret> {
    let from = || path.display().to_string();
    let wrong = |why| UnusableSecret { from: from(), why };
    let (text, found) =
        file::read(path, Links::Follow, LONGEST).map_err(|error| wrong(error.into()))?;
    let text = Zeroizing::new(text);
    // The mode of the open file, so that it is that of the file that was read.
    match exposure(&found) {
        Some(exposure) => Err(wrong(Why::Exposed(exposure, path.to_owned()))),
        None => cleaned(text, form, from),
    }
}

/// Reads a file that a user names on the command line, which may be a pipe.
///
/// # Errors
/// [`UnusableSecret`].
pub fn in_argument(path: &Path, form: Form) -> Result<Zeroizing<String>, UnusableSecret> {
    let from = || path.display().to_string();
    let text = file::read_argument(path, LONGEST)
        .map_err(|error| UnusableSecret { from: from(), why: error.into() })?;
    cleaned(Zeroizing::new(text), form, from)
}

/// Reads an environment variable; `None` if it is unset or empty.
///
/// # Errors
/// [`UnusableSecret`].
pub fn in_variable(name: &str, form: Form) -> Result<Option<Zeroizing<String>>, UnusableSecret> {
    let from = || format!("the variable {name}");
    let text = variable::text(name)
        .map_err(|variable::NotText(_)| UnusableSecret { from: from(), why: Why::NotText })?;
    text.map(|text| cleaned(Zeroizing::new(text), form, from)).transpose()
}

/// Reads stdin to its end.
///
/// # Errors
/// [`UnusableSecret`].
pub fn on_stdin(form: Form) -> Result<Zeroizing<String>, UnusableSecret> {
    let from = || "stdin".to_owned();
    let text = file::text(io::stdin().lock(), LONGEST, 0)
        .map_err(|error| UnusableSecret { from: from(), why: error.into() })?;
    cleaned(Zeroizing::new(text), form, from)
}

/// Checks a text that a user wrote as an argument, named `from` in errors.
///
/// # Errors
/// [`UnusableSecret`].
pub fn as_argument(
    text: String,
    form: Form,
    from: &str,
) -> Result<Zeroizing<String>, UnusableSecret> {
    cleaned(Zeroizing::new(text), form, || from.to_owned())
}

/// Removes the byte order mark and the white space around a secret, and checks its
/// characters.
fn cleaned(
    text: Zeroizing<String>,
    form: Form,
    from: impl Fn() -> String,
) -> Result<Zeroizing<String>, UnusableSecret> {
    let is_outside = |it: char| it == BYTE_ORDER_MARK || it.is_whitespace();
    let mut inner = text.trim_matches(is_outside);
    if form == Form::Pasted {
        inner = unwrapped(inner);
    }
    let wrong = |why| Err(UnusableSecret { from: from(), why });
    if inner.is_empty() {
        return wrong(Why::Empty);
    }
    let is_bad = |it: char| match form {
        Form::Line | Form::Pasted => !matches!(it, ' '..='~'),
        // PEM may have comments in any language around it.
        Form::Key => it.is_control() && !matches!(it, '\n' | '\r' | '\t'),
    };
    if let Some((place, found)) = inner.char_indices().find(|(_, it)| is_bad(*it)) {
        return wrong(match found {
            '\n' | '\r' if form == Form::Pasted => Why::ManyTokens,
            '\n' | '\r' => Why::ManyLines,
            found => Why::Character { found, nth: inner[..place].chars().count() + 1 },
        });
    }
    Ok(Zeroizing::new(inner.to_owned()))
}

/// What may stand before a copied token: options of curl, the header, members of JSON and
/// fields of forms.
const BEFORE: [&str; 8] = [
    "-H",
    "--header",
    "-d",
    "authorization",
    "bearer",
    "access_token",
    "token",
    "channel_access_token",
];

/// A copied token without what is around it.
fn unwrapped(text: &str) -> &str {
    const QUOTES: [char; 9] =
        ['"', '\'', '`', '\u{201C}', '\u{201D}', '\u{201E}', '\u{2018}', '\u{2019}', '\\'];
    let is_around = |it: char| {
        QUOTES.contains(&it) || it == BYTE_ORDER_MARK || it.is_whitespace() || "<>,;".contains(it)
    };
    let is_between = |it: char| is_around(it) || it == ':' || it == '=';
    let mut text = text.trim_matches(is_around);
    // A token may be one of these words only in its beginning, so a separator must follow.
    let length = |text: &str, word: &str| {
        let (start, rest) = text.split_at_checked(word.len())?;
        let is_whole = start.eq_ignore_ascii_case(word) && rest.starts_with(is_between);
        is_whole.then_some(word.len())
    };
    while let Some(length) = BEFORE.iter().find_map(|word| length(text, word)) {
        text = text[length..].trim_start_matches(is_between);
    }
    text
}

/// The mark that editors and PowerShell put before a text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(bytes: &[u8], form: Form) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, bytes).unwrap();
        let service = in_file(&path, form).map(|text| text.to_string());
        let command = in_argument(&path, form).map(|text| text.to_string());
        let service = service.map_err(|error| error.to_string());
        assert_eq!(service, command.map_err(|error| error.to_string()));
        service
    }

    #[test]
    fn a_mark_and_white_space_around_a_secret_are_removed() {
        for text in
            ["hush", "hush\n", "hush\r\n", "\u{feff}hush\r\n", " \thush \n\n", "\r\n\u{feff}hush"]
        {
            assert_eq!(read(text.as_bytes(), Form::Line).unwrap(), "hush", "{text:?}");
        }
        assert_eq!(read(b"two words\n", Form::Line).unwrap(), "two words");
    }

    #[test]
    fn other_characters_than_printable_ascii_are_refused_by_place_and_never_quoted() {
        for (bytes, said) in [
            (&b"hu\0sh"[..], "character 3 of it is U+0000"),
            (b"hu\x1b[31msh", "U+001B"),
            (b"hu\tsh", "U+0009"),
            (b"hu\x7fsh", "U+007F"),
            ("hu\u{a0}sh".as_bytes(), "U+00A0"),
            ("hu\u{200b}sh".as_bytes(), "U+200B"),
            ("hu\u{feff}sh".as_bytes(), "U+FEFF"),
            ("\u{201c}hush\u{201d}".as_bytes(), "character 1 of it is U+201C"),
            (b"hush\nhush", "more than one line"),
            (b"hush\rhush", "more than one line"),
            (b"\xef\xbb\xbf\r\n", "it is empty"),
            (b"", "it is empty"),
            (b"hu\xffsh", "not text in UTF-8"),
            (b"\xff\xfeh\0u\0", "UTF-16"),
            (b"\xfe\xff\0h\0u", "UTF-16"),
        ] {
            let error = read(bytes, Form::Line).unwrap_err();
            assert!(error.contains(said) && error.contains("secret: "), "{bytes:?}: {error}");
            // The folder's name before it is random.
            let why = error.rsplit("secret: ").next().unwrap();
            assert!(!why.contains("hu"), "{why}");
        }
    }

    #[test]
    fn a_copied_token_loses_its_quotes_and_the_name_before_it() {
        for text in [
            "tok.en=",
            "\"tok.en=\"",
            "'tok.en='\r\n",
            "`tok.en=`",
            "\u{201C}tok.en=\u{201D}",
            "\u{feff}Authorization: Bearer tok.en=",
            "authorization:bearer  tok.en=",
            "Bearer tok.en=",
            "-H 'Authorization: Bearer tok.en='",
            "\"access_token\": \"tok.en=\",",
            "access_token=tok.en=",
            "<tok.en=>",
        ] {
            assert_eq!(read(text.as_bytes(), Form::Pasted).as_deref(), Ok("tok.en="), "{text}");
        }
        for text in ["bearer", "tokens", "token", "Bearer-tok"] {
            assert_eq!(read(text.as_bytes(), Form::Pasted).as_deref(), Ok(text));
        }
        assert!(read(b"'Bearer '", Form::Pasted).is_ok_and(|it| it == "Bearer"));
        assert!(read(b"\"\"", Form::Pasted).unwrap_err().contains("it is empty"));
        assert!(read("to\u{2026}".as_bytes(), Form::Pasted).unwrap_err().contains("U+2026"));
    }

    #[test]
    fn a_key_keeps_its_lines_and_has_no_control_characters() {
        let key = "Comment: \u{9375}\r\n-----BEGIN\n\tAAAA";
        assert_eq!(read(format!("\u{feff}{key}\r\n").as_bytes(), Form::Key).unwrap(), key);
        assert!(read(b"{\0}", Form::Key).unwrap_err().contains("U+0000"));
    }

    #[test]
    fn a_secret_without_a_file_is_recognized_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(in_file(&folder.path().join("none"), Form::Line).unwrap_err().is_not_found());
        assert!(!in_file(folder.path(), Form::Line).unwrap_err().is_not_found());
    }
}
