//! `tegata receipt`: which programs have applied an act that takes something away.

use crate::{
    api::Api,
    output::{Output, awaited},
    taking::{wait, waiting::watch},
};
use clap::{Args, Subcommand};
use tegata_token::id::Position;

#[derive(Subcommand)]
pub enum Verb {
    /// Show the receipt of the act at a position; exit code 1 while it is pending.
    Show(Show),
}

#[derive(Args)]
pub struct Show {
    /// The position that the act returned.
    position: Position,
    /// Maximum time to wait until the receipt is complete, at most 60 seconds; prints on stderr
    /// which instances it waits for.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = wait)]
    wait: u16,
}

pub async fn show(api: &Api, out: &Output, Show { position, wait }: Show) -> anyhow::Result<()> {
    let position = position.to_string();
    let first = api.get(&["receipts", &position], &()).await?;
    let receipt = watch(api, &position, first, wait).await;
    out.thing(&receipt, &["state", "position", "effective_at"])?;
    match receipt["state"].as_str() {
        Some("complete") => Ok(()),
        _ => Err(anyhow::anyhow!(
            "the receipt is pending: it waits for {}; `tegata verifier list` has the id of its verifier, and `tegata verifier show ID` its \
             instances",
            awaited(&receipt)
        )),
    }
}
