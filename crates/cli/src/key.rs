//! `tegata key`: the RSA keys with which a channel signs assertions. The private
//! half never leaves the machine that generated it.

use crate::{
    api::{Api, Page},
    duration::seconds,
    failure::BadUsage,
    files::create_private,
    output::Output,
    taking::{Confirmation, TakingOptions, TakingRequest},
};
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tegata_client::{
    key::{AUDIENCE, PrivateKey},
    public_key::public_jwk,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    kind::Kind,
    time::UnixTime,
};
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub enum Verb {
    /// Generate a key pair, write the private half to a file, and register the public half.
    Generate(Generate),
    /// Sign an assertion and print it, for a request with curl; asks no authority.
    Assertion(Assertion),
    /// Register the public half of a key pair that you made yourself.
    Register(Register),
    /// List registered keys: of a channel, or of all channels.
    List(List),
    /// Delete a registered key; no token can be requested with it any more.
    Delete(Delete),
}

#[derive(Args)]
pub struct Generate {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// Bind the key to a group: tokens requested with it belong to that group.
    #[arg(long)]
    group: Option<Group>,
    /// File to write the private key to (mode 0600); an existing file is not overwritten
    /// [default: CHANNEL.private.jwk.json, or CHANNEL.private.pem].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Format of the file. PEM (PKCS #8) does not hold the key's id, which is printed.
    #[arg(long, value_enum, default_value = "jwk")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jwk,
    Pem,
}

/// A channel's assertion key in a file, and the token that is requested with it.
#[derive(Args)]
pub struct Signing {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    pub channel: ChannelId,
    /// File with the private assertion key, as `tegata key generate` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The id that the key is registered under, unless the file holds it (PEM does not).
    #[arg(long, value_name = "KID")]
    key_id: Option<AssertionKeyId>,
    /// Lifetime of the v2.1 token (`token_exp`).
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    lifetime: i64,
}

/// The lifetime of a v2.1 token, in seconds.
pub fn lifetime(text: &str) -> Result<i64, String> {
    let seconds = seconds(1..=Kind::V21.life().longest().unsigned_abs())(text)?;
    i64::try_from(seconds.0).map_err(|error| error.to_string())
}

impl Signing {
    /// An assertion that is signed at this time.
    pub fn assertion(&self, audience: &str, now: UnixTime) -> anyhow::Result<String> {
        let key = private_key(&self.key, self.key_id)?;
        Ok(key.assertion(audience, self.channel, self.lifetime, now)?)
    }
}

/// The private key in a file; `id` if the file does not hold it.
pub fn private_key(file: &Path, id: Option<AssertionKeyId>) -> anyhow::Result<PrivateKey> {
    let id = id.map(|id| id.to_string());
    Ok(PrivateKey::read(file, id.as_deref()).map_err(|wrong| BadUsage(wrong.to_string()))?)
}

#[derive(Args)]
#[command(after_help = ASSERTION_EXAMPLES)]
pub struct Assertion {
    #[command(flatten)]
    signing: Signing,
    /// The `aud` of the assertion.
    #[arg(long, value_name = "URL", default_value = AUDIENCE)]
    audience: String,
}

const ASSERTION_EXAMPLES: &str = "\
Request a v2.1 token with curl:
  curl http://127.0.0.1:8080/oauth2/v2.1/token -d grant_type=client_credentials \\
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \\
    -d client_assertion=\"$(tegata key assertion --channel ID --key FILE)\"

An assertion is valid for 15 minutes from now, by the clock of this machine.";

