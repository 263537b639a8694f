//! The log of what runs long, to stderr: stdout is for people.

use crate::{failure::BadUsage, serve::LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Without what the migrations say at each start.
const USUAL: &str = "info,refinery_core=warn";

/// Begins to log what `directives` say, or what is usual.
pub fn to_stderr(directives: Option<&str>, form: Option<LogFormat>) -> anyhow::Result<()> {
    let directives = directives.unwrap_or(USUAL);
    let filter = EnvFilter::builder()
        .parse(directives)
        .map_err(|error| BadUsage(format!("--log {directives}: {error}")))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match form {
        Some(LogFormat::Json) => log.json().flatten_event(true).init(),
        _ => log.init(),
    }
    Ok(())
}
