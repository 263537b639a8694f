//! `tegata group rotate`: a new token for a group, and the end of the older ones once no program
//! uses them any more. Where the key is, since no administrator issues such tokens.

use crate::{
    api::Api,
    failure::may_pass,
    key::Signing,
    output::Output,
    taking::{self, Confirmation, ask, waiting},
    terminal::note,
    token,
};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tegata_client::{
    admin::{Method, TakingCall},
    call::{ClientAuthentication, With, issue_path},
    key::AUDIENCE,
};
use tegata_server::authority::random;
use tegata_token::{id::Group, kind::Kind};

/// How often the older tokens are looked at. Uses are known to the minute.
const LOOK: Duration = Duration::from_secs(5);

/// How often a request is sent again whose response was lost, and how long after it.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = OUTPUT)]
pub struct Rotate {
    #[command(flatten)]
    signing: Signing,
    /// The group's name.
    group: Group,
    /// The reason of the revocation; it is recorded in the audit and with the tokens.
    #[arg(long, value_name = "TEXT", value_parser = taking::reason, default_value = "rotation")]
    reason: String,
    /// Maximum time to wait for the receipt of the revocation, at most 60 seconds.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = taking::wait)]
    wait: u16,
    /// Change nothing; print whether a token would be issued, and which ones would be revoked.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirmation,
}

const OUTPUT: &str = "\
Prints the new token at once, since the programs need it before the older one can become idle,
and the result at the end. With -o json these are two objects: the token, and `revoked` with
`tokens`, the receipt of each revoked one. A command that goes on with a rotation prints only
the latter.";

pub async fn rotate(api: &Api, out: &Output, args: Rotate) -> anyhow::Result<()> {
    let mut active = active(api, &args).await?;
    let issues = active.len() < 2;
    if issues {
        check_room(api, &args, &active).await?;
    }
    if args.dry_run || args.confirm.asks() {
        // The newest comes first, and stays, unless another one is issued.
        let older = active.get(usize::from(!issues)..).unwrap_or_default();
        let plan = json!({
            "dry_run": true, "would_issue": issues, "revoked": older.len(), "tokens": older,
        });
        let table = plan_in_words(&plan);
        match (args.dry_run, out.is_json()) {
            (true, true) => return out.thing(&plan, &[]),
            (true, false) => return out.text(&table),
            (false, _) => ask(&table)?,
        }
    }
    if issues {
        let issued = issue(api, &args, &active).await?;
        if let Err(error) = token::print_issued(out, &issued) {
            note(&format!(
                "the new token is issued, and could not be printed; {}",
                start_again(&args, issued["key_id"].as_str())
            ));
            return Err(error);
        }
        active = again(async || self::active(api, &args).await).await?;
    } else {
        // Another one would evict the oldest, whether it is used or not.
        note(&format!(
            "the group has more than one active token, so no new one is issued; if the newest was \
             never given to the programs, {}",
            start_again(&args, active[0]["token_id"].as_str())
        ));
    }
    // The newest comes first, and stays.
    let older: Vec<String> = active.iter().skip(1).filter_map(id).collect();
    if older.is_empty() {
        note("the group had no older token, so nothing is left to do");
    } else {
        wait_until_idle(api, &args, &older).await?;
    }
    revoke_all(api, out, &args, &older).await
}

/// Checks that a new token leaves the older ones active: what a rotation is for.
async fn check_room(api: &Api, args: &Rotate, active: &[Value]) -> anyhow::Result<()> {
    if active.is_empty() {
        return Ok(());
    }
    let (channel, group) = (args.signing.channel.to_string(), args.group.as_str());
    let own = &api.get(&["channels", &channel, "groups", group], &()).await?["cap"];
    let cap = match own.as_u64() {
        Some(cap) => Some(cap),
        None => api.get(&["channels", &channel], &()).await?["group_cap"].as_u64(),
    };
    if cap.is_some_and(|cap| active.len() as u64 >= cap) {
        bail!(
            "the group may have one active token, so it has no room for a second one until no program \
             uses the first; `tegata group set --channel {channel} {group} --cap 2` makes room, and \
             `tegata token issue` issues a token without waiting, by the group's own rule"
        );
    }
    Ok(())
}

fn plan_in_words(plan: &Value) -> String {
    let issue = match plan["would_issue"] == true {
        true => "a new token is issued; these are revoked once no program uses them:\n",
        false => "no token is issued; these are revoked once no program uses them:\n",
    };
    issue.to_owned() + &Output::rehearsal(plan, "would_revoke")
}

/// How to leave a rotation whose new token is lost.
fn start_again(args: &Rotate, token: Option<&str>) -> String {
    format!(
        "revoke it with `tegata token revoke --channel {} --token-id {}`, and rotate again",
        args.signing.channel,
        token.unwrap_or("ID")
    )
}

