//! Questions. Each runs on a read-only connection of its own, in parallel to the writer,
//! and never waits for it.

use super::rows::{self, Names};
use crate::{
    Change, ChannelFilter, GroupRow, KeyFilter, KeyRow, Page, Provider, ProviderFilter, RowId,
    Seen, TokenFilter, TokenName, TokenRow, TokenState, WouldTake, answers,
    columns::{Columns as _, tokens},
};
use rusqlite::{Connection, OptionalExtension, ToSql, named_params};
use tegata_policy::channel::Channel;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    time::UnixTime,
};

/// The highest time written.
pub(super) fn written_at(conn: &Connection) -> rusqlite::Result<UnixTime> {
    let sql = "SELECT written_at FROM authority";
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0).map(UnixTime))
}

/// Ids as a JSON array of numbers.
pub(super) fn numbers(ids: impl Iterator<Item = u64>) -> String {
    rows::json(&ids.collect::<Vec<_>>())
}

impl Seen {
    /// Channels and providers, each as a JSON array of numbers.
    pub(super) fn numbers(&self) -> (String, String) {
        let channels = numbers(self.channels.iter().map(|it| it.number()));
        (channels, numbers(self.providers.iter().map(|it| it.number())))
    }
}

/// The values of a cursor and a limit; without `before` the page starts at the first row.
fn bounds(page: Page) -> (RowId, usize) {
    (page.before.unwrap_or(RowId::MAX), page.most)
}

pub(super) fn providers(
    conn: &Connection,
    ProviderFilter { search, seen }: &ProviderFilter,
    page: Page,
) -> rusqlite::Result<Vec<(RowId, Provider)>> {
    let sql = "SELECT number, id, name, created_at FROM provider
               WHERE number < ?1 AND deleted = 0
                 AND (?3 IS NULL OR instr(lower(name), lower(?3)) OR instr(id, ?3))
                 AND (?4 IS NULL OR id IN (SELECT value FROM json_each(?4)))
               ORDER BY number DESC LIMIT ?2";
    let (before, most) = bounds(page);
    let mut query = conn.prepare_cached(sql)?;
    let seen = seen.as_ref().map(|it| numbers(it.iter().map(|id| id.number())));
    let found = query.query_map((before, most, search, seen), |row| {
        Ok((row.get("number")?, rows::provider(row)?))
    })?;
    found.collect()
}

pub(super) fn assertion_keys(
    conn: &Connection,
    KeyFilter { id, search, seen }: &KeyFilter,
    page: Page,
) -> rusqlite::Result<Vec<(RowId, KeyRow)>> {
    let of_id = if id.is_some() { "k.id = ?1" } else { "?1 IS NULL" };
    // A UUID is stored as 16 bytes and written in five groups.
    let sql = format!(
        "SELECT k.number, k.id, k.channel, k.grp, k.created_at, k.last_used_at, c.name
         FROM assertion_key k JOIN channel c ON c.id = k.channel
         WHERE {of_id} AND k.number < ?2 AND c.state <> 'deleted'
           AND (?4 IS NULL OR instr(lower(c.name), lower(?4)) OR instr(lower(k.grp), lower(?4))
                OR instr(k.channel, ?4)
                OR instr(lower(hex(k.id)), replace(lower(?4), '-', '')))
           AND (?5 IS NULL OR k.channel IN (SELECT value FROM json_each(?5)))
         ORDER BY k.number DESC LIMIT ?3"
    );
    let (before, most) = bounds(page);
    let seen = seen.as_ref().map(|it| numbers(it.iter().map(|id| id.number())));
    let mut query = conn.prepare_cached(&sql)?;
    let found = query.query_map((id.map(|id| id.0), before, most, search, seen), |row| {
        let key = KeyRow {
            id: AssertionKeyId(rows::bytes(row.get("id")?)?),
            channel: rows::channel_id(row.get("channel")?)?,
            channel_name: row.get("name")?,
            group: rows::group(row.get("grp")?)?,
            created_at: UnixTime(row.get("created_at")?),
            last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(UnixTime),
        };
        Ok((row.get("number")?, key))
    })?;
    found.collect()
}

pub(super) fn provider(conn: &Connection, id: ProviderId) -> rusqlite::Result<Option<Provider>> {
    let sql = "SELECT id, name, created_at FROM provider WHERE id = ?1 AND deleted = 0";
    conn.prepare_cached(sql)?.query_row([id.number()], rows::provider).optional()
}

