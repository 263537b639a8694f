//! `tegata doctor`: checks everything that `serve` needs, and reports each problem with
//! its fix. It works with and without a running server, takes the settings of `serve`,
//! and changes nothing.

mod address;
mod database;
mod files;
mod litestream;
mod store;

use crate::{failure, output::Output, serve::Serve, variables};
use anyhow::anyhow;
use serde::Serialize;
use serde_json::json;
use std::{fmt, path::PathBuf};
use tegata_server::config::Settings;

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    what: String,
    /// How to fix it.
    next_step: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    /// It works, but perhaps not for long, or not as intended.
    Warning,
    /// `serve` does not start with it, or is not secure.
    Wrong,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "WARNING",
            Self::Wrong => "WRONG",
        })
    }
}

/// The results so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.0.push(Finding { check, state: State::Ok, what: what.into(), next_step: None });
    }

    fn warning(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        let next_step = Some(next_step.into());
        self.0.push(Finding { check, state: State::Warning, what: what.into(), next_step });
    }

    fn wrong(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        next_step: impl Into<String>,
    ) {
        let next_step = Some(next_step.into());
        self.0.push(Finding { check, state: State::Wrong, what: what.into(), next_step });
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|it| it.state == state).count()
    }
}

/// Runs all checks; fails if anything is wrong.
pub async fn run(
    out: &Output,
    args: Serve,
    admin_token_file: Option<PathBuf>,
) -> anyhow::Result<()> {
    let mut found = Findings::default();
    for what in variables::misspelt() {
        found.warning("config", what, "correct the name, or remove the variable");
    }
    match args.meaning(admin_token_file) {
        Ok(settings) => look(&mut found, &settings).await,
        Err(error) if failure::is_bad_usage(&error) => {
            let next_step = "correct it; `tegata serve --help` explains each setting. Nothing else was \
                        checked";
            found.wrong("config", format!("{error:#}"), next_step);
        }
        Err(error) => return Err(error),
    }
    print(out, &found)
}

async fn look(found: &mut Findings, settings: &Settings) {
    config(found, settings);
    files::look(found, settings);
    let running = address::look(found, settings).await;
    if running {
        elsewhere(found, settings);
    }
    match &settings.place.database {
        Some(database) => database::look(found, settings, database).await,
        None => store::look(found, settings, running),
    }
    litestream::look(found, &settings.place.store);
}

/// Warns if an authority answers and its store is not the one that these settings name.
fn elsewhere(found: &mut Findings, settings: &Settings) {
    let store = &settings.place.store;
    if settings.place.database.is_none() && !store.exists() {
        let what = format!(
            "an authority runs on {}, but its store is not here: there is no {}",
            settings.listen,
            store.display()
        );
        let next_step = "run this in its folder, or with the --store that it was started with; its \
                    files and its store were not checked";
        found.warning("files", what, next_step);
    }
}

/// Checks settings that are valid alone, but not together.
fn config(found: &mut Findings, settings: &Settings) {
    let before = found.0.len();
    let open = !settings.listen.ip().is_loopback();
    if settings.dev && open {
        let what = format!("--dev listens on loopback only, not on {}", settings.listen);
        found.wrong("config", what, "remove --dev, or listen on 127.0.0.1");
    }
    if open && settings.public_url.is_none() {
        let what = "public_url is not set, so tokens and metadata contain the listener\'s address";
        found.warning("config", what, "set public_url to the address that clients use");
    }
    if open && settings.tls.is_none() && !settings.dev {
        let what = format!("secrets and tokens are not encrypted on {}", settings.listen);
        let next_step = "set --tls-cert and --tls-key, or make this address reachable only for a \
                    reverse proxy that terminates TLS";
        found.warning("config", what, next_step);
    }
    if found.0.len() == before {
        found.ok("config", "the settings are valid together");
    }
}

fn print(out: &Output, found: &Findings) -> anyhow::Result<()> {
    let (wrong, warnings) = (found.count(State::Wrong), found.count(State::Warning));
    if out.is_json() {
        out.thing(&json!({ "findings": found.0, "wrong": wrong, "warnings": warnings }), &[])?;
    } else {
        for Finding { check, state, what, next_step } in &found.0 {
            let next_step =
                next_step.as_ref().map_or(String::new(), |it| format!("\n{:17}=> {it}", ""));
            Output::line(&format!("{state:7}  {check:7} {what}{next_step}"))?;
        }
    }
    match wrong {
        0 => Ok(()),
        1 => Err(anyhow!("1 thing is wrong")),
        _ => Err(anyhow!("{wrong} things are wrong")),
    }
}
