//! Stored tokens of a channel, and those that a key has signed.

use crate::{
    Page, RowId, TokenFilter, TokenName, TokenRow, TokenState, WouldTake, answers,
    columns::{self, Columns, damaged, tokens::listed},
    postgres::{
        failed::Failed,
        rows::{int, list, one},
        sql::{Value, value, values},
    },
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};
use tegata_policy::acts::StoredKey;
use tegata_token::{
    id::{ChannelId, Group, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
};
use tokio_postgres::{Client, Row};

/// Rows of `table` with the state of the key that signed each.
fn joined(table: &str) -> String {
    format!(
        "SELECT t.*, k.key_revoked_act, k.key_revoked_by, k.key_reason, k.state AS key_state,
                k.issued_before, k.changed_at AS key_since
         FROM {table} t JOIN signing_key k ON k.number = t.signing_key"
    )
}

/// A channel's rows that fulfil a condition: a row is in one of two indexes, and each half
/// names its own. Whether a row's token is active is not decided here; the first index alone
/// contains every active one.
fn token_rows(only_unmarked: bool, condition: &str) -> String {
    let half =
        |marked| format!("(SELECT * FROM token WHERE channel = $1 AND {marked} {condition})");
    match only_unmarked {
        true => half("NOT past"),
        false => format!("{} UNION ALL {}", half("NOT past"), half("past")),
    }
}

/// The rows with these numbers, with their channels, in that order.
pub(in crate::postgres) async fn rows_of(
    db: &Client,
    numbers: &[RowId],
    now: UnixTime,
) -> Result<Vec<(ChannelId, TokenRow)>, Failed> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("{} WHERE t.number = ANY($1)", joined("token"));
    let values = values![numbers];
    let found = list(db, &sql, values, |row| {
        Ok((row.value::<RowId>("number")?, (row.value("channel")?, listed(row, now)?)))
    });
    let mut found: BTreeMap<_, _> = found.await?.into_iter().collect();
    let row = |number| found.remove(number).ok_or_else(|| damaged("a token's row is gone").into());
    numbers.iter().map(row).collect()
}

/// Maximum number of rows that are read at once.
const PART: usize = 500;

/// A channel's stored tokens.
pub(in crate::postgres) async fn tokens(
    db: &Client,
    channel: ChannelId,
    filter: &TokenFilter,
    page: Page,
    now: UnixTime,
) -> Result<Vec<(RowId, TokenRow)>, Failed> {
    let rows = token_rows(
        filter.state == Some(TokenState::Active),
        "AND serial < $2 AND ($3 IS NULL OR kind = $3) AND ($4 IS NULL OR grp = $4)
         AND ($5 IS NULL OR assertion_key = $5) ORDER BY serial DESC LIMIT $6",
    );
    let table = format!("(SELECT * FROM ({rows}) u ORDER BY serial DESC LIMIT $6)");
    let sql = format!("{} ORDER BY t.serial DESC", joined(&table));
    let channel = int(channel.number());
    let kind = filter.kind.map(columns::word);
    let group = filter.group.as_ref().map(Group::as_str);
    let key = filter.assertion_key.map(|key| key.0.to_vec());
    let mut before = page.before.unwrap_or(RowId::MAX);
    let mut found = Vec::new();
    while found.len() < page.most {
        let wanted = page.most - found.len();
        // Rows in another state than the wanted one are read, too.
        let most = if filter.state.is_some() { wanted.max(100) } else { wanted }.min(PART);
        let limit = int(most);
        let values = values![channel, before, kind, group, key, limit];
        let rows = db.query_typed(&sql, values).await?;
        for row in &rows {
            before = row.value("serial")?;
            let token = listed(row, now)?;
            if filter.state.is_none_or(|state| token.state == state) && found.len() < page.most {
                found.push((before, token));
            }
        }
        if rows.len() < most {
            break;
        }
    }
    Ok(found)
}

/// One stored token.
pub(in crate::postgres) async fn token(
    db: &Client,
    channel: ChannelId,
    name: TokenName,
    now: UnixTime,
) -> Result<Option<TokenRow>, Failed> {
    match name {
        TokenName::Serial(serial) => {
            let serial = int(serial.0);
            named(db, channel, (false, "serial"), value(&serial), now).await
        }
        // No index has the ids. The token is nearly always among the unmarked rows.
        TokenName::Id(id) => {
            let id = id.0.to_vec();
            match named(db, channel, (true, "id"), value(&id), now).await? {
                Some(row) => Ok(Some(row)),
                None => named(db, channel, (false, "id"), value(&id), now).await,
            }
        }
    }
}

