//! `tegata audit`: who changed what, when, and from where.

use crate::{
    api::{Api, Page, time},
    failure::BadUsage,
    output::Output,
    place::{Where, check_file_exists},
    serve::StoreAddress,
    taking::Why,
};
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
};
use tegata_server::authority::{
    audit::{anchored, verify_offline},
    keeping::accept_audit,
    place::Files,
};
use tegata_store::{
    audit::{Anchored, AuditReport, AuditVerifier, Checkpoint, RawAuditRow},
    audit_event::{AuditAct, AuditEvent},
};
use tegata_token::{
    id::{ChannelId, Group, ProviderId, TokenId},
    key::VerifyingKey,
};

#[derive(Subcommand)]
pub enum Verb {
    /// List audit events, newest first.
    List(List),
    /// Print all events, oldest first and unchanged, one JSON object per line: the input of
    /// `verify --export`.
    Export,
    /// Check that no event before the last checkpoint was removed, altered, added or moved;
    /// exit code 1 if one was, or if no anchor confirms the last event.
    Verify(Verify),
    /// Accept the audit's last event as it is, if its anchor is lost or does not match: on
    /// the machine of the store, with the server stopped. On PostgreSQL it is accepted for all
    /// servers, which may run.
    Accept(Accept),
}

#[derive(Args)]
pub struct Accept {
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    place: Where,
}

pub async fn accept(out: &Output, Accept { why, place }: Accept) -> anyhow::Result<()> {
    let place = place.find_existing()?.place;
    let checkpoint = accept_audit(&place, why.reason).await?;
    let anchor = place.audit_anchor();
    out.thing(&json!({ "anchor": anchor, "checkpoint": checkpoint }), &["anchor", "checkpoint"])
}

/// The audit to check: the running authority's, unless one of these is given.
#[derive(Args)]
pub struct Verify {
    /// The audit in this store, with or without a running server.
    #[arg(long, value_name = "sqlite:FILE", conflicts_with = "export")]
    store: Option<StoreAddress>,
    /// File with the store's master key [default: in the store's folder].
    #[arg(long, value_name = "FILE", requires = "store")]
    master_key_file: Option<PathBuf>,
    /// The store's rollback guard [default: in the master key's folder].
    #[arg(long, value_name = "FILE", requires = "store")]
    rollback_guard_file: Option<PathBuf>,
    /// File with the output of `tegata audit export`.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// The public key to check an export with, as `tegata audit verify` prints it. The
    /// export holds a key too, but that proves nothing against the author of the export.
    #[arg(long, value_name = "HEX", requires = "export")]
    public_key: Option<String>,
    /// The anchor to compare an export's last event with: a copy of the file `.guard.audit`
    /// that is older than the export.
    #[arg(long, value_name = "FILE", requires = "export")]
    anchor: Option<PathBuf>,
    /// Compare the last event with no anchor, as for a backup: if newer events were cut
    /// off, that is not noticed.
    #[arg(long, conflicts_with = "anchor")]
    without_anchor: bool,
}

#[derive(Args, Serialize)]
pub struct List {
    #[command(flatten)]
    #[serde(flatten)]
    filter: Filter,
    #[command(flatten)]
    #[serde(flatten)]
    page: Page,
}

/// Which events to list: those that fit every filter that is given.
#[derive(Args, Serialize)]
struct Filter {
    /// Only events of this channel.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<ChannelId>,
    /// Only events of this provider and its channels.
    #[arg(long, value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderId>,
    /// Only acts on a group of this name.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    /// Only acts on this token alone.
    #[arg(long, value_name = "TOKEN_ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenId>,
    /// Only acts of this actor, as the list names it: `administrator`, `person ID`,
    /// `channel ID`, `operator`, `tegata`, `reporter` or `reporter github`.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// Only this act, as the list names it, such as `channel.suspend`.
    #[arg(long, value_parser = acts(), hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<String>,
    /// Only acts that were requested from this address.
    #[arg(long, value_name = "IP_ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<IpAddr>,
    /// Only events from this time on, such as 2026-11-26T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

fn acts() -> PossibleValuesParser {
    AuditAct::ALL.iter().map(|act| act.name()).collect::<Vec<_>>().into()
}

pub async fn list(api: &Api, out: &Output, args: List) -> anyhow::Result<()> {
    let mut response = api.get(&["audit"], &args).await?;
    if !out.is_json() {
        for event in response["events"].as_array_mut().into_iter().flatten() {
            event["object"] = object(event).into();
        }
    }
    out.list(&response, "events", &COLUMNS)
}

/// The columns of the table; `object` is made here.
const COLUMNS: [&str; 8] = ["id", "at", "actor", "act", "object", "position", "source", "reason"];

/// What an event concerns, from the widest to the narrowest.
fn object(event: &Value) -> String {
    let id = |name: &str| event[name].as_str();
    let provider = id("provider_id").and_then(|it| it.parse().ok());
    let channel = id("channel_id").and_then(|it| it.parse().ok());
    let act = event["act"].as_str().unwrap_or_default();
    match AuditEvent::read(act, &event["detail"]) {
        Some(known) => known.object(provider, channel),
        // An act of a newer server.
        None => match (channel, provider) {
            (Some(channel), _) => format!("channel {channel}"),
            (None, Some(provider)) => format!("provider {provider}"),
            (None, None) => "-".to_owned(),
        },
    }
}

/// A line of an export.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// The key that verifies the checkpoints.
    PublicKey(String),
    Event(RawAuditRow),
    Checkpoint(Checkpoint),
}

