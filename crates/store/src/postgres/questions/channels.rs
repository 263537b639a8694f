//! Providers, channels with their keys and groups, and lists of them.

use super::{bounds, tokens};
use crate::{
    ChannelFilter, Error, GroupRow, KeyFilter, KeyRow, Page, Provider, ProviderFilter, RowId, Seen,
    TokenFilter, TokenState, answers,
    columns::{
        Columns,
        channels::{self as columns, CHANNEL},
    },
    postgres::{
        failed::Failed,
        rows::{int, list, one, parts},
        sql::values,
    },
};
use futures_util::future::try_join;
use tegata_policy::channel::Channel;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};
use tokio_postgres::{Client, Row};

/// Ids as values of a statement.
pub(super) fn channel_numbers(ids: &[ChannelId]) -> Vec<i64> {
    ids.iter().map(|id| int(id.number())).collect()
}

fn provider_numbers(ids: &[ProviderId]) -> Vec<i64> {
    ids.iter().map(|id| int(id.number())).collect()
}

impl Seen {
    /// Channels and providers, as values of a statement.
    pub(super) fn arrays(&self) -> (Vec<i64>, Vec<i64>) {
        (channel_numbers(&self.channels), provider_numbers(&self.providers))
    }
}

pub(in crate::postgres) async fn providers(
    db: &Client,
    ProviderFilter { search, seen }: &ProviderFilter,
    page: Page,
) -> Result<Vec<(RowId, Provider)>, Failed> {
    // In this collation only the case of ASCII letters does not matter.
    let sql = r#"SELECT number, id, name, created_at FROM provider
               WHERE number < $1 AND NOT deleted
                 AND ($3 IS NULL OR strpos(lower(name COLLATE "C"), lower($3 COLLATE "C")) > 0
                      OR strpos(id::text, $3) > 0)
                 AND ($4 IS NULL OR id = ANY($4))
               ORDER BY number DESC LIMIT $2"#;
    let (before, most) = bounds(page);
    let seen = seen.as_deref().map(provider_numbers);
    list(db, sql, values![before, most, search.as_deref(), seen], |row| {
        Ok((row.value("number")?, columns::provider(row)?))
    })
    .await
}

pub(in crate::postgres) async fn provider(
    db: &Client,
    id: ProviderId,
) -> Result<Option<Provider>, Failed> {
    let sql = "SELECT id, name, created_at FROM provider WHERE id = $1 AND NOT deleted";
    one(db, sql, values![int(id.number())], columns::provider).await
}

pub(in crate::postgres) async fn assertion_keys(
    db: &Client,
    KeyFilter { id, search, seen }: &KeyFilter,
    page: Page,
) -> Result<Vec<(RowId, KeyRow)>, Failed> {
    // A UUID is stored as 16 bytes and written in five groups.
    let sql = r#"SELECT k.number, k.id, k.channel, k.grp, k.created_at, k.last_used_at, c.name
         FROM assertion_key k JOIN channel c ON c.id = k.channel
         WHERE ($1 IS NULL OR k.id = $1) AND k.number < $2 AND c.state <> 'deleted'
           AND ($4 IS NULL OR strpos(lower(c.name COLLATE "C"), lower($4 COLLATE "C")) > 0
                OR strpos(lower(k.grp COLLATE "C"), lower($4 COLLATE "C")) > 0
                OR strpos(k.channel::text, $4) > 0
                OR strpos(encode(k.id, 'hex'), replace(lower($4 COLLATE "C"), '-', '')) > 0)
           AND ($5 IS NULL OR k.channel = ANY($5))
         ORDER BY k.number DESC LIMIT $3"#;
    let (before, most) = bounds(page);
    let seen = seen.as_deref().map(channel_numbers);
    let id = id.map(|id| id.0.to_vec());
    list(db, sql, values![id, before, most, search.as_deref(), seen], |row| {
        let key = KeyRow {
            id: row.value("id")?,
            channel: row.value("channel")?,
            channel_name: row.value("name")?,
            group: row.optional("grp")?,
            created_at: row.value("created_at")?,
            last_used_at: row.optional("last_used_at")?,
        };
        Ok((row.value("number")?, key))
    })
    .await
}

