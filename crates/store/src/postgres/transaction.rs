//! One transaction of several acts: locks, loads, decisions, effects, commit.

use super::{
    apply::{At, Decided, statements},
    commit::{Undone, commit},
    connect::{Client, Conn},
    failed::{Failed, within},
    job::{Job, Place, steady},
    load::{load_all, load_with},
    locks::All,
    log::{Head, Log, advance, advance_held, head},
    narrowing::{found_done, narrows},
    own_changes::{Committed, Made},
    plant::{Plant, Planted},
    replicas,
    rows::{self, int},
    version::{Version, too_new},
};
use crate::Error;
use futures_util::future::{try_join, try_join3};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tegata_policy::acts::{
    ActName, Effects, Needs, ReceiptFor, ReceiptRow, StoredKey, Write, receipt_of,
};
use tegata_token::{
    id::{ChannelId, Position},
    time::UnixTime,
    view::ChannelRevocations,
};
use tokio::sync::oneshot;

/// Maximum time of a transaction before its COMMIT.
const BEFORE_COMMIT: Duration = Duration::from_secs(5);

/// Opens a transaction. The database's own limits end what a lost process left behind. Between two
/// messages a server only decides, so one that is silent for longer is frozen, or cut off: then it
/// is rolled back before another server has waited too long for what it locks.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL lock_timeout = 3000; SET LOCAL statement_timeout = 5000;
    SET LOCAL idle_in_transaction_session_timeout = 1000";

/// What transactions of one store have in common.
pub(super) struct Ground {
    /// The id of this server.
    pub own: [u8; 16],
    /// The epoch that the store was opened in.
    pub epoch: u64,
    /// The signing keys as they were read last: mostly they are still the same.
    pub keys: Mutex<Arc<[StoredKey]>>,
    /// What to say to the other servers if the log grows up to that number.
    pub announcement: Box<dyn Fn(u64) -> Option<String> + Send + Sync>,
    /// The number of the last change that this server knows to be committed.
    pub known: Box<dyn Fn() -> u64 + Send + Sync>,
    pub planted: Planted,
}

/// An act of a wave that was decided.
type Act = (usize, Option<ChannelId>, Effects, UnixTime);

/// Runs acts in one transaction; `waves` says which of them are decided together. Drops `turn`
/// once the COMMIT was sent.
pub(super) async fn run<T>(
    db: &Conn,
    ground: &Ground,
    jobs: &mut [Box<dyn Job>],
    waves: &[Vec<usize>],
    mut turn: Option<T>,
) -> Result<(Vec<Place>, Committed), Undone> {
    let end = steady() + BEFORE_COMMIT;
    let mut held = All::default();
    jobs.iter().for_each(|job| held.add(job.locks()));
    let first = waves.iter().take(1).flatten();
    let needs: Vec<Needs> = first.map(|&n| jobs[n].needs().clone()).collect();
    let mut run = Run::begin(db, ground, held, &needs, jobs.len(), end).await?;
    let warned = db.warnings();
    for (n, wave) in waves.iter().enumerate() {
        let acts = run.decide(jobs, wave);
        let next = match waves.get(n + 1) {
            Some(next) => Next::Wave(next.iter().map(|&n| run.needs_of(&*jobs[n])).collect()),
            None => Next::Commit,
        };
        let names: Vec<_> = jobs.iter().map(|job| job.name()).collect();
        let work = run.prepare(&names, acts);
        let mut ready = within(left(end), work).await?;
        if matches!(next, Next::Commit) {
            ready.acts.extend(run.last_writes());
        }
        run.finish(ready, next, end, &mut turn).await?;
    }
    if db.warnings() != warned {
        return Err(Undone::Unknown("the database warns that a commit may be lost".into()));
    }
    Ok(run.committed())
}

/// What is sent after the effects of a wave, in the same round trip.
enum Next {
    /// The reads of another wave, with these needs.
    Wave(Vec<Needs>),
    /// The COMMIT.
    Commit,
}

