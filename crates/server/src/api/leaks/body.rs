//! The bodies of reports of leaked tokens, read strictly: what two parsers could read
//! differently is rejected as a whole. No error has a word of the body, which holds tokens.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, cell::Cell, fmt};
use tegata_policy::secret::PlainSecret;
use tegata_scan::{Finder, FoundSecret, search};
use tegata_token::wire::LONGEST;

/// Maximum number of entries of a report, and of tokens in a text.
pub const ENTRIES: usize = 1_000;

/// Maximum number of members of an entry.
const MEMBERS: usize = 32;

/// The longest name of a type, in bytes.
const LONGEST_TYPE: usize = 200;

/// The longest address that is kept, in bytes.
const LONGEST_ADDRESS: usize = 300;
/// The longest address, with its query, that is searched for tokens: that is done for each report, on
/// the thread that serves it.
const LONGEST_SEARCHED: usize = 4_096;

/// A token that a report names.
#[derive(Debug)]
pub struct ReportedToken {
    /// Its text.
    pub text: PlainSecret,
    /// The type that a programme calls it; empty if the body has none.
    pub kind: String,
    /// Where it was found, as the body has it.
    pub url: Option<String>,
}

/// Why a body is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    /// It is not what the path takes.
    #[error("the body must be {0}")]
    Form(&'static str),
    /// It names no token.
    #[error("the list is empty; name at least one token")]
    Empty,
    /// It names too many tokens.
    #[error("the report names more than {ENTRIES} tokens; send several reports")]
    TooMany,
    /// A token is longer than any token.
    #[error("a token in the report is longer than {LONGEST} bytes")]
    LongToken,
    /// A text is not UTF-8, or has zero bytes.
    #[error("the text must be UTF-8, without zero bytes")]
    NotText,
}

/// The form of a programme's report.
pub const ARRAY: &str = "a JSON array of objects, each with the strings `token` and `type`";
/// The form of `/credentials/revoke`.
pub const CREDENTIALS: &str = "a JSON object with the member `credentials`, an array of strings";
/// The form of `/report` as JSON.
pub const TOKEN: &str = "a JSON object with the member `token`, a string";

/// Reads a programme's report: `[{"token", "type", "url"?}, …]`; GitLab calls the address
/// `location`. A text that is longer than any token is no reason to reject the other entries.
///
/// # Errors
/// [`BadReport`].
pub fn array(body: &[u8]) -> Result<Vec<ReportedToken>, BadReport> {
    let tokens = parse(body, ARRAY, |from, full| from.deserialize_seq(Entries { full }))?;
    if tokens.is_empty() { Err(BadReport::Empty) } else { Ok(tokens) }
}

/// Reads `{"credentials": ["…", …]}`.
///
/// # Errors
/// [`BadReport`].
pub fn credentials(body: &[u8]) -> Result<Vec<ReportedToken>, BadReport> {
    let read = |from: Json<'_, '_>, full: &Cell<bool>| {
        from.deserialize_map(Only { name: "credentials", read: Strings { full } })
    };
    checked(parse(body, CREDENTIALS, read)?)
}

/// Reads `{"token": "…"}`.
///
/// # Errors
/// [`BadReport`].
pub fn token(body: &[u8]) -> Result<Vec<ReportedToken>, BadReport> {
    let read = |from: Json<'_, '_>, _: &Cell<bool>| {
        from.deserialize_map(Only { name: "token", read: OneString })
    };
    checked(parse(body, TOKEN, read)?)
}

/// Finds the tokens in a text, each once.
///
/// # Errors
/// [`BadReport::NotText`] or [`BadReport::TooMany`].
pub fn text(finder: &Finder, body: &[u8]) -> Result<Vec<ReportedToken>, BadReport> {
    // Two bytes per character, as some programs write text, have zero bytes.
    if std::str::from_utf8(body).is_err() || body.contains(&0) {
        return Err(BadReport::NotText);
    }
    let mut tokens = Vec::new();
    search(finder, body, &mut |secret| {
        if let FoundSecret::Token(_, text) = secret
            && tokens.len() <= ENTRIES
        {
            tokens.push(reported(String::from_utf8_lossy(text).into_owned()));
        }
    });
    match tokens.len() > ENTRIES {
        true => Err(BadReport::TooMany),
        false => Ok(tokens),
    }
}

