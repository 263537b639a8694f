//! Questions about the tokens and channels of many channels and providers at once.

use super::{
    SqliteStore, load, read,
    rows::{self, unavailable},
};
use crate::{ExpiryFilter, OverviewStore, Result, RowId, TokenName, TokenRow, TokenState};
use async_trait::async_trait;
use rusqlite::{Connection, named_params};
use std::collections::BTreeMap;
use tegata_policy::acts::{StoredKey, Tokens};
use tegata_token::{
    id::{ChannelId, ProviderId, Serial},
    time::UnixTime,
};

#[async_trait]
impl OverviewStore for SqliteStore {
    async fn expiring_tokens(
        &self,
        filter: ExpiryFilter,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<(RowId, ChannelId, TokenRow)>> {
        self.list(move |conn| expiring(conn, &filter, most, now).map_err(unavailable)).await
    }

    async fn tokens_of(
        &self,
        names: Vec<(ChannelId, Serial)>,
        now: UnixTime,
    ) -> Result<Vec<(ChannelId, TokenRow)>> {
        self.list(move |conn| tokens_of(conn, &names, now).map_err(unavailable)).await
    }

    async fn count_channels(
        &self,
        providers: Vec<ProviderId>,
    ) -> Result<BTreeMap<ProviderId, usize>> {
        self.list(move |conn| channels(conn, &providers).map_err(unavailable)).await
    }

    async fn count_tokens(&self, provider: ProviderId, now: UnixTime) -> Result<usize> {
        self.list(move |conn| tokens(conn, provider, now).map_err(unavailable)).await
    }
}

/// Active tokens, the first to expire first. The expiry in the query narrows what is read;
/// whether a token is active is decided elsewhere.
fn expiring(
    conn: &Connection,
    filter: &ExpiryFilter,
    most: usize,
    now: UnixTime,
) -> rusqlite::Result<Vec<(RowId, ChannelId, TokenRow)>> {
    // A row that is not past is in the index of those, which has these columns.
    let expiry = "min(expires_at, coalesce(ends_at, expires_at))";
    let sql = format!(
        "SELECT number, {expiry} AS expiry FROM token INDEXED BY token_live
         WHERE past = 0 AND {expiry} < :before AND {expiry} > :now
           AND ({expiry}, number) > (:after, :row)
           AND (:seen IS NULL OR channel IN (SELECT value FROM json_each(:seen)))
         ORDER BY expiry, number"
    );
    let (after, row) = filter.after.unwrap_or((UnixTime(i64::MIN), RowId::MIN));
    let seen = filter.seen.as_ref().map(|it| read::numbers(it.iter().map(|id| id.number())));
    let values = named_params! {
        ":before": filter.before.0, ":now": now.0, ":after": after.0, ":row": row, ":seen": seen,
    };
    let mut query = conn.prepare_cached(&sql)?;
    let mut found = query.query(values)?;
    let mut page = Vec::new();
    while page.len() < most
        && let Some(row) = found.next()?
    {
        let number: RowId = row.get("number")?;
        for (channel, token) in read::rows_of(conn, std::iter::once(number), now)? {
            if token.state == TokenState::Active {
                page.push((number, channel, token));
            }
        }
    }
    Ok(page)
}

/// Those of these tokens that have a row.
fn tokens_of(
    conn: &Connection,
    names: &[(ChannelId, Serial)],
    now: UnixTime,
) -> rusqlite::Result<Vec<(ChannelId, TokenRow)>> {
    let row = |(channel, serial): &(ChannelId, Serial)| {
        let found = read::token(conn, *channel, TokenName::Serial(*serial), now);
        found.map(|row| Some((*channel, row?))).transpose()
    };
    names.iter().filter_map(row).collect()
}

/// How many channels each of these providers has.
fn channels(
    conn: &Connection,
    providers: &[ProviderId],
) -> rusqlite::Result<BTreeMap<ProviderId, usize>> {
    let sql = "SELECT count(*) FROM channel WHERE provider = ?1 AND state <> 'deleted'";
    let mut query = conn.prepare_cached(sql)?;
    let mut count = |id: &ProviderId| Ok((*id, query.query_row([id.number()], |row| row.get(0))?));
    providers.iter().map(&mut count).collect()
}

/// How many active stored tokens the channels of a provider have.
fn tokens(conn: &Connection, provider: ProviderId, now: UnixTime) -> rusqlite::Result<usize> {
    let keys: Vec<StoredKey> = rows::signing_keys(conn)?;
    let sql = "SELECT id FROM channel WHERE provider = ?1 AND state <> 'deleted'";
    let mut query = conn.prepare_cached(sql)?;
    let mut found = query.query([provider.number()])?;
    let mut active = 0;
    while let Some(row) = found.next()? {
        let channel = rows::channel_id(row.get("id")?)?;
        let all = load::tokens(conn, &keys, channel, Tokens::Counted)?;
        active += all.iter().filter(|it| it.is_active(now)).count();
    }
    Ok(active)
}