/// What is written of a wave.
#[derive(Default)]
struct Ready {
    acts: Vec<Decided>,
    log: Log,
    /// How much the authority's row advances, if that is not done yet.
    advance: Option<(usize, usize, UnixTime)>,
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(steady())
}

struct Run<'a> {
    db: &'a Client,
    ground: &'a Ground,
    keys: Arc<[StoredKey]>,
    head: Head,
    held: All,
    /// What was read for the first wave, in the round trip of the locks.
    loaded: Vec<tegata_policy::acts::Locked>,
    times: BTreeMap<ChannelId, UnixTime>,
    places: Vec<Place>,
    /// The revocations of channels as acts have left them, which are written once, at the
    /// end.
    revocations: BTreeMap<ChannelId, Arc<ChannelRevocations>>,
    /// The last audit number, once the authority's row is locked.
    audit: Option<i64>,
    /// What was written into the log.
    made: Option<Made>,
    /// Whether more was written than that, so that the log must be read.
    unread: bool,
}

impl<'a> Run<'a> {
    /// Begins a transaction, takes all locks, and reads what the first wave needs: each
    /// statement sees what was committed before it began, so those after the locks see what
    /// the locks waited for.
    async fn begin(
        db: &'a Client,
        ground: &'a Ground,
        held: All,
        needs: &[Needs],
        acts: usize,
        end: Instant,
    ) -> Result<Self, Undone> {
        let known = ground.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Before the head is read.
        let least = (ground.known)();
        let begin = async {
            db.batch_execute(&ground.planted.begin(BEGIN)).await?;
            Ok::<_, Failed>(())
        };
        // The counter row is locked after all reads, in their round trip, if it surely is needed:
        // then it is locked no longer than by a statement after the decisions. No other lock comes
        // after it.
        let last = held.expect_change() && ground.planted.plant != Some(Plant::EarlyPositions);
        let (give, counts) = oneshot::channel();
        let locks = async {
            let channels = held.take(db, ground.own).await?;
            // The other end may have failed.
            let _ = give.send(channels.iter().map(|(id, it)| (*id, it.1)).collect());
            Ok(channels.into_iter().map(|(id, it)| (id, it.0)).collect())
        };
        let counts = async { counts.await.map_err(|_| Failed::unavailable("no lock was taken")) };
        let reads = async {
            if ground.planted.reads_first() {
                let stale = load_all(db, &known, needs).await?;
                let read = try_join(locks, head(db, last)).await?;
                return Ok((read.0, stale, read.1));
            }
            try_join3(locks, load_with(db, &known, needs, counts), head(db, last)).await
        };
        let ((), (times, mut loaded, (head, keys))) =
            within(left(end), try_join(begin, reads)).await?;
        if head.epoch != ground.epoch {
            let why = "the store was recovered meanwhile; this server must be started again";
            return Err(Failed::unavailable(why).into());
        }
        // After a failover that lost commits their numbers must not be used again: what this server
        // knows of them would be taken for what is committed now. The follower finds out the same.
        if head.position < least {
            let why = "the database is older than this server has seen: commits were lost";
            return Err(Failed::unavailable(why).into());
        }
        let keys: Arc<[StoredKey]> = keys.into();
        if keys[..] != known[..] {
            *ground.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.clone();
            loaded = within(left(end), load_all(db, &keys, needs)).await?;
        }
        let position = Position { epoch: head.epoch, number: head.position };
        let place = Place {
            now: UnixTime(0),
            position,
            wrote: false,
            changed: false,
            narrowed: false,
            rounds: 0,
        };
        Ok(Self {
            db,
            ground,
            keys,
            held,
            loaded,
            times,
            places: vec![place; acts],
            revocations: BTreeMap::new(),
            audit: last.then_some(head.audit),
            made: None,
            unread: ground.planted.plant == Some(Plant::EarlyPositions),
            head,
        })
    }

