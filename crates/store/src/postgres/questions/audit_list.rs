//! The list of audit events, and its filters.

use crate::{
    AuditFilter, AuditRow, Page, RowId, Seen,
    columns::{Columns, audit::event},
    postgres::{
        failed::Failed,
        rows::{int, list as read, one as read_one},
        sql::{Typed, Value, value, values},
    },
};
use futures_util::future::try_join;
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};
use tokio_postgres::{Client, types::ToSql};

/// Audit events, newest first.
pub(in crate::postgres) async fn list(
    db: &Client,
    filter: &AuditFilter,
    page: Page,
) -> Result<Vec<AuditRow>, Failed> {
    let (after, before) = bounds(db, filter, page).await?;
    let mut query = Query::default();
    query.add("id >", after);
    query.add("id <", before);
    // Of acts at the same time on several servers, the one with the higher id may have the
    // earlier time.
    query.add_some("at >=", filter.since.map(|at| at.0));
    query.add_some("at <", filter.until.map(|at| at.0));
    // As the indexes write them.
    query.add_some("(detail::jsonb ->> 'token_id') =", filter.token.map(|it| it.to_string()));
    let group = filter.group.as_ref().map(ToString::to_string);
    query.add_some("(detail::jsonb ->> 'group') =", group);
    query.add_some("channel =", filter.channel.map(|it| int(ChannelId::number(it))));
    query.add_some("source =", filter.source.map(|it| it.to_string()));
    query.add_some("provider =", filter.provider.map(|it| int(ProviderId::number(it))));
    query.add_some("act =", filter.act.map(|it| it.name().to_owned()));
    query.add_some("actor =", filter.actor.clone());
    if let Some((channels, providers)) = filter.seen.as_ref().map(Seen::arrays) {
        let (channels, providers) = (query.value(channels), query.value(providers));
        query.conditions.push(format!(
            "(channel = ANY({channels}) OR channel IS NULL AND provider = ANY({providers}))"
        ));
    }
    let most = query.value(int(page.most));
    let conditions = query.conditions.join(" AND ");
    let sql = format!("SELECT * FROM audit WHERE {conditions} ORDER BY id DESC LIMIT {most}");
    let values: Vec<Value<'_>> = query.values.iter().map(|it| it.as_value()).collect();
    read(db, &sql, &values, event).await
}

/// One event.
pub(in crate::postgres) async fn one(db: &Client, id: RowId) -> Result<Option<AuditRow>, Failed> {
    read_one(db, "SELECT * FROM audit WHERE id = $1", values![id], event).await
}

/// Conditions that must all be fulfilled, and their values.
#[derive(Default)]
struct Query {
    conditions: Vec<String>,
    values: Vec<Box<dyn AsValue>>,
}

/// A value of any type.
trait AsValue: Send + Sync {
    fn as_value(&self) -> Value<'_>;
}

impl<T: Typed + ToSql + Send + Sync> AsValue for T {
    fn as_value(&self) -> Value<'_> {
        value(self)
    }
}

impl Query {
    /// Adds a value; returns its name in the statement.
    fn value(&mut self, it: impl AsValue + 'static) -> String {
        self.values.push(Box::new(it));
        format!("${}", self.values.len())
    }

    fn add(&mut self, condition: &str, it: impl AsValue + 'static) {
        let name = self.value(it);
        self.conditions.push(format!("{condition} {name}"));
    }

    fn add_some(&mut self, condition: &str, it: Option<impl AsValue + 'static>) {
        if let Some(it) = it {
            self.add(condition, it);
        }
    }
}

/// By how much an event's time can be before that of one with a lower id, in seconds. Servers
/// number their acts in one order, but each takes the time of an act a little earlier.
const DISORDER: i64 = 600;

/// An id before the page's last row, and one after its first. Times and ids go nearly
/// together, so a time stands for an id: without these bounds the database may read all newer
/// events to find the older ones. After a recovery that took an earlier time, later events can have
/// earlier times; then an early event can be the only one of a late time, and the index of times is
/// read from that time on.
async fn bounds(db: &Client, filter: &AuditFilter, page: Page) -> Result<(RowId, RowId), Failed> {
    // The sum keeps PostgreSQL from looking at each event in the order of ids.
    let last = format!(
        "SELECT CASE WHEN {WENT_BACK}
             THEN (SELECT coalesce(min(id + 0) - 1, {MAX}) FROM audit WHERE at >= $1)
             ELSE (SELECT id FROM audit WHERE at < $1 ORDER BY at DESC, id DESC LIMIT 1)
         END AS id",
        MAX = RowId::MAX
    );
    let first =
        format!("SELECT id FROM audit WHERE at >= $1 AND NOT {WENT_BACK} ORDER BY at, id LIMIT 1");
    let since = filter.since.map(|at| at.plus(-DISORDER));
    let until = filter.until.map(|at| at.plus(DISORDER));
    let (last, first) = try_join(at(db, &last, since), at(db, &first, until)).await?;
    let before = page.before.unwrap_or(RowId::MAX);
    Ok((last.unwrap_or(RowId::MIN), before.min(first.unwrap_or(RowId::MAX))))
}

/// Whether there may have been such a recovery.
const WENT_BACK: &str = "EXISTS (SELECT 1 FROM audit WHERE act = 'store.recover')";

async fn at(db: &Client, sql: &str, time: Option<UnixTime>) -> Result<Option<RowId>, Failed> {
    match time {
        Some(time) => {
            let found = read_one(db, sql, values![time.0], |row| row.optional("id")).await?;
            Ok(found.flatten())
        }
        None => Ok(None),
    }
}