/// Issues a token. A lost response costs no second one, which would evict the token in use.
async fn issue(api: &Api, args: &Rotate, active: &[Value]) -> anyhow::Result<Value> {
    let path = issue_path(Kind::V21).context("v2.1 tokens have an operation")?;
    let random = random::bytes::<16>().map_err(|_| anyhow!("the system has no randomness"))?;
    let key = format!("rotate/{:032x}", u128::from_be_bytes(random));
    let request = async || {
        // A channel may accept each assertion only once.
        let assertion = args.signing.assertion(AUDIENCE, api.now().await)?;
        let authentication = ClientAuthentication::Assertion(&assertion);
        let with = With { group: Some(&args.group), idempotency_key: Some(&key) };
        token::request(api, (args.signing.channel, path), &authentication, with).await
    };
    again(request).await.map_err(|error| match may_pass(&error) {
        true => error.context(format!(
            "the outcome of the request for a new token is unknown; if the group now has more than \
             {} active, {}",
            active.len(),
            start_again(args, None)
        )),
        false => error,
    })
}

/// Repeats what fails for a reason that may pass.
async fn again<T>(attempt: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if may_pass(&error) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    attempt().await
}

fn id(token: &Value) -> Option<String> {
    token["token_id"].as_str().map(str::to_owned)
}

/// The group's active v2.1 tokens, newest first.
async fn active(api: &Api, args: &Rotate) -> anyhow::Result<Vec<Value>> {
    let query = [("group", args.group.as_str()), ("kind", "v2.1"), ("state", "active")];
    let channel = args.signing.channel.to_string();
    let mut found = api.get(&["channels", &channel, "tokens"], &query).await?;
    Ok(found["tokens"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

/// Waits until no program uses these tokens any more, or they are not active any more. Says on
/// stderr what it waits for. Only a refusal ends it otherwise: who interrupts it revokes nothing.
async fn wait_until_idle(api: &Api, args: &Rotate, tokens: &[String]) -> anyhow::Result<()> {
    let mut said = String::new();
    loop {
        let now = match active(api, args).await {
            Ok(active) => waits_for(&active, tokens),
            Err(error) if may_pass(&error) => Some(format!("cannot look at the tokens: {error:#}")),
            Err(error) => return Err(error.context("nothing is revoked")),
        };
        let Some(now) = now else { return Ok(()) };
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
        let used = match it["last_used_at"].as_str() {
            Some(at) => format!("last used at {at}"),
            None => "no use is known".to_owned(),
        };
        match it["idle_unknown"].as_str() {
            Some(why) => format!("{id} ({used}; not all uses are known: {why})"),
            None => format!("{id} ({used})"),
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

/// Revokes the older tokens, and prints the receipts. Output that cannot be printed does not end
/// it: the error is returned once all are revoked.
async fn revoke_all(
    api: &Api,
    out: &Output,
    args: &Rotate,
    older: &[String],
) -> anyhow::Result<()> {
    let (mut revoked, mut done, mut printed) = (0, Vec::new(), Ok(()));
    let mut failed = Ok(());
    for token in older {
        match revoke(api, args, token).await {
            Ok(mut response) => {
                if !out.is_json() && printed.is_ok() {
                    printed = out.taken(&response, &["revoked"]);
                }
                revoked += response["revoked"].as_u64().unwrap_or_default();
                response["token_id"] = token.as_str().into();
                done.push(response);
            }
            Err(error) => {
                failed = Err(error);
                break;
            }
        }
    }
    if out.is_json() {
        printed = out.thing(&json!({ "revoked": revoked, "tokens": done }), &[]);
    }
    failed.and(printed)
}

async fn revoke(api: &Api, args: &Rotate, token: &str) -> anyhow::Result<Value> {
    let members = json!({ "token_id": token, "reason": args.reason });
    let members = members.as_object().cloned().unwrap_or_else(Map::new);
    let channel = args.signing.channel.to_string();
    let path = ["channels", &*channel, "revocations"];
    let call = TakingCall {
        method: Method::POST,
        members: &members,
        wait: args.wait,
        idempotency_key: None,
    };
    waiting::take(api, &path, call).await
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
        let mut unknown = token(&old, Value::Null);
        unknown["idle_unknown"] = "reports-missing".into();
        let unknown = waits_for(&[unknown], &ours).unwrap();
        assert!(unknown.contains("not all uses are known: reports-missing"), "{unknown}");
        assert_eq!(
            waits_for(&[new.clone(), token(&old, "2026-11-30T10:15:00Z".into())], &ours),
            None
        );
        assert_eq!(waits_for(&[new], &ours), None, "it was revoked or has expired meanwhile");
    }
}
