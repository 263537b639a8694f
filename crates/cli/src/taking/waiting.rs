//! Waits for verifiers after an act, and prints on stderr which instances are awaited.

use crate::{
    api::Api,
    output::{awaited, receipt},
    terminal::note,
};
use serde_json::Value;
use std::time::{Duration, Instant};
use tegata_client::admin::TakingCall;

/// Seconds that pass before the command prints what it waits for: running verifiers
/// acknowledge an act earlier.
const SILENT: u16 = 1;

/// Seconds that the server holds one request for the receipt. The printed line is at most
/// that old.
const STEP: u16 = 2;

/// Sends an act that takes something away, and waits for its receipt as long as it says.
pub async fn take(api: &Api, path: &[&str], act: TakingCall<'_>) -> anyhow::Result<Value> {
    let until = Instant::now() + Duration::from_secs(act.wait.into());
    let wait = act.wait.min(SILENT);
    let mut members = act.members.clone();
    if wait > 0 {
        members.insert("wait_seconds".to_owned(), wait.into());
    }
    let mut response = api.take(path, TakingCall { members: &members, wait, ..act }).await?;
    if let Some(position) = response["position"].as_str().map(str::to_owned) {
        let pending = response["receipt"].take();
        response["receipt"] = watch(api, &position, pending, until).await;
    }
    Ok(response)
}

/// Waits until a receipt is complete or the time is over, and returns its newest state.
pub async fn watch(api: &Api, position: &str, mut known: Value, until: Instant) -> Value {
    let mut printed = String::new();
    while known["state"] == "pending" {
        let left = until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        if left < 1.0 {
            break;
        }
        let names = awaited(&known);
        if names != printed {
            note(&format!("waiting up to {left} s for {names}"));
            printed = names;
        }
        // A whole number of seconds, at most 60.
        let wait = (left as u16).min(STEP);
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
