//! `tegata token inspect`: finds tokens of this authority in any text, offline, by
//! their form, and by their signature where the public keys are at hand.
//!
//! The text streams through one buffer, however long it or a line of it is. What is
//! found is never printed, since whoever looks for leaks must not make another.

use crate::{api::http_client, failure::BadUsage, output::Output, serve::StoreAddress};
use anyhow::{Context, anyhow};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::{memchr_iter, memmem::Finder, memrchr};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};
use tegata_store::sqlite::Look;
use tegata_token::{
    claims::Claims,
    key::VerifyingKey,
    kind::{Form, Kind},
    time::UnixTime,
    wire::{LONGEST, Unverified, beginnings, extent},
};

/// Where to look for tokens, and what to check them with.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// Files to look into, or `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The authority's public keys: a file, or the address of its
    /// `/.well-known/jwks.json`. Without keys, tokens are told by their form alone.
    #[arg(long, value_name = "FILE|URL", conflicts_with = "store")]
    jwks: Option<String>,
    /// Take the public keys, retired and removed ones too, from a store.
    #[arg(long, value_name = "sqlite:FILE")]
    store: Option<StoreAddress>,
}

const EXAMPLES: &str = "\
Exit codes: 0 nothing found, 1 something found, 2 bad usage. Columns count bytes.

Examples:
  A log, with the keys of the running authority:
    tegata token inspect access.log --jwks http://127.0.0.1:8080/.well-known/jwks.json
  A log that is still written:
    tail -f access.log | tegata token inspect -
  Before each commit (.git/hooks/pre-commit), and the same in CI on a whole tree:
    git diff --cached | tegata token inspect -
    git ls-files -z | xargs -0 tegata token inspect
  Then, for what leaked:
    tegata token revoke --channel ID --token-id ID --reason leaked";

pub async fn inspect(out: &Output, args: Inspect) -> anyhow::Result<()> {
    let keys = match (args.jwks, args.store) {
        (Some(jwks), _) => Some(keys_of(&jwks).await?),
        (None, Some(StoreAddress(file))) => Some(keys_in(&file)?),
        (None, None) => {
            eprintln!("told by form alone, since no keys are given (--jwks, --store)");
            None
        }
    };
    let mut count = 0_usize;
    for path in &args.files {
        let name = if path.as_os_str() == "-" { "stdin".into() } else { path.to_string_lossy() };
        let mut report = |place: Place, token: &Unverified<'_>| {
            count += 1;
            let found = Found::new(&name, place, token, keys.as_deref());
            Output::line(&if out.is_json() { found.json().to_string() } else { found.words() })
        };
        match path.as_os_str() == "-" {
            true => scan(io::stdin().lock(), &mut report)?,
            false => scan(open(path)?, &mut report).with_context(|| name.to_string())?,
        }
    }
    match count {
        0 => Ok(()),
        1 => Err(anyhow!("1 token found")),
        _ => Err(anyhow!("{count} tokens found")),
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let wrong = |why: String| BadUsage(format!("cannot read {}: {why}", path.display()));
    if path.is_dir() {
        let why = "it is a folder; name files, as `find FOLDER -type f -exec tegata token inspect \
                   {} +` does";
        return Err(wrong(why.to_owned()).into());
    }
    Ok(File::open(path).map_err(|error| wrong(error.to_string()))?)
}

// ---- keys

async fn keys_of(jwks: &str) -> anyhow::Result<Vec<VerifyingKey>> {
    let wrong = |why: String| BadUsage(format!("--jwks {jwks}: {why}"));
    let text = if jwks.starts_with("http://") || jwks.starts_with("https://") {
        let unreachable = |error: reqwest::Error| wrong(format!("no answer ({error})"));
        let answer = http_client()?.get(jwks).send().await.map_err(unreachable)?;
        let answer = answer.error_for_status().map_err(|error| wrong(error.to_string()))?;
        answer.text().await.map_err(unreachable)?
    } else {
        std::fs::read_to_string(jwks).map_err(|error| wrong(error.to_string()))?
    };
    let set: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let keys: Vec<_> = set["keys"].as_array().into_iter().flatten().filter_map(key).collect();
    if keys.is_empty() {
        return Err(wrong("it holds no Ed25519 key; is it an authority\'s JWKS?".into()).into());
    }
    Ok(keys)
}

/// An Ed25519 key of a JWKS (RFC 8037, section 2).
fn key(jwk: &Value) -> Option<VerifyingKey> {
    let ours = jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519";
    let public = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().filter(|_| ours)?).ok()?;
    VerifyingKey::from_bytes(public.try_into().ok()?).ok()
}

