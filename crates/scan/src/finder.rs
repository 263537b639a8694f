//! The patterns that secrets begin with, of which a check confirms each: see [`crate::Pass`].

use aho_corasick::{AhoCorasick, BuildError, Input, MatchKind};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use std::ops::Range;
use tegata_token::wire::{Unverified, beginnings};

/// A secret that was found.
pub enum FoundSecret<'a> {
    /// A channel access token, and its text, decoded.
    Token(&'a Unverified<'a>, &'a [u8]),
    /// An administrator's token.
    AdminToken,
    /// A verifier's token.
    VerifierToken,
    /// A person's: a personal token, a session, or an invitation.
    PersonToken,
    /// A JWK with a private part, and its `kty`.
    PrivateJwk(&'a str),
    /// A private key as PEM, and its label.
    PrivatePem(&'a str),
    /// A container in base64, whose content is not searched.
    Packed(&'static str),
}

/// The result of checking a place.
pub enum Scanned {
    /// There is no secret; continue after the pattern.
    Nothing,
    /// More bytes are needed to decide.
    Undecided,
    /// Searched up to here.
    Done(usize),
}

/// The pattern that was found.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Anchor {
    Token,
    /// A prefix and 64 digits.
    Digits(Owner),
    Jwk,
    Pem,
    /// One of the others in base64, this many letters after the start of a quantum.
    Base64(usize),
    /// A container's magic number in base64, and its name.
    Packed(&'static str),
}

/// Whose a token of a prefix and digits is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Owner {
    Administrator,
    Verifier,
    Person,
}

/// Finds the places where a secret may begin.
pub struct Finder {
    patterns: AhoCorasick,
    anchors: Vec<Anchor>,
    /// The longest pattern.
    pub longest: usize,
}

/// The prefixes of tokens that consist of digits.
const PREFIXES: [(&str, Owner); 5] = [
    ("tga_", Owner::Administrator),
    ("tgv_", Owner::Verifier),
    ("tgp_", Owner::Person),
    ("tgc_", Owner::Person),
    ("tgi_", Owner::Person),
];

/// The number of digits after such a prefix.
pub(crate) const DIGITS: usize = 64;

const JWK: &str = "\"kty\"";
pub(crate) const PEM: (&str, &str) = ("-----BEGIN ", "PRIVATE KEY-----");

/// The first letters of containers in base64.
const PACKED: [(&str, &str); 8] = [
    ("H4sIA", "gzip"),
    ("H4sIC", "gzip"),
    ("UEsDB", "zip"),
    ("KLUv/", "zstd"),
    ("QlpoO", "bzip2"),
    ("/Td6WFo", "xz"),
    ("N3q8ry", "7z"),
    ("JVBERi0", "PDF"),
];

impl Finder {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// None for the patterns of this crate.
    pub fn new() -> Result<Self, BuildError> {
        Self::of(patterns())
    }

    /// Compiles the patterns of channel access tokens alone, as they are written.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_tokens() -> Result<Self, BuildError> {
        Self::of(tokens())
    }

    fn of(patterns: Vec<(String, Anchor)>) -> Result<Self, BuildError> {
        let longest = patterns.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
        let anchors = patterns.iter().map(|(_, anchor)| *anchor).collect();
        // Only with this match kind does the library use vector instructions, which are
        // ten times as fast. No pattern is a prefix of another, so none is missed.
        let patterns = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(patterns.iter().map(|(text, _)| text))?;
        Ok(Self { patterns, anchors, longest })
    }

    /// The next place at or after `from` where a secret may begin.
    #[must_use]
    pub fn next(&self, text: &[u8], from: usize) -> Option<Candidate> {
        let found = self.patterns.find(Input::new(text).range(from.min(text.len())..))?;
        let anchor = *self.anchors.get(found.pattern().as_usize())?;
        Some(Candidate { anchor, at: found.range() })
    }
}

/// The patterns, and what each of them begins.
fn patterns() -> Vec<(String, Anchor)> {
    let mut patterns = tokens();
    patterns.extend(PREFIXES.map(|(prefix, owner)| (prefix.to_owned(), Anchor::Digits(owner))));
    patterns.push((JWK.to_owned(), Anchor::Jwk));
    patterns.push((PEM.1.to_owned(), Anchor::Pem));
    for plain in patterns.clone() {
        for before in 0..3 {
            let (letters, offset) = in_base64(plain.0.as_bytes(), before);
            patterns.push((letters.clone(), Anchor::Base64(offset)));
            if letters.contains(['-', '_']) {
                let standard = letters.replace('-', "+").replace('_', "/");
                patterns.push((standard, Anchor::Base64(offset)));
            }
        }
    }
    for (letters, name) in PACKED {
        patterns.push((letters.to_owned(), Anchor::Packed(name)));
    }
    patterns
}

/// The patterns of channel access tokens.
fn tokens() -> Vec<(String, Anchor)> {
    beginnings().into_iter().map(|it| (it, Anchor::Token)).collect()
}

/// A place where a secret may begin.
pub struct Candidate {
    pub(crate) anchor: Anchor,
    /// Where the pattern is.
    pub at: Range<usize>,
}

/// The base64 letters that `text` certainly has after `before` bytes of its first quantum,
/// and their offset from the start of that quantum.
fn in_base64(text: &[u8], before: usize) -> (String, usize) {
    let padded = [&vec![0; before][..], text].concat();
    let letters = URL_SAFE.encode(&padded);
    let first = [0, 2, 3][before];
    (letters[first..padded.len() * 8 / 6].to_owned(), first)
}

#[cfg(test)]
mod tests {
    use super::patterns;

    #[test]
    fn no_pattern_begins_with_another() {
        let all = patterns();
        for (number, (one, _)) in all.iter().enumerate() {
            let others = all.iter().enumerate().filter(|(other, _)| *other != number);
            assert!(others.map(|(_, it)| &it.0).all(|it| !one.starts_with(it)), "{one}");
        }
    }
}
