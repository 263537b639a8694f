//! What a dry run is about, for people: the names of channel and provider, and the groups
//! and keys that go with the tokens. The API's response holds the tokens alone.

use crate::api::Api;
use serde_json::{Map, Value};
use tegata_client::admin::Method;

/// Adds to `found` what a request is about.
pub async fn add(
    api: &Api,
    (method, path, members): (&Method, &[&str], &Map<String, Value>),
    found: &mut Value,
) -> anyhow::Result<()> {
    let provider = match path {
        ["providers", provider] => Some(*provider),
        _ => members.get("provider_id").and_then(Value::as_str),
    };
    match (path, provider) {
        (["channels", channel, rest @ ..], _) => {
            let shown = api.get(&["channels", channel], &()).await?;
            found["channel"] = named(channel, &shown);
            if let Some(provider) = shown["provider_id"].as_str() {
                // A person with a role in the channel alone does not see the provider.
                let name = provider_name(api, provider).await;
                found["provider"] = name.unwrap_or_else(|_| provider.into());
            }
            if *method == Method::DELETE {
                add_keys_and_groups(api, channel, rest, found).await?;
            }
        }
        (_, Some(provider)) => {
            found["provider"] = provider_name(api, provider).await?;
        }
        _ => {}
    }
    Ok(())
}

/// The keys and groups that are deleted with the object at `rest` below a channel.
async fn add_keys_and_groups(
    api: &Api,
    channel: &str,
    rest: &[&str],
    found: &mut Value,
) -> anyhow::Result<()> {
    let (member, wanted) = match rest {
        [] => (None, ""),
        ["groups", group] => (Some("group"), *group),
        ["assertion-keys", kid] => (Some("kid"), *kid),
        _ => return Ok(()),
    };
    let mut keys = api.rows(&["channels", channel, "assertion-keys"], "assertion_keys").await?;
    keys.retain(|key| member.is_none_or(|member| key[member] == wanted));
    for key in &mut keys {
        key["channel_id"] = channel.into();
    }
    found["keys"] = keys.into();
    if rest.is_empty() {
        found["groups"] = api.rows(&["channels", channel, "groups"], "groups").await?.into();
    }
    Ok(())
}

async fn provider_name(api: &Api, provider: &str) -> anyhow::Result<Value> {
    Ok(named(provider, &api.get(&["providers", provider], &()).await?))
}

/// An id with its name.
fn named(id: &str, shown: &Value) -> Value {
    format!("{id} ({})", shown["name"].as_str().unwrap_or("-")).into()
}
