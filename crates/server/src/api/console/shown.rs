//! Values of the façade as pages show them, and the parts of requests that several pages read.

use super::failure::Failure;
use crate::api::form::Form;
use std::str::FromStr;
use tegata_console::pages::{ShownToken, ShownUse};
use tegata_policy::text::is_line;
use tegata_store::{RecentUse, TokenRow};
use tegata_token::id::ChannelId;

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
    is_line(text, most).then(|| text.to_owned())
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
        by_name: None,
        reason: row.reason.clone(),
        idle: row.idle,
    }
}

/// The recent uses of a token.
pub fn uses(all: &[RecentUse]) -> Vec<ShownUse> {
    let one = |it: &RecentUse| ShownUse { source: it.source, minute: it.minute, count: it.count };
    all.iter().map(one).collect()
}
