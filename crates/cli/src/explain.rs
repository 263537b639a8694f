//! `tegata token explain`: finds the tokens in texts of any form, shows whose they are and
//! in which state, and revokes them on request.
//!
//! Only tokens are sent to the authority, and none is printed.

mod revoke;
mod shown;

use crate::{
    api::{Api, Explained},
    failure::BadUsage,
    files::pasted_token,
    inspect::{ADMIN_TOKEN, PERSON_TOKEN, VERIFIER_TOKEN, named, open, with_s},
    output::Output,
    scan::{Event, FoundSecret, Limits, Scan},
    terminal::note,
};
use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::{self, Cursor, Read},
    path::Path,
};
use tegata_policy::secret::{PlainSecret, sha256};
use tegata_system::secret::UnusableSecret;
use zeroize::Zeroizing;

/// The texts to search, and what to do with the tokens in them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Files to search for tokens, or `-` for stdin. A token itself is accepted, too.
    #[arg(required = true, value_name = "FILE")]
    texts: Vec<String>,
    /// Maximum number of tokens to explain; further ones are counted. With --revoke, all are
    /// revoked, and this many are shown with their details.
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Revoke every token found that is active, or would be if its channel were not
    /// suspended; first prints them, and asks on a terminal unless --yes is given.
    #[arg(long)]
    revoke: bool,
    #[command(flatten)]
    options: revoke::Options,
}

const EXAMPLES: &str = "\
Exit codes: 0 a token of this authority was found, everything was read, and all that was to
be revoked is; 1 no token found, or something not read or not revoked.

Reads what `tegata token inspect` reads: text in several encodings, and archives. Only the
tokens in it are sent to the authority, and none of them is printed. `recent_uses` and
`last_used_at` are up to a minute old; of uses that a verifier reports, up to three minutes.

Examples:
  tegata token explain leaked.log
  git log -p -S tgs_ | tegata token explain -
  tegata token explain leaked.log --revoke --reason 'in a public repository' --dry-run";

/// Maximum number of different tokens in all texts of one command; they are kept in memory.
const MOST: usize = 10_000;

/// Maximum number of places that are printed for other things than tokens.
const PLACES: usize = 20;

/// The longest text that is checked for being a part of one token.
const SHORT: u64 = 16 * 1024;

/// A token in the texts, where it was found first.
struct FoundToken {
    place: Value,
    text: PlainSecret,
    times: u64,
    /// What the authority knows of it, once it was asked.
    known: Option<Value>,
}

/// What was found in the texts.
#[derive(Default)]
struct Findings {
    tokens: Vec<FoundToken>,
    /// The place of each in `tokens`, by the hash of its text.
    by_hash: HashMap<[u8; 32], usize>,
    /// Administrators' tokens and private keys.
    secrets: Vec<Value>,
    unread: Vec<Value>,
    /// The only text, if it is short: it may be a part of a token, or a private key.
    short: Option<Zeroizing<String>>,
}

pub async fn explain(api: &Api, out: &Output, args: Explain) -> anyhow::Result<()> {
    let text_on_stdin = args.texts.iter().any(|text| text == "-");
    let mut findings = Findings::search(&args.texts)?;
    if findings.tokens.is_empty() {
        if let Some(text) = findings.short.take() {
            not_a_part(&text)?;
        }
        findings.print_others(out)?;
        return Err(findings.nothing(None));
    }
    let limit = usize::from(args.limit);
    let most = if args.revoke { MOST } else { limit };
    let sorted = findings.explained(api, most).await?;
    let ours = &sorted.ours;
    let mut report = json!({
        "tokens": ours.iter().map(FoundToken::json).collect::<Vec<_>>(),
        "foreign": sorted.foreign,
        "forbidden": sorted.forbidden,
        "secrets": findings.secrets,
        "not_read": findings.unread,
        "more": sorted.more,
        "revocation": null,
    });
    // A reader that stops early must not stop the revocation.
    let mut printed = match out.is_json() {
        true => Ok(()),
        false => findings.print(out, &ours[..ours.len().min(limit)], &sorted),
    };
    let revoked = match args.revoke {
        true => args.options.revoke(api, out, ours, (&mut report, text_on_stdin)).await,
        false => Ok(()),
    };
    if out.is_json() {
        printed = out.thing(&report, &[]);
    }
    revoked.and(printed)?;
    if !sorted.forbidden.is_empty() && (args.revoke || ours.is_empty()) {
        let count = with_s(sorted.forbidden.len(), "token");
        let unread = match findings.unread.len() {
            0 => String::new(),
            unread => format!("; and {} not read", with_s(unread, "part")),
        };
        bail!(
            "{count} in channels whose tokens you may not read: an Admin of the channel, or a person \
             on call, can revoke them{unread}"
        );
    }
    match (ours.is_empty(), findings.unread.len()) {
        (true, _) => Err(findings.nothing(Some(api))),
        (_, 0) => Ok(()),
        (_, unread) => Err(anyhow!("{} not read", with_s(unread, "part"))),
    }
}

