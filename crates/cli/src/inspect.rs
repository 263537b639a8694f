//! `tegata token inspect`: finds tokens of this authority, administrators' and verifiers'
//! tokens, and private keys in files of any format, offline. It recognises them by their form, and
//! checks the signatures of tokens if it has the public keys.
//!
//! What is found is never printed: a search for leaks must not cause another one.

use crate::{
    api::Api,
    failure::{BadUsage, Unreachable},
    output::Output,
    scan::{Event, FoundSecret, Limits, Place, Scan},
    serve::StoreAddress,
    terminal::note,
};
use anyhow::anyhow;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    fmt::Display,
    fs::File,
    io,
    path::{Path, PathBuf},
};
use tegata_client::{
    admin::PATIENCE,
    exchange::{NotFetched, RequestError, fetch},
};
use tegata_policy::text::{self, escaped};
use tegata_store::sqlite::Look;
use tegata_system::{file::read_argument, variable};
use tegata_token::{
    claims::Claims,
    key::VerifyingKey,
    kind::{Kind, WireForm},
    time::UnixTime,
    wire::Unverified,
};

/// The files to search, and the keys to check signatures with.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// Files to search, or `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The authority's public keys: a file, or the address of its
    /// `/.well-known/jwks.json` [default: all keys of the authority that TEGATA_URL names, if
    /// there is an administrator's token, else those that it publishes; or those of the store
    /// that TEGATA_STORE names]. Without keys, tokens are recognised by their form alone.
    #[arg(long, value_name = "FILE|URL", conflicts_with = "store")]
    jwks: Option<String>,
    /// Take the public keys, including retired and revoked ones, from a store.
    #[arg(long, value_name = "sqlite:FILE")]
    store: Option<StoreAddress>,
}

const EXAMPLES: &str = "\
Exit codes: 0 nothing found and everything read, 1 something found or not read, 2 bad
usage. Columns count bytes.

Finds tokens, administrators' tokens (tga_…), verifiers' tokens (tgv_…), people's
tokens, sessions and invitations (tgp_…, tgc_…, tgi_…) and private keys (JWK, PEM) in text that is UTF-8, UTF-16, quoted-printable, wrapped over lines, escaped as in JSON and URLs, or
base64; and within gzip, zlib, zstd, tar and zip, up to 5 levels deep and up to 200 times
the file's size. Other containers, and encrypted ones, are reported as not read.

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

pub async fn inspect(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    args: Inspect,
) -> anyhow::Result<()> {
    let keys = match (args.jwks, args.store) {
        (Some(jwks), _) => Some(keys_of(&jwks).await?),
        (None, Some(store)) => Some(keys_in(&store.file()?)?),
        (None, None) => keys_of_environment(api).await?,
    };
    let mut scan = Scan::new(Limits::default())?;
    let mut counts = Counts::default();
    for path in &args.files {
        let stdin = path.as_os_str() == "-";
        let file = if stdin { "stdin".into() } else { path.to_string_lossy() };
        let mut report = |event: Event<'_>| {
            counts.add(&event);
            match event {
                Event::Found { within, place, secret } => {
                    let found =
                        Found::new(Spot { file: &file, within, place }, secret, keys.as_deref());
                    match out.is_json() {
                        true => Output::json_line(&found.json()),
                        false => Output::line(&found.words()),
                    }
                }
                Event::Unread { within, why } => unread(out, &file, within, why),
            }
        };
        match stdin {
            true => scan.stream(io::stdin().lock(), &mut report)?,
            false => scan.file(open(path)?, &mut report)?,
        }
    }
    let tally = scan.tally;
    note(&format!("read {} bytes in {}", tally.bytes, with_s(tally.texts, "text")));
    counts.verdict()
}

/// How many secrets of each sort were found.
#[derive(Default)]
struct Counts {
    tokens: u64,
    admin_tokens: u64,
    verifier_tokens: u64,
    person_tokens: u64,
    keys: u64,
    unread: u64,
}

impl Counts {
    fn add(&mut self, event: &Event<'_>) {
        let count = match event {
            Event::Unread { .. } => &mut self.unread,
            Event::Found { secret, .. } => match secret {
                FoundSecret::Token(..) => &mut self.tokens,
                FoundSecret::AdminToken => &mut self.admin_tokens,
                FoundSecret::VerifierToken => &mut self.verifier_tokens,
                FoundSecret::PersonToken => &mut self.person_tokens,
                FoundSecret::PrivateJwk(_) | FoundSecret::PrivatePem(_) => &mut self.keys,
                FoundSecret::Packed(_) => &mut self.unread,
            },
        };
        *count += 1;
    }

