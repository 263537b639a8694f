//! The long-lived token: issued and reissued.

use super::head;
use crate::{
    api::{
        console::{
            Answer, Console,
            confirm::{Wrong, asked, line, table},
            failure::Failure,
            ids::Ids,
            notice::Notice,
            render,
            sent::Sent,
            visit::{SignedIn, may, redirect},
        },
        form::Form,
    },
    authority::{admin::ActOptions, random},
};
use axum::{extract::State, response::IntoResponse};
use data_encoding::HEXLOWER;
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    Frame,
    created::Created,
    forms::Field,
    html::Bdi,
    pages::{MessagingApi, MessagingApiPage},
};
use tegata_policy::{
    permission::Permission,
    rules::ChannelType,
    secret::{PlainSecret, sha256},
};
use tegata_store::{Page, TokenFilter, TokenState};
use tegata_token::{id::ChannelId, kind::Kind, time::DAY};

/// The page.
pub async fn show(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
) -> Answer {
    let mut it = view(&who, id).await?;
    let t = &who.frame().t().messaging_api;
    it.once = who.once(&console, &it.head.at("/messaging-api"), (t.once, t.once_lead))?;
    render(&MessagingApiPage::new(who.frame(), it))
}

async fn view(who: &SignedIn, id: ChannelId) -> Result<MessagingApi, Failure> {
    let (head, found) = head(who, id).await?;
    if found.holding.channel.channel_type != ChannelType::MessagingApi {
        return Err(Failure::not_found());
    }
    let (kind, provider) = (Some(Kind::LongLived), Some(head.provider));
    // Its state is that of its channel, so that of a suspended one is suspended.
    let filter = TokenFilter { kind, ..TokenFilter::default() };
    let rows = who.admin.tokens(id, filter, Page { before: None, most: 10 }).await?;
    let held = rows.iter().map(|(_, row)| row);
    let held = held.filter(|it| matches!(it.state, TokenState::Active | TokenState::Suspended));
    Ok(MessagingApi {
        tokens: held.map(|row| line(None, row)).collect(),
        issues: may(who, Permission::ReissueToken, provider, Some(id)),
        revokes: may(who, Permission::RevokeTokens, provider, Some(id)),
        once: None,
        hours: Field::default(),
        // Sent again with the same form, it gets the same token.
        request: HEXLOWER.encode(&random::bytes::<16>()?),
        head,
    })
}

/// For how long the current token stays active, in seconds.
fn delay(form: &Form<'_>) -> Option<i64> {
    let seconds = match form.get("delay").unwrap_or("0") {
        "other" => {
            let hours: f64 = form.get("hours")?.trim().parse().ok()?;
            let within = (0.0..=24.0).contains(&hours);
            within.then(|| (hours * 3_600.0).round())? as i64
        }
        text => text.parse().ok()?,
    };
    (0..=DAY).contains(&seconds).then_some(seconds)
}

/// What tells a form from another one: sent again, it gets the same token.
fn request(form: &Form<'_>) -> Option<[u8; 32]> {
    form.get("request").map(|it| sha256(&[b"console ", it.as_bytes()]))
}

/// Issues a new token; the page shows it once. If that revokes the current one at once, it is asked
/// for first.
pub async fn reissue(
    State(console): State<Arc<Console>>,
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let Some(delay) = delay(&form) else {
        let entered = form.get("hours").unwrap_or_default();
        let hours = Field::of(entered).wrong(who.frame().t().messaging_api.hours_wrong);
        let it = MessagingApi { hours, ..view(&who, id).await? };
        let frame = Frame { here: it.head.at("/messaging-api"), ..who.frame() };
        let page = MessagingApiPage::new(frame, it);
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, render(&page)?).into_response());
    };
    let rehearsal = ActOptions::rehearsal();
    let would = who.admin.reissue(id, delay, request(&form), &rehearsal).await?.rehearsed()?;
    if delay == 0 && would.tokens > 0 {
        return Ok(redirect(&format!("/console/channels/{id}/messaging-api/reissue")));
    }
    issue(&console, &who, id, (delay, &form), &ActOptions::default()).await
}

async fn issue(
    console: &Console,
    who: &SignedIn,
    id: ChannelId,
    (delay, form): (i64, &Form<'_>),
    options: &ActOptions,
) -> Answer {
    let (token, _) = who.admin.reissue(id, delay, request(form), options).await?.done()?;
    let page = format!("/console/channels/{id}/messaging-api");
    who.show_once(console, &page, PlainSecret::from_caller(token.reveal().to_owned()))?;
    let created = Created::Token(token.claims.id, delay);
    Ok(who.done(Notice::Created(created), &page))
}

/// Asks before the current token is revoked and a new one issued.
pub async fn ask_replace(who: SignedIn, Ids(id): Ids<ChannelId>) -> Answer {
    asking(&who, id, Wrong::default()).await
}

async fn asking(who: &SignedIn, id: ChannelId, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let would = who.admin.reissue(id, 0, None, &ActOptions::rehearsal()).await?.rehearsed()?;
    let t = &who.frame().t().messaging_api;
    let mut act = who.act(head.at("/messaging-api/reissue"), t.reissue_button, wrong);
    act.tokens = Some(table(&would));
    act.keep = (head.at("/messaging-api"), t.replace_keep);
    act.commands = ["--dry-run ", ""]
        .map(|it| format!("tegata token reissue {it}--channel {id} --delay 0"))
        .to_vec();
    let heading = (t.replace_question)(Bdi(&head.name), would.tokens);
    let page = head.below(who.frame(), heading, t.reissue).lead(t.replace_lead);
    asked(page, act)
}

/// Revokes the current token and issues a new one; the page shows it once.
pub async fn replace(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&who, id, wrong).await,
    };
    issue(&console, &who, id, (0, &form), &options).await
}