/// The tokens, by what the authority knows of them.
#[derive(Default)]
struct Sorted {
    /// Those that it explains.
    ours: Vec<FoundToken>,
    /// The places of those that are none of its own.
    foreign: Vec<Value>,
    /// The places of those of channels whose tokens the actor may not read.
    forbidden: Vec<Value>,
    /// Number of those that it was not asked about.
    more: usize,
}

impl Findings {
    fn search(texts: &[String]) -> anyhow::Result<Self> {
        let mut scan = Scan::new(Limits::default())?;
        let mut findings = Self::default();
        for text in texts {
            let only = texts.len() == 1;
            if text == "-" {
                findings.stdin(&mut scan, only)?;
            } else if Path::new(text).exists() {
                let file = open(Path::new(text))?;
                scan.file(file, &mut |event| findings.note(text, &event))?;
            } else {
                findings.argument(&mut scan, text, only)?;
            }
            if findings.tokens.len() > MOST {
                bail!(
                    "there are more than {MOST} different tokens in it; split the text, or revoke \
                     by group or channel (`tegata token revoke --help`)"
                );
            }
        }
        Ok(findings)
    }

    fn stdin(&mut self, scan: &mut Scan, only: bool) -> anyhow::Result<()> {
        let mut stdin = io::stdin().lock();
        let mut head = Zeroizing::new(Vec::new());
        stdin.by_ref().take(SHORT).read_to_end(&mut head)?;
        if only && (head.len() as u64) < SHORT {
            self.short = String::from_utf8(head.to_vec()).ok().map(Zeroizing::new);
        }
        let whole = Cursor::new(&head[..]).chain(stdin);
        Ok(scan.stream(whole, &mut |event| self.note("stdin", &event))?)
    }

    /// A token itself, as a user pasted it. What has no token in it was meant as a file.
    fn argument(&mut self, scan: &mut Scan, text: &str, only: bool) -> anyhow::Result<()> {
        let before = self.tokens.len();
        scan.stream(Cursor::new(text), &mut |event| self.note("argument", &event))?;
        if self.tokens.len() > before {
            return Ok(());
        }
        if only {
            not_a_part(text)?;
        }
        let text: String = text.chars().take(80).collect();
        Err(BadUsage(format!(
            "{text:?}: there is no such file, and it is not a token; \
             name a file, paste a whole token, or give `-` to read stdin"
        ))
        .into())
    }