    /// Decides the acts of a wave on what was read for them.
    fn decide(&mut self, jobs: &mut [Box<dyn Job>], wave: &[usize]) -> Vec<Act> {
        let mut acts: Vec<Act> = Vec::with_capacity(wave.len());
        for (&n, mut locked) in wave.iter().zip(std::mem::take(&mut self.loaded)) {
            let job = &mut jobs[n];
            let channel = job.needs().channel;
            if let Some(known) = channel.and_then(|id| self.revocations.get(&id)) {
                locked.revocations = known.clone();
            }
            let written = channel.and_then(|id| self.times.get(&id)).copied();
            let now = job.time().max(self.head.written_at).max(written.unwrap_or(UnixTime(0)));
            let effects = job.decide(&locked, now);
            let place = &mut self.places[n];
            place.now = now;
            place.position.number = self.head.position;
            place.narrowed = effects.as_ref().is_some_and(|it| found_done(job.name(), it));
            if let Some(mut effects) = effects.filter(|it| !it.is_empty()) {
                self.keep_revocations(&mut effects);
                acts.push((n, channel, effects, now));
            }
        }
        acts
    }

    /// What must be read for an act of another wave.
    fn needs_of(&self, job: &dyn Job) -> Needs {
        let mut needs = job.needs().clone();
        needs.revocations &= needs.channel.is_none_or(|id| !self.revocations.contains_key(&id));
        needs
    }

    /// What is written at the end of all.
    fn last_writes(&mut self) -> Option<Decided> {
        let all = std::mem::take(&mut self.revocations).into_iter();
        let writes: Vec<_> =
            all.map(|(id, it)| Write::Revocations(id, Arc::unwrap_or_clone(it))).collect();
        let at = At { now: self.head.written_at, position: None, audit: None };
        let effects = Effects { writes, ..Effects::default() };
        (!effects.writes.is_empty()).then_some((None, effects, at, None))
    }

    /// Keeps revocations that are to be written: a later act may change them again.
    fn keep_revocations(&mut self, effects: &mut Effects) {
        let writes = std::mem::take(&mut effects.writes).into_iter();
        let left = writes.filter_map(|it| match it {
            Write::Revocations(id, all) => {
                self.revocations.insert(id, Arc::new(all));
                None
            }
            other => Some(other),
        });
        effects.writes = left.collect();
    }

    /// Takes positions and audit numbers for acts.
    async fn prepare(&mut self, names: &[ActName], acts: Vec<Act>) -> Result<Ready, Failed> {
        let receipts: Vec<_> =
            acts.iter().map(|(n, _, it, now)| receipt_of(names[*n], it, *now)).collect();
        let changes: usize = acts.iter().map(|it| it.2.changes.len()).sum();
        let events = acts.iter().filter(|it| it.2.audit.is_some()).count();
        let latest = acts.iter().map(|it| it.3).max().unwrap_or(UnixTime(0));
        self.refuse_too_new(&acts).await?;
        let mut ready = Ready::default();
        if changes > 0 || events > 0 {
            let after = match (self.audit, self.ground.planted.advance(changes, events, latest)) {
                // The row is locked, so no other transaction has advanced it.
                (Some(audit), _) => {
                    ready.advance = Some((changes, events, latest));
                    let number = self.head.position + changes as u64;
                    (number, audit + int(events), self.head.written_at.max(latest))
                }
                (None, planted) => match planted.await? {
                    Some(early) => early,
                    None => {
                        let after = advance(self.db, changes, events, latest).await?;
                        self.audit = Some(after.1);
                        after
                    }
                },
            };
            self.head.position = after.0;
            self.head.written_at = after.2;
            if self.audit.is_some() {
                self.audit = Some(after.1);
            }
            let first = (after.0 - changes as u64, after.1 - int(events));
            self.place(names, acts, receipts, first, &mut ready);
        } else {
            let first = (self.head.position, 0);
            self.place(names, acts, receipts, first, &mut ready);
        }
        Ok(ready)
    }

    /// Refuses changes that a server which runs cannot read. One that starts at this moment
    /// cannot read them either, and ends its lease.
    async fn refuse_too_new(&self, acts: &[Act]) -> Result<(), Failed> {
        let since = Version::of(self.ground.planted.plant).since;
        let newest = acts.iter().flat_map(|it| &it.2.changes).map(since).max();
        // Every server reads the first kinds.
        let Some(newest) = newest.filter(|it| *it > 1) else { return Ok(()) };
        match too_new(newest, &replicas::all(self.db).await?) {
            Some(why) => Err(Failed::Answer(Error::NotNow(why.into()))),
            None => Ok(()),
        }
    }

