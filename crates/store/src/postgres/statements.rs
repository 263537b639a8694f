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
    /// Its parts, which the database runs as one.
    parts: Vec<Cow<'static, str>>,
    values: Vec<Kept<'a>>,
    /// The tables that it changes, if it reads no others; else none.
    tables: Vec<&'static str>,
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

/// The rows that a statement writes, column by column.
pub(super) struct Rows<'a, 'i, I> {
    items: &'i [I],
    values: Vec<Kept<'a>>,
}

/// The rows of these items.
pub(super) fn rows<'a, I>(items: &[I]) -> Rows<'a, '_, I> {
    Rows { items, values: Vec::new() }
}

impl<'a, I> Rows<'a, '_, I> {
    /// Adds a column.
    pub fn with<T>(mut self, of: impl Fn(&I) -> T) -> Self
    where
        T: Typed + Send + 'a,
        Vec<T>: Typed + Send + 'a,
    {
        self.values.push(match self.items {
            [one] => kept(of(one)),
            all => kept(all.iter().map(of).collect::<Vec<T>>()),
        });
        self
    }

    /// What a statement names as the table of these rows: arrays, or for one row the row itself,
    /// which the database plans in less time.
    fn table(&self) -> String {
        let numbers: Vec<_> = (1..=self.values.len()).map(|it| format!("${it}")).collect();
        let numbers = numbers.join(", ");
        match self.items {
            [_] => format!("(VALUES ({numbers}))"),
            _ => format!("unnest({numbers})"),
        }
    }
}

impl<'a> Statements<'a> {
    /// Adds a statement that comes after all before it.
    pub fn add(&mut self, sql: impl Into<Cow<'static, str>>, values: Vec<Kept<'a>>) {
        self.0.push(Statement { parts: vec![sql.into()], values, tables: Vec::new() });
    }

    /// Adds a statement that changes this table and touches no other, so that it can be one with
    /// statements before it which change others.
    pub fn add_to(
        &mut self,
        table: &'static str,
        sql: impl Into<Cow<'static, str>>,
        values: Vec<Kept<'a>>,
    ) {
        let new = Statement { parts: vec![sql.into()], values, tables: vec![table] };
        match self.0.last_mut() {
            Some(last) if !last.tables.is_empty() && !last.tables.contains(&table) => {
                last.join(new);
            }
            _ => self.0.push(new),
        }
    }

    /// Adds a statement that changes this table and touches no other, if there are any rows: they
    /// are the table `ROWS` in it, which must be given a name there.
    pub fn add_rows<I>(&mut self, table: &'static str, sql: &str, rows: Rows<'a, '_, I>) {
        if !rows.items.is_empty() {
            self.add_to(table, sql.replace("ROWS", &rows.table()), rows.values);
        }
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

impl Statement<'_> {
    /// Becomes one with another one: the database reads, plans and answers both at once. Each part
    /// sees what was there before all of them.
    fn join(&mut self, other: Self) {
        let shift = self.values.len();
        self.parts.extend(other.parts.iter().map(|it| numbered_after(shift, it).into()));
        self.values.extend(other.values);
        self.tables.extend(other.tables);
    }

    fn sql(&self) -> Cow<'_, str> {
        match &*self.parts {
            [one] => Cow::Borrowed(&**one),
            [first @ .., last] => {
                let named = first.iter().enumerate().map(|(n, it)| format!("s{n} AS ({it})"));
                format!("WITH {} {last}", named.collect::<Vec<_>>().join(", ")).into()
            }
            [] => Cow::Borrowed(""),
        }
    }
}

/// The statement with values after so many others: `$1` is `$4` after three.
fn numbered_after(others: usize, sql: &str) -> String {
    let mut parts = sql.split('$');
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|it: char| !it.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let number = number.parse::<usize>().map_or(0, |it| it + others);
        all += &format!("${number}{rest}");
    }
    all
}

async fn run(db: &Client, it: &Statement<'_>) -> Result<(), Failed> {
    let values: Vec<Value<'_>> =
        it.values.iter().map(|(it, of)| (&**it as _, of.clone())).collect();
    db.execute_typed(&it.sql(), &values).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_on_different_tables_become_one_with_all_their_values() {
        let mut all = Statements::default();
        all.add("DELETE FROM z", keep![]);
        all.add_to("a", "INSERT INTO a SELECT $1, $2", keep![1_i64, 2_i64]);
        all.add_to("b", "UPDATE b SET x = $1 WHERE y = $10 OR z = $2", keep![3_i64, 4_i64]);
        all.add_to("c", "DELETE FROM c WHERE x = $1", keep![5_i64]);
        all.add_to("b", "DELETE FROM b", keep![]);
        let texts: Vec<_> =
            all.0.iter().map(|it| (it.sql().into_owned(), it.values.len())).collect();
        let joined = "WITH s0 AS (INSERT INTO a SELECT $1, $2), \
            s1 AS (UPDATE b SET x = $3 WHERE y = $12 OR z = $4) DELETE FROM c WHERE x = $5";
        let expected = [("DELETE FROM z", 0), (joined, 5), ("DELETE FROM b", 0)];
        assert_eq!(texts, expected.map(|(sql, values)| (sql.to_owned(), values)));
    }
}
