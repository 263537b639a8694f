//! Deletes old rows. Which are is decided by `tegata_policy::acts`.

use crate::postgres::{
    rows::int,
    statements::{Statements, keep},
};
use tegata_policy::acts::Write;

pub(super) fn apply<'a>(to: &mut Statements<'a>, it: &'a Write) {
    match it {
        Write::LogDropped { through } => {
            to.add("DELETE FROM change_log WHERE number <= $1", keep![int(*through)]);
            let sql = "UPDATE authority SET log_from = greatest(log_from, $1), journal_from =
                           greatest(journal_from, (SELECT max(position) FROM journal
                                                   WHERE position <= $1))";
            to.add(sql, keep![int(*through)]);
            to.add("DELETE FROM journal WHERE position <= $1", keep![int(*through)]);
        }
        Write::AuditDropped { through } => {
            // A receipt is kept as long as the event of its act.
            let sql = "DELETE FROM receipt WHERE at <= (SELECT at FROM audit WHERE id = $1)";
            to.add(sql, keep![*through]);
            to.add("DELETE FROM audit WHERE id <= $1", keep![*through]);
        }
        Write::AssertionsDropped(gone) => {
            let sql =
                "DELETE FROM assertion_used USING unnest($1, $2) AS gone (channel, fingerprint)
                       WHERE assertion_used.channel = gone.channel
                         AND assertion_used.fingerprint = gone.fingerprint";
            let channels: Vec<i64> = gone.iter().map(|(id, _)| int(id.number())).collect();
            let fingerprints: Vec<&[u8]> = gone.iter().map(|(_, it)| &it[..]).collect();
            to.add(sql, keep![channels, fingerprints]);
        }
        _ => {}
    }
}
