//! `tegata group rotate`: a new token for a group, and the end of the older ones once no program
//! uses them any more. Where the key is, since no administrator issues such tokens.

use crate::{
    api::Api,
    output::Output,
    taking::{self, waiting},
    terminal::note,
    token,
};
use clap::Args;
use serde_json::{Map, Value, json};
use std::{path::PathBuf, time::Duration};
use tegata_client::admin::{Method, TakingCall};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    time::DAY,
};

/// How often the older tokens are looked at. Uses are known to the minute.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Rotate {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// The group's name.
    group: Group,
    /// File with the private assertion key, as `tegata key generate` wrote it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The id that the key is registered under, unless the file holds it (PEM does not).
    #[arg(long, value_name = "KID")]
    key_id: Option<AssertionKeyId>,
    /// Lifetime of the new token.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400,
          value_parser = clap::value_parser!(i64).range(1..=30 * DAY))]
    lifetime: i64,
    /// The reason of the revocation; it is recorded in the audit and with the tokens.
    #[arg(long, value_name = "TEXT", value_parser = taking::reason, default_value = "rotation")]
    reason: String,
    /// Maximum time to wait for the receipt of the revocation, at most 60 seconds.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = taking::seconds)]
    wait: u16,
}

pub async fn rotate(api: &Api, out: &Output, args: Rotate) -> anyhow::Result<()> {
    let mut active = active(api, &args).await?;
    if active.len() > 1 {
        // Another one would evict the oldest, whether it is used or not.
        note("the group has more than one active token, so no new one is issued");
    } else {
        let (channel, group) = (args.channel, args.group.clone());
        let new = token::Issue::of_group(
            (channel, group),
            (args.key.clone(), args.key_id),
            args.lifetime,
        );
        token::issue(api, out, new).await?;
        active = self::active(api, &args).await?;
    }
    // The newest comes first, and stays.
    let older: Vec<String> = active.iter().skip(1).filter_map(id).collect();
    if older.is_empty() {
        note("the group had no older token, so nothing is left to do");
        return Ok(());
    }
    wait_until_idle(api, &args, &older).await;
    for token in older {
        revoke(api, out, &args, &token).await?;
    }
    Ok(())
}

fn id(token: &Value) -> Option<String> {
    token["token_id"].as_str().map(str::to_owned)
}

/// The group's active v2.1 tokens, newest first.
async fn active(api: &Api, args: &Rotate) -> anyhow::Result<Vec<Value>> {
    let query = [("group", args.group.as_str()), ("kind", "v2.1"), ("state", "active")];
    let channel = args.channel.to_string();
    let mut found = api.get(&["channels", &channel, "tokens"], &query).await?;
    Ok(found["tokens"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Waits until no program uses these tokens any more, or they are not active any more. Says on
/// stderr what it waits for. It does not end by itself: who ends it revokes nothing.
async fn wait_until_idle(api: &Api, args: &Rotate, tokens: &[String]) {
    let mut said = String::new();
    loop {
        let now = match active(api, args).await {
            Ok(active) => waits_for(&active, tokens),
            Err(error) => Some(format!("cannot look at the tokens: {error:#}")),
        };
        let Some(now) = now else { return };
        if now != said {
            note(&now);
            said = now;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Which of these tokens are in use, as far as is known; `None`: none is.
fn waits_for(active: &[Value], tokens: &[String]) -> Option<String> {
    let is_one = |it: &&Value| id(it).is_some_and(|id| tokens.contains(&id));
    let in_use: Vec<_> =
        active.iter().filter(is_one).filter(|it| it["idle_since"].is_null()).collect();
    let words = in_use.iter().map(|it| {
        let id = id(it).unwrap_or_default();
        match it["last_used_at"].as_str() {
            Some(at) => format!("{id} (last used at {at})"),
            None => format!("{id} (no use is known)"),
        }
    });
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then(|| {
        format!(
            "give the new token to the programs; waits until none uses {} any more. Ctrl-C ends this, \
             and the same command goes on with it",
            words.join(", ")
        )
    })
}

async fn revoke(api: &Api, out: &Output, args: &Rotate, token: &str) -> anyhow::Result<()> {
    let members = json!({ "token_id": token, "reason": args.reason });
    let members = members.as_object().cloned().unwrap_or_else(Map::new);
    let channel = args.channel.to_string();
    let path = ["channels", &*channel, "revocations"];
    let call = TakingCall {
        method: Method::POST,
        members: &members,
        wait: args.wait,
        idempotency_key: None,
    };
    out.taken(&waiting::take(api, &path, call).await?, &["revoked"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_waited_for_until_it_is_idle_or_not_active() {
        let (old, other) = ("a".repeat(22), "b".repeat(22));
        let token = |id: &str, idle: Value| json!({ "token_id": id, "idle_since": idle, "last_used_at": "2026-11-30T10:00:00Z" });
        let new = token(&other, Value::Null);
        let ours = [old.clone()];
        let used = waits_for(&[new.clone(), token(&old, Value::Null)], &ours).unwrap();
        assert!(used.contains(&format!("{old} (last used at 2026-11-30T10:00:00Z)")), "{used}");
        assert!(!used.contains(&other), "the new one is not waited for: {used}");
        assert_eq!(
            waits_for(&[new.clone(), token(&old, "2026-11-30T10:15:00Z".into())], &ours),
            None
        );
        assert_eq!(waits_for(&[new], &ours), None, "it was revoked or has expired meanwhile");
    }
}