/// A part of the audit, as the API returns it.
#[derive(Deserialize)]
struct Part {
    rows: Vec<RawAuditRow>,
    checkpoint: Option<Checkpoint>,
    public_key: String,
}

pub async fn export(api: &Api) -> anyhow::Result<()> {
    let print = |line: &Line| -> anyhow::Result<()> { Ok(Output::json_line(line)?) };
    let mut behind = json!({});
    let mut first = true;
    loop {
        let response = api.get(&["audit", "checkpoints"], &behind).await?;
        let part: Part = serde_json::from_value(response)?;
        if std::mem::take(&mut first) {
            print(&Line::PublicKey(part.public_key))?;
        }
        let last = part.rows.last().map(|row| row.id);
        for row in part.rows {
            print(&Line::Event(row))?;
        }
        behind = match (part.checkpoint, last) {
            (Some(checkpoint), _) => {
                let behind = json!({ "checkpoint": checkpoint.number, "event": checkpoint.last });
                print(&Line::Checkpoint(checkpoint))?;
                behind
            }
            (None, Some(last)) => json!({ "checkpoint": i64::MAX, "event": last }),
            (None, None) => return Ok(()),
        };
    }
}

pub async fn verify(
    api: impl FnOnce() -> anyhow::Result<Api>,
    out: &Output,
    args: Verify,
) -> anyhow::Result<()> {
    let Verify {
        store,
        master_key_file,
        rollback_guard_file,
        export,
        public_key,
        anchor,
        without_anchor,
    } = args;
    let response = if let Some(store) = store {
        let store = store.file()?;
        check_file_exists(&store)?;
        let place = Files { store, database: None, master_key_file, rollback_guard_file };
        let (report, key) = verify_offline(&place, without_anchor)?;
        as_json(&report, &key)?
    } else if let Some(file) = export {
        let key = public_key.as_deref().map(key_of).transpose()?;
        let anchored = match (anchor, without_anchor) {
            (Some(file), _) => anchored(&file),
            (None, true) => Anchored::Ignored,
            (None, false) => Anchored::Missing(
                "an export has no anchor; name a copy of one with --anchor, or check without one \
                 with --without-anchor"
                    .to_owned(),
            ),
        };
        let (report, key) = check_export(&file, key, anchored)?;
        as_json(&report, &key)?
    } else {
        if without_anchor {
            let what = "--without-anchor needs --store or --export; a running server has an anchor";
            return Err(BadUsage(what.to_owned()).into());
        }
        // The server reads the whole audit.
        api()?.get_and_wait(&["audit", "verify"], &(), 600).await?
    };
    out.thing(&response, &["ok", "end", "events", "checkpoints", "pending", "problems"])?;
    if response["ok"] == true {
        return Ok(());
    }
    let unconfirmed = response["end"] == "unconfirmed"
        && response["problems"].as_array().is_some_and(|it| it.len() == 1);
    Err(match unconfirmed {
        true => anyhow!(
            "the last event of the audit cannot be confirmed; see `problems`, and for the next \
             step docs/book/src/runbooks/audit-broken.md"
        ),
        false => anyhow!(
            "the audit does not match its checkpoints; see `problems`, and for the next step \
             docs/book/src/runbooks/audit-broken.md"
        ),
    })
}

fn as_json(report: &AuditReport, key: &VerifyingKey) -> anyhow::Result<Value> {
    let mut response = serde_json::to_value(report)?;
    response["public_key"] = HEXLOWER.encode(&key.to_bytes()).into();
    Ok(response)
}

fn key_of(text: &str) -> anyhow::Result<VerifyingKey> {
    let wrong = || {
        BadUsage("--public-key: give 64 hex digits, as `tegata audit verify` prints them".into())
    };
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|it| it.try_into().ok()).ok_or_else(wrong)?;
    Ok(VerifyingKey::from_bytes(bytes).map_err(|_| wrong())?)
}

/// Checks an export line by line; holds the events of one checkpoint at a time.
fn check_export(
    path: &Path,
    given: Option<VerifyingKey>,
    anchored: Anchored,
) -> anyhow::Result<(AuditReport, VerifyingKey)> {
    let at = || path.display().to_string();
    let mut lines = BufReader::new(File::open(path).with_context(at)?).lines();
    let mut number = 0;
    let mut next = || -> anyhow::Result<Option<Line>> {
        number += 1;
        let Some(line) = lines.next().transpose().with_context(at)? else { return Ok(None) };
        let parsed = serde_json::from_str(&line);
        parsed
            .map(Some)
            .with_context(|| format!("{}: line {number} is not a line of an export", at()))
    };
    let Some(Line::PublicKey(own_key)) = next()? else {
        return Err(anyhow!("{} is not an export; `tegata audit export` prints one", at()));
    };
    let key = given.map_or_else(|| key_of(&own_key), Ok)?;
    let mut verifier = AuditVerifier::new(key.clone(), anchored);
    let mut rows = Vec::new();
    while let Some(line) = next()? {
        match line {
            Line::PublicKey(_) => {}
            Line::Event(row) => rows.push(row),
            Line::Checkpoint(checkpoint) => {
                verifier.checkpoint(&checkpoint, &std::mem::take(&mut rows))
            }
        }
    }
    verifier.pending(&rows);
    Ok((verifier.report(), key))
}
