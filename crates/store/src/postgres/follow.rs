//! Follows the change log: what any server commits reaches this server's memory here, in
//! the order of its positions, and nowhere else.
//!
//! A round reads the head, the changes after those that memory has, their receipts and the
//! rows of the other servers, in one round trip. A task that needs what was committed before a
//! moment waits for a round that began after it; all who wait share the next one.
//!
//! What this server itself has committed right after what memory has is not read back: the
//! transaction hands it over.

use super::{
    connect::{Address, Client, Conn, give_up},
    failed::{Failed, within},
    guard::Reached,
    jitter::Backoff,
    job::steady,
    journal::Journal,
    memory::Memory,
    open_error::PostgresOpenError,
    own_changes::Made,
    queue, replicas,
    round::{MOST, Read, Servers, Wanted, read},
    shared::{Next, ROUND, Shared},
    went_back::{self, WentBack},
};
use crate::{Committed, ReplicaRow};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tegata_token::id::Position;
use tokio::sync::watch;

/// How often the log is read if nothing says that it grew.
const POLL: Duration = Duration::from_millis(250);
/// After how long, as this server measures it, the row of a server that has not renewed its
/// lease is dropped.
const SILENT: Duration = Duration::from_secs(10);

/// How many of this server's own transactions memory gets before what is due is done, such as a
/// round that a renewal of the lease waits for.
const OWN_AT_ONCE: usize = 64;

/// Why a round has failed.
enum Broken {
    /// The database did not answer: there is another round.
    Silent(Failed),
    /// The database is not what it was: there is none, and a start reads it anew.
    Lost(String),
    /// The database is older than this server has seen: there is none, and no start succeeds.
    Back(String),
}

impl From<Failed> for Broken {
    fn from(why: Failed) -> Self {
        Self::Silent(why)
    }
}

/// The follower's task.
pub(super) struct Follower {
    pub shared: Arc<Shared>,
    pub address: Address,
    pub memory: Memory,
    /// The task that writes the guard's file, if there is one.
    pub guard: Option<watch::Sender<Reached>>,
    /// How far this server has seen the database come.
    pub reached: Reached,
    pub journal: Option<Journal>,
    pub watched: BTreeMap<[u8; 16], (u64, Instant)>,
}

