//! `tegata master-key`: the key that seals the signing keys.

use crate::{api::Api, output::Output, place::Where};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use tegata_server::authority::keeping;
use tegata_store::sqlite::OpenError;

#[derive(Subcommand)]
pub enum Verb {
    /// Put a new master key in the place of the old one. A server that runs on the
    /// store is asked to do it, and serves on meanwhile.
    Rotate(Rotate),
}

#[derive(Args)]
pub struct Rotate {
    #[command(flatten)]
    place: Where,
}

pub async fn rotate(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    Rotate { place }: Rotate,
) -> anyhow::Result<()> {
    let (place, _) = place.find()?;
    let answer = match keeping::rotate_master_key(&place).await {
        Ok(resealed) => json!({ "resealed": resealed }),
        Err(keeping::Error::Open(OpenError::Locked(store))) => {
            let asked = api()?.post(&["master-key"], &json!({})).await;
            asked.with_context(|| {
                format!("{} is in use, and its server did not do it", store.display())
            })?
        }
        Err(error) => return Err(error.into()),
    };
    out.thing(&answer, &["resealed"])?;
    eprintln!(
        "the new key is in the master key's file; keep a copy apart from the backups. Signing \
         keys in backups made before are sealed with the old one: make a new backup"
    );
    Ok(())
}
