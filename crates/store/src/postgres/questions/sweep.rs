//! Finds token rows that may be old enough to be deleted, and jobs that a crash may have
//! interrupted.

use crate::{
    ProviderRevocation, RowId,
    columns::{jobs, tokens},
    postgres::{
        failed::Failed,
        rows::{int, list},
        sql::values,
    },
};
use tegata_token::time::UnixTime;
use tokio_postgres::Client;

/// Rows after `after` to delete, and the row to continue from. Reads the table in its own
/// order, a few rows at a time, so that it needs no index.
pub(in crate::postgres) async fn inactive_before(
    db: &Client,
    after: RowId,
    before: UnixTime,
    most: usize,
) -> Result<(Vec<RowId>, Option<RowId>), Failed> {
    let sql = "SELECT number, channel, issued_at, expires_at, ends_at, revoked_at, cause FROM token
               WHERE number > $1 ORDER BY number LIMIT $2";
    let read = list(db, sql, values![after, int(most)], tokens::swept).await?;
    let last = read.last().map(|it| it.row).filter(|_| read.len() == most);
    let over = read.iter().filter(|it| it.times.over_at() < before).map(|it| it.row);
    Ok((over.collect(), last))
}

/// Revocations of all tokens of a provider that are not complete.
pub(in crate::postgres) async fn provider_revocations(
    db: &Client,
) -> Result<Vec<ProviderRevocation>, Failed> {
    let sql = "SELECT number, provider, revoked, (SELECT count(*) FROM channel c
                   WHERE c.provider = job.provider AND c.revocations_before <= job.through
                       AND c.id > job.done_to AND c.state <> 'deleted') AS channels_left
               FROM provider_revocation job ORDER BY number";
    list(db, sql, &[], jobs::running).await
}
