//! Recognises secrets: patterns find where one may begin, and a check confirms it.

use crate::Flat;
use aho_corasick::{AhoCorasick, BuildError, Input, MatchKind};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::URL_SAFE},
};
use serde_json::Value;
use std::ops::Range;
use tegata_policy::jwk::holds_private_part;
use tegata_token::wire::{LONGEST, Unverified, beginnings, extent};

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
enum Anchor {
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
enum Owner {
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
const DIGITS: usize = 64;

const JWK: &str = "\"kty\"";
const PEM: (&str, &str) = ("-----BEGIN ", "PRIVATE KEY-----");

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

/// Maximum length of a JWK or base64 text that is checked as a whole.
const WHOLE: usize = 12 * 1024;

/// Base64 is decoded once: text that is encoded twice begins with other letters.
const DEPTH: usize = 1;

impl Finder {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// None for the patterns of this crate.
    pub fn new() -> Result<Self, BuildError> {
        Self::of(patterns())
    }

    /// Compiles the patterns of channel access tokens alone, as they are written. The time of a
    /// search is then proportional to the text, whatever the text is.
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

    /// Checks a place in `text`, which is incomplete unless it is the `last` piece, and
    /// reports a secret with the place where it begins.
    ///
    /// # Errors
    /// Those of `report`.
    pub fn look<E>(
        &self,
        text: &Flat,
        place: &Candidate,
        last: bool,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        self.look_deep(text, place, last, DEPTH, report)
    }

    fn look_deep<E>(
        &self,
        flat: &Flat,
        place: &Candidate,
        last: bool,
        depth: usize,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let (text, begin) = (&flat.bytes[..], place.at.start);
        match place.anchor {
            Anchor::Token => {
                let rest = &text[begin..];
                let whole = extent(rest).and_then(|length| rest.get(..length));
                if let Some(whole) = whole
                    && let Ok(token) = Unverified::parse(whole)
                {
                    report(begin, &FoundSecret::Token(&token, whole))?;
                    return Ok(Scanned::Done(begin + whole.len()));
                }
                if last {
                    return Ok(Scanned::Nothing);
                }
                let letters = rest.iter().take(LONGEST).take_while(|it| is_token(**it)).count();
                Ok(undecided(letters == rest.len()))
            }
            Anchor::Digits(owner) => {
                let digits = &text[place.at.end..];
                let count = digits.iter().take_while(|it| it.is_ascii_hexdigit()).count();
                if count < DIGITS {
                    return Ok(undecided(count == digits.len() && !last));
                }
                let secret = match owner {
                    Owner::Administrator => FoundSecret::AdminToken,
                    Owner::Verifier => FoundSecret::VerifierToken,
                    Owner::Person => FoundSecret::PersonToken,
                };
                report(begin, &secret)?;
                Ok(Scanned::Done(place.at.end + DIGITS))
            }
            Anchor::Jwk => jwk(text, begin, last, report),
            Anchor::Pem => pem(text, place.at.clone(), last, report),
            Anchor::Base64(offset) if depth > 0 => {
                self.base64(text, begin, offset, last, depth, report)
            }
            Anchor::Base64(_) => Ok(Scanned::Nothing),
            Anchor::Packed(name) => {
                // In the middle of a line, these letters are a coincidence.
                let before = begin.checked_sub(1).map(|it| text[it]);
                if before.is_some_and(is_base64) && !flat.begins_run(begin) {
                    return Ok(Scanned::Nothing);
                }
                report(begin, &FoundSecret::Packed(name))?;
                Ok(Scanned::Done(place.at.end))
            }
        }
    }

