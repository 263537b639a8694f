//! The instances in memory: what each has acknowledged, and when it last asked.

use super::{
    accepted::AcceptedRevoked,
    acknowledgements::{Acknowledgements, MINUTE},
    judge::{self, Fate, Line},
    seen::Seen,
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tegata_policy::{
    acts::Instance,
    idle::{KnownUses, REPORTS_WITHIN},
};
use tegata_store::VerifierRow;
use tegata_token::{
    feed::{FeedQuery, InstanceId, OnStale},
    id::{Position, ProviderId, VerifierId},
    time::UnixTime,
};

/// The name of an instance.
pub(super) type Name = (VerifierId, InstanceId);

/// The instances that have a row.
#[derive(Default)]
pub struct Instances {
    all: Mutex<HashMap<Name, Known>>,
    /// How often they were locked to be changed.
    changes: AtomicU64,
    /// How often an operator removed some. Changes while they are locked.
    removals: AtomicU64,
}

/// What is known of an instance.
pub(super) struct Known {
    pub(super) row: Instance,
    verifier: Arc<VerifierRow>,
    /// The position that it acknowledged, and when it first did.
    pub(super) acknowledged: Option<(Position, UnixTime)>,
    /// When it acknowledged the positions before that.
    pub(super) acknowledgements: Acknowledgements,
    /// Why it cannot apply what it received, and the end of the log when it reported that.
    pub(super) cannot: Option<(Position, String)>,
    seen: Arc<Seen>,
    /// When its row was last written; at first, when this process read it. A herd that comes
    /// back after a start must not wait for a commit each.
    pub(super) renewed: Instant,
    /// When another server was last found to have renewed its row.
    pub(super) elsewhere: Option<Instant>,
    /// Whether its row is to be renewed, or is being renewed.
    pub(super) due: bool,
    /// Whether other servers must still learn what it has acknowledged.
    pub(super) unwritten: bool,
    /// Whether a receipt waits for what it acknowledges next; at first, one may.
    awaited: bool,
    /// The newest minute whose uses it has reported.
    reported: UnixTime,
    /// The last minute of which it has not reported all uses.
    left_out: Option<UnixTime>,
    /// A revoked token that it accepted, although it had learned of that.
    pub(super) accepted: Option<AcceptedRevoked>,
}

/// A row is renewed at most this often. It is dropped only an hour after the last renewal,
/// so an instance with a short staleness need not cause a commit for each of its requests.
const RENEWED: Duration = Duration::from_secs(60);

/// How long the row of an instance that does not ask any more is kept beyond three times its
/// staleness.
const KEPT: Duration = Duration::from_secs(3_600);

/// Within this time a row that is due is renewed, and a server notices that another one has
/// renewed it.
const NOTICED: Duration = Duration::from_secs(13);

/// How an instance is known.
#[derive(Debug)]
pub(super) enum Standing {
    /// It must be registered before it gets an answer.
    New,
    /// Its row says less than the request, or may have been dropped: it must be written before
    /// the answer.
    SaysLess,
    /// Its row says all; whether it is due for renewal since this request.
    Registered(Arc<Seen>, bool),
    /// It has reported its end.
    Stopped,
}

impl Instances {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Name, Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for a change that lists and pages show.
    pub(super) fn change(&self) -> MutexGuard<'_, HashMap<Name, Known>> {
        let all = self.lock();
        // While they are locked: what is read after `changes` is then as new as the number.
        self.changes.fetch_add(1, Ordering::Relaxed);
        all
    }

    /// A number that changes with each change.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Learns the stored instances at the start.
    pub fn fill(&self, all: Vec<(VerifierRow, Vec<Instance>)>, now: Instant) {
        let mut known = self.change();
        for (verifier, instances) in all {
            let verifier = Arc::new(verifier);
            for row in instances {
                let (name, verifier) = ((row.verifier, row.instance.clone()), verifier.clone());
                known.insert(name, Known::new(row, verifier, now));
            }
        }
    }

    /// How often an operator removed some.
    pub(super) fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// How an instance is known. Notes that it has asked, at the authority's `time`.
    pub(super) fn standing(
        &self,
        verifier: &VerifierRow,
        query: &FeedQuery,
        now: Instant,
        time: UnixTime,
    ) -> Standing {
        let mut known = self.change();
        let Some(it) = known.get_mut(&(verifier.id, query.instance.clone())) else {
            return Standing::New;
        };
        if it.row.stopped {
            return Standing::Stopped;
        }
        it.seen.note(now);
        let says_less = it.staleness() < query.staleness || it.row.on_stale < query.on_stale;
        if says_less || it.may_be_dropped(now, time) {
            return Standing::SaysLess;
        }
        let least = RENEWED.max(it.staleness());
        let is_due = !it.due && now.saturating_duration_since(it.renewed) > least;
        it.due |= is_due;
        Standing::Registered(it.seen.clone(), is_due)
    }

    /// When an instance was last seen; `None`: it is not registered.
    pub(super) fn seen(&self, name: &Name) -> Option<Arc<Seen>> {
        self.lock().get(name).map(|it| it.seen.clone())
    }

    /// Notes a row that was written; `removals` is from before that. `false`: some were removed
    /// since, perhaps this one.
    #[must_use]
    pub(super) fn registered(
        &self,
        row: Instance,
        verifier: Arc<VerifierRow>,
        now: Instant,
        removals: u64,
    ) -> bool {
        let mut all = self.change();
        if self.removals() != removals {
            return false;
        }
        let name = (row.verifier, row.instance.clone());
        match all.get_mut(&name) {
            Some(known) => {
                // Two requests may have been written in one order and noted in the other.
                let staleness = row.staleness.max(known.row.staleness);
                let on_stale = row.on_stale.max(known.row.on_stale);
                let stopped = row.stopped || known.row.stopped;
                known.row = Instance { staleness, on_stale, stopped, ..row };
                known.seen.note(now);
                (known.renewed, known.verifier, known.due) = (now, verifier, false);
            }
            None => drop(all.insert(name, Known::new(row, verifier, now))),
        }
        true
    }

    /// Notes that an instance got an answer that was read at `read_at`. `seen` is from when it
    /// asked: if it was removed and registered again meanwhile, there is another one.
    pub(super) fn answered(&self, name: &Name, seen: &Arc<Seen>, read_at: Instant) {
        seen.note(read_at);
        self.changes.fetch_add(1, Ordering::Relaxed);
        if seen.has_ended()
            && let Some(other) = self.seen(name)
        {
            other.note(read_at);
        }
    }

    /// Notes that an instance has applied everything up to that position; whether a receipt
    /// waits for that.
    pub(super) fn acknowledge(&self, name: &Name, position: Position, at: UnixTime) -> bool {
        let mut all = self.change();
        let Some(known) = all.get_mut(name) else { return false };
        known.cannot = None;
        let is_new = known.acknowledged.is_none_or(|(before, _)| before < position);
        if is_new {
            known.acknowledge(position, at);
            known.unwritten = true;
        }
        is_new && std::mem::take(&mut known.awaited)
    }

    /// Notes that an instance cannot apply what it received up to `head` at the most.
    pub(super) fn cannot(&self, name: &Name, head: Position, reason: String) {
        if let Some(known) = self.change().get_mut(name) {
            known.cannot = Some((head, reason));
            known.unwritten = true;
        }
    }

    /// The newest minute whose uses an instance has reported; `None` if it is not registered.
    pub(super) fn reported(&self, name: &Name) -> Option<UnixTime> {
        self.lock().get(name).map(|it| it.reported)
    }

    /// Notes that an instance has reported its uses up to this minute.
    pub(super) fn report(&self, name: &Name, newest: UnixTime) {
        if let Some(known) = self.change().get_mut(name) {
            known.reported = known.reported.max(newest);
        }
    }

    /// Notes that an instance, or the server, left out uses of a minute.
    pub(super) fn leave_out(&self, name: &Name, minute: UnixTime) {
        if let Some(known) = self.change().get_mut(name) {
            known.left_out = known.left_out.max(Some(minute));
        }
    }

    /// Which uses of a provider's tokens the instances have reported.
    pub fn known_uses(&self, provider: ProviderId, steady: Instant, now: UnixTime) -> KnownUses {
        let all = self.lock();
        let concerned = all.values().filter(|it| {
            let of = it.verifier.provider;
            of.is_none() || of == Some(provider)
        });
        let known = concerned.map(|it| it.known_uses(steady, now));
        known.fold(KnownUses::all(now), KnownUses::and)
    }

    /// Drops instances.
    pub fn remove(&self, names: &[Name]) {
        let mut all = self.change();
        self.removals.fetch_add(1, Ordering::SeqCst);
        names.iter().for_each(|name| drop(all.remove(name)));
    }

    /// The instances that must apply an act that concerns this provider, or all.
    pub(super) fn lines(&self, provider: Option<ProviderId>) -> Vec<Line> {
        let all = self.lock();
        let concerned = |it: &&Known| {
            let of = it.verifier.provider;
            !it.row.stopped && (provider.is_none() || of.is_none() || of == provider)
        };
        let mut lines: Vec<_> = all.values().filter(concerned).map(Known::line).collect();
        judge::sort(&mut lines);
        lines
    }

    /// Adds to the lines of a receipt at `position` what is known by now. Whether an instance
    /// has asked is known of those that are in memory alone.
    pub(super) fn update(&self, lines: &mut [Line], position: Position) {
        let all = self.lock();
        for line in lines.iter_mut().filter(|it| {
            !matches!(it.fate, Fate::Stopped | Fate::Removed { .. } | Fate::Acknowledged { .. })
        }) {
            let Some(known) = all.get(&(line.verifier, line.instance.clone())) else { continue };
            known.tell(line, position);
        }
    }

    /// As [`Self::update`], up to the first line that is not settled after `since`; the number
    /// of lines before it. The next acknowledgement of its instance is waited for from now on:
    /// a receipt of thousands is judged again after a few of them, and not after each.
    pub(super) fn settle(&self, lines: &mut [Line], position: Position, since: Duration) -> usize {
        let mut all = self.lock();
        for (settled, line) in lines.iter_mut().enumerate() {
            if line.is_settled(since) {
                continue;
            }
            let known = all.get_mut(&(line.verifier, line.instance.clone()));
            if let Some(known) = &known {
                known.tell(line, position);
            }
            if !line.is_settled(since) {
                known.into_iter().for_each(|it| it.awaited = true);
                return settled;
            }
        }
        lines.len()
    }

    /// The instances whose rows can be dropped. One that accepts tokens by a stale view is
    /// never dropped: only its own report or an operator removes it.
    pub(super) fn gone(&self, now: Instant) -> Vec<(VerifierId, InstanceId, UnixTime)> {
        let all = self.lock();
        let gone = all.values().filter(|it| it.is_gone(now)).map(|it| &it.row);
        gone.map(|row| (row.verifier, row.instance.clone(), row.renewed_at)).collect()
    }

    /// Forgets the instances whose rows were dropped, unless they have asked again.
    pub(super) fn forget(&self, now: Instant) {
        self.change().retain(|_, it| !it.is_gone(now));
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.seen.end();
    }
}

