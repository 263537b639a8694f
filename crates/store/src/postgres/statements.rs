//! Statements that are collected first and sent together: one round trip for all of them.

use super::{
    failed::Failed,
    sql::{Typed, Value},
};
use futures_util::future::{MaybeDone, maybe_done};
use std::{borrow::Cow, future::poll_fn, task::Poll};
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};

/// Statements in the order in which they run.
#[derive(Default)]
pub(super) struct Statements<'a>(Vec<Statement<'a>>);

struct Statement<'a> {
    sql: Cow<'static, str>,
    values: Vec<Kept<'a>>,
}

/// A value of a collected statement, and its type.
pub(super) type Kept<'a> = (Box<dyn ToSql + Sync + Send + 'a>, Type);

/// Keeps a value for a statement.
pub(super) fn kept<'a, T: Typed + Send + 'a>(it: T) -> Kept<'a> {
    (Box::new(it), T::TYPE)
}

/// The values `$1, $2, …` of a statement that is collected.
macro_rules! keep {
    ($($it:expr),* $(,)?) => { vec![$($crate::postgres::statements::kept($it)),*] };
}
pub(super) use keep;

impl<'a> Statements<'a> {
    /// Adds a statement.
    pub fn add(&mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Kept<'a>>) {
        self.0.push(Statement { sql: sql.into(), values });
    }

    /// Runs them. After an error the transaction can only be rolled back. All are sent, in
    /// their order, when this is polled first: what is polled after it is sent after them.
    pub async fn run(self, db: &Client) -> Result<(), Failed> {
        let mut all: Vec<_> = self.0.iter().map(|it| Box::pin(maybe_done(run(db, it)))).collect();
        poll_fn(|cx| {
            let mut pending = false;
            for it in &mut all {
                pending |= it.as_mut().poll(cx).is_pending();
                if let MaybeDone::Done(Err(why)) = &**it {
                    return Poll::Ready(Err(why.clone()));
                }
            }
            if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }
}

async fn run(db: &Client, it: &Statement<'_>) -> Result<(), Failed> {
    let values: Vec<Value<'_>> =
        it.values.iter().map(|(it, of)| (&**it as _, of.clone())).collect();
    db.execute_typed(&it.sql, &values).await?;
    Ok(())
}
