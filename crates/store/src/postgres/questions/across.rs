//! Questions about the tokens and channels of many channels and providers at once.

use super::{channels::channel_numbers, tokens};
use crate::{
    ExpiryFilter, RowId, TokenName, TokenRow, TokenState,
    columns::Columns,
    postgres::{
        failed::Failed,
        rows::{int, list, signing_keys},
        sql::values,
    },
};
use futures_util::future::{try_join, try_join_all};
use std::collections::BTreeMap;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial},
    time::UnixTime,
};
use tokio_postgres::Client;

/// Active tokens, the first to expire first. The expiry in the query narrows what is read;
/// whether a token is active is decided elsewhere.
pub(in crate::postgres) async fn expiring(
    db: &Client,
    filter: &ExpiryFilter,
    most: usize,
    now: UnixTime,
) -> Result<Vec<(RowId, ChannelId, TokenRow)>, Failed> {
    // As the index writes it.
    let expiry = "least(expires_at, coalesce(ends_at, expires_at))";
    let sql = format!(
        "SELECT number, {expiry} AS expiry FROM token
         WHERE NOT past AND {expiry} < $1 AND {expiry} > $2 AND ({expiry}, number) > ($3, $4)
           AND ($5 IS NULL OR channel = ANY($5))
         ORDER BY expiry, number LIMIT $6"
    );
    let (mut after, mut row) = filter.after.unwrap_or((UnixTime(i64::MIN), RowId::MIN));
    let seen = filter.seen.as_deref().map(channel_numbers);
    let (limit, mut page) = (int(most), Vec::new());
    while page.len() < most {
        let values = values![filter.before.0, now.0, after.0, row, seen, limit];
        let found = list(db, &sql, values, |row| {
            Ok((row.value::<RowId>("number")?, row.value::<UnixTime>("expiry")?))
        });
        let found = found.await?;
        let numbers: Vec<_> = found.iter().map(|(number, _)| *number).collect();
        for (number, (channel, token)) in
            numbers.iter().zip(tokens::rows_of(db, &numbers, now).await?)
        {
            if token.state == TokenState::Active && page.len() < most {
                page.push((*number, channel, token));
            }
        }
        let Some(last) = found.last().filter(|_| found.len() == most) else { break };
        (row, after) = *last;
    }
    Ok(page)
}

/// Those of these tokens that have a row.
pub(in crate::postgres) async fn tokens_of(
    db: &Client,
    names: &[(ChannelId, Serial)],
    now: UnixTime,
) -> Result<Vec<(ChannelId, TokenRow)>, Failed> {
    // The statements are sent together.
    let found = names.iter().map(|&(channel, serial)| async move {
        let row = tokens::token(db, channel, TokenName::Serial(serial), now).await?;
        Ok::<_, Failed>(row.map(|row| (channel, row)))
    });
    Ok(try_join_all(found).await?.into_iter().flatten().collect())
}

/// How many channels each of these providers has.
pub(in crate::postgres) async fn count_channels(
    db: &Client,
    providers: &[ProviderId],
) -> Result<BTreeMap<ProviderId, usize>, Failed> {
    let sql = "SELECT provider, count(*) AS channels FROM channel
               WHERE provider = ANY($1) AND state <> 'deleted' GROUP BY provider";
    let ids: Vec<_> = providers.iter().map(|id| int(id.number())).collect();
    let found: Vec<(ProviderId, usize)> =
        list(db, sql, values![ids], |row| Ok((row.value("provider")?, row.value("channels")?)))
            .await?;
    let mut counts: BTreeMap<_, _> = providers.iter().map(|id| (*id, 0)).collect();
    counts.extend(found);
    Ok(counts)
}

/// Of how many channels tokens are read at once.
const PART: usize = 1_000;

/// How many active stored tokens the channels of a provider have.
pub(in crate::postgres) async fn count_tokens(
    db: &Client,
    provider: ProviderId,
    now: UnixTime,
) -> Result<usize, Failed> {
    let sql = "SELECT id FROM channel WHERE provider = $1 AND state <> 'deleted'";
    let provider = int(provider.number());
    let values = values![provider];
    let channels = list(db, sql, values, |row| row.value::<i64>("id"));
    let (keys, channels) = try_join(signing_keys(db), channels).await?;
    let sql = format!("SELECT {} FROM token WHERE channel = ANY($1) AND NOT past", tokens::TIMES);
    let mut active = 0;
    for part in channels.chunks(PART) {
        for row in &db.query_typed(&sql, values![part]).await? {
            active += usize::from(tokens::is_active(row, &keys, now)?);
        }
    }
    Ok(active)
}
