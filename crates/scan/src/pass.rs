//! Checks the places in a text where a secret may begin.

use crate::{
    Candidate, Finder, Flat, FoundSecret, Scanned,
    finder::{Anchor, DIGITS, Owner, PEM},
    objects::{Object, Objects},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::{collections::VecDeque, ops::Range};
use tegata_token::wire::{LONGEST, Unverified, extent};

/// A search of one text, from its start to its end.
///
/// The work is linear in the text's length, whatever the text is. Tokens, digits and PEM
/// take a bounded number of bytes at each place. Each JSON object is read once: see
/// [`Objects`]. Text in base64 is decoded at the four ways to divide it into quanta; at each of
/// them a search takes three times [`WHOLE`] letters at most, and the next one begins [`WHOLE`]
/// letters later or in another run of letters. What was decoded is not decoded again.
pub struct Pass<'a> {
    finder: &'a Finder,
    flat: &'a Flat,
    /// Whether nothing follows the text.
    last: bool,
    depth: usize,
    objects: Objects,
    braces: Braces,
    /// Up to where runs of base64 were searched, by the remainder of the places at which
    /// quanta begin.
    searched: [usize; 4],
    work: usize,
}

/// Maximum length around a place that is decoded or parsed as a whole. Whole quanta.
const WHOLE: usize = 12 * 1024;

/// Base64 is decoded once: text that is encoded twice begins with other letters.
const DEPTH: usize = 1;

/// The number of braces before a `kty` that are tried.
const BRACES: usize = 8;

impl Finder {
    /// Begins a search of `text`, which is incomplete unless it is the `last` piece.
    #[must_use]
    pub fn pass<'a>(&'a self, text: &'a Flat, last: bool) -> Pass<'a> {
        Pass::new(self, text, last, DEPTH)
    }
}

impl<'a> Pass<'a> {
    fn new(finder: &'a Finder, flat: &'a Flat, last: bool, depth: usize) -> Self {
        let (objects, braces) = (Objects::default(), Braces::default());
        Self { finder, flat, last, depth, objects, braces, searched: [0; 4], work: 0 }
    }

    /// The next place at or after `from` where a secret may begin.
    #[must_use]
    pub fn next(&self, from: usize) -> Option<Candidate> {
        self.finder.next(&self.flat.bytes, from)
    }

    /// The bytes that were parsed and decoded so far, each as often as it was.
    #[must_use]
    pub fn work(&self) -> usize {
        self.work + self.objects.work
    }

    /// Checks a place, which is not before those that were checked, and reports a secret with the
    /// place where it begins.
    ///
    /// # Errors
    /// Those of `report`.
    pub fn look<E>(
        &mut self,
        place: &Candidate,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let (text, begin) = (&self.flat.bytes[..], place.at.start);
        match place.anchor {
            Anchor::Token => token(text, begin, self.last, report),
            Anchor::Digits(owner) => {
                let digits = &text[place.at.end..];
                let count =
                    digits.iter().take(DIGITS).take_while(|it| it.is_ascii_hexdigit()).count();
                if count < DIGITS {
                    return Ok(undecided(count == digits.len() && !self.last));
                }
                let secret = match owner {
                    Owner::Administrator => FoundSecret::AdminToken,
                    Owner::Verifier => FoundSecret::VerifierToken,
                    Owner::Person => FoundSecret::PersonToken,
                };
                report(begin, &secret)?;
                Ok(Scanned::Done(place.at.end + DIGITS))
            }
            Anchor::Jwk => self.jwk(begin, report),
            Anchor::Pem => pem(text, place.at.clone(), self.last, report),
            Anchor::Base64(offset) if self.depth > 0 => self.base64(begin, offset, report),
            Anchor::Base64(_) => Ok(Scanned::Nothing),
            Anchor::Packed(name) => {
                // In the middle of a line, these letters are a coincidence.
                let before = begin.checked_sub(1).map(|it| text[it]);
                if before.is_some_and(is_base64) && !self.flat.begins_run(begin) {
                    return Ok(Scanned::Nothing);
                }
                report(begin, &FoundSecret::Packed(name))?;
                Ok(Scanned::Done(place.at.end))
            }
        }
    }

