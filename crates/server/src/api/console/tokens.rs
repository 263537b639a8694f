//! The tokens of a channel, and one of them.

use super::{
    Answer,
    audit::actor_name,
    channel,
    ids::Ids,
    kept::{self, Place},
    render, render_wrong,
    shown::{self, parsed},
    visit::SignedIn,
};
use crate::{
    api::{console::failure::Failure, form::Form},
    authority::admin::{ChannelTokens, ChannelWithUse},
};
use axum::extract::{Extension, MatchedPath, RawQuery};
use tegata_console::{
    Frame,
    forms::Field,
    pages::{
        ChannelHead, ChannelTab, Filter, KindCount, ShownToken, TokenPage, TokensPage, TokensView,
    },
};
use tegata_policy::{
    acts::TokenState,
    channel::Channel,
    rules::{ChannelType, Rule},
};
use tegata_store::{Page, TokenFilter};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, TokenId},
    kind::Kind,
};

/// Rows of a page of the list.
const ROWS: usize = 25;

/// Newest rows of which the revoked ones are in the timeline.
const LATELY: usize = 50;

/// The list, with counts and a timeline.
pub async fn list(
    who: SignedIn,
    Extension(place): Extension<Option<Place>>,
    route: MatchedPath,
    Ids(channel): Ids<ChannelId>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = query.unwrap_or_default();
    let filter = filter(&Form::parse(query.as_bytes()).map_err(Failure::bad_request)?)?;
    let (head, tokens) = view(&who, channel, filter).await?;
    let page = TokensPage::new(head.page(who.frame(), ChannelTab::Tokens), tokens);
    kept::render(&who, place, route, &page)
}

/// The list, with why what was entered for a bulk revocation was not found.
pub async fn not_found(
    who: &SignedIn,
    channel: ChannelId,
    what: &'static str,
    entered: &str,
) -> Answer {
    let (head, tokens) = view(who, channel, Filter::default()).await?;
    if !head.acts.take {
        return Err(Failure::forbidden());
    }
    let frame = Frame { here: head.at("/tokens"), ..who.frame() };
    let names: Vec<_> = match what {
        "group" => tokens.groups.iter().map(Group::to_string).collect(),
        "key" => tokens.keys.iter().map(AssertionKeyId::to_string).collect(),
        _ => Kind::all().map(|it| it.name().to_owned()).collect(),
    };
    let t = frame.t();
    let which = Field::of(entered).wrong((t.tokens.which_wrong)(&names.join(t.token.comma)));
    let page = head.page(frame, ChannelTab::Tokens);
    render_wrong(&TokensPage::new(page, TokensView { what, which, ..tokens }))
}

async fn view(
    who: &SignedIn,
    channel: ChannelId,
    filter: Filter,
) -> Result<(ChannelHead, TokensView), Failure> {
    let before = match &filter.after {
        None => None,
        Some(after) => Some(after.parse().map_err(|_| Failure::bad_request("after: no cursor"))?),
    };
    let wanted = (filter.is_set() || before.is_some()).then(|| TokenFilter {
        kind: filter.kind,
        group: filter.group.clone(),
        assertion_key: filter.key,
        state: filter.state,
    });
    let page = Page { before, most: ROWS + 1 };
    let ChannelTokens { found, mut rows, newest } =
        who.admin.channel_tokens(channel, wanted, page, LATELY).await?;
    let more = rows.len() > ROWS;
    rows.truncate(ROWS);
    let next = rows.last().filter(|_| more).map(|(row, _)| row.to_string());
    let head = channel::head_of(who, &found).await?;
    let groups = who.admin.groups_of(&found).await?;
    let revoked = newest.iter().filter(|it| it.state == TokenState::Revoked);
    let active = active(&found);
    let counts = counts(&found.holding.channel, &active);
    let revoked = revoked.map(|row| shown::token(channel, row));
    let keys = found.holding.channel.assertion_keys.iter().map(|it| it.id).collect();
    let tokens = TokensView {
        channel,
        name: head.name.clone(),
        counts,
        lately: active.into_iter().chain(revoked).collect(),
        groups: groups.into_iter().map(|it| it.group).collect(),
        keys,
        filter,
        rows: rows.iter().map(|(_, row)| shown::token(channel, row)).collect(),
        next,
        what: "group",
        which: Field::default(),
    };
    Ok((head, tokens))
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
    Ok(Filter {
        kind: parsed(form, "kind")?,
        group: parsed(form, "group")?,
        key: parsed(form, "key")?,
        state,
        after,
    })
}

/// The active tokens of a channel that was found with them, newest first.
pub fn active(found: &ChannelWithUse) -> Vec<ShownToken> {
    let held = &found.holding;
    held.tokens.iter().map(|row| shown::token(held.channel.id, row)).collect()
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
    let found = who.admin.channel_with_tokens(channel).await?;
    let head = channel::head_of(&who, &found).await?;
    let group = row.group.as_ref();
    let contact = group.and_then(|it| found.holding.channel.groups.get(it));
    let contact = contact.and_then(|it| it.contact.clone());
    let others = active(&found).into_iter();
    let others = others.filter(|it| it.group.as_ref() == group && it.id != token);
    let page = head.page(who.frame(), ChannelTab::Tokens);
    let mut one = shown::token(channel, &row);
    one.by_name = one.by.as_deref().and_then(|it| actor_name(&who, it));
    render(&TokenPage::new(page, one, contact, shown::uses(&recent), others.collect()))
}
