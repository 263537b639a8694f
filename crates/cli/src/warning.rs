//! `tegata warning`: what expires soon, is unused, or is still used after its
//! replacement.

use crate::{
    api::{Api, Page},
    output::Output,
    verifier::with_units,
};
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use tegata_token::id::{ChannelId, ProviderId};

#[derive(Subcommand)]
pub enum Verb {
    /// List warnings, by channel or by time.
    List(List),
    /// Send a test warning to the webhook now; exit code 1 if it was not accepted.
    SendTest,
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only warnings about this channel.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    /// Only warnings about this provider's channels.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderId>,
    /// Only of this type, such as token.expiring.
    #[arg(long, value_name = "TYPE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    /// Only those that began to apply at this time (RFC 3339) or later.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Only those that began to apply before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// By the channels' ids, or by time, newest first.
    #[arg(long, value_parser = ["channel", "time"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let response = api.get(&["warnings"], &args).await?;
    let columns =
        ["type", "channel_id", "group", "kind", "token_id", "kid", "expires_at", "contact"];
    let own = response["authority"].as_array().cloned().unwrap_or_default();
    let mut silent = response["verifiers"].as_array().cloned().unwrap_or_default();
    let none_of_channels = response["warnings"].as_array().is_some_and(Vec::is_empty);
    let has_others = !silent.is_empty() || !own.is_empty();
    if out.is_json() || !has_others || !none_of_channels {
        out.list(&response, "warnings", &columns)?;
    }
    if !silent.is_empty() && !out.is_json() {
        silent.iter_mut().for_each(with_units);
        let columns = ["type", "verifier_id", "instance", "age", "cannot", "accepted_token_id"];
        out.list(&json!({ "verifiers": silent }), "verifiers", &columns)?;
    }
    if !own.is_empty() && !out.is_json() {
        let columns = ["type", "kid", "active_since", "expires_at", "backed_up_at", "advice"];
        out.list(&json!({ "authority": own }), "authority", &columns)?;
    }
    Ok(())
}

pub async fn send_test(api: &Api, out: &Output) -> anyhow::Result<()> {
    let sent = api.post(&["warnings", "test"], &json!({})).await?;
    out.thing(&sent, &["delivered", "host", "status", "error"])?;
    match (sent["delivered"].as_bool(), sent["status"].as_u64()) {
        (Some(true), _) => Ok(()),
        (_, Some(status)) => bail!("the receiver answered {status}, not 2xx; look at its log"),
        _ => bail!("the receiver did not answer; can the server reach its address?"),
    }
}
