//! `tegata signing-key`: the keys with which the authority signs tokens.

use crate::{
    api::{Api, Page},
    output::Output,
    taking::{Confirmation, TakingOptions, TakingRequest},
};
use clap::{Args, Subcommand};
use serde_json::json;
use tegata_token::id::SigningKeyId;

#[derive(Subcommand)]
pub enum Verb {
    /// List the signing keys, newest first.
    List(Page),
    /// Create a new key; it signs once verifiers had time to fetch it.
    Rotate,
    /// Revoke a key, and with it every token that it signed.
    Revoke(Revoke),
}

#[derive(Args)]
pub struct Revoke {
    /// The key's `kid`.
    #[arg(allow_hyphen_values = true)]
    kid: SigningKeyId,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

pub async fn list(api: &Api, out: &Output, page: Page) -> anyhow::Result<()> {
    let response = api.get(&["signing-keys"], &page).await?;
    out.list(
        &response,
        "signing_keys",
        &["kid", "state", "issued_before", "created_at", "changed_at"],
    )
}

pub async fn rotate(api: &Api, out: &Output) -> anyhow::Result<()> {
    out.thing(&api.post(&["signing-keys"], &json!({})).await?, &["kid", "state"])
}

pub async fn revoke(api: &Api, out: &Output, args: Revoke) -> anyhow::Result<()> {
    let request = TakingRequest::post(&["revocations"], json!({ "signing_key": args.kid }));
    match args.options.run(api, out, Some(args.confirm), request).await? {
        Some(response) => out.taken(&response, &["revoked"]),
        None => Ok(()),
    }
}
