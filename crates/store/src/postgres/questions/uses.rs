//! Recent uses of tokens.

use crate::{
    UsedToken,
    columns::{Columns, tokens::read_uses},
    postgres::{
        failed::Failed,
        rows::{int, list, one},
        sql::values,
    },
};
use std::collections::BTreeMap;
use tegata_policy::acts::RecentUse;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial, TokenId},
    time::UnixTime,
};
use tokio_postgres::Client;

/// The number of a token's row, and the uses that are stored of it.
pub(in crate::postgres) async fn of_token(
    db: &Client,
    channel: ChannelId,
    serial: Serial,
) -> Result<Option<(i64, Vec<RecentUse>)>, Failed> {
    // A row of a token is in one of two indexes, and each half names its own.
    let sql = "SELECT t.number, u.uses FROM (
                   SELECT number FROM token WHERE channel = $1 AND serial = $2 AND NOT past
                   UNION ALL
                   SELECT number FROM token WHERE channel = $1 AND serial = $2 AND past) t
               LEFT JOIN token_use u ON u.token = t.number";
    let name = (int(channel.number()), int(serial.0));
    one(db, sql, values![name.0, name.1], |row| {
        Ok((row.value("number")?, read_uses(row.optional("uses")?)?))
    })
    .await
}

/// Maximum number of tokens of a report that are looked for among those that are not active.
const PAST: usize = 16;

/// The stored tokens among these; see [`Store::used_tokens`](crate::Store::used_tokens).
pub(in crate::postgres) async fn tokens(
    db: &Client,
    tokens: &[(ChannelId, TokenId)],
    provider: Option<ProviderId>,
) -> Result<Vec<UsedToken>, Failed> {
    let mut found = named(db, "NOT t.past", tokens, provider).await?;
    let missing = tokens.iter().filter(|it| !found.contains_key(it)).take(PAST);
    let missing: Vec<_> = missing.copied().collect();
    if !missing.is_empty() {
        // No index has the id: the channel's rows are read.
        let past = "t.past AND t.revoked_at IS NOT NULL";
        found.extend(named(db, past, &missing, provider).await?);
    }
    Ok(tokens.iter().filter_map(|it| found.get(it).copied()).collect())
}

async fn named(
    db: &Client,
    condition: &str,
    tokens: &[(ChannelId, TokenId)],
    provider: Option<ProviderId>,
) -> Result<BTreeMap<(ChannelId, TokenId), UsedToken>, Failed> {
    let sql = format!(
        "SELECT t.channel, t.id, t.serial, t.revoked_at
         FROM unnest($1, $2) wanted (channel, id)
         JOIN token t ON t.channel = wanted.channel AND t.id = wanted.id AND {condition}
         WHERE ($3 IS NULL OR (SELECT provider FROM channel c WHERE c.id = t.channel) = $3)"
    );
    let channels: Vec<_> = tokens.iter().map(|(channel, _)| int(channel.number())).collect();
    let ids: Vec<_> = tokens.iter().map(|(_, id)| id.0.as_slice()).collect();
    let provider = provider.map(|id| int(id.number()));
    let values = values![channels, ids, provider];
    let read = list(db, &sql, values, |row| {
        let (channel, id) = (row.value("channel")?, row.value("id")?);
        let revoked_at: Option<UnixTime> = row.optional("revoked_at")?;
        let token = UsedToken { channel, id, serial: row.value("serial")?, revoked_at };
        Ok(((channel, id), token))
    });
    Ok(read.await?.into_iter().collect())
}