pub(super) fn channels(
    conn: &Connection,
    ChannelFilter { provider, search, seen }: &ChannelFilter,
    page: Page,
) -> rusqlite::Result<Vec<(RowId, Channel)>> {
    let (before, most) = bounds(page);
    let of_provider = if provider.is_some() { "c.provider = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "{} WHERE {of_provider} AND c.number < ?2 AND c.state <> 'deleted'
         AND (?4 IS NULL OR instr(lower(c.name), lower(?4)) OR instr(c.id, ?4))
         AND (?5 IS NULL OR c.id IN (SELECT value FROM json_each(?5))
              OR c.provider IN (SELECT value FROM json_each(?6)))
         ORDER BY c.number DESC LIMIT ?3",
        rows::CHANNEL
    );
    // One snapshot of rows, keys and groups.
    let tx = conn.unchecked_transaction()?;
    let mut query = tx.prepare_cached(&sql)?;
    let (channels, providers) = seen.as_ref().map(Seen::numbers).unzip();
    let provider = provider.map(ProviderId::number);
    let names = Names::of(&query);
    let mut found = query.query((provider, before, most, search, channels, providers))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let row = names.row(row);
        all.push((row.value("number")?, rows::channel_alone(&row)?));
    }
    rows::add_parts(&tx, all.iter_mut().map(|(_, channel)| channel))?;
    Ok(all)
}

pub(super) fn groups(
    conn: &Connection,
    channel: &Channel,
    now: UnixTime,
) -> rusqlite::Result<Vec<GroupRow>> {
    let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let active = tokens(conn, channel.id, &filter, page, now)?;
    Ok(GroupRow::all(channel, active.iter().map(|(_, token)| token), now))
}

/// A channel's token rows, newest first, from the index of unmarked rows or from both
/// indexes: a row is in one of the two, and the query names both halves. Whether a row's
/// token is active is not decided here; the first index alone contains every active one.
fn token_rows(only_living: bool) -> String {
    let table = match only_living {
        true => "(SELECT * FROM token WHERE channel = :channel AND past = 0)",
        false => {
            "(SELECT * FROM token WHERE channel = :channel AND past = 0
              UNION ALL SELECT * FROM token WHERE channel = :channel AND past = 1)"
        }
    };
    joined(table)
}

/// Rows of `table` with the state of the key that signed each.
fn joined(table: &str) -> String {
    format!(
        "SELECT t.*, k.key_revoked_act, k.key_revoked_by, k.key_reason, k.state AS key_state, k.issued_before, k.changed_at AS key_since
         FROM {table} t JOIN signing_key k ON k.number = t.signing_key"
    )
}

/// The rows with these numbers, with their channels, in that order.
pub(super) fn rows_of(
    conn: &Connection,
    numbers: impl Iterator<Item = RowId>,
    now: UnixTime,
) -> rusqlite::Result<Vec<(ChannelId, TokenRow)>> {
    let sql = format!("{} WHERE t.number = ?1", joined("token"));
    let mut query = conn.prepare_cached(&sql)?;
    let names = Names::of(&query);
    let row = |number| {
        query.query_row([number], |row| {
            let row = names.row(row);
            Ok((row.value("channel")?, tokens::listed(&row, now)?))
        })
    };
    numbers.map(row).collect()
}

pub(super) fn tokens(
    conn: &Connection,
    channel: ChannelId,
    filter: &TokenFilter,
    page: Page,
    now: UnixTime,
) -> rusqlite::Result<Vec<(RowId, TokenRow)>> {
    let rows = token_rows(filter.state == Some(TokenState::Active));
    let sql = format!(
        "{rows} WHERE serial < :before AND (:kind IS NULL OR kind = :kind)
            AND (:group IS NULL OR grp = :group)
            AND (:key IS NULL OR assertion_key = :key)
         ORDER BY serial DESC"
    );
    let (before, most) = bounds(page);
    let values = named_params! {
        ":channel": channel.number(),
        ":before": before,
        ":kind": filter.kind.map(rows::word),
        ":group": filter.group.as_ref().map(|group| group.as_str()),
        ":key": filter.assertion_key.map(|key| key.0),
    };
    let mut query = conn.prepare_cached(&sql)?;
    let names = Names::of(&query);
    let mut found = query.query(values)?;
    let mut page = Vec::new();
    while page.len() < most
        && let Some(row) = found.next()?
    {
        let row = names.row(row);
        let token = tokens::listed(&row, now)?;
        if filter.state.is_none_or(|state| token.state == state) {
            page.push((row.value("serial")?, token));
        }
    }
    Ok(page)
}

