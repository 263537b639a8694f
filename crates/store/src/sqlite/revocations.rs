//! Drops old revocations, a channel at a time.

use super::{
    apply::run,
    rows::{self, unavailable},
    writer::Tx,
};
use crate::Result;
use tegata_policy::acts::{Forget, REVOCATIONS_KEPT};

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
