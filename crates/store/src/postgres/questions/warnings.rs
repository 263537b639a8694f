//! What channels hold that can expire or be unused, and the warnings that are due. Which
//! these are is not decided here.

use super::{channels, tokens};
use crate::{
    DueWarning, Holding, Page, TokenFilter, TokenState, answers,
    columns::{Columns, channels::CHANNEL, jobs},
    postgres::{
        failed::Failed,
        rows::{int, list, one},
        sql::values,
    },
};
use futures_util::future::{try_join_all, try_join3};
use std::collections::BTreeMap;
use tegata_policy::channel::Channel;
use tegata_token::{
    id::{AssertionKeyId, ChannelId},
    time::UnixTime,
};
use tokio_postgres::Client;

/// What the active channels after `after` hold, in the order of their ids.
pub(in crate::postgres) async fn holdings(
    db: &Client,
    after: Option<ChannelId>,
    most: usize,
    now: UnixTime,
) -> Result<Vec<Holding>, Failed> {
    let sql = format!("{CHANNEL} WHERE c.id > $1 AND c.state = 'active' ORDER BY c.id LIMIT $2");
    let after = after.map_or(0, |id| int(id.number()));
    let rows = db.query_typed(&sql, values![after, int(most)]).await?;
    let channels = channels::whole(db, &rows).await?;
    try_join_all(channels.into_iter().map(|channel| held_by(db, channel, now))).await
}

/// What one channel holds; `None` if it is deleted.
pub(in crate::postgres) async fn holding(
    db: &Client,
    id: ChannelId,
    now: UnixTime,
) -> Result<Option<Holding>, Failed> {
    match channels::channel(db, id).await? {
        Some(channel) => held_by(db, channel, now).await.map(Some),
        None => Ok(None),
    }
}

async fn held_by(db: &Client, channel: Channel, now: UnixTime) -> Result<Holding, Failed> {
    let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let id = int(channel.id.number());
    let (tokens, keys_used, secrets_used) = try_join3(
        tokens::tokens(db, channel.id, &filter, page, now),
        keys_used(db, id),
        secrets_used(db, id),
    )
    .await?;
    Ok(Holding {
        secrets_used: secrets_used.into_iter().take(channel.secrets.len()).collect(),
        tokens: tokens.into_iter().map(|(_, token)| token).collect(),
        keys_used,
        channel,
    })
}

async fn keys_used(
    db: &Client,
    channel: i64,
) -> Result<BTreeMap<AssertionKeyId, UnixTime>, Failed> {
    let sql = "SELECT id, last_used_at FROM assertion_key
               WHERE channel = $1 AND last_used_at IS NOT NULL";
    let values = values![channel];
    let used = list(db, sql, values, |row| Ok((row.value("id")?, row.value("last_used_at")?)));
    Ok(used.await?.into_iter().collect())
}

async fn secrets_used(db: &Client, channel: i64) -> Result<[Option<UnixTime>; 2], Failed> {
    let sql = "SELECT secret_used_at, previous_secret_used_at FROM channel WHERE id = $1";
    let values = values![channel];
    let used = one(db, sql, values, |row| {
        Ok([row.optional("secret_used_at")?, row.optional("previous_secret_used_at")?])
    });
    Ok(used.await?.unwrap_or_default())
}

/// Warnings that are due, the longest due first.
pub(in crate::postgres) async fn due(
    db: &Client,
    most: usize,
    now: UnixTime,
) -> Result<Vec<DueWarning>, Failed> {
    let sql = "SELECT number, name, body, attempts, keep_until FROM warning
               WHERE next_at <= $1 ORDER BY next_at, number LIMIT $2";
    list(db, sql, values![now.0, int(most)], jobs::due).await
}
