//! `tegata admin`: who may administer.

use crate::{output::Output, place::Where};
use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use tegata_server::authority::admin_token::{self, Taken};

#[derive(Subcommand)]
pub enum Verb {
    /// Make a new administrator's token, on the machine that holds the store. Waits until
    /// the running server has taken it; fails if it did not, or takes its token elsewhere.
    Reset(Reset),
}

#[derive(Args)]
pub struct Reset {
    #[command(flatten)]
    place: Where,
}

pub async fn reset(
    out: &Output,
    Reset { place }: Reset,
    flag: Option<PathBuf>,
) -> anyhow::Result<()> {
    let (place, named) = place.find_token()?;
    if !place.store.exists() {
        let store = std::path::absolute(&place.store)?;
        return Err(anyhow!(
            "there is no store at {}; name the one that the server uses with --store, or run this \
             in its folder",
            store.display()
        ));
    }
    // By the same rule as `serve`, but for the variable, which may be a client's.
    let file = flag.or(named).unwrap_or_else(|| place.admin_token());
    let file = std::path::absolute(file)?;
    let taken = admin_token::reset(&place.store, &file).await?;
    let process = match taken {
        Taken::Running(process) => Some(process),
        Taken::NextStart => None,
    };
    let answer = json!({ "admin_token_file": file, "taken_by_process": process });
    out.thing(&answer, &["admin_token_file", "taken_by_process"])?;
    match taken {
        Taken::Running(_) => eprintln!("the server takes this token now, and the old one no more"),
        Taken::NextStart => eprintln!(
            "no server runs on this store; the next one takes this token, unless it is started \
             with TEGATA_ADMIN_TOKEN or --admin-token-file"
        ),
    }
    eprintln!(
        "if the old one was stolen, what was made with it still works: see \
         docs/book/src/runbooks/admin-token-stolen.md"
    );
    Ok(())
}
