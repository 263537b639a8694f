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
    authority::{
        admin::{ActOptions, DryRun},
        random,
    },
};
use axum::{
    extract::{RawQuery, State},
    response::IntoResponse,
};
use data_encoding::HEXLOWER;
use http::StatusCode;
use std::sync::Arc;
use tegata_console::{
    Frame,
    created::Created,
    forms::Field,
    html::{Bdi, Html},
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
            // Whole minutes: less is no time to update clients, and is asked for as none.
            within.then(|| (hours * 60.0).round() * 60.0)? as i64
        }
        text => text.parse().ok()?,
    };
    (0..=DAY).contains(&seconds).then_some(seconds)
}

/// What tells a form from another one: sent again, it gets the same token.
fn request(form: &Form<'_>) -> Option<[u8; 32]> {
    form.get("request").map(|it| sha256(&[b"console ", it.as_bytes()]))
}

/// How many of the tokens that a reissue takes end at once: with a delay the newest ends later.
fn end_at_once(would: &DryRun, delay: i64) -> usize {
    would.tokens.saturating_sub(usize::from(delay > 0))
}

/// Issues a new token; the page shows it once. If that revokes another one at once, it is asked for
/// first.
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
    if end_at_once(&would, delay) > 0 {
        let page = format!("/console/channels/{id}/messaging-api/reissue?delay={delay}");
        return Ok(redirect(&page));
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

/// Asks before tokens are revoked and a new one issued.
pub async fn ask_replace(
    who: SignedIn,
    Ids(id): Ids<ChannelId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let query = Form::parse(query.as_bytes()).map_err(Failure::bad_request)?;
    let delay = delay(&query).ok_or_else(Failure::not_found)?;
    asking(&who, id, delay, Wrong::default()).await
}

async fn asking(who: &SignedIn, id: ChannelId, delay: i64, wrong: Wrong) -> Answer {
    let (head, _) = head(who, id).await?;
    let rehearsal = ActOptions::rehearsal();
    let mut would = who.admin.reissue(id, delay, None, &rehearsal).await?.rehearsed()?;
    let (ends, frame, t) =
        (end_at_once(&would, delay), who.frame(), &who.frame().t().messaging_api);
    let (heading, lead): (_, Html) = match delay {
        0 => ((t.replace_question)(Bdi(&head.name), ends), t.replace_lead.into()),
        _ => {
            let lead = (t.replace_previous_lead)(&frame.times().length(delay));
            ((t.replace_previous_question)(Bdi(&head.name), ends), lead.into())
        }
    };
    // The newest is the first.
    would.rows.drain(..(would.tokens - ends).min(would.rows.len()));
    would.tokens = ends;
    let mut act = who.act(head.at("/messaging-api/reissue"), t.reissue_button, wrong);
    act.hidden = vec![("delay", delay.to_string())];
    act.tokens = Some(table(&would));
    act.keep = (head.at("/messaging-api"), t.replace_keep);
    act.commands = ["--dry-run ", ""]
        .map(|it| format!("tegata token reissue {it}--channel {id} --delay {delay}"))
        .to_vec();
    asked(head.below(frame, heading, t.reissue).lead(lead), act)
}

/// Revokes tokens and issues a new one; the page shows it once.
pub async fn replace(
    State(console): State<Arc<Console>>,
    mut who: SignedIn,
    Ids(id): Ids<ChannelId>,
    sent: Sent,
) -> Answer {
    let form = sent.form()?;
    let delay = delay(&form).ok_or_else(|| Failure::bad_request("`delay` is no delay"))?;
    let options = match who.agreed(&form).await? {
        Ok(options) => options,
        Err(wrong) => return asking(&who, id, delay, wrong).await,
    };
    issue(&console, &who, id, (delay, &form), &options).await
}
