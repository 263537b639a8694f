//! `tegata channel`: channels, their settings and their secrets.

use crate::{
    api::{Api, Page},
    duration::{Seconds, seconds},
    failure::BadUsage,
    namesakes::note_namesakes,
    output::{Output, receipt},
    taking::{Confirmation, TakingOptions, TakingRequest},
    terminal::note,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tegata_client::admin::Method;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::DAY,
};

#[derive(Subcommand)]
pub enum Verb {
    /// Create a channel; prints its secret, once.
    Create(Create),
    /// List channels, newest first.
    List(List),
    /// Show a channel.
    Show(Which),
    /// Suspend a channel: it gets no tokens, and its tokens are not active until it is resumed.
    Suspend(Suspend),
    /// Resume a suspended channel.
    Resume(Which),
    /// Change a channel's name, rules or limits.
    Set(Box<Set>),
    /// Give a channel a new secret; prints it, once.
    RotateSecret(RotateSecret),
    /// Delete the previous secret of a channel before its time; the present one stays valid.
    DeletePreviousSecret(Delete),
    /// Delete a channel and revoke all its tokens; this cannot be undone.
    Delete(Delete),
}

#[derive(Args)]
pub struct Which {
    /// The channel's id.
    channel: ChannelId,
}

#[derive(Args)]
pub struct Suspend {
    /// The channel's id.
    channel: ChannelId,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args)]
pub struct Create {
    /// The provider that owns the channel.
    #[arg(long, value_name = "ID")]
    provider: ProviderId,
    /// The channel's type, which decides the kinds of token it may have.
    #[arg(long = "type", default_value = "messaging-api", value_parser = TYPES)]
    channel_type: String,
    /// The channel's name.
    name: String,
}

const TYPES: [&str; 3] = ["messaging-api", "line-login", "mini-app"];

#[derive(Args, Serialize)]
pub struct List {
    /// Only channels of this provider.
    #[arg(long, value_name = "ID")]
    #[serde(skip)]
    provider: Option<ProviderId>,
    /// Only channels whose name or id contains this text.
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Set {
    /// The channel's id.
    channel: ChannelId,
    /// The channel's new name.
    #[arg(long)]
    name: Option<String>,
    /// Token rules of the channel.
    #[arg(long, value_parser = ["current", "legacy-2020"])]
    rules: Option<String>,
    /// Maximum number of active tokens per kind in a group.
    #[arg(long, value_name = "N")]
    group_cap: Option<u32>,
    /// What happens when a token is requested for a full group.
    #[arg(long, value_parser = ["evict-oldest", "deny"])]
    group_when_full: Option<String>,
    /// Whether an assertion's audience must be this server; LINE's is then refused.
    #[arg(long, value_name = "BOOL")]
    own_audience_only: Option<bool>,
    /// Whether an assertion can be used only once.
    #[arg(long, value_name = "BOOL")]
    single_use_assertions: Option<bool>,
    /// What a report of a leaked token does: revoke the token, or flag it in a warning alone.
    #[arg(long, value_parser = ["revoke", "flag"])]
    on_leak: Option<String>,
    #[command(flatten)]
    limits: Limits,
}

/// A channel's own rate and surge limits; `default` restores the setting of `serve`.
#[derive(Args)]
struct Limits {
    /// Maximum short-lived tokens issued per second, or `default`.
    #[arg(long, value_name = "N", value_parser = figure)]
    issue_rate_short_lived: Option<Value>,
    /// Maximum requests per second for each other operation, except LINE's two verify
    /// operations, or `default`.
    #[arg(long, value_name = "N", value_parser = figure)]
    issue_rate: Option<Value>,
    /// Maximum requests per second to each of LINE's two verify operations, or `default`.
    #[arg(long, value_name = "N", value_parser = figure)]
    verify_rate: Option<Value>,
    /// Tokens of one kind that may be issued per window before a cooldown begins; 0
    /// disables the limit; or `default`.
    #[arg(long, value_name = "N", value_parser = figure)]
    surge_limit: Option<Value>,
    /// Length of the surge window, or `default`.
    #[arg(long, value_name = "DURATION", value_parser = length)]
    surge_window: Option<Value>,
    /// Length of the cooldown, or `default`.
    #[arg(long, value_name = "DURATION", value_parser = length)]
    surge_cooldown: Option<Value>,
}

/// A whole number, or null for `default`.
fn figure(text: &str) -> Result<Value, String> {
    if text == "default" {
        return Ok(Value::Null);
    }
    text.parse::<u32>().map(Value::from).map_err(|_| "give a whole number, or `default`".to_owned())
}

/// The seconds of a duration, or null for `default`.
fn length(text: &str) -> Result<Value, String> {
    if text == "default" {
        return Ok(Value::Null);
    }
    let length = seconds(0..=u32::MAX.into())(text);
    length.map(|it| it.0.into()).map_err(|_| "give a duration such as `15m`, or `default`".into())
}

impl Limits {
    /// The limits that were given, in the API's form.
    fn given(self) -> Option<Value> {
        let limits: Map<String, Value> = [
            ("issue_rate_short_lived", self.issue_rate_short_lived),
            ("issue_rate", self.issue_rate),
            ("verify_rate", self.verify_rate),
            ("surge_limit", self.surge_limit),
            ("surge_window_seconds", self.surge_window),
            ("surge_cooldown_seconds", self.surge_cooldown),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
        (!limits.is_empty()).then(|| limits.into())
    }
}

#[derive(Args)]
pub struct RotateSecret {
    /// The channel's id.
    channel: ChannelId,
    /// How long the present secret stays valid with the new one.
    #[arg(long, value_name = "DURATION", default_value = "0s",
          value_parser = seconds(0..=DAY.unsigned_abs()))]
    keep_previous: Seconds,
    /// Revoke tokens, too: those issued for a secret of the channel, or all.
    #[arg(long, value_name = "WHICH", default_value = "none",
          value_parser = ["none", "by-secret", "all"])]
    revoke_tokens: String,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

