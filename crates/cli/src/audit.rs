//! `tegata audit`: who changed what, when, and from where.

use crate::{
    api::{Api, Page},
    output::Output,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use tegata_token::id::ChannelId;

#[derive(Subcommand)]
pub enum Verb {
    /// List audit events, newest first.
    List(List),
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only what concerns this channel.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let answer = api.get(&["audit"], &args).await?;
    out.list(&answer, "events", &["id", "at", "actor", "act", "channel_id", "source", "reason"])
}
