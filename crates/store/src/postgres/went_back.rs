//! A database that is older than this server has seen: nothing is served from it. The server
//! stays up and answers 503, so that `/readyz` and the log say what to run; it ends, to be
//! started again, once a start would succeed.

use super::{
    connect::{Address, Client, Conn, give_up},
    failed::{Failed, within},
    guard::Reached,
    jitter::Backoff,
    queue::connect,
    rows::{int, one},
    sql::values,
};
use crate::columns::Columns;
use std::{sync::Arc, time::Duration};
use tegata_token::id::Position;

/// What shows that a database went back.
#[derive(Debug, Clone)]
pub(super) struct WentBack {
    /// What was found, and what to run.
    pub why: Arc<str>,
    /// The renewals that this server has made, if only these show it.
    pub beat: Option<u64>,
}

/// How often the database is read again.
const AGAIN: Duration = Duration::from_secs(2);
/// Maximum time of a read.
const READ: Duration = Duration::from_secs(5);

/// What a database has now.
#[derive(Debug, Clone, Copy)]
struct Present {
    reached: Reached,
    /// This server's renewals, if it has a row.
    beat: Option<u64>,
    /// Whether a server has marked it as older than what it had seen.
    is_marked: bool,
}

/// Waits until a server may start on the database again, of which the server of that id had
/// seen this. Marks it for all others meanwhile, which have not seen more of it: with their acts it
/// would come to have as much again, of another history.
pub(super) async fn wait(address: &Address, id: [u8; 16], seen: Reached, beat: Option<u64>) {
    let (mut conn, mut backoff): (Option<Conn>, _) = (None, Backoff::default());
    loop {
        if connect(&mut conn, address, &mut backoff).await.is_ok()
            && let Some(open) = &conn
        {
            match within(READ, present(open, id)).await {
                Ok(now) if is_whole(seen, beat, now) => return,
                Ok(now) if lacks(seen, beat, now) && !now.is_marked => {
                    // A standby takes no mark.
                    let _ = within(READ, mark(open, now.reached.position.epoch)).await;
                }
                Ok(_) => {}
                Err(_) => give_up(&mut conn),
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether what a database has shows that it went back.
fn lacks(seen: Reached, beat: Option<u64>, now: Present) -> bool {
    let (before, after) = (seen.position, now.reached.position);
    if after.epoch != before.epoch {
        return after.epoch < before.epoch;
    }
    let lacks_beats = beat.is_some_and(|made| now.beat.is_some_and(|beat| beat < made));
    after.number < before.number || now.reached.audit < seen.audit || lacks_beats
}

/// Marks a database, unless it was recovered meanwhile.
async fn mark(db: &Client, epoch: u64) -> Result<(), Failed> {
    let sql = "UPDATE authority SET went_back = true WHERE epoch = $1";
    db.execute_typed(sql, values![int(epoch)]).await?;
    Ok(())
}

/// Whether a server has marked a database as older than what it had seen.
pub(super) async fn is_marked(db: &Client) -> Result<bool, Failed> {
    let found = one(db, "SELECT went_back FROM authority", values![], |row| row.value("went_back"));
    Ok(found.await?.unwrap_or_default())
}

/// Whether a database is one that a server may start on, after it had lacked something: it
/// was recovered, or it has all that this server has seen. What only renewals show, only they
/// can show to be there again.
fn is_whole(seen: Reached, beat: Option<u64>, now: Present) -> bool {
    let (before, after) = (seen.position, now.reached.position);
    if after.epoch != before.epoch {
        return after.epoch > before.epoch;
    }
    let beats = beat.is_none_or(|made| now.beat.is_some_and(|beat| beat >= made));
    after.number >= before.number && now.reached.audit >= seen.audit && beats && !now.is_marked
}

async fn present(db: &Conn, id: [u8; 16]) -> Result<Present, Failed> {
    let sql = "SELECT epoch, position, audit, went_back,
                   (SELECT beat FROM replica WHERE id = $1) AS beat
               FROM authority";
    let found = one(db, sql, values![id.to_vec()], |row| {
        let position = Position { epoch: row.value("epoch")?, number: row.value("position")? };
        let reached = Reached { position, audit: row.value("audit")? };
        Ok(Present { reached, beat: row.optional("beat")?, is_marked: row.value("went_back")? })
    })
    .await?;
    found.ok_or_else(|| Failed::unavailable("there is no store in this database"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, number: u64, audit: i64) -> Reached {
        Reached { position: Position { epoch, number }, audit }
    }

    #[test]
    fn a_database_is_whole_again_if_it_was_recovered_or_has_all_that_was_seen() {
        let seen = at(2, 10, 5);
        let present = |reached, beat| Present { reached, beat, is_marked: false };
        let whole = |reached, made, beat| is_whole(seen, made, present(reached, beat));
        assert!(!whole(at(2, 9, 5), None, None) && !whole(at(2, 10, 4), None, None));
        assert!(whole(at(2, 10, 5), None, None) && whole(at(2, 11, 6), None, Some(1)));
        assert!(whole(at(3, 0, 0), None, None) && !whole(at(1, 99, 99), None, None));
        assert!(!whole(at(2, 10, 5), Some(7), Some(6)) && !whole(at(2, 10, 5), Some(7), None));
        assert!(whole(at(2, 10, 5), Some(7), Some(7)) && whole(at(3, 0, 0), Some(7), None));
        // A marked one may have come this far by the acts of others.
        let marked = |reached| Present { reached, beat: Some(7), is_marked: true };
        assert!(!is_whole(seen, None, marked(at(2, 12, 9))));
        assert!(is_whole(seen, None, marked(at(3, 0, 0))));
    }
}