    fn verdict(&self) -> anyhow::Result<()> {
        let found = [
            (self.tokens, "token"),
            (self.admin_tokens, "administrator's token"),
            (self.verifier_tokens, "verifier's token"),
            (self.person_tokens, "person's token"),
            (self.keys, "private key"),
        ];
        let found = found.into_iter().filter(|(count, _)| *count > 0);
        let found: Vec<_> = found.map(|(count, what)| with_s(count, what)).collect();
        match (found.as_slice(), self.unread) {
            ([], 0) => Ok(()),
            ([], unread) => Err(anyhow!("nothing found, but {} not read", with_s(unread, "part"))),
            (found, 0) => Err(anyhow!("{} found", found.join(", "))),
            (found, unread) => {
                Err(anyhow!("{} found, and {} not read", found.join(", "), with_s(unread, "part")))
            }
        }
    }
}

/// A number with what it counts, whose plural ends in s.
pub fn with_s<N: Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    text::counted(count, what, &format!("{what}s"))
}

/// Reports a file, or a part of one, that was not read.
fn unread(out: &Output, file: &str, within: Option<&str>, why: &str) -> io::Result<()> {
    let name = named(file, within);
    note(&format!("not read: {name}: {why}; unpack it, and inspect its content"));
    if !out.is_json() {
        return Ok(());
    }
    let line = json!({ "file": file, "within": within, "not_read": why });
    Output::json_line(&line)
}

pub fn named(file: &str, within: Option<&str>) -> String {
    let name = within.map_or_else(|| file.to_owned(), |within| format!("{file}!{within}"));
    // A line break in it would forge a line.
    escaped(&name)
}

pub fn open(path: &Path) -> anyhow::Result<File> {
    let wrong = |why: String| BadUsage(format!("cannot read {}: {why}", path.display()));
    if path.is_dir() {
        let why =
            "it is a folder; name files: `find FOLDER -type f -exec tegata token inspect {} +`";
        return Err(wrong(why.to_owned()).into());
    }
    Ok(File::open(path).map_err(|error| wrong(error.to_string()))?)
}

// ---- keys

/// The longest file with keys, in bytes.
const LONGEST_JWKS: usize = 1 << 20;

/// The keys of the authority that TEGATA_URL names, else of the store that TEGATA_STORE
/// names. Without any, tokens are still found.
async fn keys_of_environment(
    api: impl FnOnce() -> anyhow::Result<Api>,
) -> anyhow::Result<Option<Vec<VerifyingKey>>> {
    if variable::text("TEGATA_URL")?.is_some() {
        let api = api()?;
        return match keys_from(&api).await {
            Ok(keys) => Ok(Some(keys)),
            Err(error) => {
                note(&format!("tokens are recognised by their form alone: {error:#}"));
                Ok(None)
            }
        };
    }
    if let Some(store) = variable::text("TEGATA_STORE")? {
        let store = store.parse::<StoreAddress>();
        let store =
            store.map_err(|wrong| BadUsage(format!("the variable TEGATA_STORE: {wrong}")))?;
        return keys_in(&store.file()?).map(Some);
    }
    note(
        "tokens are recognised by their form alone: no keys are given (--jwks, --store, \
         TEGATA_URL)",
    );
    Ok(None)
}

/// The public keys of a running authority. Only an administrator sees revoked keys, whose
/// tokens may have leaked before.
async fn keys_from(api: &Api) -> anyhow::Result<Vec<VerifyingKey>> {
    if !api.is_administrators()? {
        let jwks = api.url().join(".well-known/jwks.json")?;
        return keys_of(jwks.as_str()).await;
    }
    let rows = api.rows(&["signing-keys"], "signing_keys").await?;
    Ok(rows.iter().filter_map(|row| public_key(row["public_key"].as_str()?)).collect())
}

async fn keys_of(jwks: &str) -> anyhow::Result<Vec<VerifyingKey>> {
    let wrong = |why: String| BadUsage(format!("--jwks {jwks}: {why}"));
    let text = if jwks.starts_with("http://") || jwks.starts_with("https://") {
        fetch(jwks, PATIENCE, LONGEST_JWKS).await.map_err(|error| match error {
            NotFetched::Request(RequestError::NoResponse(why)) => {
                Unreachable(format!("--jwks: no response from {jwks} ({why})")).into()
            }
            // It could have a password in it.
            NotFetched::Address(bad) => BadUsage(format!("--jwks: {bad}")).into(),
            NotFetched::Request(error) => anyhow::Error::from(wrong(error.to_string())),
        })?
    } else {
        let text = read_argument(jwks.as_ref(), LONGEST_JWKS as u64);
        text.map_err(|error| wrong(error.to_string()))?.into()
    };
    let set: Value = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    let keys: Vec<_> = set["keys"].as_array().into_iter().flatten().filter_map(key).collect();
    if keys.is_empty() {
        return Err(wrong(
            "it holds no Ed25519 key; give the authority\'s `/.well-known/jwks.json`".into(),
        )
        .into());
    }
    Ok(keys)
}

/// An Ed25519 key of a JWKS (RFC 8037, section 2).
fn key(jwk: &Value) -> Option<VerifyingKey> {
    let ours = jwk["kty"] == "OKP" && jwk["crv"] == "Ed25519";
    public_key(jwk["x"].as_str().filter(|_| ours)?)
}