impl Known {
    pub(super) fn new(row: Instance, verifier: Arc<VerifierRow>, now: Instant) -> Self {
        let (reported, seen, renewed) = (UnixTime(i64::MIN), Seen::new(now), now);
        Self {
            row,
            verifier,
            acknowledged: None,
            acknowledgements: Acknowledgements::default(),
            cannot: None,
            seen,
            renewed,
            elsewhere: None,
            due: false,
            unwritten: false,
            awaited: true,
            reported,
            left_out: None,
            accepted: None,
        }
    }

    /// Notes that it has acknowledged a newer position.
    pub(super) fn acknowledge(&mut self, position: Position, at: UnixTime) {
        self.acknowledged = Some((position, at));
        self.acknowledgements.add(position, at);
    }

    /// Adds to its line of a receipt at `position` what is known of it.
    fn tell(&self, line: &mut Line, position: Position) {
        match (&self.acknowledged, &self.cannot) {
            (Some((acknowledged, at)), _) if *acknowledged >= position => {
                line.fate = Fate::Acknowledged { at: *at };
            }
            _ if self.row.stopped => line.fate = Fate::Stopped,
            (_, Some((head, reason))) if *head >= position && line.fate == Fate::Unknown => {
                line.fate = Fate::CannotApply { reason: reason.clone() };
            }
            _ => {}
        }
    }

