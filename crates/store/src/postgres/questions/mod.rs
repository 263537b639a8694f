//! Questions. Each is answered from what is committed; a few statements of one question are
//! sent at once. A statement only narrows by index what is read: whether a token is active is
//! decided by `tegata_policy::acts`, as for every other store.
//!
//! The functions here begin no transaction. Those of several statements say so, and their
//! caller reads them in a [`snapshot`].

pub(super) mod across;
pub(super) mod audit;
pub(super) mod audit_list;
pub(super) mod channels;
pub(super) mod dry;
pub(super) mod log;
pub(super) mod people;
pub(super) mod state;
pub(super) mod sweep;
pub(super) mod tokens;
pub(super) mod uses;
pub(super) mod verifiers;
pub(super) mod warnings;

use super::{failed::Failed, sql::Value};
use crate::{Page, RowId};
use futures_util::future::join;
use tokio_postgres::{Client, Row};

/// Reads all of a question at one moment: its statements see the same commits.
pub(super) async fn snapshot<T>(
    db: &Client,
    question: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Failed> {
    let begin = db.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    // What is polled first is sent first: the question's first statements do not wait for the
    // transaction's beginning.
    let (begun, answer) = join(begin, question).await;
    let ended = db.batch_execute(if answer.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    begun?;
    let answer = answer?;
    ended?;
    Ok(answer)
}

/// The rows that a statement finds.
pub(super) async fn list<T>(
    db: &Client,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row) -> Result<T, Failed>,
) -> Result<Vec<T>, Failed> {
    db.query_typed(sql, values).await?.iter().map(read).collect()
}

/// The only row that a statement finds.
pub(super) async fn one<T>(
    db: &Client,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row) -> Result<T, Failed>,
) -> Result<Option<T>, Failed> {
    db.query_typed(sql, values).await?.first().map(read).transpose()
}

/// A number as the database has it. Those that are too large, which nothing has, stay so.
pub(super) fn number(it: impl TryInto<i64>) -> i64 {
    it.try_into().unwrap_or(i64::MAX)
}

/// The values of a cursor and a limit; without `before` the page starts at the first row.
fn bounds(page: Page) -> (RowId, i64) {
    (page.before.unwrap_or(RowId::MAX), number(page.most))
}
