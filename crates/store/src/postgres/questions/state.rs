//! Everything that a server holds in memory, read at its start.

use super::{people, verifiers};
use crate::{
    State, answers,
    columns::{Columns, damaged, from_json, read_revocations},
    postgres::{
        failed::Failed,
        rows::{one, signing_keys},
        sql::Value,
    },
};
use futures_util::{TryStreamExt, future::try_join4};
use std::{num::NonZeroU32, pin::pin};
use tegata_policy::channel::ChannelLimits;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
    view::ChannelRevocations,
};
use tokio_postgres::{Client, Row};

/// Everything at one position.
pub(in crate::postgres) async fn state(db: &Client) -> Result<State, Failed> {
    let (authority, keys, verifiers, people) =
        try_join4(authority(db), signing_keys(db), verifiers::all(db), people::state(db)).await?;
    let (position, written_at, clock_offset) = authority;
    let signing_keys: Vec<_> = keys.into_iter().map(|it| it.key).collect();
    let revocations = revocations(db).await?;
    let (channels, verify_rates) = ids_and_rates(db).await?;
    let view = answers::view(position, &signing_keys, revocations)?;
    Ok(State {
        view,
        signing_keys,
        channels,
        verify_rates,
        verifiers,
        people,
        written_at,
        clock_offset,
    })
}

async fn authority(db: &Client) -> Result<(Position, UnixTime, i64), Failed> {
    // An act without a change keeps its time with its channel.
    let sql = "SELECT epoch, position, clock_offset, greatest(written_at,
                   (SELECT max(written_at) FROM channel_count)) AS written_at FROM authority";
    let found = one(db, sql, &[], |row| {
        let position = Position { epoch: row.value("epoch")?, number: row.value("position")? };
        Ok((position, row.value("written_at")?, row.value("clock_offset")?))
    });
    Ok(found.await?.ok_or_else(|| damaged("the table authority is empty"))?)
}

/// Passes each row of a statement to `read`, without holding them all.
async fn each(
    db: &Client,
    sql: &str,
    mut read: impl FnMut(&Row) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut rows = pin!(db.query_typed_raw(sql, Vec::<Value<'_>>::new()).await?);
    while let Some(row) = rows.try_next().await? {
        read(&row)?;
    }
    Ok(())
}

/// The ids of all channels, and the verification rates of those that have set one.
async fn ids_and_rates(
    db: &Client,
) -> Result<(Vec<ChannelId>, Vec<(ChannelId, NonZeroU32)>), Failed> {
    let (mut ids, mut rates) = (Vec::new(), Vec::new());
    let sql = "SELECT id, nullif(limits, '{}') AS limits FROM channel";
    each(db, sql, |row| {
        let id = row.value("id")?;
        ids.push(id);
        if let Some(limits) = row.optional::<String>("limits")? {
            let limits: ChannelLimits = from_json(&limits)?;
            rates.extend(limits.verify_rate.map(|rate| (id, rate)));
        }
        Ok(())
    })
    .await?;
    Ok((ids, rates))
}

/// What the view says of each channel of which it says something.
async fn revocations(
    db: &Client,
) -> Result<Vec<(ProviderId, ChannelId, ChannelRevocations)>, Failed> {
    let sql = "SELECT c.id, c.provider, c.state, f.revocations FROM channel c
               LEFT JOIN channel_revocations f ON f.channel = c.id
               WHERE f.channel IS NOT NULL OR c.state <> 'active'";
    let mut all = Vec::new();
    each(db, sql, |row| {
        let id = row.value("id")?;
        let revocations = match row.optional::<String>("revocations")? {
            Some(text) => read_revocations(id, &text)?,
            None => ChannelRevocations::default(),
        };
        let revocations = ChannelRevocations { state: row.word("state")?, ..revocations };
        all.push((row.value("provider")?, id, revocations));
        Ok(())
    })
    .await?;
    Ok(all)
}
