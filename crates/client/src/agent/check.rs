//! A dry run: checks everything that a start needs, and writes and renews nothing. A
//! secret is checked by requesting a stateless token, which is not counted and expires
//! soon; an assertion key by requesting the list of key ids.

use super::{
    config::{ChannelConfig, Config, SinkConfig},
    disk::{self, FileOwner},
    health::skew_warning,
    shared,
    state::Folder,
};
use crate::{
    call::{Client, ClientAuthentication, Verified, With},
    failure::Failure,
    wanted::Wanted,
};
use rustix::fs::{Access, access};
use std::path::Path;
use tegata_policy::text::counted;
use tegata_token::{kind::Kind, time::UnixTime};

/// A check and its outcome.
#[derive(Debug)]
pub struct Finding {
    /// What was checked.
    pub about: String,
    /// What is in order, or what is wrong.
    pub outcome: Result<String, String>,
    /// Whether the check failed because the authority did not answer.
    pub is_unreachable: bool,
}

/// Runs all checks; `now` is the machine's wall time.
pub async fn check(config: &Config, now: UnixTime) -> Vec<Finding> {
    let mut all = Vec::new();
    all.extend(config.warnings().into_iter().map(|it| finding("settings", Err(it))));
    match Client::new(&config.authority) {
        Err(error) => all.push(finding("authority", Err(error.to_string()))),
        Ok(client) => {
            if let Err(unreachable) = requests(config, &client, now, &mut all).await {
                all.push(unreachable);
            }
            clock(&client, now, &mut all);
        }
    }
    if let Some(path) = &config.state {
        // A missing folder is created at the start, if its parent is writable.
        let there = path.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."));
        let outcome = writable(there).map(|()| "can be written".to_owned());
        all.push(finding(&path.display().to_string(), outcome));
    }
    for (number, sink) in config.sinks.iter().enumerate() {
        let outcome = rehearse(sink).map(|()| "can be written".to_owned());
        all.push(finding(&sink.label(number), outcome));
    }
    if let Err(problem) = shared::callers(config) {
        all.push(finding("callers", Err(problem)));
    }
    all
}

/// The checks that ask the authority. If it does not answer, that is the last finding: the
/// next request would only wait for the same.
async fn requests(
    config: &Config,
    client: &Client,
    now: UnixTime,
    all: &mut Vec<Finding>,
) -> Result<(), Finding> {
    for channel in &config.channels {
        credentials(config, channel, client, now, all).await?;
    }
    kept(config, client, now, all).await?;
    for watched in &config.watched {
        let about = format!("watch {}", watched.name);
        match watched.token() {
            Err(problem) => all.push(finding(&about, Err(problem))),
            Ok(token) => {
                let outcome = client.verify(&token).await;
                let outcome = outcome.map(|it| format!("active, expires in {} s", it.expires_in));
                all.push(asked(&about, outcome)?);
            }
        }
    }
    Ok(())
}

/// Whether the sink's file could be written: what a write does, without the last step.
fn rehearse(sink: &SinkConfig) -> Result<(), String> {
    let owner = sink.owner.as_deref().map(FileOwner::find).transpose()?;
    let Some(path) = sink.path.as_deref() else { return Ok(()) };
    let wrong = |what: String| format!("{}: {what}", path.display());
    disk::present(path).map_err(wrong)?;
    disk::rehearse(path, owner.unwrap_or_default()).map_err(|error| wrong(error.to_string()))
}

async fn credentials(
    config: &Config,
    channel: &ChannelConfig,
    client: &Client,
    now: UnixTime,
    all: &mut Vec<Finding>,
) -> Result<(), Finding> {
    let about = format!("channel {}", channel.id);
    let found = match channel.credentials(&config.audience) {
        Ok(found) => found,
        Err(failure) => {
            all.push(finding(&about, Err(failure.to_string())));
            return Ok(());
        }
    };
    let wanted = Wanted { channel: channel.id, group: None, kind: Kind::V21, lifetime: 15 * 60 };
    if found.key.is_some() {
        let outcome = match found.assertion(&wanted, now) {
            Ok(assertion) => client.key_ids(&assertion).await,
            Err(failure) => Err(failure),
        };
        let outcome = outcome.map_err(|failure| channel.blame(false, failure));
        let good = |ids: Vec<_>| {
            let active = counted(ids.len(), "v2.1 token is active", "v2.1 tokens are active");
            format!("the assertion key is valid; {active}")
        };
        all.push(asked(&about, outcome.map(good))?);
    }
    if let Some(secret) = &found.secret {
        let credential = ClientAuthentication::Secret(channel.id, secret);
        let outcome = client.issue_stateless(&credential, With::default()).await;
        let outcome = outcome.map_err(|failure| channel.blame(true, failure));
        all.push(asked(&about, outcome.map(|_| "the secret is valid".to_owned()))?);
    }
    Ok(())
}

async fn kept(
    config: &Config,
    client: &Client,
    now: UnixTime,
    all: &mut Vec<Finding>,
) -> Result<(), Finding> {
    let Some(path) = &config.state else { return Ok(()) };
    let folder = Folder::at(path);
    for token in &config.tokens {
        let about = format!("token {}", token.name);
        let wanted = config.wanted(token);
        match folder.load(&token.name, &wanted) {
            Err(problem) => all.push(finding(&about, Err(problem))),
            Ok(kept) => {
                let held = kept.and_then(|kept| kept.held);
                let Some(held) = held.filter(|it| it.life.covers(now)) else { continue };
                if wanted.kind == Kind::Stateless {
                    continue;
                }
                let outcome = client.verify(&held.token).await;
                let said = |it: Verified| format!("kept, active, expires in {} s", it.expires_in);
                all.push(asked(&about, outcome.map(said))?);
            }
        }
    }
    Ok(())
}

fn clock(client: &Client, now: UnixTime, all: &mut Vec<Finding>) {
    if let Some(theirs) = client.take_authority_time() {
        let outcome = match skew_warning(now.since(theirs)) {
            None => Ok("agrees with the authority's".to_owned()),
            Some(warning) => Err(warning),
        };
        all.push(finding("this machine's clock", outcome));
    }
}

fn writable(folder: &Path) -> Result<(), String> {
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| format!("{}: {error}", folder.display()))
}

fn finding(about: &str, outcome: Result<String, String>) -> Finding {
    Finding { about: about.to_owned(), outcome, is_unreachable: false }
}

/// The finding of a request; an error if the authority does not answer.
fn asked(about: &str, outcome: Result<String, Failure>) -> Result<Finding, Finding> {
    match outcome {
        Err(failure @ Failure::Unavailable { .. }) => {
            let unreachable = finding("authority", Err(failure.to_string()));
            Err(Finding { is_unreachable: true, ..unreachable })
        }
        outcome => Ok(finding(about, outcome.map_err(|failure| failure.to_string()))),
    }
}
