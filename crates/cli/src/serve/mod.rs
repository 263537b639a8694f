//! `tegata serve`: placeholder.
use std::path::PathBuf;
/// Args.
#[derive(clap::Args)]
pub struct Serve {}
/// Run.
pub async fn run(_args: Serve, _admin_token_file: Option<PathBuf>) -> anyhow::Result<()> {
    Ok(())
}