    /// Decodes the base64 text around a place, and searches it.
    fn base64<E>(
        &self,
        text: &[u8],
        begin: usize,
        offset: usize,
        last: bool,
        depth: usize,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let Some(quantum) = begin.checked_sub(offset) else { return Ok(Scanned::Nothing) };
        let before = text[..begin].iter().rev().take(WHOLE).take_while(|it| is_base64(**it));
        let back = before.count().saturating_sub(offset) / 4 * 4;
        let behind = text[begin..].iter().take(WHOLE).take_while(|it| is_base64(**it)).count();
        if begin + behind == text.len() && behind < WHOLE && !last {
            return Ok(Scanned::Undecided);
        }
        let letters = text[quantum - back..begin + behind].iter();
        let letters: Vec<u8> = letters.map(|&it| standard(it)).collect();
        let fitting = letters.len() - usize::from(letters.len() % 4 == 1);
        let Ok(inner) = LENIENT.decode(&letters[..fitting]) else { return Ok(Scanned::Nothing) };
        let mut flat = Flat::default();
        flat.fill(&inner, true);
        let (mut from, mut found) = (0, false);
        while let Some(place) = self.next(&flat.bytes, from) {
            let mut note = |_: usize, secret: &FoundSecret<'_>| {
                found = true;
                report(begin, secret)
            };
            from = match self.look_deep(&flat, &place, true, depth - 1, &mut note)? {
                Scanned::Done(to) => to,
                Scanned::Nothing | Scanned::Undecided => place.at.start + 1,
            };
        }
        Ok(if found { Scanned::Done(begin + behind) } else { Scanned::Nothing })
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
    anchor: Anchor,
    /// Where the pattern is.
    pub at: Range<usize>,
}

fn undecided(is: bool) -> Scanned {
    if is { Scanned::Undecided } else { Scanned::Nothing }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/')
}

fn standard(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

/// Ignores unused bits of the last letter.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The base64 letters that `text` certainly has after `before` bytes of its first quantum,
/// and their offset from the start of that quantum.
fn in_base64(text: &[u8], before: usize) -> (String, usize) {
    let padded = [&vec![0; before][..], text].concat();
    let letters = URL_SAFE.encode(&padded);
    let first = [0, 2, 3][before];
    (letters[first..padded.len() * 8 / 6].to_owned(), first)
}

/// The JWK that has its `kty` at `begin`, if it has a private part.
fn jwk<E>(
    text: &[u8],
    begin: usize,
    last: bool,
    report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
) -> Result<Scanned, E> {
    let window = begin.saturating_sub(WHOLE)..begin;
    let braces = window.rev().filter(|&at| text[at] == b'{').take(8);
    let mut cut = false;
    for brace in braces {
        let mut values = serde_json::Deserializer::from_slice(&text[brace..]).into_iter::<Value>();
        match values.next() {
            // An object that ends before the place is another one.
            Some(Ok(value)) if value["kty"].is_string() && brace + values.byte_offset() > begin => {
                let end = brace + values.byte_offset();
                if !holds_private_part(&value) {
                    return Ok(Scanned::Nothing);
                }
                let kind = value["kty"].as_str().unwrap_or_default();
                report(brace, &FoundSecret::PrivateJwk(kind))?;
                return Ok(Scanned::Done(end));
            }
            Some(Err(error)) if error.is_eof() => cut = true,
            _ => {}
        }
    }
    Ok(undecided(cut && !last && text.len() - begin < WHOLE))
}

/// The PEM section whose label ends at `at`, if it contains a key.
fn pem<E>(
    text: &[u8],
    at: Range<usize>,
    last: bool,
    report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
) -> Result<Scanned, E> {
    let head = &text[at.start.saturating_sub(40)..at.start];
    let Some(begin) = memchr::memmem::rfind(head, PEM.0.as_bytes()) else {
        return Ok(Scanned::Nothing);
    };
    let begin = at.start - head.len() + begin;
    let label = &text[begin + PEM.0.len()..at.end - "-----".len()];
    let Ok(label) = std::str::from_utf8(label) else { return Ok(Scanned::Nothing) };
    // An encrypted key has short headers before its base64 text.
    let body = &text[at.end..text.len().min(at.end + 400)];
    let key = body.split(|it| !is_base64(*it)).any(|letters| letters.len() >= 40);
    if !key {
        return Ok(undecided(body.len() < 400 && !last));
    }
    report(begin, &FoundSecret::PrivatePem(label))?;
    Ok(Scanned::Done(at.end))
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
