//! Providers: created, shown, renamed and deleted; and channels created.

use super::{
    Answer, Console,
    confirm::{Wrong, asked},
    failure::Failure,
    ids::Ids,
    make::Made,
    notice::Notice,
    overview::channel_line,
    pager::Pager,
    render,
    sent::{Sent, name},
    visit::{SignedIn, may},
};
use crate::{api::form::Form, authority::admin::ActOptions};
use axum::{
    extract::{RawQuery, State},
    response::IntoResponse,
};
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    created::Created,
    forms::Field,
    html::Bdi,
    pages::{NewChannelPage, NewProviderPage, ProviderHead, ProviderPage, ProviderView, type_name},
};
use tegata_policy::{permission::Permission, rules::ChannelType};
use tegata_store::{ChannelFilter, SettingsTag};
use tegata_token::id::ProviderId;

/// The form that creates a provider.
pub async fn new(who: SignedIn) -> Answer {
    if !may(&who, Permission::CreateProvider, None, None) {
        return Err(Failure::forbidden());
    }
    render(&NewProviderPage::new(who.frame(), Field::default()))
}

/// Creates a provider.
pub async fn create(State(console): State<Arc<Console>>, who: SignedIn, sent: Sent) -> Answer {
    let form = sent.form()?;
    let Some(name) = name(form.get("name")) else {
        let page = NewProviderPage::new(who.frame(), wrong_name(&who, &form));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
    };
    let admin = who.admin.clone();
    let made = async move {
        let provider = admin.create_provider(&name).await?;
        let notice = Notice::Created(Created::Provider(provider.id));
        Ok(Made::at(format!("/console/providers/{}", provider.id), notice))
    };
    Ok(who.make(&console, &sent, made).await??)
}

/// A name that was not accepted.
pub fn wrong_name(who: &SignedIn, form: &Form<'_>) -> Field {
    let entered = form.get("name").unwrap_or_default();
    Field::of(entered).wrong(who.frame().t().common.name_wrong)
}

/// The head of a provider's pages.
pub async fn head(who: &SignedIn, id: ProviderId) -> Result<ProviderHead, Failure> {
    let it = who.admin.provider_alone(id).await?;
    let sees_roles = may(who, Permission::ReadProviderRoles, Some(id), None);
    Ok(ProviderHead { id, name: it.name, created_at: it.created_at, sees_roles })
}

/// A provider with its channels.
pub async fn show(who: SignedIn, Ids(id): Ids<ProviderId>, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    render(&view(&who, id, &query, None).await?)
}

async fn view(
    who: &SignedIn,
    id: ProviderId,
    query: &Form<'_>,
    entered: Option<(Field, Option<&str>)>,
) -> Result<ProviderPage, Failure> {
    let head = head(who, id).await?;
    let pager = Pager::of(query, "channels")?;
    let filter = ChannelFilter { provider: Some(id), ..ChannelFilter::default() };
    let rows = who.admin.channels(filter, pager.page()).await?;
    let (channels, next) = pager.split(rows, &head.at(""), &[]);
    // A name that was entered goes with the tag of the settings that the person saw.
    let (name, seen) = entered.unwrap_or_else(|| (Field::of(&head.name), None));
    let present = || SettingsTag::of_provider(&head.name).to_string();
    let seen = seen.map_or_else(present, str::to_owned);
    let it = ProviderView {
        channels: channels.iter().map(channel_line).collect(),
        next,
        creates: may(who, Permission::CreateChannel, Some(id), None),
        renames: may(who, Permission::ChangeProvider, Some(id), None),
        deletes: may(who, Permission::DeleteProvider, Some(id), None),
        seen,
        name,
        head,
    };
    Ok(ProviderPage::new(who.frame(), it))
}

/// Renames a provider.
pub async fn rename(who: SignedIn, Ids(id): Ids<ProviderId>, sent: Sent) -> Answer {
    let form = sent.form()?;
    let Some(name) = name(form.get("name")) else {
        let page = view(&who, id, &form, Some((wrong_name(&who, &form), form.get("seen")))).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
    };
    who.as_seen(&form).change_provider(id, Some(name)).await?;
    Ok(who.done(Notice::Saved, &format!("/console/providers/{id}")))
}

/// Asks before a provider is deleted.
pub async fn ask_delete(who: SignedIn, Ids(id): Ids<ProviderId>) -> Answer {
    asking(&who, id, Wrong::default()).await
}

async fn asking(who: &SignedIn, id: ProviderId, wrong: Wrong) -> Answer {
    let head = head(who, id).await?;
    // A provider with channels cannot be deleted: the error says so.
    who.admin.delete_provider(id, &ActOptions::rehearsal()).await?;
    let t = &who.frame().t().provider;
    let page = head.below(who.frame(), (t.delete_question)(Bdi(&head.name)), t.deletion);
    let mut act = who.act(head.at("/delete"), t.delete, wrong);
    act.keep = (head.at(""), t.keep);
    act.commands = ["--dry-run ", ""].map(|it| format!("tegata provider delete {it}{id}")).to_vec();
    asked(page.lead(t.cannot_undo), act)
}

/// Deletes a provider.
pub async fn delete(mut who: SignedIn, Ids(id): Ids<ProviderId>, sent: Sent) -> Answer {
    let options = match who.agreed(&sent.form()?).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&who, id, wrong).await,
    };
    let admin = who.admin.clone();
    let act = async move { admin.delete_provider(id, &options).await };
    who.delete(&sent, act, "/console".to_owned()).await
}

/// The form that creates a channel.
pub async fn new_channel(who: SignedIn, Ids(id): Ids<ProviderId>) -> Answer {
    let head = head(&who, id).await?;
    if !may(&who, Permission::CreateChannel, Some(id), None) {
        return Err(Failure::forbidden());
    }
    let (name, chosen) = (Field::default(), ChannelType::MessagingApi);
    render(&NewChannelPage::new(who.frame(), &head, name, chosen))
}

/// Creates a channel; its page shows the secret once.
pub async fn create_channel(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ProviderId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let types = [ChannelType::MessagingApi, ChannelType::LineLogin, ChannelType::MiniApp];
    let chosen = types.into_iter().find(|it| Some(type_name(*it)) == form.get("type"));
    let chosen = chosen.ok_or_else(|| Failure::bad_request("`type` is unknown"))?;
    let Some(name) = name(form.get("name")) else {
        let head = head(&who, id).await?;
        let page = NewChannelPage::new(who.frame(), &head, wrong_name(&who, &form), chosen);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
    };
    let admin = who.admin.clone();
    let made = async move {
        let (channel, secret) = admin.create_channel(id, &name, chosen).await?;
        let notice = Notice::Created(Created::Channel(channel.id));
        Ok(Made::at(format!("/console/channels/{}", channel.id), notice).secret(secret))
    };
    Ok(who.make(&console, &sent, made).await??)
}
