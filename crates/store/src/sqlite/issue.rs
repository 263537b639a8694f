//! Reads and writes rows of tokens.

use super::{rows, writer::Tx};
use crate::{RevocationCause, journal::Author};
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

/// Marks the row of an active token as revoked now.
pub(super) fn mark_revoked(
    tx: &Tx<'_>,
    number: i64,
    (by, author): (RevocationCause, Option<&Author>),
    replaced_by: Option<Serial>,
) -> rusqlite::Result<()> {
    // Requested revocations have an audit event; an issue that evicts a token has none.
    let act = if by == RevocationCause::Requested { super::audit::NEXT_ACT } else { "NULL" };
    let sql = format!(
        "UPDATE token SET past = 1, revoked_at = ?2, cause = ?3, replaced_by = ?4,
             revoked_act = {act}, revoked_by = ?5, reason = ?6 WHERE number = ?1 AND past = 0"
    );
    let replaced_by = replaced_by.map(|serial| serial.0);
    let author = author.filter(|_| by != RevocationCause::Evicted);
    let (actor, reason) = author.map(|it| (&it.actor, it.reason.as_ref())).unzip();
    let values = (number, tx.now.0, rows::word(by), replaced_by, actor, reason.flatten());
    tx.conn.prepare_cached(&sql)?.execute(values).map(drop)
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