    /// Whether its row can be dropped.
    fn is_gone(&self, now: Instant) -> bool {
        let kept = KEPT + 3 * self.staleness();
        let is_lenient = self.row.on_stale == OnStale::Allow && !self.row.stopped;
        !is_lenient && self.silent(now) > kept
    }

    /// Whether the server that drops rows may have dropped its row, or may be about to. A row is
    /// dropped after an hour and three times the staleness without a request, and is renewed
    /// once a staleness: one that is so old was not renewed for long. Its instance comes back.
    fn may_be_dropped(&self, now: Instant, time: UnixTime) -> bool {
        let long = KEPT + 2 * self.staleness();
        let by_clock = i64::try_from(long.as_secs()).unwrap_or(i64::MAX);
        now.saturating_duration_since(self.renewed) > long
            || time.since(self.row.renewed_at) > by_clock
    }

    /// For how long it has not asked. What it asks other servers shows in its row, which each
    /// of them renews from time to time only.
    pub(super) fn silent(&self, now: Instant) -> Duration {
        let here = now.saturating_duration_since(self.seen.at());
        let Some(elsewhere) = self.elsewhere else { return here };
        let since = now.saturating_duration_since(elsewhere);
        here.min(since.saturating_sub(RENEWED.max(self.staleness()) + NOTICED))
    }

