//! The list of audit events, and its filters.

use crate::{AuditFilter, AuditRow, Page, RowId, columns::audit as columns};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter, types::Value};
use tegata_token::time::UnixTime;

pub(super) fn list(
    conn: &Connection,
    filter: &AuditFilter,
    page: Page,
) -> rusqlite::Result<Vec<AuditRow>> {
    let (since, before) = bounds(conn, filter, page)?;
    let mut conditions = vec!["id >= ?".to_owned(), "id < ?".to_owned()];
    let mut values = vec![Value::from(since), before.into()];
    // Unless they are compared, too, events whose times the bounds do not order are listed. The plus
    // sign keeps SQLite from using the index of times, which has not the order of the list.
    for (condition, time) in [("+at >= ?", filter.since), ("+at < ?", filter.until)] {
        if let Some(time) = time {
            conditions.push(condition.to_owned());
            values.push(time.0.into());
        }
    }
    for (nth, (column, value)) in wanted(filter).into_iter().enumerate() {
        // SQLite has no statistics to choose an index by. The first filter finds the
        // fewest events; the plus sign keeps SQLite from using the index of another.
        let plus = if nth == 0 { "" } else { "+" };
        conditions.push(format!("{plus}{column} = ?"));
        values.push(value);
    }
    if let Some(seen) = &filter.seen {
        conditions.push(
            "(+channel IN (SELECT value FROM json_each(?)) OR channel IS NULL
              AND +provider IN (SELECT value FROM json_each(?)))"
                .to_owned(),
        );
        let (channels, providers) = seen.numbers();
        values.extend([channels.into(), providers.into()]);
    }
    values.push(i64::try_from(page.most).unwrap_or(i64::MAX).into());
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT * FROM audit WHERE {conditions} ORDER BY id DESC LIMIT ?");
    let mut query = conn.prepare_cached(&sql)?;
    query.query_map(params_from_iter(values), event)?.collect()
}

/// One event.
pub(super) fn one(conn: &Connection, id: RowId) -> rusqlite::Result<Option<AuditRow>> {
    conn.prepare_cached("SELECT * FROM audit WHERE id = ?1")?.query_row([id], event).optional()
}

/// The columns to compare, and their values, beginning with those that the fewest events
/// have.
fn wanted(filter: &AuditFilter) -> Vec<(&'static str, Value)> {
    let number = |it: u64| Value::from(i64::try_from(it).unwrap_or(i64::MAX));
    [
        // As the indexes write them.
        ("(detail ->> '$.token_id')", filter.token.map(|it| it.to_string().into())),
        ("(detail ->> '$.group')", filter.group.as_ref().map(|it| it.to_string().into())),
        ("channel", filter.channel.map(|it| number(it.number()))),
        ("source", filter.source.map(|it| it.to_string().into())),
        ("provider", filter.provider.map(|it| number(it.number()))),
        ("act", filter.act.map(|it| it.name().to_owned().into())),
        ("actor", filter.actor.clone().map(Value::from)),
    ]
    .into_iter()
    .filter_map(|(column, value)| Some((column, value?)))
    .collect()
}

/// The first id of the page, and the id after its last one. The times of events never
/// decrease, as the clock of a store never goes back, so a time stands for an id; but after a
/// recovery that took an earlier time, later events can have earlier times. Then an early event can
/// be the only one of a late time, and the index of times is read from that time on.
fn bounds(conn: &Connection, filter: &AuditFilter, page: Page) -> rusqlite::Result<(RowId, RowId)> {
    let at = |time: UnixTime, sql: &str| -> rusqlite::Result<RowId> {
        let found: Option<Option<RowId>> =
            conn.prepare_cached(sql)?.query_row([time.0], |row| row.get(0)).optional()?;
        Ok(found.flatten().unwrap_or(RowId::MAX))
    };
    let first = "SELECT id FROM audit WHERE at >= ?1 ORDER BY at, id LIMIT 1";
    // The plus sign keeps SQLite from looking at each event in the order of ids.
    let least = "SELECT min(+id) FROM audit WHERE at >= ?1";
    let recovery = "SELECT 1 FROM audit WHERE act = 'store.recover'";
    let went_back = (filter.since.is_some() || filter.until.is_some())
        && conn.prepare_cached(recovery)?.exists([])?;
    let since = match filter.since {
        Some(since) => at(since, if went_back { least } else { first })?,
        None => RowId::MIN,
    };
    let until = match filter.until {
        Some(until) if !went_back => at(until, first)?,
        _ => RowId::MAX,
    };
    Ok((since, until.min(page.before.unwrap_or(RowId::MAX))))
}

fn event(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    columns::event(row)
}
