//! Tells other servers that the log grew, and hears it from them: only to wake them earlier
//! than they would read by themselves. Nothing depends on it.

use super::{connect::Address, failed::within, follow::Shared, jitter::Backoff, queue::connect};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Maximum time of a statement here.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the connection that listens is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Tells the others each time that `grown` is notified, one time for all that came meanwhile.
pub(super) async fn tell(shared: Arc<Shared>, address: Address, grown: Arc<Notify>) {
    let (mut conn, mut backoff) = (None, Backoff::default());
    loop {
        grown.notified().await;
        let alone = shared.seen().replicas.iter().all(|it| it.own);
        if alone || connect(&mut conn, &address, &mut backoff).await.is_err() {
            continue;
        }
        if let Some(open) = &conn
            && within(PATIENCE, open.batch_execute("NOTIFY tegata")).await.is_err()
        {
            conn = None;
        }
    }
}

/// Listens on an address that leads to the database itself and to no pooler.
pub(super) async fn listen(shared: Arc<Shared>, address: Address) {
    let mut backoff = Backoff::default();
    loop {
        if let Ok(conn) = address.connect(Some(shared.wanted.clone())).await
            && within(PATIENCE, conn.batch_execute("LISTEN tegata")).await.is_ok()
        {
            backoff.reset();
            while !conn.is_closed() {
                tokio::time::sleep(LOOK).await;
            }
        }
        tokio::time::sleep(backoff.next()).await;
    }
}
