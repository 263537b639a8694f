//! Values of the façade as pages show them, and the parts of requests that several pages read.

use super::{failure::Failure, visit::SignedIn};
use crate::{
    api::form::Form,
    authority::admin::{ActOptions, ChannelWithUse, DryRun},
};
use std::{str::FromStr, time::Duration};
use tegata_console::pages::{
    ChannelHead, ChannelTab, ShownToken, ShownUse, TokenLine, TokenTable,
};
use tegata_policy::text::{is_plain, is_visible};
use tegata_store::{RecentUse, TokenRow};
use tegata_token::id::ChannelId;

/// Reads an id of an address. What is none names nothing that exists.
pub fn id<T: FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::not_found())
}

/// A field of a query or a form that has a form of its own.
pub fn parsed<T: FromStr>(form: &Form<'_>, name: &str) -> Result<Option<T>, Failure> {
    let Some(text) = form.get(name) else { return Ok(None) };
    let text = text.trim();
    let wrong = || Failure::bad_request(format_args!("{name} {text:?}: there is no such {name}"));
    text.parse().map(Some).map_err(|_| wrong())
}

/// A line of text that a person entered, without what controls terminals and direction.
pub fn line(text: &str, most: usize) -> Option<String> {
    let text = text.trim();
    let fits = text.chars().count() <= most && text.chars().all(is_plain) && is_visible(text);
    fits.then(|| text.to_owned())
}

/// The reason and the wait of an act; the reason as it was entered, if it cannot be accepted.
pub fn options(form: &Form<'_>) -> Result<ActOptions, String> {
    let reason = match form.get("reason").map(str::trim).filter(|it| !it.is_empty()) {
        None => None,
        Some(text) => Some(line(text, 500).ok_or_else(|| text.to_owned())?),
    };
    let seconds = form.get("wait").and_then(|it| it.parse().ok()).unwrap_or(0);
    let wait = Duration::from_secs(std::cmp::min(seconds, 60));
    Ok(ActOptions { reason, wait, dry_run: false })
}

/// A token.
pub fn token(channel: ChannelId, row: &TokenRow) -> ShownToken {
    ShownToken {
        channel,
        id: row.id,
        kind: row.kind,
        group: row.group.clone(),
        key: row.assertion_key,
        state: row.state,
        issued: row.issued_at,
        expires: row.expires_at,
        used: row.last_used_at,
        revocation: row.revocation,
        by: row.revoked_by.clone(),
        reason: row.reason.clone(),
        idle_since: None,
    }
}

/// The recent uses of a token.
pub fn uses(all: &[RecentUse]) -> Vec<ShownUse> {
    let one =
        |it: &RecentUse| ShownUse { source: it.source, minute: it.minute, count: it.count };
    all.iter().map(one).collect()
}

/// What an act would take away.
pub fn table(would: &DryRun) -> TokenTable {
    let line = |(channel, row): &(Option<ChannelId>, TokenRow)| TokenLine {
        id: row.id,
        channel: *channel,
        kind: row.kind,
        group: row.group.clone(),
        issued_at: row.issued_at,
        expires_at: row.expires_at,
        last_used_at: row.last_used_at,
    };
    TokenTable {
        total: would.tokens,
        rows: would.rows.iter().map(line).collect(),
        stateless_too: would.stateless_too,
    }
}

/// A channel and what belongs to it, and the head of its pages.
pub async fn channel(
    who: &SignedIn,
    id: ChannelId,
) -> Result<(ChannelHead, ChannelWithUse), Failure> {
    let found = who.admin.channel(id).await?;
    let it = &found.holding.channel;
    let provider = who.admin.provider(it.provider).await.ok();
    let head = ChannelHead {
        id,
        name: it.name.clone(),
        channel_type: it.channel_type,
        state: it.state,
        provider: it.provider,
        provider_name: provider.map(|it| it.provider.name),
        tabs: ChannelTab::ALL.to_vec(),
    };
    Ok((head, found))
}
