//! What servers say to each other: that the log grew, and how far their memories are. An
//! acknowledgement counts; the notifications only make servers read earlier than they would by
//! themselves, and nothing depends on them.
//!
//! None of it waits for a disk or a standby: a notification that is lost delays a server until its
//! next poll, and an acknowledgement says what is in this server's memory, whatever becomes of the
//! database.

use super::{
    connect::{Address, Client},
    failed::{Failed, within},
    follow::Shared,
    jitter::Backoff,
    queue::connect,
    rows::int,
    sql::values,
};
use futures_util::future::try_join4;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Maximum time of a statement here.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the connection that listens is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Opens a transaction whose COMMIT returns before it is durable.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";
/// Says that the log grew.
const GREW: &str = "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY tegata; COMMIT";
/// Says that a server has acknowledged changes.
const APPLIED: &str = "BEGIN; SET LOCAL synchronous_commit = off; NOTIFY tegata_applied; COMMIT";

/// Speaks to the others each time that the log `grown`, or that this server's memory has applied
/// changes; one time for all that came meanwhile.
pub(super) async fn tell(shared: Arc<Shared>, address: Address, grown: Arc<Notify>) {
    let (mut conn, mut backoff) = (None, Backoff::default());
    loop {
        let grew = tokio::select! {
            () = grown.notified() => true,
            () = shared.applied.notified() => false,
        };
        // What was applied is acknowledged only if a round has just found others.
        let alone = grew && shared.seen().replicas.iter().all(|it| it.own);
        if alone || connect(&mut conn, &address, &mut backoff).await.is_err() {
            continue;
        }
        let Some(open) = &conn else { continue };
        let said = async {
            match grew {
                true => Ok(open.batch_execute(GREW).await?),
                false => acknowledge(open, &shared).await,
            }
        };
        // If it fails, the next renewal of the lease acknowledges.
        if within(PATIENCE, said).await.is_err() {
            conn = None;
        }
    }
}

/// Writes how far this server's memory is, and says that it did. A row that was dropped stays so: then no server waits
/// for this one.
async fn acknowledge(db: &Client, shared: &Shared) -> Result<(), Failed> {
    let applied = shared.seen().applied;
    let sql = "UPDATE replica SET position = greatest(position, $2) WHERE id = $1 AND epoch = $3";
    let (number, epoch) = (int(applied.number), int(applied.epoch));
    let id = shared.id.to_vec();
    let values = values![id, number, epoch];
    // Sent one after the other, in one round trip. The notification has a transaction of its own,
    // since some databases refuse it.
    let begin = async { Ok::<_, Failed>(db.batch_execute(BEGIN).await?) };
    let write = async { Ok(db.execute_typed(sql, values).await?) };
    let commit = async { Ok(db.batch_execute("COMMIT").await?) };
    let say = async { Ok(db.batch_execute(APPLIED).await?) };
    try_join4(begin, write, commit, say).await.map(drop)
}

/// Listens on an address that leads to the database itself and to no pooler.
pub(super) async fn listen(shared: Arc<Shared>, address: Address) {
    let mut backoff = Backoff::default();
    loop {
        let heard = shared.clone();
        let bell = Arc::new(move |channel: &str| {
            // Only an act that waits needs to know what others have acknowledged.
            if channel == "tegata" || heard.waits.any() {
                heard.wanted.notify_one();
            }
        });
        if let Ok(conn) = address.connect(Some(bell)).await
            && within(PATIENCE, conn.batch_execute("LISTEN tegata; LISTEN tegata_applied"))
                .await
                .is_ok()
        {
            backoff.reset();
            while !conn.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}
