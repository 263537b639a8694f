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
    notice::Notice,
    queue::connect,
};
use data_encoding::HEXLOWER;
use futures_util::{FutureExt, future::try_join};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tegata_token::id::Position;
use tokio::sync::Notify;

/// Maximum time of a statement here.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the connection that listens is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Opens a transaction whose COMMIT returns before it is durable.
const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// Speaks to the others each time that the log `grown`, or that this server's memory has applied
/// changes of others; one time for all that came meanwhile.
pub(super) async fn tell(shared: Arc<Shared>, address: Address, grown: Arc<Notify>) {
    let (mut conn, mut backoff) = (None, Backoff::default());
    loop {
        let (mut grew, mut applied) = tokio::select! {
            () = grown.notified() => (true, false),
            () = shared.applied.notified() => (false, true),
        };
        grew |= grown.notified().now_or_never().is_some();
        applied |= shared.applied.notified().now_or_never().is_some();
        // What was applied is acknowledged only if a round has just found others.
        let alone = !applied && shared.seen().replicas.iter().all(|it| it.own);
        if alone || connect(&mut conn, &address, &mut backoff).await.is_err() {
            continue;
        }
        let Some(open) = &conn else { continue };
        // If it fails, the next renewal of the lease acknowledges.
        if within(PATIENCE, speak(open, &shared, grew, applied)).await.is_err() {
            conn = None;
        }
    }
}

/// Writes how far this server's memory is, if it has `applied` changes, and says so; and says
/// that the log `grew`. A row that was dropped stays so: then no server waits for this one.
async fn speak(db: &Client, shared: &Shared, grew: bool, applied: bool) -> Result<(), Failed> {
    let (server, has) = (shared.id, shared.seen().applied);
    let mut say = BEGIN.to_owned();
    if grew {
        let position = Position { number: shared.own.last(), ..has };
        say += &format!("; NOTIFY tegata, '{}'", Notice { server, position }.to_text());
    }
    if applied {
        let notice = Notice { server, position: has };
        say += &format!("; NOTIFY tegata_applied, '{}'", notice.to_text());
    }
    say += "; COMMIT";
    // Numbers and hexadecimal digits only: one message, without a plan for its values.
    let write = format!(
        "{BEGIN}; UPDATE replica SET position = greatest(position, {})
         WHERE id = decode('{}', 'hex') AND epoch = {}; COMMIT",
        has.number,
        HEXLOWER.encode(&server),
        has.epoch
    );
    // Sent one after the other, in one round trip. The notification has a transaction of its own,
    // since some databases refuse it.
    let write = async { if applied { Ok(db.batch_execute(&write).await?) } else { Ok(()) } };
    let say = async { Ok::<_, Failed>(db.batch_execute(&say).await?) };
    try_join(write, say).await.map(drop)
}

/// Listens on an address that leads to the database itself and to no pooler.
pub(super) async fn listen(shared: Arc<Shared>, address: Address) {
    let mut backoff = Backoff::default();
    loop {
        let heard = shared.clone();
        let bell = Arc::new(move |channel: &str, text: &str| hear(&heard, channel, text));
        if let Ok(conn) = address.connect(Some(bell)).await
            && within(PATIENCE, conn.batch_execute("LISTEN tegata; LISTEN tegata_applied"))
                .await
                .is_ok()
        {
            backoff.reset();
            // What was said before is not heard any more.
            shared.grew();
            while !conn.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
            shared.hears.store(false, Ordering::SeqCst);
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Lets the follower read, if a notification says anything that memory does not have.
fn hear(shared: &Shared, channel: &str, text: &str) {
    // Its own come back, too; through a pooler none may ever come.
    shared.hears.store(true, Ordering::SeqCst);
    let said = Notice::parse(text);
    if channel == "tegata" {
        let has = |it: Notice| it.server == shared.id || it.position <= shared.seen().applied;
        if !said.is_some_and(has) {
            shared.grew();
        }
        return;
    }
    // Only an act that waits needs to know what others have acknowledged.
    let worth = match said {
        Some(it) => shared.waits.hear(it.server, it.position, &shared.seen().replicas),
        None => shared.waits.any(),
    };
    if worth {
        shared.look();
    }
}
