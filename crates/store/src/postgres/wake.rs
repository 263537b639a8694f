//! What servers say to each other: that the log grew, and how far their memories are. An
//! acknowledgement counts; the notifications only make servers read earlier than they would by
//! themselves, and nothing depends on them.
//!
//! None of it waits for a disk or a standby: a notification that is lost delays a server until its
//! next poll, and an acknowledgement says what is in this server's memory, whatever becomes of the
//! database.
//!
//! Each message is a transaction by itself without a BEGIN: if it fails, it leaves nothing behind
//! on its connection.

use super::{
    connect::{Address, Client},
    failed::{Failed, within},
    jitter::Backoff,
    notice::Notice,
    queue::connect,
    shared::Shared,
    sql::AT_ONCE,
};
use data_encoding::HEXLOWER;
use futures_util::future::try_join;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tegata_token::id::Position;

/// Maximum time of a statement here.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the connection that listens is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A message whose warnings its sender does not get: they would be taken for warnings about the
/// commit before it.
pub(super) fn quietly(statement: &str) -> String {
    format!("{AT_ONCE}; SET LOCAL client_min_messages = error; {statement}")
}

/// The message that the log has grown up to that number by an act of this server; `None`: there is
/// no other server. The transaction that makes it grow sends it right behind its COMMIT.
pub(super) fn announcement(shared: &Shared, number: u64) -> Option<String> {
    let seen = shared.seen();
    let position = Position { number, ..seen.applied };
    let notice = Notice { server: shared.id, position };
    let others = seen.replicas.iter().any(|it| !it.own);
    others.then(|| quietly(&format!("NOTIFY tegata, '{}'", notice.to_text())))
}

/// Acknowledges each time that this server's memory has applied changes of others; one time for
/// all that came meanwhile.
pub(super) async fn acknowledge(shared: Arc<Shared>, address: Address) {
    let (mut conn, mut backoff, mut refused) = (None, Backoff::default(), false);
    loop {
        shared.applied.notified().await;
        if connect(&mut conn, &address, &mut backoff).await.is_err() {
            continue;
        }
        let Some(open) = &conn else { continue };
        // Where notifications come, they are not refused.
        let together = !refused && shared.hears.load(Ordering::SeqCst);
        // If it fails, the next renewal of the lease acknowledges.
        if within(PATIENCE, speak(open, &shared, together)).await.is_err() {
            (conn, refused) = (None, refused || together);
        }
    }
}

/// Writes how far this server's memory is, and says so, `together` in one message. It is a row of
/// its own: a renewal of the lease, which waits for the disk and a standby, does not hold it up. One
/// that was dropped stays so: then no server waits for this one.
async fn speak(db: &Client, shared: &Shared, together: bool) -> Result<(), Failed> {
    let (server, has) = (shared.id, shared.has());
    // Numbers and hexadecimal digits only: one message, without a plan for its values.
    let write = format!(
        "UPDATE applied SET position = greatest(position, {})
         WHERE id = decode('{}', 'hex') AND epoch = {}",
        has.number,
        HEXLOWER.encode(&server),
        has.epoch
    );
    let notice = Notice { server, position: has };
    let say = format!("NOTIFY tegata_applied, '{}'", notice.to_text());
    if together {
        // Others read the row once they hear of it, which is when it is committed.
        return Ok(db.batch_execute(&format!("{AT_ONCE}; {write}; {say}")).await?);
    }
    // Some databases refuse a notification, and with it all that its message holds. Sent one after
    // the other, in one round trip.
    let (write, say) = (format!("{AT_ONCE}; {write}"), format!("{AT_ONCE}; {say}"));
    let write = async { Ok::<_, Failed>(db.batch_execute(&write).await?) };
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
        let has = |it: Notice| it.server == shared.id || it.position <= shared.has();
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
