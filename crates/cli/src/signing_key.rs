//! `tegata signing-key`: the authority's own keys, which sign all tokens.

use crate::{
    api::{Api, Page},
    output::Output,
    token::Telling,
};
use clap::{Args, Subcommand};
use serde_json::json;
use tegata_token::id::SigningKeyId;

#[derive(Subcommand)]
pub enum Verb {
    /// List the signing keys, newest first.
    List(Page),
    /// Make a new key; it signs once all verifiers know it.
    Rotate,
    /// Remove a key: every token that it signed ends.
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Revoke {
    /// The key's `kid`.
    #[arg(allow_hyphen_values = true)]
    kid: SigningKeyId,
    #[command(flatten)]
    telling: Telling,
}

pub async fn list(api: &Api, out: &Output, page: Page) -> anyhow::Result<()> {
    let answer = api.get(&["signing-keys"], &page).await?;
    out.list(&answer, "signing_keys", &["kid", "state", "created_at", "changed_at"])
}

pub async fn rotate(api: &Api, out: &Output) -> anyhow::Result<()> {
    out.thing(&api.post(&["signing-keys"], &json!({})).await?, &["kid", "state"])
}

pub async fn revoke(
    api: &Api,
    out: &Output,
    Revoke { kid, telling }: Revoke,
) -> anyhow::Result<()> {
    telling.revoke(api, out, &["revocations"], json!({ "signing_key": kid })).await
}
