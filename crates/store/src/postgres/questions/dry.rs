//! Acts that are decided and not done.

use super::tokens::rows_of;
use crate::{
    Error, WouldTake,
    columns::Columns,
    postgres::{
        failed::Failed,
        load::load,
        rows::{int, one, signing_keys},
        sql::values,
    },
    taking::Taken,
};
use futures_util::future::try_join;
use tegata_policy::acts::{Act, Needs};
use tegata_token::time::UnixTime;
use tokio_postgres::Client;

/// Decides an act without its effects: returns how many tokens it would revoke, and the
/// newest `most` of them that are stored.
pub(in crate::postgres) async fn decide<A: Act<Output: Taken> + Sync>(
    db: &Client,
    at: UnixTime,
    act: &A,
    most: usize,
) -> Result<WouldTake, Failed> {
    let needs = act.needs();
    let (written_at, keys) = try_join(written_at(db, &needs), signing_keys(db)).await?;
    let now = at.max(written_at);
    let locked = Box::pin(load(db, &keys.into(), &needs)).await?;
    let (output, effects) = act.decide(&locked, now).map_err(Error::from)?;
    let numbers: Vec<_> = effects.taken.iter().rev().copied().take(most).collect();
    let rows = rows_of(db, &numbers, now).await?;
    Ok(WouldTake { tokens: output.tokens(), rows })
}

/// The highest time written, as far as the act must not be before it.
async fn written_at(db: &Client, needs: &Needs) -> Result<UnixTime, Failed> {
    let sql = "SELECT greatest(written_at, (SELECT written_at FROM channel_count
                   WHERE channel = $1)) AS written_at FROM authority";
    let channel = needs.channel.map(|id| int(id.number()));
    let found = one(db, sql, values![channel], |row| row.value("written_at")).await?;
    Ok(found.unwrap_or(UnixTime(0)))
}
