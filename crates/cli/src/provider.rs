//! `tegata provider`: the organisations that own channels.

use crate::{
    api::{Api, Page},
    namesakes::note_namesakes,
    output::Output,
    taking::{Confirmation, TakingOptions, TakingRequest},
};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use tegata_token::id::ProviderId;

#[derive(Subcommand)]
pub enum Verb {
    /// Create a provider.
    Create(Create),
    /// List providers, newest first.
    List(List),
    /// Show a provider.
    Show(Which),
    /// Rename a provider.
    Set(Set),
    /// Delete a provider whose channels are all deleted; this cannot be undone.
    Delete(Delete),
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
pub struct Which {
    /// The provider's id.
    provider: ProviderId,
}

#[derive(Args)]
pub struct Set {
    /// The provider's id.
    provider: ProviderId,
    /// The provider's new name.
    #[arg(long)]
    name: String,
}

#[derive(Args)]
pub struct Delete {
    /// The provider's id.
    provider: ProviderId,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

/// The first members in a provider's table.
const FIRST: [&str; 3] = ["provider_id", "name", "created_at"];

#[derive(Args)]
pub struct Create {
    /// The provider's name.
    name: String,
}

pub async fn create(api: &Api, out: &Output, Create { name }: Create) -> anyhow::Result<()> {
    let made = api.post(&["providers"], &json!({ "name": name })).await?;
    note_namesakes(api, &["providers"], ("providers", "provider_id"), &made).await;
    // A new provider has nothing else.
    out.only(&made, &FIRST)
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let response = api.get(&["providers"], &args).await?;
    let revokes = |it: &Value| !it["revocation"].is_null();
    let columns = ["provider_id", "name", "created_at", "revocation.channels_left"];
    // Revoking a provider's tokens takes seconds; otherwise the last column is empty.
    let some = response["providers"].as_array().is_some_and(|all| all.iter().any(revokes));
    out.list(&response, "providers", &columns[..if some { 4 } else { 3 }])
}

pub async fn show(api: &Api, out: &Output, Which { provider }: Which) -> anyhow::Result<()> {
    out.thing(&api.get(&["providers", &provider.to_string()], &()).await?, &FIRST)
}

pub async fn set(api: &Api, out: &Output, Set { provider, name }: Set) -> anyhow::Result<()> {
    let path = ["providers", &provider.to_string()];
    out.thing(&api.patch(&path, &json!({ "name": name })).await?, &FIRST)
}

pub async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let id = args.provider.to_string();
    let path = ["providers", id.as_str()];
    let request = TakingRequest::delete(&path, json!({}));
    let what = format!("provider {id}");
    args.options.delete(api, out, args.confirm, (request, &what)).await
}
