//! `tegata group`: groups, which divide a channel's tokens among teams. The first
//! token or key of a group creates it.

use crate::{
    api::{Api, Page},
    failure::BadUsage,
    output::Output,
    rotate::Rotate,
    taking::{Confirmation, TakingOptions, TakingRequest},
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tegata_token::id::{ChannelId, Group};

#[derive(Subcommand)]
pub enum Verb {
    /// List a channel's groups, with the caps and rules that hold for them.
    List(List),
    /// Set a group's cap, contact, and what happens at the cap.
    Set(Set),
    /// Delete a group's settings and keys, and revoke its tokens.
    Delete(Delete),
    /// Issue a new token of a group with its key, wait until no program uses the older one, and
    /// revoke that.
    Rotate(Rotate),
}

#[derive(Args)]
pub struct List {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    #[command(flatten)]
    page: Page,
}

#[derive(Args)]
pub struct Set {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// The group's name.
    group: Group,
    /// Maximum number of active tokens per kind; `channel` restores the channel's setting.
    #[arg(long, value_name = "N")]
    cap: Option<String>,
    /// What happens when a token is requested and the group is full; `channel` restores the
    /// channel's setting.
    #[arg(long, value_parser = ["evict-oldest", "deny", "channel"])]
    when_full: Option<String>,
    /// Contact for warnings about the group; an empty value removes it.
    #[arg(long)]
    contact: Option<String>,
}

#[derive(Args)]
pub struct Delete {
    /// The channel's id.
    #[arg(long, value_name = "ID")]
    channel: ChannelId,
    /// The group's name.
    group: Group,
    #[command(flatten)]
    options: TakingOptions,
    #[command(flatten)]
    confirm: Confirmation,
}

pub async fn list(api: &Api, out: &Output, List { channel, page }: List) -> anyhow::Result<()> {
    let channel = channel.to_string();
    let mut response = api.get(&["channels", &channel, "groups"], &page).await?;
    if !out.is_json() {
        let settings = api.get(&["channels", &channel], &()).await?;
        for group in response["groups"].as_array_mut().into_iter().flatten() {
            for (own, inherited) in [("cap", "group_cap"), ("when_full", "group_when_full")] {
                if group[own].is_null() {
                    group[own] = settings[inherited].clone();
                }
            }
        }
    }
    let columns = ["group", "active_tokens", "assertion_keys", "cap", "when_full", "contact"];
    out.list(&response, "groups", &columns)
}

pub async fn set(api: &Api, out: &Output, args: Set) -> anyhow::Result<()> {
    let mut changes = Map::new();
    if let Some(cap) = args.cap {
        let cap = match cap.as_str() {
            "channel" => Value::Null,
            number => match number.parse::<u32>() {
                Ok(number) => number.into(),
                Err(_) => {
                    return Err(
                        BadUsage("--cap: give a whole number, or `channel`".to_owned()).into()
                    );
                }
            },
        };
        changes.insert("cap".to_owned(), cap);
    }
    if let Some(when_full) = args.when_full {
        let rule = if when_full == "channel" { Value::Null } else { when_full.into() };
        changes.insert("when_full".to_owned(), rule);
    }
    if let Some(contact) = args.contact {
        let contact = if contact.is_empty() { Value::Null } else { contact.into() };
        changes.insert("contact".to_owned(), contact);
    }
    if changes.is_empty() {
        return Err(BadUsage("nothing to set; see `tegata group set --help`".to_owned()).into());
    }
    let path = ["channels", &args.channel.to_string(), "groups", args.group.as_str()];
    out.thing(&api.patch(&path, &changes.into()).await?, &["group"])
}

pub async fn delete(api: &Api, out: &Output, args: Delete) -> anyhow::Result<()> {
    let (channel, group) = (args.channel.to_string(), args.group);
    let path = ["channels", &channel, "groups", group.as_str()];
    let request = TakingRequest::delete(&path, json!({}));
    let what = format!("group {group} of channel {channel}");
    args.options.delete(api, out, args.confirm, (request, &what)).await
}
