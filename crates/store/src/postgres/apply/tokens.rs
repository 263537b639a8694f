//! Rows of tokens, and times of last use, where a statement writes one row.

use super::act::Of;
use crate::postgres::{
    rows::int,
    statements::{Statements, keep},
};
use tegata_policy::acts::{StampPlace, Write};
use tegata_token::time::UnixTime;

/// Schedules a token's revocation.
pub(super) fn revoke_from<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &Write) {
    let Write::TokenRevokedFrom { row, at, replaced_by } = it else { return };
    let sql = "UPDATE token SET ends_at = $2, replaced_by = coalesce($3, replaced_by),
                   revoked_by = $4, reason = $5
               WHERE number = $1";
    let (actor, reason) = of.author();
    to.add(sql, keep![*row, at.0, replaced_by.map(|it| int(it.0)), actor, reason]);
}

/// Writes a time of last use. Another replica may have written a later one meanwhile; a row that
/// an act has locked keeps the time that it has, as in the wave.
pub(super) fn stamp(to: &mut Statements<'_>, place: StampPlace, at: UnixTime) {
    match place {
        // The wave has it.
        StampPlace::Token(_) => {}
        StampPlace::AssertionKey(id) => {
            let sql = "UPDATE assertion_key SET last_used_at = greatest(last_used_at, $2)
                       WHERE id = (SELECT id FROM assertion_key WHERE id = $1
                                   FOR UPDATE SKIP LOCKED)";
            to.add(sql, keep![id.0.to_vec(), at.0]);
        }
        StampPlace::Secret(id) => {
            let sql = "UPDATE channel SET secret_used_at = greatest(secret_used_at, $2)
                       WHERE id = (SELECT id FROM channel WHERE id = $1 FOR UPDATE SKIP LOCKED)";
            to.add(sql, keep![int(id.number()), at.0]);
        }
        StampPlace::PreviousSecret(id) => {
            let sql = "UPDATE channel
                       SET previous_secret_used_at = greatest(previous_secret_used_at, $2)
                       WHERE id = (SELECT id FROM channel WHERE id = $1 FOR UPDATE SKIP LOCKED)";
            to.add(sql, keep![int(id.number()), at.0]);
        }
    }
}