#[derive(Args)]
pub struct Register {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// Bind the key to a group: tokens requested with it belong to that group.
    #[arg(long)]
    group: Option<Group>,
    /// File with the public key, or `-` for stdin: a JWK, a set of exactly one JWK, or
    /// PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`). A private key is refused and not sent.
    file: PathBuf,
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only the keys of this channel [default: those of all channels].
    #[arg(long, value_name = "ID", conflicts_with = "search")]
    #[serde(skip)]
    channel: Option<ChannelId>,
    /// Only keys whose id or group, or whose channel's id or name, contains this text.
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Delete {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// The key's `kid`.
    #[arg(allow_hyphen_values = true)]
    kid: AssertionKeyId,
    /// Revoke all tokens that were requested with it, too.
    #[arg(long)]
    revoke_tokens: bool,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

pub async fn generate(api: &Api, out: &Output, args: Generate) -> anyhow::Result<()> {
    let usual = match args.format {
        Format::Jwk => "jwk.json",
        Format::Pem => "pem",
    };
    let path = args.file.unwrap_or_else(|| format!("{}.private.{usual}", args.channel).into());
    // The file is created first: a key must not be registered and then lost.
    let mut file = create_private(&path)?;
    let key = PrivateKey::generate()?;
    let pem = key.to_pem()?;
    let registered = post_key(api, args.channel, key.public(), args.group).await;
    let kid = match registered {
        Ok(registered) => registered["kid"].as_str().unwrap_or_default().to_owned(),
        Err(error) => {
            std::fs::remove_file(&path).ok();
            return Err(error);
        }
    };
    let text = match args.format {
        Format::Jwk => Zeroizing::new(key.to_json(&kid)),
        Format::Pem => pem,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| {
        format!(
            "the key is registered as {kid}, but {} could not be written; delete the key with \
                 `tegata key delete --channel {} {kid}`",
            path.display(),
            args.channel
        )
    })?;
    out.thing(&json!({ "kid": kid, "private_key_file": path }), &["kid"])
}

pub fn assertion(out: &Output, args: Assertion) -> anyhow::Result<()> {
    let now = UnixTime(jiff::Timestamp::now().as_second());
    let assertion = args.signing.assertion(&args.audience, now)?;
    out.done(&assertion, &json!({ "client_assertion": assertion }))
}

/// The longest file with a key, in bytes.
const LONGEST: u64 = 64 * 1024;

pub async fn register(api: &Api, out: &Output, args: Register) -> anyhow::Result<()> {
    let mut document = Zeroizing::new(Vec::new());
    let read = if args.file.as_os_str() == "-" {
        std::io::stdin().take(LONGEST + 1).read_to_end(&mut document)
    } else {
        std::fs::File::open(&args.file)
            .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut document))
    };
    let name = args.file.display();
    let length = read.map_err(|error| BadUsage(format!("cannot read {name}: {error}")))?;
    if length as u64 > LONGEST {
        let wrong = format!("{name}: longer than {LONGEST} bytes; name a file with one public key");
        return Err(BadUsage(wrong).into());
    }
    // The authority refuses a private part, too; but it must not be sent at all.
    let jwk = public_jwk(&document).map_err(|error| BadUsage(format!("{name}: {error}")))?;
    let registered = post_key(api, args.channel, jwk, args.group).await?;
    out.thing(&registered, &["kid"])
}

async fn post_key(
    api: &Api,
    channel: ChannelId,
    jwk: Value,
    group: Option<Group>,
) -> anyhow::Result<Value> {
    let mut body = json!({ "jwk": jwk });
    if let Some(group) = group {
        body["group"] = json!(group);
    }
    api.post(&["channels", &channel.to_string(), "assertion-keys"], &body).await
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let Some(channel) = args.channel.map(|id| id.to_string()) else {
        let response = api.get(&["assertion-keys"], &args).await?;
        let columns = ["kid", "channel_id", "channel_name", "group", "created_at", "last_used_at"];
        return out.list(&response, "assertion_keys", &columns);
    };
    let response = api.get(&["channels", &channel, "assertion-keys"], &args.page).await?;
    out.list(&response, "assertion_keys", &["kid", "group", "created_at", "last_used_at"])
}

pub async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let (channel, kid) = (args.channel.to_string(), args.kid.to_string());
    let path = ["channels", &channel, "assertion-keys", &kid];
    let request = TakingRequest::delete(&path, json!({ "revoke_tokens": args.revoke_tokens }));
    let what = format!("key {kid} of channel {channel}");
    args.options.delete(api, out, args.confirm, (request, &what)).await
}
