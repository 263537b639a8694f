//! One transaction of several acts: locks, loads, decisions, effects, commit.

use super::{
    apply::{At, apply},
    connect::{Client, Conn},
    failed::{Failed, within},
    job::{Job, Place, steady},
    load::load_all,
    locks::{self, All, VERIFIERS},
    plant::{Plant, Planted},
    positions::advance,
    rows::{self, int},
    sql::values,
};
use crate::columns::json;
use futures_util::future::{try_join, try_join3, try_join4};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tegata_policy::acts::{ActName, Change, Effects, Needs, ReceiptRow, StoredKey, receipt_of};
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
};

/// Maximum time of a transaction before its COMMIT, and of its COMMIT.
const BEFORE_COMMIT: Duration = Duration::from_secs(5);
const COMMIT: Duration = Duration::from_secs(6);

/// Opens a transaction. The server's own limits end what a lost process left behind.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL lock_timeout = 3000; SET LOCAL statement_timeout = 5000;
    SET LOCAL idle_in_transaction_session_timeout = 10000";

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

/// What transactions of one store have in common.
pub(super) struct Ground {
    /// The epoch that the store was opened in.
    pub epoch: u64,
    /// The signing keys as they were read last: mostly they are still the same.
    pub keys: Mutex<Arc<[StoredKey]>>,
    pub planted: Planted,
}

/// The head of the log, as a transaction sees it.
struct Head {
    epoch: u64,
    position: u64,
    written_at: UnixTime,
}

/// An act of a wave that was decided.
type Act = (usize, Option<ChannelId>, Effects, UnixTime);

/// Runs acts in one transaction; `waves` says which of them are decided together.
pub(super) async fn run(
    db: &Conn,
    ground: &Ground,
    jobs: &mut [Box<dyn Job>],
    waves: &[Vec<usize>],
) -> Result<Vec<Place>, Undone> {
    let end = steady() + BEFORE_COMMIT;
    let mut held = All::default();
    jobs.iter().for_each(|job| held.add(job.locks()));
    let first = waves.iter().take(1).flatten();
    let needs: Vec<Needs> = first.map(|&n| jobs[n].needs().clone()).collect();
    let mut run = Run::begin(db, ground, held, &needs, jobs.len(), end).await?;
    for (n, wave) in waves.iter().enumerate() {
        let work = run.wave(jobs, wave, n > 0);
        within(left(end), work).await?;
    }
    let warned = db.warnings();
    match within(COMMIT, db.batch_execute("COMMIT")).await {
        Ok(()) if db.warnings() == warned => Ok(run.places),
        Ok(()) => Err(Undone::Unknown("the database warns that a commit may be lost".into())),
        // The server says that it rolled back.
        Err(why @ Failed::Retry(_)) => Err(Undone::NotCommitted(why)),
        Err(why) => {
            Err(Undone::Unknown(format!("it is unknown whether this was committed: {why}").into()))
        }
    }
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
        let begin = async {
            db.batch_execute(&ground.planted.begin(BEGIN)).await?;
            Ok::<_, Failed>(())
        };
        let reads = async {
            let load = load_all(db, &known, needs);
            if ground.planted.plant == Some(Plant::StaleReads) {
                let stale = load.await?;
                let read = try_join3(held.take(db), head(db), rows::signing_keys(db)).await?;
                return Ok((read.0, read.1, read.2, stale));
            }
            try_join4(held.take(db), head(db), rows::signing_keys(db), load).await
        };
        let ((), (times, head, keys, mut loaded)) =
            within(left(end), try_join(begin, reads)).await?;
        if head.epoch != ground.epoch {
            let why = "the store was recovered meanwhile; this server must be started again";
            return Err(Failed::unavailable(why).into());
        }
        let keys: Arc<[StoredKey]> = keys.into();
        if keys[..] != known[..] {
            *ground.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys.clone();
            loaded = within(left(end), load_all(db, &keys, needs)).await?;
        }
        let position = Position { epoch: head.epoch, number: head.position };
        let place =
            Place { now: UnixTime(0), position, wrote: false, changed: false, narrowed: false };
        Ok(Self { db, ground, keys, head, held, loaded, times, places: vec![place; acts] })
    }

    /// Loads, decides and writes the acts of a wave.
    async fn wave(
        &mut self,
        jobs: &mut [Box<dyn Job>],
        wave: &[usize],
        load: bool,
    ) -> Result<(), Failed> {
        if load {
            if wave.iter().any(|&n| jobs[n].locks().rows().contains("signing-keys")) {
                self.keys = rows::signing_keys(self.db).await?.into();
            }
            let needs: Vec<Needs> = wave.iter().map(|&n| jobs[n].needs().clone()).collect();
            self.loaded = load_all(self.db, &self.keys, &needs).await?;
        }
        let mut acts: Vec<Act> = Vec::with_capacity(wave.len());
        for (&n, locked) in wave.iter().zip(std::mem::take(&mut self.loaded)) {
            let job = &mut jobs[n];
            let channel = job.needs().channel;
            let written = channel.and_then(|id| self.times.get(&id)).copied();
            let now = job.time().max(self.head.written_at).max(written.unwrap_or(UnixTime(0)));
            let effects = job.decide(&locked, now);
            self.places[n].now = now;
            self.places[n].position.number = self.head.position;
            if let Some(effects) = effects.filter(|it| !it.is_empty()) {
                acts.push((n, channel, effects, now));
            }
        }
        if acts.is_empty() {
            return Ok(());
        }
        self.write(jobs, acts).await
    }

    /// Takes positions and audit numbers for the acts, and writes their effects.
    async fn write(&mut self, jobs: &mut [Box<dyn Job>], acts: Vec<Act>) -> Result<(), Failed> {
        let receipts: Vec<_> =
            acts.iter().map(|(n, _, it, now)| receipt_of(jobs[*n].name(), it, *now)).collect();
        if receipts.iter().any(Option::is_some) && !self.held.holds_verifiers() {
            locks::lock_names(self.db, &[VERIFIERS], "SHARE").await?;
            self.held.took_verifiers();
        }
        let changes: usize = acts.iter().map(|it| it.2.changes.len()).sum();
        let events = acts.iter().filter(|it| it.2.audit.is_some()).count();
        let latest = acts.iter().map(|it| it.3).max().unwrap_or(UnixTime(0));
        let (mut number, mut event) = (self.head.position, 0);
        if changes > 0 || events > 0 {
            let after = match self.ground.planted.advance(changes, events, latest).await? {
                Some(early) => early,
                None => advance(self.db, changes, events, latest).await?,
            };
            number = after.0 - changes as u64;
            event = after.1 - int(events);
            self.head.position = after.0;
            self.head.written_at = after.2;
        }
        let mut log = Log::default();
        let mut decided = Vec::with_capacity(acts.len());
        for ((n, channel, effects, now), about) in acts.into_iter().zip(receipts) {
            for change in &effects.changes {
                number += 1;
                log.add(number, now, change);
            }
            let position = Position { epoch: self.head.epoch, number };
            let changed = !effects.changes.is_empty();
            let place = &mut self.places[n];
            place.position = position;
            place.wrote = true;
            place.changed = changed;
            place.narrowed = narrows(jobs[n].name(), &effects);
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
            decided.push((channel, effects, At { now, position, audit }, receipt));
        }
        try_join(apply(self.db, &decided), log.write(self.db)).await?;
        Ok(())
    }
}