    fn note(&mut self, file: &str, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Unread { within, why } => {
                let name = named(file, *within);
                note(&format!("not read: {name}: {why}; unpack it, and search its content"));
                self.unread.push(json!({ "file": file, "within": within, "why": why }));
            }
            Event::Found { within, place, secret } => {
                let mut at = json!({
                    "file": file, "within": within, "line": place.line, "column": place.column,
                });
                let kind = match secret {
                    FoundSecret::Token(_, text) => {
                        self.token(at, text);
                        return Ok(());
                    }
                    FoundSecret::AdminToken => "admin-token",
                    FoundSecret::VerifierToken => "verifier-token",
                    FoundSecret::PersonToken => "person-token",
                    FoundSecret::PrivateJwk(_) => "private-jwk",
                    FoundSecret::PrivatePem(_) => "private-pem",
                    FoundSecret::Packed(_) => "packed",
                };
                at["kind"] = kind.into();
                self.secrets.push(at);
            }
        }
        Ok(())
    }

    fn token(&mut self, place: Value, text: &[u8]) {
        let hash = sha256(&[text]);
        if let Some(known) = self.by_hash.get(&hash) {
            self.tokens[*known].times += 1;
        } else if self.tokens.len() <= MOST {
            // Its form was checked, so it is ASCII.
            let text = PlainSecret::from_caller(String::from_utf8_lossy(text).into_owned());
            self.by_hash.insert(hash, self.tokens.len());
            self.tokens.push(FoundToken { place, text, times: 1, known: None });
        }
    }

    /// Asks the authority about each token until `most` of its own are known.
    async fn explained(&mut self, api: &Api, most: usize) -> anyhow::Result<Sorted> {
        let mut sorted = Sorted::default();
        let mut left = std::mem::take(&mut self.tokens).into_iter();
        while sorted.ours.len() < most
            && let Some(mut token) = left.next()
        {
            match api.explain(&token.text).await? {
                Explained::Known(known) => {
                    token.known = Some(known);
                    sorted.ours.push(token);
                }
                Explained::Foreign => sorted.foreign.push(token.place),
                Explained::Forbidden => sorted.forbidden.push(token.place),
            }
        }
        sorted.more = left.len();
        Ok(sorted)
    }

    /// Prints what the authority knows of its tokens, and where other secrets are.
    fn print(
        &self,
        out: &Output,
        ours: &[FoundToken],
        Sorted { foreign, forbidden, more, .. }: &Sorted,
    ) -> anyhow::Result<()> {
        for token in ours {
            out.text(&shown::token(&token.json()))?;
        }
        self.print_others(out)?;
        shown::foreign(foreign, PLACES);
        shown::forbidden(forbidden, PLACES);
        if *more > 0 {
            let more = with_s(*more, "token");
            note(&format!("{more} more, not explained; see more with --limit"));
        }
        Ok(())
    }

    /// Prints where other secrets are, since they leaked, too.
    fn print_others(&self, out: &Output) -> anyhow::Result<()> {
        if out.is_json() {
            return Ok(());
        }
        for it in self.secrets.iter().take(PLACES) {
            let what = match it["kind"].as_str() {
                Some("admin-token") => ADMIN_TOKEN,
                Some("verifier-token") => VERIFIER_TOKEN,
                Some("person-token") => PERSON_TOKEN,
                Some("packed") => "archive in base64, not searched",
                _ => "private key; `tegata key list` shows what is registered",
            };
            out.text(&format!("{}: {what}\n", shown::place(it)))?;
        }
        if let Some(more @ 1..) = self.secrets.len().checked_sub(PLACES) {
            note(&format!("{} more", with_s(more, "other secret")));
        }
        Ok(())
    }

    /// The error if no token of the authority was found; `asked`: it does not know those
    /// that were.
    fn nothing(&self, asked: Option<&Api>) -> anyhow::Error {
        let unread = match self.unread.len() {
            0 => String::new(),
            unread => format!(", but {} not read", with_s(unread, "part")),
        };
        let next = match asked {
            None => "; nothing in the text has the form of a token: was it cut off?".to_owned(),
            Some(api) => {
                format!(
                    "; is {} the right server? Name another with --url or TEGATA_URL",
                    api.url()
                )
            }
        };
        anyhow!("no token of this authority found{unread}{next}")
    }
}

/// An error that says more, if the text is a part of a token or a private key.
fn not_a_part(text: &str) -> anyhow::Result<()> {
    if text.trim().is_empty() {
        return Err(BadUsage("there is no text to search: the input is empty".to_owned()).into());
    }
    match pasted_token(text.to_owned()) {
        Err(error) if !error.is::<UnusableSecret>() => Err(error),
        _ => Ok(()),
    }
}

impl FoundToken {
    /// Its place, and what the authority knows of it.
    fn json(&self) -> Value {
        let mut all = self.place.clone();
        all["occurrences"] = self.times.into();
        if let (Some(all), Some(Value::Object(known))) = (all.as_object_mut(), &self.known) {
            all.extend(known.clone());
        }
        all
    }

    /// Whether it is accepted, or would be if its channel were not suspended.
    fn is_usable(&self) -> bool {
        let state = self.known.as_ref().and_then(|it| it["state"].as_str());
        matches!(state, Some("active" | "suspended"))
    }
}