/// The address of a leak as the audit and warnings have it: without parts that can hold
/// secrets. `None` if it is no address on the web, or holds a token.
pub fn address(finder: &Finder, url: &str) -> Option<String> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url[..end].split_once("://")?;
    let is_web = matches!(scheme, "http" | "https");
    let plain = rest.bytes().all(|it| it.is_ascii_graphic());
    let host_end = rest.find('/').unwrap_or(rest.len());
    let has_user = rest[..host_end].contains('@');
    if !is_web
        || !plain
        || has_user
        || rest.is_empty()
        || end > LONGEST_ADDRESS
        || url.len() > LONGEST_SEARCHED
    {
        return None;
    }
    let mut holds_token = false;
    search(finder, url.as_bytes(), &mut |_| holds_token = true);
    (!holds_token).then(|| url[..end].to_owned())
}

fn reported(text: String) -> ReportedToken {
    ReportedToken { text: PlainSecret::from_caller(text), kind: String::new(), url: None }
}

fn checked(tokens: Vec<ReportedToken>) -> Result<Vec<ReportedToken>, BadReport> {
    if tokens.is_empty() {
        return Err(BadReport::Empty);
    }
    match tokens.iter().any(|it| it.text.reveal().len() > LONGEST) {
        true => Err(BadReport::LongToken),
        false => Ok(tokens),
    }
}

type Json<'a, 'de> = &'a mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

/// Reads a whole body as one JSON value. `full` is set once there are too many entries.
fn parse<T>(
    body: &[u8],
    form: &'static str,
    read: impl FnOnce(Json<'_, '_>, &Cell<bool>) -> Result<T, serde_json::Error>,
) -> Result<T, BadReport> {
    let (mut from, full) = (serde_json::Deserializer::from_slice(body), Cell::new(false));
    let read = read(&mut from, &full).and_then(|it| from.end().map(|()| it));
    read.map_err(|_| if full.get() { BadReport::TooMany } else { BadReport::Form(form) })
}

/// An array of entries.
struct Entries<'a> {
    full: &'a Cell<bool>,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<ReportedToken>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while let Some(Entry(token)) = all.next_element()? {
            add(&mut tokens, token, self.full)?;
        }
        Ok(tokens)
    }
}

/// Adds a token, unless there are too many.
fn add<E: serde::de::Error>(
    tokens: &mut Vec<ReportedToken>,
    token: ReportedToken,
    full: &Cell<bool>,
) -> Result<(), E> {
    if tokens.len() >= ENTRIES {
        full.set(true);
        return Err(E::custom("too many"));
    }
    tokens.push(token);
    Ok(())
}

/// One entry of a programme's report.
struct Entry(ReportedToken);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EntryVisitor).map(Self)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = ReportedToken;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut text, mut kind, mut url) = (None, None, None);
        let mut names = Names::default();
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "token" => text = Some(PlainSecret::from_caller(members.next_value()?)),
                "type" => kind = Some(members.next_value::<String>()?),
                "url" | "location" => {
                    url = url.or(members.next_value::<Option<String>>()?);
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
            names.add(name)?;
        }
        let none = || A::Error::custom("a member is missing");
        let kind = kind.filter(|it| it.len() <= LONGEST_TYPE).ok_or_else(none)?;
        Ok(ReportedToken { text: text.ok_or_else(none)?, kind, url })
    }
}

/// The names of an object's members, of which none may be repeated.
#[derive(Default)]
struct Names<'de>(Vec<Cow<'de, str>>);

impl<'de> Names<'de> {
    fn add<E: serde::de::Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        if self.0.contains(&name) || self.0.len() >= MEMBERS {
            return Err(E::custom("a member is repeated, or there are too many"));
        }
        self.0.push(name);
        Ok(())
    }
}

/// An object, of which one member matters.
struct Only<R> {
    name: &'static str,
    read: R,
}

impl<'de, R> Visitor<'de> for Only<R>
where
    R: serde::de::DeserializeSeed<'de, Value = Vec<ReportedToken>>,
{
    type Value = Vec<ReportedToken>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut read, mut found, mut names) = (Some(self.read), None, Names::default());
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match read.take_if(|_| *name == *self.name) {
                Some(read) => found = Some(members.next_value_seed(read)?),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
            names.add(name)?;
        }
        found.ok_or_else(|| A::Error::custom("a member is missing"))
    }
}

/// An array of strings.
struct Strings<'a> {
    full: &'a Cell<bool>,
}

impl<'de> serde::de::DeserializeSeed<'de> for Strings<'_> {
    type Value = Vec<ReportedToken>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = Vec<ReportedToken>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while let Some(text) = all.next_element()? {
            add(&mut tokens, reported(text), self.full)?;
        }
        Ok(tokens)
    }
}

/// One string.
struct OneString;

impl<'de> serde::de::DeserializeSeed<'de> for OneString {
    type Value = Vec<ReportedToken>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        String::deserialize(from).map(|text| vec![reported(text)])
    }
}

#[cfg(test)]
mod tests;