    /// The JWK that has its `kty` at `begin`, if it has a private part.
    fn jwk<E>(
        &mut self,
        begin: usize,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let text = &self.flat.bytes[..];
        let mut cut = false;
        for &brace in self.braces.before(text, begin) {
            match self.objects.at(text, brace) {
                // An object that ends before the place is another one.
                Object::Whole { end, kty: Some(kind), private } if end > begin => {
                    if !private {
                        return Ok(Scanned::Nothing);
                    }
                    report(brace, &FoundSecret::PrivateJwk(&kind))?;
                    return Ok(Scanned::Done(end));
                }
                Object::Cut => cut = true,
                Object::Whole { .. } | Object::Bad => {}
            }
        }
        Ok(undecided(cut && !self.last && text.len() - begin < WHOLE))
    }

    /// Decodes the base64 text around a place, and searches what was not searched before.
    fn base64<E>(
        &mut self,
        begin: usize,
        offset: usize,
        report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
    ) -> Result<Scanned, E> {
        let text = &self.flat.bytes[..];
        let Some(quantum) = begin.checked_sub(offset) else { return Ok(Scanned::Nothing) };
        let searched = self.searched[quantum % 4];
        if begin < searched || !text[quantum..begin].iter().all(|it| is_base64(*it)) {
            return Ok(Scanned::Nothing);
        }
        let start = quantum - letters(text[..quantum].iter().rev(), WHOLE) / 4 * 4;
        let behind = letters(text[begin..].iter(), 2 * WHOLE);
        let (end, ends) = (begin + behind, behind < 2 * WHOLE);
        if end == text.len() && ends && !self.last {
            return Ok(Scanned::Undecided);
        }
        let run: Vec<u8> = text[start..end].iter().map(|&it| standard(it)).collect();
        let fitting = run.len() - usize::from(run.len() % 4 == 1);
        let Ok(inner) = LENIENT.decode(&run[..fitting]) else { return Ok(Scanned::Nothing) };
        let mut flat = Flat::default();
        flat.fill(&inner, true);
        // What begins later in a long run has more around it in the next search.
        let to = if ends { inner.len() } else { (quantum + WHOLE - start) / 4 * 3 };
        let mut pass = Pass::new(self.finder, &flat, true, self.depth - 1);
        let (mut from, mut found) = (flat.at_raw(searched.saturating_sub(start) / 4 * 3), false);
        while let Some(place) = pass.next(from).filter(|it| flat.raw(it.at.start) < to) {
            let mut note = |_: usize, secret: &FoundSecret<'_>| {
                found = true;
                report(begin, secret)
            };
            from = match pass.look(&place, &mut note)? {
                Scanned::Done(to) => to,
                Scanned::Nothing | Scanned::Undecided => place.at.start + 1,
            };
        }
        self.work += run.len() + pass.work();
        let reached = start + to.max(flat.raw(from)).div_ceil(3) * 4;
        let reached = if ends { end } else { reached.min(end) };
        self.searched[quantum % 4] = reached;
        Ok(if found { Scanned::Done(reached) } else { Scanned::Nothing })
    }
}

/// The braces of a text, which is read once.
#[derive(Default)]
struct Braces {
    read: usize,
    newest: VecDeque<usize>,
}

impl Braces {
    /// The last braces before `begin`, the last one first. `begin` does not decrease.
    fn before(&mut self, text: &[u8], begin: usize) -> impl Iterator<Item = &usize> {
        let unread = &text[self.read.min(begin)..begin];
        for at in memchr::memchr_iter(b'{', unread) {
            self.newest.push_front(self.read + at);
            self.newest.truncate(BRACES);
        }
        self.read = self.read.max(begin);
        self.newest.iter().take_while(move |&&at| begin - at <= WHOLE)
    }
}

/// The number of base64 letters that `text` begins with, as far as `most`.
fn letters<'a>(text: impl Iterator<Item = &'a u8>, most: usize) -> usize {
    text.take(most).take_while(|it| is_base64(**it)).count()
}

/// The channel access token at `begin`.
fn token<E>(
    text: &[u8],
    begin: usize,
    last: bool,
    report: &mut dyn FnMut(usize, &FoundSecret<'_>) -> Result<(), E>,
) -> Result<Scanned, E> {
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
