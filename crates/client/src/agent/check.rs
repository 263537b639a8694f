//! A dry run: checks everything that a start needs, and writes and renews nothing. A
//! secret is checked by requesting a stateless token, which is not counted and expires
//! soon; an assertion key by requesting the list of key ids.

use super::{
    config::{ChannelConfig, Config},
    disk::{self, FileOwner},
    shared,
    state::Folder,
};
use crate::{
    call::{Client, ClientAuthentication, Failure, With},
    wanted::Wanted,
};
use rustix::fs::{Access, access};
use std::path::Path;
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
            for channel in &config.channels {
                credentials(config, channel, &client, now, &mut all).await;
            }
            kept(config, &client, now, &mut all).await;
            for watched in &config.watched {
                let about = format!("watch {}", watched.name);
                match watched.token() {
                    Err(problem) => all.push(finding(&about, Err(problem))),
                    Ok(token) => all.push(asked(
                        &about,
                        client
                            .verify(&token)
                            .await
                            .map(|it| format!("active, expires in {} s", it.expires_in)),
                    )),
                }
            }
            clock(&client, now, &mut all);
        }
    }
    for (number, sink) in config.sinks.iter().enumerate() {
        let owner = sink.owner.as_deref().map(FileOwner::find).transpose();
        let outcome = owner.and_then(|_| {
            let Some(path) = sink.path.as_deref() else { return Ok(()) };
            disk::present(path).map_err(|what| format!("{}: {what}", path.display()))?;
            writable(disk::folder_of(path))
        });
        all.push(finding(&sink.label(number), outcome.map(|()| "can be written".to_owned())));
    }
    if let Err(problem) = shared::callers(config) {
        all.push(finding("callers", Err(problem)));
    }
    all
}

async fn credentials(
    config: &Config,
    channel: &ChannelConfig,
    client: &Client,
    now: UnixTime,
    all: &mut Vec<Finding>,
) {
    let about = format!("channel {}", channel.id);
    let found = match channel.credentials(&config.audience) {
        Ok(found) => found,
        Err(failure) => return all.push(asked(&about, Err(failure))),
    };
    let wanted = Wanted { channel: channel.id, group: None, kind: Kind::V21, lifetime: 15 * 60 };
    if found.key.is_some() {
        let outcome = match found.assertion(&wanted, now) {
            Ok(assertion) => client.key_ids(&assertion).await,
            Err(failure) => Err(failure),
        };
        let good = |ids: Vec<_>| {
            format!("the assertion key is valid; {} v2.1 tokens are active", ids.len())
        };
        all.push(asked(&about, outcome.map(good)));
    }
    if let Some(secret) = &found.secret {
        let credential = ClientAuthentication::Secret(channel.id, secret);
        let outcome = client.issue_stateless(&credential, With::default()).await;
        all.push(asked(&about, outcome.map(|_| "the secret is valid".to_owned())));
    }
}

async fn kept(config: &Config, client: &Client, now: UnixTime, all: &mut Vec<Finding>) {
    let Some(path) = &config.state else { return };
    let about = path.display().to_string();
    // A missing folder is created at the start, if its parent is writable.
    let there = path.ancestors().find(|it| it.exists()).unwrap_or(Path::new("."));
    all.push(finding(&about, writable(there).map(|()| "can be written".to_owned())));
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
                all.push(asked(
                    &about,
                    outcome.map(|it| format!("kept, active, expires in {} s", it.expires_in)),
                ));
            }
        }
    }
}

fn clock(client: &Client, now: UnixTime, all: &mut Vec<Finding>) {
    if let Some(theirs) = client.take_authority_time() {
        let skew = now.since(theirs);
        let outcome = match skew.abs() {
            0..=60 => Ok("agrees with the authority's".to_owned()),
            _ => Err(format!("{skew} s ahead of the authority's; set it")),
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

fn asked(about: &str, outcome: Result<String, Failure>) -> Finding {
    let is_unreachable = matches!(outcome, Err(Failure::Unavailable { .. }));
    let outcome = outcome.map_err(|failure| failure.to_string());
    Finding { about: about.to_owned(), outcome, is_unreachable }
}