    /// Which uses it has reported. It accepts no token before it is registered, and none after
    /// its report of its end or, unless it may use a stale view, its lease.
    fn known_uses(&self, steady: Instant, now: UnixTime) -> KnownUses {
        let reported = UnixTime(self.reported.0.saturating_add(MINUTE)).min(now);
        let through = reported.max(self.row.registered_at);
        let silent = self.silent(steady);
        let over = silent.saturating_sub(self.line().lease());
        let stopped = match self.row.stopped {
            true => Some(self.row.renewed_at),
            false if over.is_zero() || self.row.on_stale == OnStale::Allow => None,
            false => Some(now.plus(-i64::try_from(over.as_secs()).unwrap_or(i64::MAX))),
        };
        if let Some(stopped) = stopped {
            let unreported = Some(stopped).filter(|at| *at > through);
            return KnownUses { left_out: self.left_out.max(unreported), ..KnownUses::all(now) };
        }
        let is_missing = self.reported.0 == i64::MIN && now.since(through) > REPORTS_WITHIN;
        KnownUses { is_missing, through, left_out: self.left_out }
    }

    fn staleness(&self) -> Duration {
        Duration::from_millis(self.row.staleness.into())
    }

    pub(super) fn line(&self) -> Line {
        Line {
            verifier: self.row.verifier,
            name: self.verifier.name.clone(),
            instance: self.row.instance.clone(),
            staleness: self.row.staleness,
            on_stale: self.row.on_stale,
            fate: Fate::Unknown,
        }
    }
}
