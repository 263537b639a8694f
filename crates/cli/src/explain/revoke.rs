//! Revokes the tokens that were found.

use super::{FoundToken, shown};
use crate::{
    api::Api,
    inspect::with_s,
    output::{Output, receipt},
    taking::{Confirmation, reason, wait, waiting},
    terminal::note,
};
use anyhow::anyhow;
use clap::Args;
use serde_json::{Value, json};
use tegata_client::admin::{Method, TakingCall};

/// How to revoke them.
#[derive(Args)]
pub struct Options {
    /// The reason; it is recorded in the audit.
    #[arg(long, requires = "revoke", value_parser = reason)]
    reason: Option<String>,
    /// Maximum time to wait, for each token, until no verifier is left that could accept it, at
    /// most 60 seconds.
    #[arg(long, value_name = "DURATION", default_value = "0s", requires = "revoke",
          value_parser = wait)]
    wait: u16,
    #[command(flatten)]
    confirm: Confirmation,
    /// Change nothing; print which tokens would be revoked.
    #[arg(long, requires = "revoke")]
    dry_run: bool,
}

/// Maximum number of tokens that are listed before they are revoked.
const LINES: usize = 1_000;

impl Options {
    /// Revokes those that are usable, and records the results in `report`. Output that cannot be
    /// printed does not end it: the error is returned once all are revoked.
    pub async fn revoke(
        self,
        api: &Api,
        out: &Output,
        found: &[FoundToken],
        (report, text_on_stdin): (&mut Value, bool),
    ) -> anyhow::Result<()> {
        let usable: Vec<&FoundToken> = found.iter().filter(|token| token.is_usable()).collect();
        let would: Vec<Value> = usable.iter().map(|token| token.json()).collect();
        let mut printed = self.announce(out, &would);
        let named =
            |it: &Value| json!({ "channel_id": it["channel_id"], "token_id": it["token_id"] });
        if self.dry_run || usable.is_empty() {
            let would: Vec<Value> = would.iter().map(named).collect();
            report["revocation"] = json!({ "dry_run": self.dry_run, "would_revoke": would, "revoked": [], "failed": [] });
            return printed;
        }
        let count = with_s(usable.len(), "token");
        self.confirm.ask(&format!("{count} will be revoked. "), text_on_stdin)?;
        let (mut revoked, mut failed, mut last) = (Vec::new(), Vec::new(), None);
        for (token, it) in usable.iter().zip(&would) {
            let mut done = named(it);
            match self.revoke_one(api, token, it).await {
                Ok(response) => {
                    for member in ["revoked", "position", "receipt"] {
                        done[member] = response[member].clone();
                    }
                    if !out.is_json() && printed.is_ok() {
                        printed = Output::line(&line(&done)).map_err(anyhow::Error::from);
                    }
                    revoked.push(done);
                }
                Err(error) => {
                    note(&format!("NOT revoked: {}: {error:#}", shown::line(it)));
                    done["error"] = format!("{error:#}").into();
                    failed.push(done);
                    last = Some(error);
                }
            }
        }
        let not = failed.len();
        report["revocation"] =
            json!({ "dry_run": false, "would_revoke": [], "revoked": revoked, "failed": failed });
        match last {
            None => printed,
            // An error that has an exit code of its own keeps it.
            Some(error) if revoked_none(report) => Err(error),
            Some(_) => Err(anyhow!("{} NOT revoked; run it again", with_s(not, "token"))),
        }
    }

    /// Prints what will be revoked.
    fn announce(&self, out: &Output, would: &[Value]) -> anyhow::Result<()> {
        if out.is_json() {
            return Ok(());
        }
        let count = with_s(would.len(), "active token");
        let verb = if self.dry_run { "would be revoked" } else { "to revoke" };
        let mut text = format!("{count} {verb}{}\n", if would.is_empty() { "" } else { ":" });
        for it in would.iter().take(LINES) {
            text.push_str(&format!("  {}\n", shown::line(it)));
        }
        if let Some(more @ 1..) = would.len().checked_sub(LINES) {
            text.push_str(&format!("  and {more} more\n"));
        }
        out.text(&text)
    }

    async fn revoke_one(&self, api: &Api, token: &FoundToken, it: &Value) -> anyhow::Result<Value> {
        let channel = it["channel_id"].as_str().unwrap_or_default();
        let mut body = json!({ "access_token": token.text.reveal() });
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        let members = body.as_object().cloned().unwrap_or_default();
        let request = TakingCall {
            method: Method::POST,
            members: &members,
            wait: self.wait,
            idempotency_key: None,
        };
        waiting::take(api, &["channels", channel, "revocations"], request).await
    }
}

fn revoked_none(report: &Value) -> bool {
    report["revocation"]["revoked"].as_array().is_none_or(Vec::is_empty)
}

/// The line for a token that is revoked.
fn line(done: &Value) -> String {
    let text = |value: &Value| shown::plain(value.as_str().unwrap_or("-"));
    let everywhere = shown::plain(&receipt(&done["receipt"]));
    format!(
        "revoked {} of channel {}, position {}, receipt {everywhere}",
        text(&done["token_id"]),
        text(&done["channel_id"]),
        text(&done["position"])
    )
}
