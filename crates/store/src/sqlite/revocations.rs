//! Several acts of one kind in one transaction, a channel each.

use super::{
    apply::run,
    provider_revocation,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{Error, Result, Revoked, RowId};
use tegata_policy::acts::{ContinueProviderRevocation, Forget, REVOCATIONS_KEPT};
use tegata_token::id::{ChannelId, Position};

/// Drops revocations that cover no unexpired token; returns how many it dropped.
pub(super) fn forget(tx: &mut Tx<'_>, channels: usize) -> Result<usize> {
    let sql = "SELECT channel FROM channel_revocations
               WHERE first_until <= ?1 ORDER BY first_until LIMIT ?2";
    let due: Vec<u64> = tx
        .conn
        .prepare_cached(sql)
        .and_then(|mut query| {
            let before = tx.now.plus(-REVOCATIONS_KEPT).0;
            query.query_map((before, channels), |row| row.get(0))?.collect()
        })
        .map_err(unavailable)?;
    let mut gone = 0;
    for number in due {
        let channel = rows::channel_id(number)?;
        gone += run(tx, &Forget { channel })?;
    }
    Ok(gone)
}

/// Goes on with a job: at most `most` channels.
pub(super) fn continue_provider(
    tx: &mut Tx<'_>,
    number: RowId,
    most: usize,
) -> Result<(Revoked, bool)> {
    let mut progress = None;
    for _ in 0..most {
        let next: Option<ChannelId> =
            provider_revocation::job(tx.conn, number).map_err(unavailable)?.and_then(|it| it.next);
        let now = run(tx, &ContinueProviderRevocation { job: number, channel: next })?;
        progress = Some(now);
        if now.done {
            break;
        }
    }
    let progress = progress.ok_or(Error::Conflict("no channel may be revoked at once"))?;
    let before = Position { number: progress.position, ..tx.head() };
    let position = tx.position().unwrap_or(before);
    Ok((Revoked { tokens: progress.revoked, position, at: tx.now }, progress.done))
}
