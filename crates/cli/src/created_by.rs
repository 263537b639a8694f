//! `tegata token revoke --created-by`: revokes what an actor created within a time.

use crate::{api::Api, confirm, inspect::counted, output::Output};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Which actor, and when.
#[derive(Args)]
pub struct CreatedBy {
    /// The assertion keys that an actor registered since --since, with the tokens issued for
    /// them, and the tokens that the actor had issued; lists them first. The actor is named
    /// as in `tegata audit list`: `administrator`, or `channel ID` for a channel's own
    /// requests.
    #[arg(
        long,
        group = "what",
        value_name = "ACTOR",
        requires = "since",
        conflicts_with = "channel"
    )]
    created_by: Option<String>,
    /// With --created-by: only by requests from this address.
    #[arg(long, value_name = "ADDRESS", requires = "created_by")]
    source: Option<IpAddr>,
    /// With --created-by: from this time on, such as 2026-11-26T09:00:00Z.
    #[arg(long, value_name = "TIME", requires = "created_by")]
    since: Option<Timestamp>,
    /// With --created-by: before this time.
    #[arg(long, value_name = "TIME", requires = "created_by")]
    until: Option<Timestamp>,
}

impl CreatedBy {
    /// The member of the request's body, if an actor is given.
    pub fn member(&self) -> Option<Value> {
        let actor = self.created_by.as_ref()?;
        let mut member = json!({ "actor": actor, "since": self.since });
        if let Some(source) = self.source {
            member["source"] = source.to_string().into();
        }
        if let Some(until) = self.until {
            member["until"] = until.to_string().into();
        }
        Some(json!({ "created_by": member }))
    }
}

/// How to revoke.
pub struct How {
    pub reason: Option<String>,
    pub wait: u16,
    pub yes: bool,
    pub dry_run: bool,
}

/// Lists what `body` names, asks, and revokes it.
pub async fn revoke(api: &Api, out: &Output, mut body: Value, how: How) -> anyhow::Result<()> {
    let path = ["revocations"];
    let mut rehearsal = body.clone();
    rehearsal["dry_run"] = true.into();
    let found = api.post(&path, &rehearsal).await?;
    if how.dry_run && out.is_json() {
        return out.thing(&found, &[]);
    }
    if !out.is_json() {
        print(out, &found)?;
    }
    if how.dry_run {
        return Ok(());
    }
    let keys = found["keys"].as_array().map_or(0, Vec::len) as u64;
    let (keys, tokens) = (counted(keys, "key"), counted(number(&found["revoked"]), "token"));
    confirm::ask(&format!("Delete {keys} and revoke {tokens}?"), how.yes)?;
    if let Some(reason) = how.reason {
        body["reason"] = reason.into();
    }
    if how.wait > 0 {
        body["wait_seconds"] = how.wait.into();
    }
    let done = api.post_and_wait(&path, &body, how.wait).await?;
    out.thing(&done, &["revoked", "position"])
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Prints the keys and tokens that would go.
fn print(out: &Output, found: &Value) -> anyhow::Result<()> {
    let named = |name: &str| json!({ name: found[name], "next": null });
    out.list(
        &named("keys"),
        "keys",
        &["kid", "channel_id", "group", "created_at", "last_used_at"],
    )?;
    out.text("\n")?;
    out.list(
        &named("tokens"),
        "tokens",
        &["token_id", "channel_id", "kind", "group", "last_used_at", "expires_at"],
    )?;
    let more = number(&found["more"]);
    let beyond =
        if more > 0 { format!("{} more, ", counted(more, "token")) } else { String::new() };
    let stateless = match found["stateless_too"] == true {
        true => ", and all stateless tokens of these keys",
        false => "",
    };
    let keys = found["keys"].as_array().map_or(0, Vec::len) as u64;
    let revoked = counted(number(&found["revoked"]), "active token");
    out.text(&format!("\n{beyond}in all {}, {revoked}{stateless}\n", counted(keys, "key")))
}