/// Whether an act made a token or a credential invalid: every other server must have its
/// changes before its answer. What only widens is not waited for.
fn narrows(act: ActName, effects: &Effects) -> bool {
    match act {
        // A new session alone takes nothing away; a used recovery code does.
        ActName::SignIn => !effects.journal.is_empty(),
        _ => act.can_narrow() && !effects.changes.is_empty(),
    }
}

fn number(it: i64) -> Result<u64, Failed> {
    u64::try_from(it).map_err(Failed::row)
}

async fn head(db: &Client) -> Result<Head, Failed> {
    let sql = "SELECT epoch, position, written_at FROM authority";
    let row = db.query_typed_one(sql, values![]).await?;
    Ok(Head {
        epoch: number(row.try_get(0)?)?,
        position: number(row.try_get(1)?)?,
        written_at: UnixTime(row.try_get(2)?),
    })
}

/// The lines of the log.
#[derive(Default)]
pub(super) struct Log {
    numbers: Vec<i64>,
    times: Vec<i64>,
    providers: Vec<Option<i64>>,
    channels: Vec<Option<i64>>,
    changes: Vec<String>,
}

impl Log {
    pub fn add(&mut self, number: u64, at: UnixTime, change: &Change) {
        let (provider, channel) = change.about();
        self.numbers.push(int(number));
        self.times.push(at.0);
        self.providers.push(provider.map(ProviderId::number).map(int));
        self.channels.push(channel.map(ChannelId::number).map(int));
        self.changes.push(json(change));
    }

    pub async fn write(self, db: &Client) -> Result<(), Failed> {
        if self.numbers.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO change_log (number, at, provider, channel, change)
                   SELECT * FROM unnest($1, $2, $3, $4, $5)";
        let Self { numbers, times, providers, channels, changes } = self;
        db.execute_typed(sql, values![numbers, times, providers, channels, changes]).await?;
        Ok(())
    }
}

/// Divides acts into waves: no two of one wave have a key in common, and those that have are
/// in the order in which they came.
pub(super) fn waves(jobs: &[Box<dyn Job>]) -> Vec<Vec<usize>> {
    let mut waves: Vec<(Vec<usize>, BTreeSet<locks::Key>)> = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let keys: Vec<_> = job.locks().keys().collect();
        let meets =
            |wave: &(Vec<usize>, BTreeSet<locks::Key>)| keys.iter().any(|it| wave.1.contains(it));
        let at = waves.iter().rposition(meets).map_or(0, |last| last + 1);
        if at == waves.len() {
            waves.push(<_>::default());
        }
        waves[at].0.push(n);
        waves[at].1.extend(keys);
    }
    waves.into_iter().map(|it| it.0).collect()
}