impl Follower {
    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let (mut conn, mut backoff) = (None, Backoff::default());
        let mut read = steady();
        loop {
            let next = self.shared.next(POLL.saturating_sub(read.elapsed())).await;
            let ended = match (self.take_own().await, next) {
                (Err(broken), _) => Err(broken),
                (Ok(_), Next::Round) => {
                    read = steady();
                    self.round(&mut conn, &mut backoff).await
                }
                (Ok(true), _) | (Ok(false), Next::Log) => {
                    self.read_log(&mut conn, &mut backoff).await
                }
                (Ok(false), Next::Own) => continue,
            };
            if let Err(why) = ended {
                return self.shared.stop(why);
            }
            if let Some(back) = self.shared.back() {
                went_back::wait(&self.address, self.shared.id, self.reached, back.beat).await;
                return self.shared.stop(
                    "the database has what it lacked, or was recovered: this server starts again",
                );
            }
        }
    }

    /// Gives memory what this server itself has committed right after what memory has. `true`:
    /// the log goes on after it, and must be read.
    async fn take_own(&mut self) -> Result<bool, String> {
        for _ in 0..OWN_AT_ONCE {
            let has = self.shared.has();
            // The lines of a journal come with the log.
            let next = || self.shared.own.next(has.number);
            let Some(made) = self.journal.is_none().then(next).flatten() else {
                return Ok(self.shared.own.is_beyond(has.number));
            };
            let position = Position { number: made.last(), ..has };
            let Made { audit, written_at, changes, receipts, .. } = made;
            let written_at = Some(written_at);
            self.learn(Committed { position, changes, receipts, written_at }, audit).await?;
        }
        self.shared.has_more_own();
        Ok(false)
    }

    /// Reads the log alone, which has grown. An error: no round follows.
    async fn read_log(
        &mut self,
        conn: &mut Option<Conn>,
        backoff: &mut Backoff,
    ) -> Result<(), String> {
        self.shared.take_news();
        match self.attempt(conn, backoff, Wanted::Log).await {
            Ok(_) => Ok(()),
            // The next round finds out why, for all who wait.
            Err(Broken::Silent(_)) => {
                give_up(conn);
                self.shared.look();
                Ok(())
            }
            Err(Broken::Lost(why)) => Err(why),
            Err(Broken::Back(why)) => {
                self.shared.go_back(WentBack { why: why.into(), beat: None });
                Ok(())
            }
        }
    }

    /// Reads the log, and how far the others are. An error: no round follows.
    async fn round(
        &mut self,
        conn: &mut Option<Conn>,
        backoff: &mut Backoff,
    ) -> Result<(), String> {
        let round = self.shared.begin_round();
        let wanted = if self.shared.take_news() { Wanted::LogAndServers } else { Wanted::Servers };
        match self.attempt(conn, backoff, wanted).await {
            Ok(replicas) => self.shared.end_round(round, Ok(replicas)),
            Err(Broken::Silent(why)) => {
                if self.shared.seen().failed.is_none() {
                    tracing::warn!(%why, "the log cannot be followed");
                }
                give_up(conn);
                self.shared.end_round(round, Err(why));
                tokio::time::sleep(Backoff::default().next()).await;
            }
            Err(Broken::Lost(why)) => return Err(why),
            Err(Broken::Back(why)) => {
                let why: Arc<str> = why.into();
                self.shared.end_round(round, Err(Failed::Unavailable(why.clone())));
                self.shared.go_back(WentBack { why, beat: None });
            }
        }
        Ok(())
    }

    /// Reads and takes in; returns the rows of the servers as they are known then.
    async fn attempt(
        &mut self,
        conn: &mut Option<Conn>,
        backoff: &mut Backoff,
        mut wanted: Wanted,
    ) -> Result<Arc<[ReplicaRow]>, Broken> {
        queue::connect(conn, &self.address, backoff).await?;
        let Some(open) = conn else { return Err(Failed::unavailable("no connection").into()) };
        loop {
            let applied = self.shared.has();
            let renewals = self.shared.renewals.load(Ordering::SeqCst);
            let read = read(open, applied, self.journal.is_some(), wanted);
            let mut read = within(ROUND, read).await?;
            let more = read.changes.len() >= MOST;
            // After a recovery there are no renewals of this server, and it must not register again.
            if read.head.epoch <= applied.epoch {
                self.is_primary(&read, renewals)?;
            }
            self.shared.clock.read(read.clock)?;
            self.write_journal(applied, &mut read).await?;
            let replicas = self.take_in(read).await?;
            if !more {
                if wanted != Wanted::Log {
                    self.take_announced().await?;
                    self.drop_silent(open, &replicas).await?;
                }
                return Ok(replicas);
            }
            if wanted == Wanted::Servers {
                wanted = Wanted::LogAndServers;
            }
        }
    }

    /// Refuses what was read from a standby, or from another database that does not have all of this
    /// server's renewals: what memory has then says nothing of what is revoked. One that is behind did
    /// not go back.
    fn is_primary(&self, read: &Read, renewals: u64) -> Result<(), Failed> {
        if read.is_standby {
            return Err(Failed::unavailable(
                "the log was read from a standby: does the address lead to one at times?",
            ));
        }
        let Some(servers) = &read.servers else { return Ok(()) };
        let own = servers.replicas.iter().find(|it| it.id == self.shared.id);
        match renewals == 0 || own.is_some_and(|it| it.beat >= renewals) {
            true => Ok(()),
            false => Err(Failed::unavailable(
                "the log was read from a database that lacks this server's renewals of its lease: \
                 does the address lead to two of them?",
            )),
        }
    }

    /// Writes the lines of what memory gets next. Without them memory gets nothing, and the
    /// lease ends.
    async fn write_journal(&self, applied: Position, read: &mut Read) -> Result<(), Failed> {
        let (Some(journal), Some(last)) = (&self.journal, read.changes.last()) else {
            return Ok(());
        };
        let mut lines = std::mem::take(&mut read.lines);
        lines.retain(|it| it.commit.epoch == applied.epoch && it.commit.commit <= last.0);
        journal.write(lines).await.map_err(|why| {
            tracing::error!(%why, "the revocation journal cannot be written");
            Failed::unavailable(why.to_string())
        })
    }

    /// Checks what was read, and gives it to memory.
    async fn take_in(&mut self, read: Read) -> Result<Arc<[ReplicaRow]>, Broken> {
        let Read {
            head, went_back, log_from, audit, written_at, servers, changes, receipts, ..
        } = read;
        let applied = self.shared.has();
        if head.epoch != applied.epoch {
            return Err(if head.epoch > applied.epoch {
                Broken::Lost("the store was recovered; start this server again".into())
            } else {
                Broken::Back(
                    "the database went back: it is from before a recovery that this server has \
                     seen. Nothing is served from it: name the newest database, or run tegata \
                     recover"
                        .into(),
                )
            });
        }
        if went_back {
            return Err(Broken::Back(PostgresOpenError::MarkedAsOlder.to_string()));
        }
        if head.number < applied.number {
            let why = format!(
                "the database went back: its log ends at {}, and this server has seen {}. Nothing is \
                 served from it, since revocations may be lost: run tegata recover",
                head.number, applied.number
            );
            return Err(Broken::Back(why));
        }
        if audit < self.reached.audit {
            let why = format!(
                "the database went back: its audit ends at {audit}, and this server has seen {}. \
                 Nothing is served from it, since acts were lost: run tegata recover",
                self.reached.audit
            );
            return Err(Broken::Back(why));
        }
        if log_from > applied.number {
            let why = "the log does not reach back to what this server knows; start it again";
            return Err(Broken::Lost(why.into()));
        }
        let expected = applied.number + 1..;
        if !expected.zip(&changes).all(|(number, change)| change.0 == number) {
            return Err(Broken::Lost("the log has a gap; start this server again".into()));
        }
        // The head was read before the log, so the log reaches at least to it.
        let end = changes.last().map_or(applied.number, |it| it.0);
        if end < head.number && changes.len() < MOST {
            let why = "changes were dropped before this server had them; start it again";
            return Err(Broken::Lost(why.into()));
        }
        let replicas = match servers {
            Some(Servers { root_token, mut replicas }) => {
                self.shared.in_force(root_token);
                replicas.iter_mut().for_each(|it| it.own = it.id == self.shared.id);
                replicas.into()
            }
            None => self.shared.seen().replicas,
        };
        let Some((number, at)) = changes.last().map(|it| (it.0, it.1)) else {
            self.reach(applied, audit);
            return Ok(replicas);
        };
        let position = Position { number, ..applied };
        let receipts = receipts.into_iter().filter(|it| it.position <= position).collect();
        let changes = changes.into_iter().map(|it| it.2).collect();
        let written_at = Some(written_at.max(at));
        let committed = Committed { position, changes, receipts, written_at };
        self.learn(committed, audit).await.map_err(Broken::Lost)?;
        if !self.shared.own.take(applied.number, position.number) {
            self.shared.applied.notify_one();
        }
        Ok(replicas)
    }

    /// Gives memory what was committed, when the audit had come that far.
    async fn learn(&mut self, committed: Committed, audit: i64) -> Result<(), String> {
        let position = committed.position;
        self.reach(position, audit);
        self.memory.learn(committed).await?;
        self.shared.learned(position);
        Ok(())
    }

    /// Notes how far the database has come.
    fn reach(&mut self, position: Position, audit: i64) {
        self.reached = Reached { position, audit };
        if let Some(guard) = &self.guard {
            guard.send_replace(self.reached);
        }
    }

    async fn take_announced(&self) -> Result<(), Broken> {
        let receipts = self.shared.take_announced();
        if receipts.is_empty() {
            return Ok(());
        }
        let position = self.shared.has();
        let committed = Committed { position, receipts, ..<_>::default() };
        self.memory.learn(committed).await.map_err(|why| Broken::Lost(why.into()))
    }

    /// Drops the rows of servers that have not renewed their leases for long.
    async fn drop_silent(&mut self, db: &Client, all: &[ReplicaRow]) -> Result<(), Failed> {
        let now = steady();
        self.watched.retain(|id, _| all.iter().any(|it| it.id == *id));
        for it in all.iter().filter(|it| !it.own) {
            let (beat, since) = self.watched.entry(it.id).or_insert((it.beat, now));
            if *beat != it.beat {
                (*beat, *since) = (it.beat, now);
            } else if now.duration_since(*since) >= SILENT {
                tracing::warn!(
                    address = it.address,
                    "a server has not renewed its lease; it is dropped"
                );
                within(ROUND, replicas::drop_at(db, it.id, it.beat)).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, postgres::queue::Queue};

    #[tokio::test]
    async fn many_commits_of_its_own_do_not_keep_a_server_from_a_round() {
        let at = Position { epoch: 1, number: 0 };
        let shared = Shared::new([7; 16], at, Queue::new());
        let address = Address::parse("postgres://localhost/none").unwrap();
        let memory = Memory::start(Box::new(|_| {})).unwrap();
        let (reached, watched) = (Reached { position: at, audit: 0 }, BTreeMap::new());
        let (guard, journal) = (None, None);
        let mut follower =
            Follower { shared: shared.clone(), address, memory, guard, reached, journal, watched };
        const MANY: u64 = 3 * OWN_AT_ONCE as u64;
        for number in 0..MANY {
            let changes = vec![Change::Empty { provider: None }];
            shared.committed(super::super::own_changes::Committed::Made(Made {
                changes,
                ..Made::after(number)
            }));
        }
        shared.look();
        assert_eq!(shared.next(POLL).await, Next::Round);
        assert!(!follower.take_own().await.unwrap(), "nothing need be read");
        assert!(shared.has().number < MANY, "the round is due before the rest");
        while shared.has().number < MANY {
            assert_eq!(shared.next(POLL).await, Next::Own);
            assert!(!follower.take_own().await.unwrap());
        }
    }
}
