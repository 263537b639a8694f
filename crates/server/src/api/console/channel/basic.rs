//! Basic settings.

use super::head;
use crate::{
    api::console::{
        Answer, Console,
        failure::Failure,
        ids::Ids,
        notice::Notice,
        providers::wrong_name,
        render,
        sent::{Sent, name},
        visit::{SignedIn, may},
    },
    authority::admin::ActOptions,
};
use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    Frame,
    forms::Field,
    pages::{Basic, BasicActs, BasicPage, KeyLine, SecretLine},
};
use tegata_policy::permission::Permission;
use tegata_store::{ChannelPatch, SettingsTag};
use tegata_token::{id::ChannelId, view::ChannelState};

/// The page.
pub async fn show(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
) -> Answer {
    let mut it = view(&who, id).await?;
    let t = &who.frame().t().basic;
    it.once = who.once(&console, &it.head.at(""), (t.once, t.once_lead))?;
    render(&BasicPage::new(who.frame(), it))
}

/// What the page shows.
pub async fn view(who: &SignedIn, id: ChannelId) -> Result<Basic, Failure> {
    let (head, found) = head(who, id).await?;
    let (held, now) = (&found.holding, found.now);
    let channel = &held.channel;
    let may = |act| may(who, act, Some(channel.provider), Some(id));
    let acts = BasicActs {
        changes: may(Permission::ChangeChannel),
        replaces_secret: may(Permission::ReplaceSecret),
        deletes_previous: may(Permission::DeletePreviousSecret),
        sees_keys: may(Permission::ReadAssertionKeys),
        registers_keys: may(Permission::RegisterAssertionKey),
        deletes_keys: may(Permission::DeleteAssertionKey),
        suspends: may(Permission::SuspendChannel),
        deletes: may(Permission::DeleteChannel),
        leaves: may(Permission::LeaveChannel),
    };
    let keys = match acts.sees_keys {
        true => who.admin.assertion_keys(id).await?,
        false => Vec::new(),
    };
    let key = |(key, last_used_at): (tegata_policy::channel::RegisteredKey, _)| KeyLine {
        id: key.id,
        group: key.group,
        created_at: key.created_at,
        last_used_at,
    };
    let secrets = channel.secrets.iter().zip(&held.secrets_used);
    let accepted = secrets.filter(|(it, _)| it.until.is_none_or(|until| now < until));
    let secret = |(it, used): (&tegata_policy::channel::Secret, &Option<_>)| SecretLine {
        until: it.until,
        last_used_at: *used,
    };
    Ok(Basic {
        created_at: channel.created_at,
        suspended: channel.state == ChannelState::Suspended,
        secrets: accepted.map(secret).collect(),
        keys: keys.into_iter().map(key).collect(),
        acts,
        once: None,
        seen: SettingsTag::of_channel(channel).to_string(),
        name: Field::of(&channel.name),
        key: Field::default(),
        group: Field::default(),
        head,
    })
}

/// The page again, with what is wrong.
pub fn again(who: &SignedIn, it: Basic) -> Answer {
    let frame = Frame { here: it.head.at(""), ..who.frame() };
    let page = BasicPage::new(frame, it);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response())
}

/// Renames a channel.
pub async fn rename(who: SignedIn, Ids(id): Ids<ChannelId>, sent: Sent) -> Answer {
    let form = sent.form()?;
    let Some(name) = name(form.get("name")) else {
        let (name, it) = (wrong_name(&who, &form), view(&who, id).await?);
        // Of the settings that the person saw, as the name is what the person entered.
        let seen = form.get("seen").map_or(it.seen, str::to_owned);
        return again(&who, Basic { name, seen, ..it });
    };
    let patch = ChannelPatch { name: Some(name), ..ChannelPatch::default() };
    who.as_seen(&form).change_channel(id, patch, &ActOptions::default()).await?;
    Ok(who.done(Notice::Saved, &format!("/console/channels/{id}")))
}
