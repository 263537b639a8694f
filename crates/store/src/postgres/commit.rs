//! The end of a transaction: its last statements and its COMMIT, in one round trip.

use super::{
    connect::Client,
    failed::{Failed, within},
};
use futures_util::{FutureExt, future::join3};
use std::{sync::Arc, time::Duration};

/// Maximum time of a COMMIT.
const COMMIT: Duration = Duration::from_secs(6);

/// Why the acts of a transaction are not known to be done.
pub(super) enum Undone {
    /// Nothing was committed.
    NotCommitted(Failed),
    /// Committed or not: this is unknown.
    Unknown(Arc<str>),
}

impl From<Failed> for Undone {
    fn from(why: Failed) -> Self {
        Self::NotCommitted(why)
    }
}

/// Writes and commits in one round trip; drops `turn` once the COMMIT was sent. If a statement
/// fails, the COMMIT that was sent after it rolls back; that is known if the database answers the
/// next statement.
///
/// Right behind the COMMIT it sends what to `say` to the other servers, a message of its own for whose
/// answer no task waits. What it says only lets servers read earlier, so it does no harm if nothing
/// was committed. It must get no warning, which would be taken for one about the commit.
pub(super) async fn commit<T>(
    db: &Client,
    write: impl Future<Output = Result<(), Failed>>,
    say: Option<String>,
    turn: Option<T>,
) -> Result<(), Undone> {
    let unknown = |why: Failed| {
        Undone::Unknown(format!("it is unknown whether this was committed: {why}").into())
    };
    let (written, committed) = match within(COMMIT, async {
        // What is polled first is sent first.
        let sent = async {
            let _ = say.map(|it| db.batch_execute(&it).now_or_never());
            drop(turn);
        };
        let (written, committed, ()) = join3(write, db.batch_execute("COMMIT"), sent).await;
        Ok::<_, Failed>((written, committed))
    })
    .await
    {
        Ok(both) => both,
        Err(slow) => return Err(unknown(slow)),
    };
    match (written, committed.map_err(Failed::from)) {
        (Ok(()), Ok(())) => Ok(()),
        // The server says that it rolled back.
        (Ok(()), Err(why @ (Failed::Retry(_) | Failed::Taken))) => Err(Undone::NotCommitted(why)),
        (Ok(()), Err(why)) => Err(unknown(why)),
        // It answered the COMMIT of a transaction that had failed.
        (Err(why), Ok(())) => Err(Undone::NotCommitted(why)),
        (Err(why), Err(_)) => Err(unknown(why)),
    }
}