/// Channels.
pub(in crate::postgres) async fn channels(
    db: &Client,
    filter: &ChannelFilter,
    page: Page,
) -> Result<Vec<(RowId, Channel)>, Failed> {
    let ChannelFilter { provider: of, search, seen } = filter;
    let sql = format!(
        r#"{CHANNEL} WHERE ($1 IS NULL OR c.provider = $1) AND c.number < $2
             AND c.state <> 'deleted'
             AND ($4 IS NULL OR strpos(lower(c.name COLLATE "C"), lower($4 COLLATE "C")) > 0
                  OR strpos(c.id::text, $4) > 0)
             AND ($5 IS NULL OR c.id = ANY($5) OR c.provider = ANY($6))
           ORDER BY c.number DESC LIMIT $3"#
    );
    let (before, most) = bounds(page);
    let (channels, providers) = seen.as_ref().map(Seen::arrays).unzip();
    let number = of.map(|id| int(id.number()));
    let search = search.as_deref();
    let values = values![number, before, most, search, channels, providers];
    let exists = async {
        match of {
            Some(id) => Ok::<_, Failed>(provider(db, *id).await?.is_some()),
            None => Ok(true),
        }
    };
    let (exists, rows) =
        try_join(exists, async { Ok(db.query_typed(&sql, values).await?) }).await?;
    if !exists {
        return Err(Error::NotFound("provider").into());
    }
    let numbers = rows.iter().map(|row| row.value("number"));
    let numbers = numbers.collect::<Result<Vec<RowId>, Failed>>()?;
    Ok(numbers.into_iter().zip(whole(db, &rows).await?).collect())
}

/// One channel's snapshot; `None` if it is deleted.
pub(in crate::postgres) async fn channel(
    db: &Client,
    id: ChannelId,
) -> Result<Option<Channel>, Failed> {
    let sql = format!("{CHANNEL} WHERE c.id = $1 AND c.state <> 'deleted'");
    let ids = [int(id.number())];
    let row = async { Ok(db.query_typed_opt(&sql, values![ids[0]]).await?) };
    let (row, mut parts) = try_join(row, parts(db, &ids)).await?;
    row.map(|row| columns::channel(&row, parts.remove(&id).unwrap_or_default())).transpose()
}

/// Channels' snapshots from rows of [`CHANNEL`], with their keys and groups.
pub(super) async fn whole(db: &Client, rows: &[Row]) -> Result<Vec<Channel>, Failed> {
    let ids = rows.iter().map(|row| row.value("id"));
    let ids = ids.collect::<Result<Vec<ChannelId>, Failed>>()?;
    let mut parts = parts(db, &channel_numbers(&ids)).await?;
    let channel = |(row, id)| columns::channel(row, parts.remove(id).unwrap_or_default());
    rows.iter().zip(&ids).map(channel).collect()
}

/// A channel's groups.
pub(in crate::postgres) async fn groups(
    db: &Client,
    id: ChannelId,
    now: UnixTime,
) -> Result<Vec<GroupRow>, Failed> {
    let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let (channel, active) =
        try_join(channel(db, id), tokens::tokens(db, id, &filter, page, now)).await?;
    let channel = channel.ok_or(Error::NotFound("channel"))?;
    Ok(GroupRow::all(&channel, active.iter().map(|(_, token)| token), now))
}

pub(in crate::postgres) async fn state_act(
    db: &Client,
    id: ChannelId,
) -> Result<Option<RowId>, Failed> {
    let sql = "SELECT state_act FROM channel WHERE id = $1";
    let found = one(db, sql, values![int(id.number())], |row| row.optional("state_act")).await;
    found.map(Option::flatten)
}
