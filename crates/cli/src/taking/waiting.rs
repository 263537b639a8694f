//! Waits for verifiers after an act, and prints on stderr which instances are awaited.

use crate::{
    api::Api,
    output::{awaited, receipt},
    terminal::note,
};
use serde_json::Value;
use tegata_client::admin::TakingCall;

/// Seconds that pass before the command prints what it waits for: running verifiers
/// acknowledge an act earlier.
const SILENT: u16 = 1;

/// Seconds that the server holds one request for the receipt. The printed line is at most
/// that old.
const STEP: u16 = 2;

/// Sends an act that takes something away, and waits for its receipt as long as it says.
pub async fn take(api: &Api, path: &[&str], act: TakingCall<'_>) -> anyhow::Result<Value> {
    let (whole, wait) = (act.wait, act.wait.min(SILENT));
    let mut members = act.members.clone();
    if wait > 0 {
        members.insert("wait_seconds".to_owned(), wait.into());
    }
    let mut response = api.take(path, TakingCall { members: &members, wait, ..act }).await?;
    let position = response["position"].as_str().map(str::to_owned);
    if let (Some(position), Some(first)) = (position, response.get("receipt").cloned()) {
        let last = watch(api, &position, first, whole - wait).await;
        if last["state"] == "pending" {
            note(&format!(
                "the receipt is pending: `tegata receipt show {position} --wait 60` waits for it. \
                 `tegata verifier show ID` shows for how long an instance has not polled; if it runs \
                 no more, `tegata verifier remove-instance` ends the wait"
            ));
        }
        response["receipt"] = last;
    }
    Ok(response)
}

/// Waits until a receipt is complete, at most `left` seconds, and returns its newest state.
pub async fn watch(api: &Api, position: &str, mut known: Value, mut left: u16) -> Value {
    let mut printed = String::new();
    // The server holds each request as long as it says, unless the receipt is complete.
    while known["state"] == "pending" && left > 0 {
        let names = awaited(&known);
        if names != printed {
            note(&format!("waiting up to {left} s for {names}"));
            printed = names;
        }
        let wait = left.min(STEP);
        left -= wait;
        let query = [("wait_seconds", wait)];
        match api.get_and_wait(&["receipts", position], &query, wait).await {
            Ok(newer) => known = newer,
            Err(error) => {
                let state = receipt(&known);
                note(&format!(
                    "the act is done; its receipt cannot be read: {error:#}; last known: {state}"
                ));
                break;
            }
        }
    }
    known
}
