//! Drops old revocations, and revokes tokens again for a recovery.

use super::{
    apply::{run, write_facts},
    load,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::{Change, Result};
use tegata_policy::{
    acts::{Forget, REVOCATIONS_KEPT, Tokens},
    channel::Channel,
};
use tegata_token::{
    id::Serial,
    view::{ChannelChange, ChannelRevocations, Scope},
};

/// Appends a change of a channel's tokens to the log and to the channel's revocations.
/// `revocations` are those read under the same lock.
pub(super) fn append(
    tx: &mut Tx<'_>,
    channel: &Channel,
    mut revocations: ChannelRevocations,
    change: ChannelChange,
) -> Result<()> {
    revocations.apply(&change);
    write_facts(tx, channel.id, &revocations).map_err(unavailable)?;
    tx.change(Change::Tokens { provider: channel.provider, channel: channel.id, change });
    Ok(())
}

/// The rows and serials of the active stored tokens that a scope covers.
pub(super) fn covered(tx: &Tx<'_>, channel: &Channel, scope: &Scope) -> Result<Vec<(i64, Serial)>> {
    let tokens = load::tokens(tx.conn, tx.keys(), channel.id, Tokens::WithKeys);
    let tokens = tokens.map_err(unavailable)?;
    let active = tokens.iter().filter(|token| token.is_active(tx.now));
    let covered = active.filter(|it| scope.covers(it.kind, it.group.as_ref(), it.assertion_key));
    Ok(covered.map(|token| (token.row, token.serial)).collect())
}

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
        let channel = rows::channel_id(number).map_err(unavailable)?;
        gone += run(tx, &Forget { channel })?;
    }
    Ok(gone)
}