async fn named(
    db: &Client,
    channel: ChannelId,
    (only_unmarked, column): (bool, &str),
    name: Value<'_>,
    now: UnixTime,
) -> Result<Option<TokenRow>, Failed> {
    let table = format!("({})", token_rows(only_unmarked, &format!("AND {column} = $2")));
    let channel = int(channel.number());
    one(db, &joined(&table), &[value(&channel), name], |row| listed(row, now)).await
}

/// The ids of a channel's active v2.1 tokens, oldest first.
pub(in crate::postgres) async fn active_v21(
    db: &Client,
    channel: ChannelId,
    group: Option<&Group>,
    now: UnixTime,
) -> Result<Vec<TokenId>, Failed> {
    let filter = TokenFilter {
        kind: Some(Kind::V21),
        group: group.cloned(),
        state: Some(TokenState::Active),
        ..TokenFilter::default()
    };
    let page = Page { before: None, most: answers::MOST_ACTIVE };
    let found = tokens(db, channel, &filter, page, now).await?;
    Ok(found.into_iter().rev().map(|(_, token)| token.id).collect())
}

/// The columns of a token that its index has, and that decide whether it is active. A row
/// that is not past was not revoked singly.
pub(super) const TIMES: &str = "number, channel, serial, signing_key, issued_at, expires_at,
    ends_at, NULL::bigint AS revoked_at, NULL::text AS cause";

/// How many rows of the index are read at once.
pub(super) const WALK: usize = 10_000;

/// The stored tokens that a revocation of their keys revokes: those that were active but for
/// their key, in the state that it had before; the newest `most` of them as rows.
pub(in crate::postgres) async fn signed_by(
    db: &Client,
    keys: &[SigningKeyId],
    most: usize,
    now: UnixTime,
) -> Result<WouldTake, Failed> {
    let sql = "SELECT number, id, issued_before FROM signing_key WHERE id = ANY($1)";
    let ids: Vec<_> = keys.iter().map(|key| key.0.to_vec()).collect();
    let values = values![ids];
    let limits = list(db, sql, values, |row| {
        let before = KeyState::Retired { issued_before: row.optional("issued_before")? };
        Ok((row.value::<[u8; 8]>("id")?, (row.value::<RowId>("number")?, before)))
    });
    let limits: BTreeMap<_, _> = limits.await?.into_iter().collect();
    let mut would = WouldTake::default();
    let mut newest = Vec::new();
    for (number, before) in keys.iter().filter_map(|key| limits.get(&key.0)) {
        let (tokens, rows) = signed(db, *number, *before, most - newest.len(), now).await?;
        would.tokens += tokens;
        newest.extend(rows);
    }
    would.rows = rows_of(db, &newest, now).await?;
    Ok(would)
}

/// How many tokens of one key were active in that state of it, and the newest `most`.
async fn signed(
    db: &Client,
    key: RowId,
    before: KeyState,
    most: usize,
    now: UnixTime,
) -> Result<(usize, Vec<RowId>), Failed> {
    let sql = format!(
        "SELECT {TIMES} FROM token WHERE NOT past AND (channel, serial) > ($1, $2)
         ORDER BY channel, serial LIMIT $3"
    );
    let mut after = (0_i64, 0_i64);
    let (mut tokens, mut newest) = (0, BinaryHeap::new());
    loop {
        let rows = db.query_typed(&sql, values![after.0, after.1, int(WALK)]).await?;
        for row in &rows {
            after = (row.value("channel")?, row.value("serial")?);
            if row.value::<RowId>("signing_key")? == key
                && columns::tokens::times(row, (before, now))?.is_active(now)
            {
                tokens += 1;
                newest.push(Reverse(row.value::<RowId>("number")?));
                if newest.len() > most {
                    newest.pop();
                }
            }
        }
        if rows.len() < WALK {
            let newest = newest.into_sorted_vec().into_iter().map(|Reverse(it)| it);
            return Ok((tokens, newest.collect()));
        }
    }
}

/// Whether the token of a row with [`TIMES`] is active.
pub(super) fn is_active(row: &Row, keys: &[StoredKey], now: UnixTime) -> Result<bool, Failed> {
    let key = StoredKey::state_of(keys, row.value("signing_key")?);
    Ok(columns::tokens::times(row, key)?.is_active(now))
}
