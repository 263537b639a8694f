//! The task that renews this server's lease.
//!
//! A renewal is a commit of this server's row, and then a read of the log: what was committed
//! before the renewal was sent is in memory when the lease begins. A read alone renews
//! nothing, since a database that was replaced still answers reads.

use super::{
    connect::{Address, Conn, give_up},
    failed::{Failed, within},
    jitter::Backoff,
    queue::connect,
    replicas::{Own, leave_jobs, register, sign_off, take_jobs},
    rows::int,
    shared::Shared,
    sql::values,
    went_back::WentBack,
};
use crate::columns::Columns;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::oneshot;

/// How often the lease is renewed.
const RENEWAL: Duration = Duration::from_millis(400);
/// Maximum time of a renewal: a later one would be worth nothing.
const PATIENCE: Duration = Duration::from_millis(1_900);
/// Maximum time to sign off.
const LEAVING: Duration = Duration::from_secs(2);

/// The task that renews the lease.
pub(super) struct Renewals {
    pub shared: Arc<Shared>,
    pub address: Address,
    /// This server.
    pub own: Own,
    /// The last renewal that is known to be committed.
    pub beat: u64,
}

impl Renewals {
    /// Runs until the store is closed, and signs off then.
    pub async fn run(mut self, mut closed: oneshot::Receiver<()>) {
        let (mut conn, mut backoff, mut failing) = (None, Backoff::default(), false);
        loop {
            tokio::select! {
                _ = &mut closed => break,
                () = tokio::time::sleep(RENEWAL) => {}
            }
            if self.shared.why_stopped().is_some() {
                return;
            }
            // It may take longer than a renewal: of several hosts, some may not answer.
            let connected = tokio::select! {
                _ = &mut closed => break,
                it = connect(&mut conn, &self.address, &mut backoff) => it,
            };
            let renewed = match (&conn, connected) {
                (Some(open), Ok(())) => self.renew(open).await,
                (None, Ok(())) => Err(Failed::unavailable("no connection").into()),
                (_, Err(why)) => Err(why.into()),
            };
            match renewed {
                Ok(()) => failing = false,
                Err(Refused::Silent(why)) => {
                    if !failing {
                        tracing::warn!(%why, "this server's lease was not renewed");
                    }
                    give_up(&mut conn);
                    failing = true;
                }
                Err(Refused::Back(beat)) => {
                    let why = format!(
                        "the database went back: this server has renewed its lease {} times, and the \
                         database knows of {beat}. Nothing is served from it: run tegata recover",
                        self.beat
                    );
                    let why = why.into();
                    return self.shared.go_back(WentBack { why, beat: Some(self.beat) });
                }
            }
        }
        let _ = within(LEAVING, connect(&mut conn, &self.address, &mut backoff)).await;
        if let Some(open) = conn {
            self.shared.renewals.store(0, Ordering::SeqCst);
            let _ = within(LEAVING, sign_off(&open, self.shared.id)).await;
        }
    }

    async fn renew(&mut self, open: &Conn) -> Result<(), Refused> {
        let (sent, warned) = (self.shared.lease.now(), open.warnings());
        let applied = self.shared.has();
        // An acknowledgement that was sent later may be there already. A database that lacks
        // renewals is left with what it has, so that it shows them to be lacking from then on.
        let sql = "UPDATE replica SET beat = beat + CASE WHEN beat >= $4 THEN 1 ELSE 0 END,
                       epoch = $2,
                       position = CASE epoch WHEN $2 THEN greatest(position, $3) ELSE $3 END
                   WHERE id = $1 RETURNING beat";
        let (epoch, number) = (int(applied.epoch), int(applied.number));
        let (id, made) = (self.shared.id, self.beat);
        let beat = async {
            let made = int(made);
            let row = open.query_typed_opt(sql, values![id.to_vec(), epoch, number, made]).await?;
            row.map(|it| it.value::<u64>("beat")).transpose()
        };
        let beat = within(PATIENCE, beat).await?;
        replicated(open, warned)?;
        match beat {
            Some(beat) if beat <= self.beat => return Err(Refused::Back(beat)),
            Some(beat) => self.beat = beat,
            // Another server has dropped the row: it waits for this one no more, so the lease
            // begins anew with a row, and a read after it.
            None => {
                tracing::warn!("this server was dropped; it registers again");
                self.beat += 1;
                let again = register(open, &self.own, self.beat, Some(applied));
                within(PATIENCE, again).await?;
            }
        }
        let jobs = match self.shared.lease.leaves_jobs() {
            true => within(PATIENCE, leave_jobs(open, id)).await?,
            false => within(PATIENCE, take_jobs(open, id)).await?,
        };
        replicated(open, warned)?;
        self.shared.renewals.store(self.beat, Ordering::SeqCst);
        self.shared.after_now().await?;
        self.shared.lease.renew(sent, jobs);
        Ok(())
    }
}

/// Refuses a commit that came with a warning that it may be on no standby.
fn replicated(open: &Conn, warned: u64) -> Result<(), Failed> {
    match open.warnings() == warned {
        true => Ok(()),
        false => Err(Failed::unavailable("the database warns that a commit may be lost")),
    }
}

/// Why the lease was not renewed.
enum Refused {
    /// The database did not answer.
    Silent(Failed),
    /// The database has fewer renewals than this server has made.
    Back(u64),
}

impl From<Failed> for Refused {
    fn from(why: Failed) -> Self {
        Self::Silent(why)
    }
}
