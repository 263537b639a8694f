//! `tegata token`: issues, verifies, lists, explains and revokes channel access tokens.
//!
//! `issue` and `verify` call LINE's operations, as any client does; the rest uses the
//! admin API.

use crate::{
    api::{Api, Explained, Page},
    created_by::CreatedBy,
    duration::{Seconds, seconds},
    explain::Explain,
    failure::BadUsage,
    files::{no_private_key, pasted_token, read_secret, secret_variable},
    inspect::Inspect,
    key::{lifetime, private_key},
    output::Output,
    taking::{Confirmation, TakingOptions, TakingRequest},
    terminal::note,
};
use anyhow::anyhow;
use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use tegata_client::{
    call::{ClientAuthentication, With, issue_path},
    key::AUDIENCE,
};
use tegata_policy::{rules::LONGEST_DELAY, secret::PlainSecret, text::escaped};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, TokenId},
    kind::Kind,
};

#[derive(Subcommand)]
pub enum Verb {
    /// Issue a token with the channel's secret or an assertion key; prints it, once.
    Issue(Issue),
    /// Verify a token; exit code 1 if it is not active.
    Verify(Token),
    /// List a channel's stored tokens, newest first.
    List(List),
    /// Show a stored token.
    Show(Show),
    /// Find the tokens in a text, and show whose they are, their state and the reason for it.
    Explain(Explain),
    /// Revoke tokens: one, or all of a channel, group, kind, key, provider, or everything.
    Revoke(Box<Revoke>),
    /// Give a channel a new long-lived token; prints it, once.
    Reissue(Reissue),
    /// Find tokens in files, offline, without printing them; exit code 1 if there are any.
    Inspect(Inspect),
}

#[derive(Args)]
pub struct Token {
    /// The token, or `-` for stdin, which keeps it out of the shell's history.
    token: String,
}

#[derive(Args)]
#[command(after_help = ISSUE_EXAMPLES)]
pub struct Issue {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// Kind of token: stateless, short-lived or v2.1 (for long-lived see `reissue`).
    #[arg(long, default_value = "stateless")]
    kind: Kind,
    /// File with the channel's secret; or set TEGATA_CHANNEL_SECRET.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    secret_file: Option<PathBuf>,
    /// File with the private assertion key, as `tegata key generate` wrote it.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The id that the key is registered under, unless the file holds it (PEM does not).
    #[arg(long, value_name = "KID", requires = "key")]
    key_id: Option<AssertionKeyId>,
    /// Group that the token belongs to.
    #[arg(long)]
    group: Option<Group>,
    /// Lifetime of a v2.1 token.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    lifetime: i64,
    /// A repeated request with the same key returns the same token.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Args, Serialize)]
pub struct List {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    #[serde(skip)]
    channel: ChannelId,
    /// Only of this kind.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// Only of this group.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    /// Only those that were issued for this assertion key.
    #[arg(long, value_name = "KID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    assertion_key: Option<AssertionKeyId>,
    /// Only in this state.
    #[arg(long, value_parser = ["active", "suspended", "expired", "revoked"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Show {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// The token's id (not the token).
    #[arg(allow_hyphen_values = true)]
    token_id: TokenId,
}

/// The tokens to revoke: exactly one of these, most of them within a channel.
#[derive(Args)]
#[command(group = ArgGroup::new("what").required(true), after_help = REVOKE_EXAMPLES)]
pub struct Revoke {
    /// The token, or `-` for stdin.
    #[arg(group = "what")]
    token: Option<String>,
    /// The channel whose tokens to revoke; required except with TOKEN, --created-by,
    /// --provider and --everything.
    #[arg(long, value_name = "ID")]
    channel: Option<ChannelId>,
    /// The stored token of this id.
    #[arg(
        long,
        group = "what",
        value_name = "ID",
        requires = "channel",
        allow_hyphen_values = true
    )]
    token_id: Option<TokenId>,
    /// All tokens of a group.
    #[arg(long, group = "what", requires = "channel")]
    group: Option<Group>,
    /// All tokens of a kind.
    #[arg(long, group = "what", requires = "channel")]
    kind: Option<Kind>,
    /// All tokens requested with an assertion key.
    #[arg(long, group = "what", value_name = "KID", requires = "channel")]
    assertion_key: Option<AssertionKeyId>,
    /// All tokens of the channel.
    #[arg(long, group = "what", requires = "channel")]
    all: bool,
    /// All tokens of all channels of a provider.
    #[arg(long, group = "what", value_name = "ID", conflicts_with = "channel")]
    provider: Option<ProviderId>,
    /// All tokens of the authority: revokes every signing key and creates a new one.
    #[arg(long, group = "what", conflicts_with = "channel")]
    everything: bool,
    #[command(flatten)]
    created: CreatedBy,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args)]