pub(super) fn token(
    conn: &Connection,
    channel: ChannelId,
    name: TokenName,
    now: UnixTime,
) -> rusqlite::Result<Option<TokenRow>> {
    let one = |only_living, named: &str, name: &dyn ToSql| {
        let values = named_params! { ":channel": channel.number(), ":name": name };
        conn.prepare_cached(&format!("{} WHERE t.{named} = :name", token_rows(only_living)))?
            .query_row(values, |row| tokens::listed(row, now))
            .optional()
    };
    match name {
        TokenName::Serial(serial) => one(false, "serial", &serial.0),
        // No index has the ids. The token is nearly always among the unmarked rows.
        TokenName::Id(id) => match one(true, "id", &id.0)? {
            Some(row) => Ok(Some(row)),
            None => one(false, "id", &id.0),
        },
    }
}

pub(super) fn live_v21(
    conn: &Connection,
    channel: ChannelId,
    group: Option<&Group>,
    now: UnixTime,
) -> rusqlite::Result<Vec<TokenId>> {
    let filter = TokenFilter {
        kind: Some(tegata_token::kind::Kind::V21),
        group: group.cloned(),
        state: Some(TokenState::Active),
        ..TokenFilter::default()
    };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let mut ids: Vec<TokenId> =
        tokens(conn, channel, &filter, page, now)?.into_iter().map(|(_, token)| token.id).collect();
    ids.reverse();
    Ok(ids)
}

/// The stored tokens that a revocation of their keys revokes: those that were active but
/// for their key, in the state that it had before; the newest `most` of them as rows.
pub(super) fn signed_by(
    conn: &Connection,
    keys: &[SigningKeyId],
    most: usize,
    now: UnixTime,
) -> rusqlite::Result<WouldTake> {
    let limits = "SELECT number, issued_before FROM signing_key WHERE id = ?1";
    let mut limits = conn.prepare_cached(limits)?;
    let sql = "SELECT * FROM token WHERE signing_key = ?1 AND revoked_at IS NULL
               ORDER BY number DESC";
    let mut query = conn.prepare_cached(sql)?;
    let mut would = WouldTake::default();
    for key in keys {
        let found = limits.query_row([key.0], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)));
        let Some((number, limit)) = found.optional()? else { continue };
        let limit: Option<i64> = limit;
        let before = KeyState::Retired { issued_before: limit.map(UnixTime) };
        let mut tokens = query.query([number])?;
        while let Some(row) = tokens.next()? {
            if rows::times(row, (before, now))?.is_active(now) {
                would.tokens += 1;
                if would.rows.len() < most {
                    let number = std::iter::once(row.get("number")?);
                    would.rows.extend(rows_of(conn, number, now)?);
                }
            }
        }
    }
    Ok(would)
}

pub(super) fn state_act(conn: &Connection, id: ChannelId) -> rusqlite::Result<Option<RowId>> {
    let sql = "SELECT state_act FROM channel WHERE id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([id.number()], |row| row.get(0)).optional();
    found.map(Option::flatten)
}

pub(super) fn changes(
    conn: &mut Connection,
    after: Position,
    most: usize,
) -> rusqlite::Result<Option<Vec<(Position, Change)>>> {
    let tx = conn.transaction()?;
    let (epoch, head): (u64, u64) =
        tx.query_row("SELECT epoch, position FROM authority", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let first: Option<u64> =
        tx.query_row("SELECT min(number) FROM change_log", [], |row| row.get(0))?;
    // An empty log reaches back to its last position; one with entries, to before its
    // first.
    let reaches_to = first.map_or(head, |first| first - 1);
    if after.epoch != epoch || after.number < reaches_to || after.number > head {
        return Ok(None);
    }
    let sql = "SELECT number, change FROM change_log
               WHERE number > ?1 ORDER BY number LIMIT ?2";
    let mut query = tx.prepare_cached(sql)?;
    let found = query.query_map((after.number, most), |row| {
        let change: String = row.get("change")?;
        let position = Position { epoch, number: row.get("number")? };
        Ok((position, rows::from_json(&change)?))
    })?;
    found.collect::<rusqlite::Result<_>>().map(Some)
}

pub(super) fn last_changes(
    conn: &mut Connection,
    most: usize,
) -> rusqlite::Result<Vec<(Position, Change)>> {
    let tx = conn.transaction()?;
    let epoch = tx.query_row("SELECT epoch FROM authority", [], |row| row.get(0))?;
    let sql = "SELECT number, change FROM change_log ORDER BY number DESC LIMIT ?1";
    let mut query = tx.prepare_cached(sql)?;
    let found = query.query_map([most], |row| {
        let change: String = row.get("change")?;
        Ok((Position { epoch, number: row.get("number")? }, rows::from_json(&change)?))
    })?;
    let mut changes = found.collect::<rusqlite::Result<Vec<_>>>()?;
    changes.reverse();
    Ok(changes)
}
