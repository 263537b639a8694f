//! A channel's pages.

mod basic;
mod keys;
mod messaging_api;
mod secret;
mod security;
mod state;

use super::{
    failure::Failure,
    routes::{Routes, get, post},
    visit::{SignedIn, may},
};
use crate::authority::admin::{self, ChannelWithUse};
use tegata_console::pages::{Acts, ChannelHead, ChannelTab};
use tegata_policy::{permission::Permission, rules::ChannelType};
use tegata_store::Error;
use tegata_token::id::ChannelId;

/// The routes of the tabs that are here.
pub const ROUTES: &[fn(Routes) -> Routes] = &[
    |it| it.route("/channels/{channel}", get(basic::show)),
    |it| it.route("/channels/{channel}/name", post(basic::rename)),
    |it| it.route("/channels/{channel}/secret/rotate", get(secret::ask).post(secret::rotate)),
    |it| {
        let both = get(secret::ask_delete_previous).post(secret::delete_previous);
        it.route("/channels/{channel}/secret/previous/delete", both)
    },
    |it| it.route("/channels/{channel}/keys", post(keys::register)),
    |it| it.route("/channels/{channel}/keys/{kid}/delete", get(keys::ask).post(keys::delete)),
    |it| it.route("/channels/{channel}/suspend", get(state::ask_suspend).post(state::suspend)),
    |it| it.route("/channels/{channel}/resume", post(state::resume)),
    |it| it.route("/channels/{channel}/delete", get(state::ask_delete).post(state::delete)),
    |it| {
        let both = get(messaging_api::show).post(messaging_api::reissue);
        it.route("/channels/{channel}/messaging-api", both)
    },
    |it| {
        let both = get(messaging_api::ask_replace).post(messaging_api::replace);
        it.route("/channels/{channel}/messaging-api/reissue", both)
    },
    |it| it.route("/channels/{channel}/security", get(security::show).post(security::change)),
];

/// The head of a channel's pages, and the channel.
pub async fn head(who: &SignedIn, id: ChannelId) -> Result<(ChannelHead, ChannelWithUse), Failure> {
    let found = who.admin.channel(id).await?;
    Ok((head_of(who, &found).await?, found))
}

/// The head of the pages of a channel that was found.
pub async fn head_of(who: &SignedIn, found: &ChannelWithUse) -> Result<ChannelHead, Failure> {
    let channel = &found.holding.channel;
    let id = channel.id;
    let provider_name = match who.admin.provider_alone(channel.provider).await {
        Ok(it) => Some(it.name),
        // An Admin of a channel alone does not see the provider.
        Err(admin::Error::Forbidden { .. } | admin::Error::Store(Error::NotFound(_))) => None,
        Err(error) => return Err(error.into()),
    };
    let may = |act| may(who, act, Some(channel.provider), Some(id));
    let sees = |tab: &ChannelTab| match tab {
        ChannelTab::Basic => true,
        ChannelTab::MessagingApi => {
            channel.channel_type == ChannelType::MessagingApi && may(Permission::ReadTokens)
        }
        ChannelTab::Tokens => may(Permission::ReadTokens),
        // Its slots are tokens.
        ChannelTab::Groups => may(Permission::ReadGroups) && may(Permission::ReadTokens),
        ChannelTab::Security => may(Permission::ReadChannel),
        ChannelTab::Roles => may(Permission::ReadChannelRoles),
        ChannelTab::Audit => may(Permission::ReadChannelAudit),
    };
    Ok(ChannelHead {
        id,
        name: channel.name.clone(),
        channel_type: channel.channel_type,
        state: channel.state,
        provider: channel.provider,
        provider_name,
        tabs: ChannelTab::ALL.into_iter().filter(sees).collect(),
        acts: Acts { change: may(Permission::ChangeGroup), take: may(Permission::RevokeTokens) },
    })
}
