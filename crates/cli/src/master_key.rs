//! `tegata master-key`: the key that encrypts the signing keys.

use crate::{
    api::Api,
    failure::BadUsage,
    output::Output,
    place::Where,
    taking::{Confirmation, ask},
    terminal::note,
};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::Path;
use tegata_server::authority::{admin_token::file_in_use, keeping, master_key::previous};
use tegata_store::sqlite::{Look, OpenError};
use tegata_token::key::KeyState;

#[derive(Subcommand)]
pub enum Verb {
    /// Replace the master key by a new one. If a server runs on the store, it does this
    /// without interruption.
    Rotate(Rotate),
}

#[derive(Args)]
pub struct Rotate {
    #[command(flatten)]
    confirm: Confirmation,
    #[command(flatten)]
    place: Where,
}

pub async fn rotate(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    Rotate { confirm, place }: Rotate,
) -> anyhow::Result<()> {
    let place = place.find_existing()?.place;
    let key = place.master_key();
    let previous = previous(&key);
    if confirm.asks() {
        ask(&format!(
            "replaces the master key in {} by a new one; the old one, which decrypts the backups \
             made so far, is kept in {} until the next backup or rotation\n",
            key.display(),
            previous.display()
        ))?;
    }
    let result = match keeping::rotate_master_key(&place).await {
        Ok(rewrapped) => json!({ "rewrapped": rewrapped }),
        Err(keeping::Error::Open(OpenError::Locked(store))) => {
            let api = api()?;
            check_is_of(&api, &store).await?;
            let asked = api.post(&["master-key"], &json!({})).await;
            asked.with_context(|| {
                format!("{} is in use, and its server did not rotate the key", store.display())
            })?
        }
        Err(error) => return Err(error.into()),
    };
    out.thing(&result, &["rewrapped"])?;
    note(&format!(
        "the new key is in {}; keep a copy apart from the backups. Signing keys in earlier \
         backups are encrypted with the old one, which is kept in {} until the next `tegata \
         backup` or rotation: make a new backup now, and keep a copy of the old key with the \
         earlier ones",
        key.display(),
        previous.display()
    ));
    Ok(())
}

/// Fails if the authority at the address is not the one that uses the store: its master
/// key must not be replaced, and its people must not be changed.
pub async fn check_is_of(api: &Api, store: &Path) -> anyhow::Result<()> {
    if !api.is_administrators()? {
        let used = file_in_use(store);
        let file = used.as_deref().unwrap_or(Path::new("FILE")).display();
        let which = match used {
            Some(_) => "",
            None => ", or set TEGATA_ADMIN_TOKEN",
        };
        return Err(BadUsage(format!(
            "{} is in use by a server, which does this for its administrators: add \
             --admin-token-file {file}{which}",
            store.display()
        ))
        .into());
    }
    let own = Look::at(store)?.standing()?.signing_keys;
    let active = own.iter().find(|key| key.state == KeyState::Active).map(|key| key.id.to_string());
    let theirs = api.rows(&["signing-keys"], "signing_keys").await;
    let theirs = theirs.with_context(|| format!("{} is in use by a server", store.display()))?;
    let is_known = |kid: &str| theirs.iter().any(|key| key["kid"] == kid);
    if active.as_deref().is_some_and(is_known) {
        return Ok(());
    }
    Err(anyhow!(
        "nothing was changed: the authority that answers is not the one that uses {}; give the \
         address of that one with --url or TEGATA_URL",
        store.display()
    ))
}
