//! `tegata admin`: the root administrator's token.

use crate::{output::Output, place::Where, taking::Confirmation};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use tegata_server::authority::admin_token::{self, Taken};

#[derive(Subcommand)]
pub enum Verb {
    /// Create a new root administrator's token, on the machine of the store. Waits until
    /// the running server uses it; fails if the server does not, or has its token from
    /// elsewhere.
    Reset(Reset),
}

#[derive(Args)]
pub struct Reset {
    /// The reason; the running server records it in the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    confirm: Confirmation,
    #[command(flatten)]
    place: Where,
}

pub async fn reset(
    out: &Output,
    Reset { reason, confirm, place }: Reset,
    flag: Option<PathBuf>,
) -> anyhow::Result<()> {
    let (place, named) = place.find_token()?;
    // The rule of `serve`, without the variable, which may hold a client's token.
    let file = flag.or(named).unwrap_or_else(|| place.admin_token());
    let file = std::path::absolute(file)?;
    let what_goes = format!("replaces the administrator's token in {}\n", file.display());
    confirm.ask(&what_goes, false)?;
    let taken = admin_token::reset(&place.store, &file, reason.as_deref()).await?;
    let process = match taken {
        Taken::Running(process) => Some(process),
        Taken::NextStart => None,
    };
    let result = json!({ "admin_token_file": file, "taken_by_process": process });
    out.thing(&result, &["admin_token_file", "taken_by_process"])?;
    match taken {
        Taken::Running(_) => eprintln!("the server now accepts this token and rejects the old one"),
        Taken::NextStart => eprintln!(
            "no server runs on this store, so the audit does not record this; the next one uses \
             this token, unless it is started with TEGATA_ADMIN_TOKEN or --admin-token-file"
        ),
    }
    eprintln!(
        "if the old token was stolen, what was created with it still works: see \
         docs/book/src/runbooks/admin-token-stolen.md"
    );
    Ok(())
}
