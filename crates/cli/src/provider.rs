//! `tegata provider`: the organisations that own channels.

use crate::{
    api::{Api, Page},
    output::Output,
};
use clap::{Args, Subcommand};
use serde_json::json;

#[derive(Subcommand)]
pub enum Verb {
    /// Create a provider.
    Create(Create),
    /// List providers, newest first.
    List(Page),
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

pub async fn list(api: &Api, out: &Output, page: Page) -> anyhow::Result<()> {
    let response = api.get(&["providers"], &page).await?;
    out.list(
        &response,
        "providers",
        &["provider_id", "name", "created_at", "revocation.channels_left"],
    )
}
