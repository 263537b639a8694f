//! The tokens of a channel, and one of them.

use super::{
    Answer, channel,
    ids::Ids,
    render,
    shown::{self, parsed},
    visit::SignedIn,
};
use crate::{
    api::{console::failure::Failure, form::Form},
    authority::admin::ChannelWithUse,
};
use axum::extract::RawQuery;
use tegata_console::pages::{
    ChannelTab, Filter, KindCount, ShownToken, TokenPage, TokensPage, TokensView,
};
use tegata_policy::{
    acts::TokenState,
    channel::Channel,
    rules::{ChannelType, Rule},
};
use tegata_store::{Page, TokenFilter};
use tegata_token::{
    id::{ChannelId, TokenId},
    kind::Kind,
};

/// Rows of a page of the list.
const ROWS: usize = 25;

/// Active tokens of a channel that are read; the rules allow fewer.
const ACTIVE: usize = 200;

/// Newest rows of which the revoked ones are in the timeline.
const LATELY: usize = 100;

/// The list, with counts and a timeline.
pub async fn list(
    who: SignedIn,
    Ids(channel): Ids<ChannelId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let filter = filter(&Form::parse(query.as_bytes()).map_err(Failure::bad_request)?)?;
    let before = match &filter.after {
        None => None,
        Some(after) => Some(after.parse().map_err(|_| Failure::bad_request("after: no cursor"))?),
    };
    let wanted = TokenFilter {
        kind: filter.kind,
        group: filter.group.clone(),
        state: filter.state,
        ..TokenFilter::default()
    };
    let mut rows = who.admin.tokens(channel, wanted, Page { before, most: ROWS + 1 }).await?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next = rows.last().filter(|_| more).map(|(row, _)| row.to_string());
    let (head, found) = channel::head(&who, channel).await?;
    let groups = who.admin.groups(channel).await?;
    let page = Page { before: None, most: LATELY };
    let newest = who.admin.tokens(channel, TokenFilter::default(), page).await?;
    let revoked = newest.iter().map(|(_, row)| row).filter(|it| it.state == TokenState::Revoked);
    let active = active(&who, &found).await?;
    let counts = counts(&found.holding.channel, &active);
    let revoked = revoked.map(|row| shown::token(channel, row));
    let tokens = TokensView {
        channel,
        name: head.name.clone(),
        counts,
        lately: active.into_iter().chain(revoked).collect(),
        groups: groups.into_iter().map(|it| it.group).collect(),
        filter,
        rows: rows.iter().map(|(_, row)| shown::token(channel, row)).collect(),
        next,
    };
    render(&TokensPage::new(head.page(who.frame(), ChannelTab::Tokens), tokens))
}

fn filter(form: &Form<'_>) -> Result<Filter, Failure> {
    let state = match form.get("state") {
        None => None,
        Some("active") => Some(TokenState::Active),
        Some("suspended") => Some(TokenState::Suspended),
        Some("expired") => Some(TokenState::Expired),
        Some("revoked") => Some(TokenState::Revoked),
        Some(other) => {
            let why = format!("state {other:?}: active, suspended, expired or revoked");
            return Err(Failure::bad_request(why));
        }
    };
    let after = form.get("after").map(str::to_owned);
    Ok(Filter { kind: parsed(form, "kind")?, group: parsed(form, "group")?, state, after })
}

/// The active tokens of a channel, newest first; the rules allow fewer than a page.
pub async fn active(who: &SignedIn, found: &ChannelWithUse) -> Result<Vec<ShownToken>, Failure> {
    let channel = &found.holding.channel;
    let state = Some(TokenState::Active.in_channel(channel.state));
    let filter = TokenFilter { state, ..TokenFilter::default() };
    let page = Page { before: None, most: ACTIVE };
    let rows = who.admin.tokens(channel.id, filter, page).await?;
    Ok(rows.iter().map(|(_, row)| shown::token(channel.id, row)).collect())
}

/// How many tokens there are per kind, by the rules of the channel.
fn counts(channel: &Channel, active: &[ShownToken]) -> Vec<KindCount> {
    let mut all: Vec<KindCount> = Vec::new();
    for kind in Kind::all() {
        let Some(pool) = channel.rules.pool(kind) else { continue };
        if all.iter().any(|it| it.kinds == pool.kinds) {
            continue;
        }
        let of: Vec<_> = active.iter().filter(|it| pool.kinds.contains(&it.kind)).collect();
        let types = pool.kinds.iter().flat_map(|it| Rule::of(*it).channel_types);
        let may = types.clone().any(|it| *it == channel.channel_type);
        let only = types.copied().next().unwrap_or(ChannelType::MessagingApi);
        let previous = of.iter().find(|it| it.is_previous());
        all.push(KindCount {
            kinds: pool.kinds.to_vec(),
            active: of.len() - usize::from(previous.is_some() && pool.cap.most == 1),
            cap: if may { Ok((pool.cap.most, pool.cap.when_full)) } else { Err(only) },
            previous: previous.map(|it| it.expires),
        });
    }
    all
}

/// One token.
pub async fn show(who: SignedIn, Ids((channel, token)): Ids<(ChannelId, TokenId)>) -> Answer {
    let (row, recent) = who.admin.token(channel, token).await?;
    let (head, found) = channel::head(&who, channel).await?;
    let group = row.group.as_ref();
    let contact = group.and_then(|it| found.holding.channel.groups.get(it));
    let contact = contact.and_then(|it| it.contact.clone());
    let others = active(&who, &found).await?.into_iter();
    let others = others.filter(|it| it.group.as_ref() == group && it.id != token);
    let page = head.page(who.frame(), ChannelTab::Tokens);
    let one = shown::token(channel, &row);
    render(&TokenPage::new(page, one, contact, shown::uses(&recent), others.collect()))
}
