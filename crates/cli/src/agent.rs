//! `tegata agent`: renews channel access tokens and writes them where programs
//! read them.

use crate::{
    failure::{BadUsage, Unreachable},
    log::LogSettings,
    output::Output,
};
use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;
use tegata_client::agent::{
    check::{self, Finding},
    config::Config,
    run,
};
use tegata_policy::text::counted;
use tegata_server::serve::{reload_signals, stop_signal};
use tegata_token::time::UnixTime;

#[derive(Subcommand)]
pub enum Verb {
    /// Renew the tokens that a settings file names, until stopped by a signal. SIGHUP
    /// reloads the file.
    Run(Run),
    /// Check everything that a start needs; write nothing, renew nothing.
    Check(Check),
}

#[derive(Args)]
pub struct Settings {
    /// File that names the tokens to renew and where to write them.
    #[arg(long, env = "TEGATA_AGENT_CONFIG", value_name = "FILE", default_value = "agent.toml")]
    config: PathBuf,
}

#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    log: LogSettings,
}

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    fn read(&self) -> anyhow::Result<Config> {
        Ok(Config::read(&self.config).map_err(|error| BadUsage(error.to_string()))?)
    }
}

pub async fn run(args: Run) -> anyhow::Result<()> {
    let config = args.settings.read()?;
    args.log.begin()?;
    let reloads = reload_signals()?;
    let stop = async {
        // Without signals, the agent runs until it is killed.
        if stop_signal().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let started = |address: Option<std::net::SocketAddr>| {
        if let Some(address) = address {
            // The agent runs also if no program reads its output.
            let _ = Output::line(&format!("health and tokens at http://{address}"));
        }
    };
    let path = &args.settings.config;
    run::run(&config, path, stop, reloads, started).await.map_err(|error| anyhow!("{error}"))
}

pub async fn check(out: &Output, args: Check) -> anyhow::Result<()> {
    let config = args.settings.read()?;
    let now = UnixTime(jiff::Timestamp::now().as_second());
    let findings = check::check(&config, now).await;
    let rows: Vec<_> = findings.iter().map(row).collect();
    out.list(&json!({ "findings": rows }), "findings", &["ok", "about", "said"])?;
    let bad = findings.iter().filter(|it| it.outcome.is_err());
    match bad.clone().count() {
        0 => Ok(()),
        all if bad.filter(|it| it.is_unreachable).count() == all => {
            Err(Unreachable("the authority cannot be reached; see above".to_owned()).into())
        }
        all => bail!("{all} of {} failed", counted(findings.len(), "check", "checks")),
    }
}

fn row(finding: &Finding) -> serde_json::Value {
    let (Ok(said) | Err(said)) = &finding.outcome;
    json!({ "ok": finding.outcome.is_ok(), "about": finding.about, "said": said })
}
