//! The settings of the log, the same for every command that has one.

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Log level and format.
#[derive(clap::Args)]
pub struct LogSettings {
    /// Log level, or directives such as `info,tegata_server=debug`.
    // Without the lines that the migrations write at each start.
    #[arg(
        long,
        env,
        value_name = "DIRECTIVES",
        value_parser = directives,
        default_value = "info,refinery_core=warn"
    )]
    pub log: String,
    /// Format of the log, which goes to stderr.
    #[arg(long, env, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// The format of a log line.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object per line.
    Json,
}

fn directives(text: &str) -> Result<String, ParseError> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned())
}