#[derive(Args)]
pub struct Delete {
    /// The channel's id.
    channel: ChannelId,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

/// The first members in a channel's table.
const FIRST: [&str; 6] = ["channel_id", "channel_secret", "name", "type", "state", "provider_id"];

pub async fn create(api: &Api, out: &Output, args: Create) -> anyhow::Result<()> {
    let path = ["providers", &args.provider.to_string(), "channels"];
    let body = json!({ "name": args.name, "type": args.channel_type });
    let made = api.post(&path, &body).await?;
    // The settings of a new channel are the defaults; `channel show` prints them. The secret is
    // printed before anything else: it is not shown again.
    out.only(&made, &FIRST)?;
    note_namesakes(api, &path, ("channels", "channel_id"), &made).await;
    Ok(())
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let response = match args.provider {
        Some(provider) => api.get(&["providers", &provider.to_string(), "channels"], &args).await?,
        None => api.get(&["channels"], &args).await?,
    };
    let columns = ["channel_id", "name", "type", "state", "provider_id", "created_at"];
    out.list(&response, "channels", &columns)
}

pub async fn show(api: &Api, out: &Output, Which { channel }: Which) -> anyhow::Result<()> {
    out.thing(&api.get(&["channels", &channel.to_string()], &()).await?, &FIRST)
}

pub async fn suspend(api: &Api, out: &Output, args: Suspend) -> anyhow::Result<()> {
    let id = args.channel.to_string();
    let path = ["channels", id.as_str()];
    let request = TakingRequest::new(Method::PATCH, &path, json!({ "state": "suspended" }));
    let request = TakingRequest { counted: "would_suspend", ..request };
    match args.options.run(api, out, Some(args.confirm), request).await? {
        Some(response) => {
            state(out, &response)?;
            note(&format!(
                "its tokens are valid again after `tegata channel resume {id}`; revoke what leaked"
            ));
            Ok(())
        }
        None => Ok(()),
    }
}

pub async fn resume(api: &Api, out: &Output, Which { channel }: Which) -> anyhow::Result<()> {
    let path = ["channels", &channel.to_string()];
    state(out, &api.patch(&path, &json!({ "state": "active" })).await?)
}

/// Prints what a change of the state did; `channel show` prints the settings.
fn state(out: &Output, response: &Value) -> anyhow::Result<()> {
    let wanted =
        ["channel_id", "name", "state", "suspended_tokens", "position", "receipt", "stateless_too"];
    let mut shown = response.clone();
    if !out.is_json() {
        shown["receipt"] = receipt(&response["receipt"]).into();
        // Suspending revokes none.
        if response["state"] == "suspended" {
            shown["suspended_tokens"] = response["revoked"].clone();
        }
    }
    out.only(&shown, &wanted)
}

pub async fn set(api: &Api, out: &Output, args: Set) -> anyhow::Result<()> {
    let changes: Map<String, Value> = [
        ("name", args.name.map(Value::from)),
        ("rules", args.rules.map(Value::from)),
        ("group_cap", args.group_cap.map(Value::from)),
        ("group_when_full", args.group_when_full.map(Value::from)),
        ("own_audience_only", args.own_audience_only.map(Value::from)),
        ("single_use_assertions", args.single_use_assertions.map(Value::from)),
        ("on_leak", args.on_leak.map(Value::from)),
        ("limits", args.limits.given()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    if changes.is_empty() {
        return Err(BadUsage("nothing to set; see `tegata channel set --help`".to_owned()).into());
    }
    patch(api, out, args.channel, &changes.into()).await
}

async fn patch(api: &Api, out: &Output, id: ChannelId, body: &Value) -> anyhow::Result<()> {
    out.taken(&api.patch(&["channels", &id.to_string()], body).await?, &FIRST)
}

pub async fn rotate_secret(api: &Api, out: &Output, args: RotateSecret) -> anyhow::Result<()> {
    let id = args.channel.to_string();
    let path = ["channels", &id, "secret"];
    // Otherwise nothing becomes invalid at once.
    let asks = args.revoke_tokens != "none" || args.keep_previous.0 == 0;
    let body = json!({ "keep_previous_seconds": args.keep_previous.0, "revoke_tokens": args.revoke_tokens });
    let request = TakingRequest::post(&path, body);
    let confirm = asks.then_some(args.confirm);
    match args.options.run(api, out, confirm, request).await? {
        Some(response) => out.taken(&response, &["channel_secret", "previous_valid_until"]),
        None => Ok(()),
    }
}

pub async fn delete_previous_secret(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let id = args.channel.to_string();
    let path = ["channels", &id, "secret", "previous"];
    let what = format!("the previous secret of channel {id}");
    let request = TakingRequest::delete(&path, json!({}));
    args.options.delete(api, out, args.confirm, (request, &what)).await
}

pub async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let id = args.channel.to_string();
    let path = ["channels", id.as_str()];
    let request = TakingRequest::delete(&path, json!({}));
    let what = format!("channel {id}");
    args.options.delete(api, out, args.confirm, (request, &what)).await
}
