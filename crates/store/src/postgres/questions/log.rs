//! The change log.

use crate::{
    Change,
    columns::Columns,
    postgres::{
        failed::Failed,
        rows::{int, list, one},
        sql::values,
    },
};
use futures_util::future::try_join;
use tegata_token::id::Position;
use tokio_postgres::Client;

/// The changes after a position, in order; `None` if the log does not reach back so far, or
/// never had that position in this epoch.
pub(in crate::postgres) async fn changes(
    db: &Client,
    after: Position,
    most: usize,
) -> Result<Option<Vec<(Position, Change)>>, Failed> {
    let sql = "SELECT epoch, position, greatest(log_from, coalesce(
                   (SELECT min(number) - 1 FROM change_log), position)) AS reaches_to
               FROM authority";
    let head = one(db, sql, &[], |row| {
        let head = Position { epoch: row.value("epoch")?, number: row.value("position")? };
        Ok((head, row.value::<u64>("reaches_to")?))
    });
    let sql = "SELECT number, change FROM change_log
               WHERE number > $1 ORDER BY number LIMIT $2";
    let (from, most) = (int(after.number), int(most));
    let values = values![from, most];
    let read = list(db, sql, values, |row| {
        let number = row.value("number")?;
        Ok((Position { epoch: after.epoch, number }, row.json("change")?))
    });
    let (head, changes) = try_join(head, read).await?;
    let known = head.is_some_and(|(head, reaches_to)| {
        after.epoch == head.epoch && (reaches_to..=head.number).contains(&after.number)
    });
    Ok(known.then_some(changes))
}

/// The newest changes, in order.
pub(in crate::postgres) async fn last_changes(
    db: &Client,
    most: usize,
) -> Result<Vec<(Position, Change)>, Failed> {
    let sql = "SELECT epoch, number, change FROM change_log, authority
               ORDER BY number DESC LIMIT $1";
    let mut changes = list(db, sql, values![int(most)], |row| {
        let position = Position { epoch: row.value("epoch")?, number: row.value("number")? };
        Ok((position, row.json("change")?))
    })
    .await?;
    changes.reverse();
    Ok(changes)
}
