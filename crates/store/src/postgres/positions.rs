//! The counter of positions and audit numbers.

use super::{connect::Client, failed::Failed, rows::int, sql::values};
use crate::columns::Columns;
use tegata_token::time::UnixTime;

/// The last position, the last audit number, and the highest time written.
pub(super) type Advanced = (u64, i64, UnixTime);

/// Takes a range of positions and of audit numbers, and so the last lock; returns the last
/// of each, and the highest time written.
pub(super) async fn advance(
    db: &Client,
    changes: usize,
    events: usize,
    at: UnixTime,
) -> Result<Advanced, Failed> {
    let sql = "UPDATE authority SET position = position + $1, audit = audit + $2,
                   written_at = greatest(written_at, $3)
               RETURNING position, audit, written_at";
    let row = db.query_typed_one(sql, values![int(changes), int(events), at.0]).await?;
    Ok((row.value("position")?, row.value("audit")?, row.value("written_at")?))
}