fn public_key(base64url: &str) -> Option<VerifyingKey> {
    let public = URL_SAFE_NO_PAD.decode(base64url).ok()?;
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

// ---- printing

/// What a secret is that is no access token, and the next step.
pub const ADMIN_TOKEN: &str = "administrator's token by its form; `tegata admin reset` replaces it";
pub const VERIFIER_TOKEN: &str =
    "verifier's token by its form; create another verifier, then `tegata verifier delete`";
pub const PERSON_TOKEN: &str =
    "person's token by its form; `tegata admin-token delete`, or `tegata person reset`";

/// Where a secret was found.
#[derive(Clone, Copy)]
struct Spot<'a> {
    file: &'a str,
    within: Option<&'a str>,
    place: Place,
}

/// A secret that was found, without its text.
struct Found<'a> {
    spot: Spot<'a>,
    /// A token's kind, or the kind of another secret.
    kind: Option<&'static str>,
    what: String,
    signing_key: Option<String>,
    /// `genuine`, `unknown-key`, `forged`, or `unchecked` without keys.
    signature: Option<&'static str>,
    claims: Option<Claims>,
}

impl<'a> Found<'a> {
    fn new(spot: Spot<'a>, secret: &FoundSecret<'_>, keys: Option<&[VerifyingKey]>) -> Self {
        let other = |kind, what| Self {
            spot,
            kind: Some(kind),
            what,
            signing_key: None,
            signature: None,
            claims: None,
        };
        match secret {
            FoundSecret::Token(token, _) => Self::token(spot, token, keys),
            FoundSecret::AdminToken => other("admin-token", ADMIN_TOKEN.to_owned()),
            FoundSecret::VerifierToken => other("verifier-token", VERIFIER_TOKEN.to_owned()),
            FoundSecret::PersonToken => other("person-token", PERSON_TOKEN.to_owned()),
            FoundSecret::PrivateJwk(kty) => {
                let kty: String = kty.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
                other("private-jwk", format!("private key (JWK, {kty})"))
            }
            FoundSecret::PrivatePem(label) => {
                let label: String = label.chars().filter(char::is_ascii_graphic).take(30).collect();
                other("private-pem", format!("private key (PEM, {label})"))
            }
            FoundSecret::Packed(name) => other("packed", (*name).to_owned()),
        }
    }

    fn token(spot: Spot<'a>, token: &Unverified<'_>, keys: Option<&[VerifyingKey]>) -> Self {
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
        let signing_key = Some(token.key().to_string());
        let what = format!("{} token", kind.map_or_else(jws_kinds, str::to_owned));
        Self { spot, kind, what, signing_key, signature: Some(signature), claims }
    }

    fn json(&self) -> Value {
        let claims = self.claims.as_ref();
        json!({
            "file": self.spot.file,
            "within": self.spot.within,
            "line": self.spot.place.line,
            "column": self.spot.place.column,
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
        let Place { line, column } = self.spot.place;
        let file = named(self.spot.file, self.spot.within);
        let at = format!("{file}:{line}:{column}: {}", self.what);
        let Some(signing_key) = &self.signing_key else { return at };
        let Some(claims) = &self.claims else {
            let why = match self.signature {
                Some("forged") => "its signature is WRONG: altered or forged",
                Some("unknown-key") => "none of the given keys signed it",
                _ => "signature not checked",
            };
            return format!("{at} by its form, signing key {signing_key}: {why}");
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

/// The kinds that are JWS; their form does not show which of them a token is.
fn jws_kinds() -> String {
    let kinds = Kind::all().filter(|kind| kind.form() == WireForm::Jws).map(Kind::name);
    kinds.collect::<Vec<_>>().join(" or ")
}

fn time(at: UnixTime) -> Option<String> {
    jiff::Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::tests::token;
    use tegata_token::key::SigningKey;

    #[test]
    fn nothing_that_is_printed_holds_the_token() {
        let key = SigningKey::from_seed(&[7; 32]).unwrap().public().clone();
        let other = SigningKey::from_seed(&[8; 32]).unwrap().public().clone();
        for kind in [Kind::V21, Kind::LongLived] {
            let it = token(kind, None);
            let spot = Spot { file: "log", within: None, place: Place { line: 1, column: 1 } };
            let parsed = Unverified::parse(it.as_bytes()).unwrap();
            for (keys, signature) in [
                (None, "unchecked"),
                (Some(vec![key.clone()]), "genuine"),
                (Some(vec![other.clone()]), "unknown-key"),
            ] {
                let found =
                    Found::new(spot, &FoundSecret::Token(&parsed, it.as_bytes()), keys.as_deref());
                assert_eq!(found.signature, Some(signature));
                assert_eq!(found.claims.is_some(), signature == "genuine");
                for printed in [found.words(), found.json().to_string()] {
                    assert!(!printed.contains(&it[it.len() - 20..]), "{printed}");
                }
            }
        }
    }
}
