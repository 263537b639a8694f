//! `tegata provider`: the organisations that own channels.

use crate::{
    api::{Api, Page},
    output::Output,
};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

#[derive(Subcommand)]
pub enum Verb {
    /// Create a provider.
    Create(Create),
    /// List providers, newest first.
    List(List),
}

#[derive(Args, Serialize)]
pub struct List {
    /// Only those whose name or id contains this text.
    #[arg(long, value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Create {
    /// The provider's name.
    name: String,
}

pub async fn create(api: &Api, out: &Output, Create { name }: Create) -> anyhow::Result<()> {
    let made = api.post(&["providers"], &json!({ "name": name })).await?;
    out.thing(&made, &["provider_id", "name"])
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let response = api.get(&["providers"], &args).await?;
    out.list(
        &response,
        "providers",
        &["provider_id", "name", "created_at", "revocation.channels_left"],
    )
}
