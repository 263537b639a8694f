//! Reads and writes rows of tokens.

use super::{load, rows, writer::Tx};
use crate::RevocationCause;
use tegata_policy::{acts::Tokens, admit::Live};
use tegata_token::{
    id::{ChannelId, Serial},
    time::UnixTime,
};

pub(super) fn set_serial(tx: &Tx<'_>, channel: ChannelId, serial: Serial) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("UPDATE channel_count SET serial = ?2 WHERE channel = ?1")?
        .execute((channel.number(), serial.0))
        .map(drop)
}

/// A channel's active tokens.
pub(super) struct Rows {
    /// The tokens in the form that the caps count, oldest first.
    pub live: Vec<Live>,
    /// The row of each, in the same order.
    pub numbers: Vec<i64>,
}

impl Rows {
    /// The row of an active token.
    pub fn number_of(&self, serial: Serial) -> Option<i64> {
        let place = self.live.binary_search_by_key(&serial, |token| token.serial).ok()?;
        self.numbers.get(place).copied()
    }
}

pub(super) fn rows_of(tx: &Tx<'_>, channel: ChannelId) -> rusqlite::Result<Rows> {
    let tokens = load::tokens(tx.conn, tx.keys(), channel, Tokens::Counted)?;
    let active = tokens.iter().filter(|token| token.is_active(tx.now));
    let (live, numbers) = active.map(|token| (token.live(), token.row)).unzip();
    Ok(Rows { live, numbers })
}

/// Marks the row of an active token as revoked now.
pub(super) fn mark_revoked(
    tx: &Tx<'_>,
    number: i64,
    by: RevocationCause,
    replaced_by: Option<Serial>,
) -> rusqlite::Result<()> {
    // Requested revocations have an audit event; an issue that evicts a token has none.
    let act = if by == RevocationCause::Requested { super::audit::NEXT_ACT } else { "NULL" };
    let sql = format!(
        "UPDATE token SET past = 1, revoked_at = ?2, cause = ?3, replaced_by = ?4,
             revoked_act = {act} WHERE number = ?1 AND past = 0"
    );
    let replaced_by = replaced_by.map(|serial| serial.0);
    tx.conn.prepare_cached(&sql)?.execute((number, tx.now.0, rows::word(by), replaced_by)).map(drop)
}

/// Marks the row of an expired token; a scheduled revocation that has taken effect is
/// written into it.
pub(super) fn mark_past(
    tx: &Tx<'_>,
    number: i64,
    revoked: Option<(RevocationCause, UnixTime)>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE token SET past = 1, revoked_at = ?2, cause = ?3
               WHERE number = ?1 AND past = 0";
    let (by, at) = revoked.map(|(by, at)| (rows::word(by), at.0)).unzip();
    tx.conn.prepare_cached(sql)?.execute((number, at, by)).map(drop)
}

/// Schedules a revocation at a time that may be past; an earlier one stays.
pub(super) fn end_at(tx: &Tx<'_>, number: i64, at: UnixTime) -> rusqlite::Result<()> {
    let sql = "UPDATE token SET ends_at = min(coalesce(ends_at, ?2), ?2) WHERE number = ?1";
    tx.conn.prepare_cached(sql)?.execute((number, at.0)).map(drop)
}
