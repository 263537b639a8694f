//! `tegata warning`: what expires soon, is unused, or is still used after its
//! replacement.

use crate::{
    api::{Api, Page},
    output::Output,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use tegata_token::id::ChannelId;

#[derive(Subcommand)]
pub enum Verb {
    /// List warnings, by channel.
    List(List),
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only warnings about this channel.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let response = api.get(&["warnings"], &args).await?;
    let columns =
        ["type", "channel_id", "group", "kind", "token_id", "kid", "expires_at", "contact"];
    out.list(&response, "warnings", &columns)
}
