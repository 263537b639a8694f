//! `tegata admin`: who may administer.

use crate::{output::Output, place::Where};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;
use tegata_server::authority::admin_token;

#[derive(Subcommand)]
pub enum Verb {
    /// Make a new administrator's token, on the machine that holds the store. A
    /// running server takes it at once, and the old one no more.
    Reset(Reset),
}

#[derive(Args)]
pub struct Reset {
    #[command(flatten)]
    place: Where,
}

pub fn reset(out: &Output, Reset { place }: Reset) -> anyhow::Result<()> {
    let (place, _) = place.find()?;
    if !place.store.exists() {
        let store = std::path::absolute(&place.store)?;
        return Err(anyhow!(
            "there is no store at {}; name the one that the server uses with --store, or run this \
             in its folder",
            store.display()
        ));
    }
    let file = std::path::absolute(place.admin_token())?;
    admin_token::reset(&file)?;
    out.thing(&json!({ "admin_token_file": file }), &["admin_token_file"])?;
    eprintln!(
        "a server takes this token at once, and the one before no more, unless a token was set \
         for it with TEGATA_ADMIN_TOKEN or --admin-token-file: then change that one, and start \
         the server again"
    );
    Ok(())
}