fn keys_in(store: &Path) -> anyhow::Result<Vec<VerifyingKey>> {
    let looked = Look::at(store).and_then(|look| look.standing());
    let looked = looked.map_err(|error| {
        BadUsage(format!("--store: {} cannot be read as a store: {error}", store.display()))
    })?;
    let keys = looked.signing_keys.iter().map(|row| VerifyingKey::from_bytes(row.public));
    Ok(keys.collect::<Result<_, _>>()?)
}

// ---- looking

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u64,
    column: u64,
}

impl Place {
    /// The place behind `text`, which stands here.
    fn behind(self, text: &[u8]) -> Self {
        let length = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
        match memrchr(b'\n', text) {
            None => Self { column: self.column + length(text.len()), ..self },
            Some(last) => Self {
                line: self.line + length(memchr_iter(b'\n', text).count()),
                column: length(text.len() - last),
            },
        }
    }
}

/// Room for the text that is looked at; several times the longest token.
const ROOM: usize = 1 << 18;

/// Reports everything in `text` that has the form of a token, in its order.
fn scan(
    mut text: impl Read,
    report: &mut impl FnMut(Place, &Unverified<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let beginnings = beginnings();
    let finders: Vec<_> = beginnings.iter().map(Finder::new).collect();
    let mut room = vec![0; ROOM];
    let (mut filled, mut place, mut taken) = (0, Place { line: 1, column: 1 }, 0);
    loop {
        let more = match text.read(&mut room[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            more => more?,
        };
        filled += more;
        // A token is in one line, and no longer than that; what could go on waits.
        let whole = match more {
            0 => filled,
            _ => {
                let line = memrchr(b'\n', &room[..filled]).map_or(0, |at| at + 1);
                line.max(filled.saturating_sub(LONGEST))
            }
        };
        let seen = &room[..filled];
        let mut starts: Vec<usize> = finders
            .iter()
            .flat_map(|finder| finder.find_iter(seen).take_while(|&at| at < whole))
            .collect();
        starts.sort_unstable();
        let mut counted = 0;
        for start in starts {
            let token = extent(&seen[start..]).map(|length| &seen[start..start + length]);
            let Some(token) = token.filter(|_| start >= taken) else { continue };
            let Ok(parsed) = Unverified::parse(token) else { continue };
            place = place.behind(&seen[counted..start]);
            (counted, taken) = (start, start + token.len());
            report(place, &parsed)?;
        }
        place = place.behind(&seen[counted..whole]);
        if more == 0 {
            return Ok(());
        }
        room.copy_within(whole..filled, 0);
        (filled, taken) = (filled - whole, taken.saturating_sub(whole));
    }
}

// ---- telling

/// What is known of a token that was found.
struct Found<'a> {
    file: &'a str,
    place: Place,
    kind: Option<&'static str>,
    signing_key: String,
    /// `genuine`, `unknown-key`, `forged`, or `unchecked` where there are no keys.
    signature: &'static str,
    claims: Option<Claims>,
}

impl<'a> Found<'a> {
    fn new(
        file: &'a str,
        place: Place,
        token: &Unverified<'_>,
        keys: Option<&[VerifyingKey]>,
    ) -> Self {
        let key = keys.map(|keys| keys.iter().find(|key| key.id() == token.key()));
        let (signature, claims) = match key {
            None => ("unchecked", None),
            Some(None) => ("unknown-key", None),
            Some(Some(key)) => match token.verify(key) {
                Ok(claims) => ("genuine", Some(claims)),
                Err(_) => ("forged", None),
            },
        };
        let kind = claims.as_ref().map(|claims| claims.kind).or(token.kind());
        let kind = kind.map(|kind| kind.name());
        Self { file, place, kind, signing_key: token.key().to_string(), signature, claims }
    }

    fn json(&self) -> Value {
        let claims = self.claims.as_ref();
        json!({
            "file": self.file,
            "line": self.place.line,
            "column": self.place.column,
            "kind": self.kind,
            "signing_key": self.signing_key,
            "signature": self.signature,
            "channel_id": claims.map(|it| it.channel),
            "group": claims.and_then(|it| it.group.as_ref()),
            "token_id": claims.map(|it| it.id),
            "issued_at": claims.and_then(|it| time(it.issued_at)),
            "expires_at": claims.and_then(|it| time(it.expires_at)),
        })
    }

    fn words(&self) -> String {
        let Place { line, column } = self.place;
        let kind = self.kind.map_or_else(jws_kinds, str::to_owned);
        let at = format!("{}:{line}:{column}: {kind} token", self.file);
        let Some(claims) = &self.claims else {
            let why = match self.signature {
                "forged" => "its signature is WRONG: altered, or made up",
                "unknown-key" => "no key given here signed it",
                _ => "signature not checked",
            };
            return format!("{at} by its form, signing key {}: {why}", self.signing_key);
        };
        let group = claims.group.as_ref().map_or(String::new(), |it| format!(", group {it}"));
        let time = |at| time(at).unwrap_or_else(|| "-".to_owned());
        format!(
            "{at} of channel {}{group}, id {}, issued {}, expires {}",
            claims.channel,
            claims.id,
            time(claims.issued_at),
            time(claims.expires_at)
        )
    }
}

/// The kinds that are written as JWS, whose form does not tell which it is.
fn jws_kinds() -> String {
    let kinds = Kind::all().filter(|kind| kind.form() == Form::Jws).map(Kind::name);
    kinds.collect::<Vec<_>>().join(" or ")
}

fn time(at: UnixTime) -> Option<String> {
    jiff::Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::{
        id::{ChannelId, ProviderId, Serial, TokenId},
        key::SigningKey,
        wire::write,
    };

    fn token(kind: Kind, group: Option<&str>) -> String {
        let key = SigningKey::from_seed(&[7; 32]).unwrap();
        let claims = Claims {
            id: TokenId([1; 16]),
            kind,
            provider: ProviderId::from_number(1_234_567_890).unwrap(),
            channel: ChannelId::from_number(2_345_678_901).unwrap(),
            group: group.map(|it| it.parse().unwrap()),
            assertion_key: None,
            serial: Serial(3),
            issued_at: UnixTime(1_764_000_000),
            expires_at: UnixTime(1_764_000_900),
            key: key.public().id(),
        };
        write(&claims, "https://tegata.example.com", &key)
    }

    /// A text that comes in pieces of this length.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(room.len()).min(self.0.len());
            let (piece, rest) = self.0.split_at(length);
            room[..length].copy_from_slice(piece);
            self.0 = rest;
            Ok(length)
        }
    }

    fn places(text: &[u8], piece: usize) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        let mut report = |place: Place, _: &Unverified<'_>| {
            found.push((place.line, place.column));
            Ok(())
        };
        scan(Pieces(text, piece), &mut report).unwrap();
        found
    }

    #[test]
    fn a_token_is_found_wherever_it_stands_and_however_the_text_is_cut() {
        let all = [Kind::V21, Kind::Stateless, Kind::ShortLived, Kind::LongLived];
        for (kind, group) in all.iter().flat_map(|kind| [(*kind, None), (*kind, Some("kitchen"))]) {
            let it = token(kind, group);
            let text = format!(
                "nothing\nAuthorization: Bearer {it}\r\n?access_token={it}&x=1 \"{it}\".\n{it}"
            );
            for piece in [1, 7, 100, 1_000, 1 << 20] {
                let found = places(text.as_bytes(), piece);
                let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
                assert_eq!(lines, [2, 3, 3, 4], "{kind:?}, in pieces of {piece}");
                assert_eq!((found[0].1, found[3].1), (23, 1));
            }
        }
    }

    #[test]
    fn a_line_without_end_is_searched_in_bounded_room() {
        let it = token(Kind::V21, None);
        let before = ROOM * 3 + 12_345;
        let text = ["x".repeat(before), format!("={it}"), "y".repeat(ROOM)].concat();
        let column = u64::try_from(before).unwrap() + 2;
        assert_eq!(places(text.as_bytes(), 10_000), [(1, column)]);
    }

    #[test]
    fn what_only_looks_like_a_token_is_none() {
        let it = token(Kind::ShortLived, None);
        let broken = format!("{}\n{}", &it[..60], &it[60..]);
        let jws = token(Kind::V21, None);
        let cut = &jws[..jws.len() - 1];
        for text in [broken.as_str(), cut, "tgs_", "tgs_tgl_tgs_", "eyJhbGciOiJFZERTQSJ9.e30.e30"] {
            assert_eq!(places(text.as_bytes(), 50), [], "{text}");
        }
        // One inside the beginning of another.
        assert_eq!(places(format!("tgs_tgs_{it}tgl_").as_bytes(), 50), [(1, 9)]);
    }

    #[test]
    fn nothing_that_is_told_holds_the_token() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap().public().clone();
        let other = SigningKey::from_seed(&[8; 32]).unwrap().public().clone();
        for kind in [Kind::V21, Kind::LongLived] {
            let it = token(kind, None);
            let place = Place { line: 1, column: 1 };
            let parsed = Unverified::parse(it.as_bytes()).unwrap();
            for (keys, signature) in [
                (None, "unchecked"),
                (Some(vec![key.clone()]), "genuine"),
                (Some(vec![other.clone()]), "unknown-key"),
            ] {
                let found = Found::new("log", place, &parsed, keys.as_deref());
                assert_eq!(found.signature, signature);
                assert_eq!(found.claims.is_some(), signature == "genuine");
                for told in [found.words(), found.json().to_string()] {
                    assert!(!told.contains(&it[it.len() - 20..]), "{told}");
                }
            }
        }
    }
}