pub struct Reissue {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// How long the present token stays active with the new one.
    #[arg(long, value_name = "DURATION", default_value = "0s",
          value_parser = seconds(0..=LONGEST_DELAY.unsigned_abs()))]
    delay: Seconds,
    /// A repeated request with the same key returns the same token.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

const ISSUE_EXAMPLES: &str = "\
Examples:
  tegata token issue --channel 1234567890 --secret-file secret
  tegata token issue --channel 1234567890 --kind v2.1 --key 1234567890.private.jwk.json \\
      --group kitchen --lifetime 3600";

const REVOKE_EXAMPLES: &str = "\
Exit code 0: revoked, also if the receipt is still pending after --wait.
`tegata receipt show POSITION --wait 60s` waits on, with exit code 1 while it is pending.

Examples:
  tegata token revoke - <leaked.txt --reason 'was in a log'
  tegata token revoke --channel 1234567890 --group kitchen --dry-run
  tegata token revoke --channel 1234567890 --all
  tegata token revoke --created-by administrator --since 2026-11-26T09:00:00Z --dry-run
  tegata token revoke --everything --reason 'the master key was stolen'";

pub async fn issue(api: &Api, out: &Output, args: Issue) -> anyhow::Result<()> {
    let Some(path) = issue_path(args.kind) else {
        let advice = "long-lived tokens are issued by an administrator: run `tegata token reissue`";
        return Err(BadUsage(advice.to_owned()).into());
    };
    if args.kind == Kind::ShortLived && args.key.is_some() {
        let advice =
            "short-lived tokens require the channel secret: name its file with --secret-file";
        return Err(BadUsage(advice.to_owned()).into());
    }
    let (assertion, plain);
    let authentication = if let Some(file) = &args.key {
        let key = private_key(file, args.key_id)?;
        assertion = key.assertion(AUDIENCE, args.channel, args.lifetime, api.now().await)?;
        ClientAuthentication::Assertion(&assertion)
    } else if args.kind == Kind::V21 {
        let advice = "v2.1 tokens require an assertion key: name its file with --key, or create one \
                      with `tegata key generate`";
        return Err(BadUsage(advice.to_owned()).into());
    } else {
        plain = secret(args.secret_file)?;
        ClientAuthentication::Secret(args.channel, &plain)
    };
    let (group, idempotency_key) = (args.group.as_ref(), args.idempotency_key.as_deref());
    let with = With { group, idempotency_key };
    let issued = request(api, (args.channel, path), &authentication, with).await?;
    print_issued(out, &issued)
}

/// Requests a token with LINE's operation at `path`.
pub async fn request(
    api: &Api,
    (channel, path): (ChannelId, &str),
    authentication: &ClientAuthentication<'_>,
    with: With<'_>,
) -> anyhow::Result<Value> {
    api.issue(path, authentication, with).await.map_err(|error| {
        let words = error.to_string();
        if words.starts_with(UNKNOWN_KEY) {
            anyhow!(
                "{error}; `tegata key list --channel {channel}` lists the keys that are \
                 registered, and `tegata channel show {channel}` shows whether the channel is \
                 suspended"
            )
        } else if words.starts_with(WRONG_SIGNATURE) {
            anyhow!(
                "{error}; or the channel is suspended: `tegata channel show {channel}` shows it, and \
                 `tegata channel resume {channel}` ends it"
            )
        } else if WRONG_SECRET.iter().any(|it| words.starts_with(it)) {
            anyhow!(
                "{error}; the secret is not that of channel {channel}, or the channel does not exist \
                 or is suspended: `tegata channel show {channel}` shows it"
            )
        } else {
            error
        }
    })
}

/// Prints a new token, once.
pub fn print_issued(out: &Output, issued: &Value) -> anyhow::Result<()> {
    out.thing(issued, &["access_token", "token_type", "expires_in"])
}

/// LINE's words for an assertion of a key that is not registered.
const UNKNOWN_KEY: &str = "Cannot find channel key";

/// LINE's words for a signature by another key, and for each assertion of a suspended channel.
const WRONG_SIGNATURE: &str = "Invalid signature";

/// LINE's words for a secret that is not the channel's, or a channel that has none.
const WRONG_SECRET: [&str; 3] =
    ["Invalid 'client_credentials'", "invalid client_secret", "invalid client_id"];