    /// Gives acts their places in the log and in the audit, after these.
    fn place(
        &mut self,
        names: &[ActName],
        acts: Vec<Act>,
        receipts: Vec<Option<ReceiptFor>>,
        (mut number, mut event): (u64, i64),
        ready: &mut Ready,
    ) {
        for ((n, channel, effects, now), about) in acts.into_iter().zip(receipts) {
            for change in &effects.changes {
                number += 1;
                ready.log.add(number, now, change);
            }
            let position = Position { epoch: self.head.epoch, number };
            let changed = !effects.changes.is_empty();
            let place = &mut self.places[n];
            place.position = position;
            place.wrote = true;
            place.changed = changed;
            // What lists a receipt's instances relies on that.
            place.narrowed |= narrows(names[n], &effects) || about.is_some();
            let position = changed.then_some(position);
            let audit = effects.audit.is_some().then(|| {
                event += 1;
                event
            });
            let receipt = about.zip(position).map(|(about, position)| ReceiptRow {
                position,
                about,
                complete: false,
                list: None,
            });
            if let Some(id) = channel {
                self.times.insert(id, now);
            }
            ready.acts.push((channel, effects, At { now, position, audit }, receipt));
        }
    }

    /// Notes what one who follows the log reads of a wave.
    fn note(&mut self, ready: &Ready) {
        // The receipt of a job is read from what its steps have written.
        let is_job = |it: &Write| matches!(it, Write::ProviderJobDone(_));
        self.unread |= ready.acts.iter().any(|it| it.1.writes.iter().any(is_job));
        let changes = ready.log.changes();
        self.unread |= changes.is_err();
        let changes = changes.unwrap_or_default();
        if changes.is_empty() {
            return;
        }
        let after = self.head.position - changes.len() as u64;
        let made = self.made.get_or_insert_with(|| Made::after(after));
        made.audit = self.audit.unwrap_or(self.head.audit);
        made.written_at = self.head.written_at;
        made.changes.extend(changes);
        made.receipts.extend(ready.acts.iter().filter_map(|it| it.3.clone()));
    }

    /// Where the acts are in the log, and what was committed.
    fn committed(self) -> (Vec<Place>, Committed) {
        let changed = self.places.iter().any(|it| it.changed);
        let committed = match self.made {
            _ if !changed => Committed::Nothing,
            Some(made) if !self.unread => Committed::Made(made),
            _ => Committed::Unread,
        };
        (self.places, committed)
    }

    /// Writes a wave, and sends what comes next in the same round trip.
    async fn finish<T>(
        &mut self,
        ready: Ready,
        next: Next,
        end: Instant,
        turn: &mut Option<T>,
    ) -> Result<(), Undone> {
        let db = self.db;
        self.note(&ready);
        let Ready { acts, log, advance } = ready;
        let mut write = statements(&acts);
        if let Some((changes, events, at)) = advance {
            advance_held(&mut write, changes, events, at);
        }
        log.write(&mut write);
        // What is polled first is sent first.
        let write = write.run(db);
        match next {
            Next::Wave(needs) if self.held.holds_signing_keys() => {
                within(left(end), write).await?;
                let load = async {
                    self.keys = rows::signing_keys(db).await?.into();
                    load_all(db, &self.keys, &needs).await
                };
                self.loaded = within(left(end), load).await?;
                Ok(())
            }
            Next::Wave(needs) => {
                let keys = self.keys.clone();
                let load = load_all(db, &keys, &needs);
                self.loaded = within(left(end), try_join(write, load)).await?.1;
                Ok(())
            }
            Next::Commit => {
                let made = self.made.as_ref();
                let say = made.and_then(|it| (self.ground.announcement)(it.last()));
                commit(db, write, say, turn.take()).await
            }
        }
    }
}