fn secret(file: Option<PathBuf>) -> anyhow::Result<PlainSecret> {
    let secret = match file {
        Some(file) => Some(read_secret(&file)?),
        None => secret_variable("TEGATA_CHANNEL_SECRET")?,
    };
    let missing = || {
        let advice = "no channel secret: set TEGATA_CHANNEL_SECRET, or name a file that holds it \
                      with --secret-file, or that of an assertion key with --key";
        BadUsage(advice.to_owned())
    };
    no_private_key(secret.ok_or_else(missing)?)
}

pub async fn verify(api: &Api, out: &Output, Token { token }: Token) -> anyhow::Result<()> {
    let token = pasted_token(token)?;
    let error = match api.verify(&token).await {
        Ok(mut facts) => {
            facts["state"] = "active".into();
            return out.thing(&facts, &["state", "client_id", "expires_in"]);
        }
        Err(error) => error,
    };
    // LINE's operations do not distinguish all states. An administrator may learn it.
    let Ok(Explained::Known(explained)) = api.explain(&token).await else { return Err(error) };
    match (explained["state"].as_str(), explained["why"].as_str()) {
        (Some(state), Some(why)) => {
            Err(anyhow!("{error}; state: {}. {}", escaped(state), escaped(why)))
        }
        _ => Err(error),
    }
}

/// The first members in a token's table.
const FIRST: [&str; 6] = ["channel_id", "token_id", "kind", "state", "why", "group"];

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let channel = args.channel.to_string();
    let response = api.get(&["channels", &channel, "tokens"], &args).await?;
    let empty = response["tokens"].as_array().is_some_and(Vec::is_empty);
    if let Some(group) = args.group.as_ref().filter(|_| empty) {
        let groups = api.rows(&["channels", &channel, "groups"], "groups").await?;
        let names: Vec<&str> = groups.iter().filter_map(|it| it["group"].as_str()).collect();
        if !names.contains(&group.as_str()) {
            let names = escaped(&names.join(", "));
            note(&format!("note: there is no group {group}; the groups are: {names}"));
        }
    }
    let columns = [
        "token_id",
        "kind",
        "group",
        "state",
        "issued_at",
        "expires_at",
        "last_used_at",
        "idle_since",
        "cause",
    ];
    out.list(&response, "tokens", &columns)
}

pub async fn show(api: &Api, out: &Output, args: Show) -> anyhow::Result<()> {
    let path = ["channels", &args.channel.to_string(), "tokens", &args.token_id.to_string()];
    out.thing(&api.get(&path, &()).await?, &FIRST)
}

pub async fn revoke(api: &Api, out: &Output, args: Box<Revoke>) -> anyhow::Result<()> {
    let channel = args.channel.map(|it| it.to_string());
    let path = match &channel {
        Some(channel) => vec!["channels", channel, "revocations"],
        None => vec!["revocations"],
    };
    let created = args.created.members();
    let lists_first = created.is_some();
    // A request for one token names it, so there is nothing more to show.
    let wide = args.token.is_none() && args.token_id.is_none();
    // clap checked that exactly one of them is given.
    let what = if let Some(token) = args.token {
        json!({ "access_token": pasted_token(token)?.reveal() })
    } else if let Some(id) = args.token_id {
        json!({ "token_id": id })
    } else if let Some(group) = args.group {
        json!({ "group": group })
    } else if let Some(kind) = args.kind {
        json!({ "kind": kind })
    } else if let Some(key) = args.assertion_key {
        json!({ "assertion_key": key })
    } else if let Some(provider) = args.provider {
        json!({ "provider_id": provider })
    } else {
        created.unwrap_or_else(|| json!({ "all": true }))
    };
    let request = TakingRequest { lists_first, ..TakingRequest::post(&path, what) };
    let confirm = wide.then_some(args.confirm);
    match args.options.run(api, out, confirm, request).await? {
        Some(mut response) => {
            // The table before the act listed them.
            if !out.is_json()
                && let Some(keys) = response["keys"].as_array()
            {
                let deleted = keys.iter().filter(|it| !it["created_at"].is_null()).count();
                response["deleted_keys"] = deleted.into();
                response.as_object_mut().map(|it| it.remove("keys"));
            }
            out.taken(&response, &["revoked", "deleted_keys"])
        }
        None => Ok(()),
    }
}

pub async fn reissue(api: &Api, out: &Output, args: Reissue) -> anyhow::Result<()> {
    let channel = args.channel.to_string();
    let path = ["channels", &channel, "long-lived-token"];
    let request = TakingRequest::post(&path, json!({ "delay_seconds": args.delay.0 }));
    let key = args.idempotency_key.as_deref();
    let Some(issued) = args.options.run_once(api, out, Some(args.confirm), request, key).await?
    else {
        return Ok(());
    };
    let first = ["access_token", "token_type", "token_id", "previous_valid_until", "revoked"];
    out.taken(&issued, &first)
}
