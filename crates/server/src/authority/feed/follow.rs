//! The requests of followers.

use super::{
    Feed,
    gzip::{Encoding, Packed},
    instances::{Name, Standing},
    judge::Fate,
    seen::Seen,
    snapshots::ViewRead,
    tail::STRETCH,
};
use crate::authority::{Authority, Error, source::Source, verifiers};
use bytes::Bytes;
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tegata_store::{Change, RegisterInstance, Registration, VerifierRow};
use tegata_token::{
    feed::{
        ChangesQuery, ChangesResponse, FeedQuery, LONGEST_SNAPSHOT, LoggedChange, OnStale,
        ResponseHead, SnapshotResponse, longest_hold,
    },
    id::{Position, VerifierId},
};

/// Why a follower gets no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The token is not that of a verifier.
    #[error("the token is not a verifier's")]
    Unauthorized,
    /// The instance asks for more than its verifier may, or has reported its end.
    #[error("{0}")]
    Forbidden(String),
    /// The changes after the position are not there: a snapshot is needed.
    #[error("{0}; take a snapshot")]
    Gone(String),
    /// Too many new instances.
    #[error("{0}")]
    TooMany(&'static str),
    /// The answer cannot be known now.
    #[error("the feed cannot answer: {0}")]
    Unavailable(String),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            // The verifier was deleted meanwhile.
            Error::NotFound(_) => Self::Unauthorized,
            // It has too many rows of instances.
            Error::Conflict(why) => Self::TooMany(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The body of a response.
#[derive(Debug)]
pub struct FeedResponse {
    /// Its parts, one after the other.
    pub parts: Vec<Bytes>,
    /// How they are encoded.
    pub encoding: Encoding,
}

/// Maximum number of new instances per second, of all verifiers.
pub const NEW_PER_SECOND: u32 = 50;

/// Maximum number of requests of one instance that are held. A follower has one, and those that
/// it has given up while their connections are not known to be gone.
const HELD_OF_ONE: usize = 8;

impl Authority {
    /// The verifier that this token authenticates.
    ///
    /// # Errors
    /// [`Refused::Unauthorized`] or [`Refused::Unavailable`].
    pub async fn verifier_of(&self, token: Option<&[u8]>) -> Result<Arc<VerifierRow>, Refused> {
        let token = token.ok_or(Refused::Unauthorized)?;
        let find = || self.memory.verifiers.of_token(token);
        let found = self.decided(find, |it| it.is_none() && verifiers::is_like(token)).await?;
        found.ok_or(Refused::Unauthorized)
    }

    /// The same without waiting; `None`: another server may have created the verifier by now.
    pub fn verifier_at_once(
        &self,
        token: Option<&[u8]>,
    ) -> Option<Result<Arc<VerifierRow>, Refused>> {
        let Some(token) = token else { return Some(Err(Refused::Unauthorized)) };
        let find = || self.memory.verifiers.of_token(token);
        let found = self.decided_at_once(find, |it| it.is_none() && verifiers::is_like(token))?;
        Some(found.map_err(Refused::from).and_then(|it| it.ok_or(Refused::Unauthorized)))
    }

    /// Answers a request for a snapshot.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn feed_snapshot(
        &self,
        verifier: Arc<VerifierRow>,
        query: FeedQuery,
        encoding: Encoding,
        source: Source,
    ) -> Result<FeedResponse, Refused> {
        let feed = self.feed();
        let seen = self.register(&verifier, &query, source).await?;
        // After the registration: an act whose receipt omits the instance is in the view.
        let (asked, since) = (self.clock().steady(), self.mark());
        let least = self.recent(query.staleness / 10).await;
        let take = || {
            let (read_at, time_ms) = (self.clock().steady(), self.clock().now_ms());
            let as_of = self.store.current_as_of(read_at).max(least);
            ViewRead { view: self.view(), read_at, as_of, time_ms }
        };
        let provider = verifier.provider;
        let written = feed.snapshots.get(provider, &self.issuer, [asked, least], take).await;
        let written =
            written.ok_or_else(|| Refused::Unavailable("the snapshot was not written".into()))?;
        if written.packed.len() > LONGEST_SNAPSHOT {
            tracing::error!(bytes = written.packed.len(), "the feed's snapshot is too long");
            return Err(Refused::Unavailable("the snapshot is longer than 256 MiB".into()));
        }
        self.still_permits(&verifier, &query)?;
        is_known(&seen)?;
        self.current(since, ())?;
        let age = self.clock().steady().saturating_duration_since(written.as_of);
        let head = ResponseHead { seq: query.seq, age, time_ms: written.time_ms };
        let (before, after) = SnapshotResponse::around(&head);
        let parts = written.packed.between(before, after, encoding);
        Ok(FeedResponse { parts, encoding })
    }

    /// Answers a request for changes, at the end of its hold at the latest.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn feed_changes(
        &self,
        verifier: Arc<VerifierRow>,
        query: ChangesQuery,
        encoding: Encoding,
        source: Source,
    ) -> Result<FeedResponse, Refused> {
        let feed = self.feed();
        let name = (verifier.id, query.common.instance.clone());
        if query.bye {
            let response = self.stop_instance(verifier, &query, name).await?;
            let (before, rest) = (ChangesResponse::before(&response.head), response.rest());
            let parts = Packed::new(rest).between(before, "", encoding);
            return Ok(FeedResponse { parts, encoding });
        }
        let seen = self.register(&verifier, &query.common, source).await?;
        if query.after > self.view().position() {
            // The follower knows more from another server than this one knows yet.
            self.catch_up().await?;
        }
        self.note(&name, &query)?;
        let hold = query.hold.min(longest_hold(query.common.staleness));
        let end = feed.end_of_hold(self.clock().steady(), hold);
        let mut end = pin!(tokio::time::sleep_until(end.into()));
        let mut news = feed.tail.subscribe(verifier.provider);
        let _held = (Held::new(&feed.held), Held::new(&seen.held));
        // Beyond that they would keep the connections from others.
        let mut is_over = hold.is_zero() || seen.held.load(Relaxed) > HELD_OF_ONE;
        loop {
            news.mark_unchanged();
            is_known(&seen)?;
            if !is_over && query.after == self.view().position() {
                // Nothing is new, as of most requests when they begin.
                self.still_permits(&verifier, &query.common)?;
            } else if let Some((head, rest)) =
                self.changes_young_enough(&verifier, &query, is_over).await?
            {
                feed.instances.answered(&name, &seen, self.clock().steady());
                let parts = rest.between(ChangesResponse::before(&head), "", encoding);
                return Ok(FeedResponse { parts, encoding });
            }
            // All are notified after this was set.
            if feed.draining.is_cancelled() {
                return Err(Refused::Unavailable("the server is stopping".into()));
            }
            tokio::select! {
                biased;
                _ = news.changed() => {}
                () = &mut end => is_over = true,
            }
        }
    }

    /// Notes what a request for changes says about the view of its instance.
    fn note(&self, name: &Name, query: &ChangesQuery) -> Result<(), Refused> {
        let (feed, head) = (self.feed(), self.view().position());
        let after = query.after;
        if after.epoch < head.epoch {
            return Err(Refused::Gone(format!("position {after} is of an earlier epoch")));
        }
        if after > head {
            // Only a store that went backwards has given out a position beyond its head, or in an
            // epoch that it does not know.
            self.metrics().feed.beyond_head.inc();
            if feed.reports_beyond_head(self.clock().steady(), self.now()) {
                tracing::error!(%after, %head, instance = %name.1,
                    "a verifier's position is beyond the end of the log: the store may be an older copy: see the runbook restore.md");
            }
            return Err(Refused::Gone(format!("position {after} is beyond the end of the log")));
        }
        match &query.cannot {
            Some(reason) => {
                feed.instances.cannot(name, head, reason.clone());
                feed.receipts.tell();
            }
            None => {
                if feed.instances.acknowledge(name, after, self.now()) {
                    feed.receipts.tell();
                }
            }
        }
        Ok(())
    }

    /// The same as [`Self::changes_now`], from a view that is young enough for the instance.
    async fn changes_young_enough(
        &self,
        verifier: &Arc<VerifierRow>,
        query: &ChangesQuery,
        is_over: bool,
    ) -> Result<Option<(ResponseHead, Arc<Packed>)>, Refused> {
        let found = self.changes_now(verifier, query, is_over, None)?;
        let oldest = query.common.staleness / 10;
        if found.as_ref().is_none_or(|(head, _)| head.age <= oldest) {
            return Ok(found);
        }
        let least = self.recent(oldest).await;
        self.changes_now(verifier, query, is_over, Some(least))
    }

    /// The response from the view as it is now, which has every change up to `least`; `None`:
    /// nothing concerns the verifier yet, and its hold is not over.
    fn changes_now(
        &self,
        verifier: &Arc<VerifierRow>,
        query: &ChangesQuery,
        is_over: bool,
        least: Option<Instant>,
    ) -> Result<Option<(ResponseHead, Arc<Packed>)>, Refused> {
        let (time_ms, since) = (self.clock().now_ms(), self.mark());
        // Before the view is read: it may be newer, but not older.
        let as_of = self.store.current_as_of(self.clock().steady());
        let as_of = least.map_or(as_of, |it| it.max(as_of));
        let head = self.view().position();
        // A hold may span a deletion of the verifier.
        self.still_permits(verifier, &query.common)?;
        let after = query.after;
        let found = (after.epoch == head.epoch)
            .then(|| self.feed().tail.after(after, head, verifier.provider));
        let Some(found) = found.flatten() else {
            return Err(Refused::Gone(format!(
                "the changes after {after} are too many, or not held any more"
            )));
        };
        let is_short = head.number.saturating_sub(after.number) < STRETCH;
        let concerns = |it: &Arc<LoggedChange>| it.concerns(verifier.provider);
        if !is_over && is_short && !found.iter().any(concerns) {
            return Ok(None);
        }
        let write = || {
            let log = found.iter().map(|it| LoggedChange::clone(it));
            // Each of those who share the rest gets a head of its own.
            let no_head = ResponseHead { seq: None, age: Duration::ZERO, time_ms };
            ChangesResponse::project(no_head, after, head, log, verifier.provider).rest()
        };
        let rest = self.feed().shared.get(verifier.provider, after, head, write);
        self.current(since, ())?;
        let age = self.clock().steady().saturating_duration_since(as_of);
        let head = ResponseHead { seq: query.common.seq.clone(), age, time_ms };
        Ok(Some((head, rest)))
    }

    /// Writes the row of an instance, if it has none or one that says less.
    async fn register(
        &self,
        verifier: &Arc<VerifierRow>,
        query: &FeedQuery,
        Source(address): Source,
    ) -> Result<Arc<Seen>, Refused> {
        permits(verifier, query)?;
        let feed = self.feed();
        let now = self.clock().steady();
        let name = || (verifier.id, query.instance.clone());
        match feed.instances.standing(verifier, query, now, self.now()) {
            Standing::Registered(seen, is_due) => {
                if is_due {
                    feed.due.add(name());
                }
                return Ok(seen);
            }
            Standing::Stopped => return Err(stopped()),
            Standing::New => feed.take_new(verifier.id, now)?,
            Standing::SaysLess => {}
        }
        let row = RegisterInstance {
            verifier: verifier.id,
            instance: query.instance.clone(),
            staleness: u32::try_from(query.staleness.as_millis()).unwrap_or(u32::MAX),
            on_stale: query.on_stale,
            address,
        };
        let removals = feed.instances.removals();
        match self.store.register_instance(row, self.now()).await? {
            Registration::Registered(row) => {
                let at = self.clock().steady();
                let is_there = feed.instances.registered(row, verifier.clone(), at, removals);
                let seen = is_there.then(|| feed.instances.seen(&name())).flatten();
                seen.ok_or_else(removed)
            }
            Registration::StalenessTooLong => Err(too_long(verifier, query)),
            Registration::AllowNotPermitted => Err(not_permitted()),
            Registration::Stopped => Err(stopped()),
            Registration::TooMany => Err(Refused::TooMany("the verifier has 1,000 instances")),
        }
    }

    /// Whether the verifier exists still and may do what the instance asks for.
    fn still_permits(&self, verifier: &VerifierRow, query: &FeedQuery) -> Result<(), Refused> {
        let present = self.memory.verifiers.get(verifier.id).ok_or(Refused::Unauthorized)?;
        permits(&present, query)
    }

    /// Removes an instance that has made its last verification.
    async fn stop_instance(
        &self,
        verifier: Arc<VerifierRow>,
        query: &ChangesQuery,
        name: Name,
    ) -> Result<ChangesResponse, Refused> {
        let feed = self.feed();
        let (read_at, time_ms) = (self.clock().steady(), self.clock().now_ms());
        match feed.instances.standing(&verifier, &query.common, read_at, self.now()) {
            Standing::Stopped => return Err(stopped()),
            // Its row takes a place, like one of an instance that is registered.
            Standing::New => feed.take_new(verifier.id, read_at)?,
            Standing::Registered(..) | Standing::SaysLess => {}
        }
        let removals = feed.instances.removals();
        let row = self.store.stop_instance(verifier.id, name.1.clone(), self.now()).await?;
        // If an operator has removed it meanwhile, it has no row to be known.
        let _ = feed.instances.registered(row, verifier, self.clock().steady(), removals);
        feed.receipts.gone(&[name], &Fate::Stopped, &feed.instances);
        let age = self.clock().steady().saturating_duration_since(read_at);
        let head = ResponseHead { seq: query.common.seq.clone(), age, time_ms };
        let (after, through) = (query.after, query.after);
        Ok(ChangesResponse { head, after, through, changes: Vec::new() })
    }

    /// The number of requests for changes that are held.
    pub fn held_requests(&self) -> usize {
        self.feed().held.load(Relaxed)
    }

    /// The number of snapshots that were written for followers.
    pub fn written_snapshots(&self) -> u64 {
        self.feed().snapshots.written()
    }

    pub(in crate::authority) fn feed(&self) -> &Feed {
        &self.memory.feed
    }
}

/// A request that is held, as it is counted.
struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Feed {
    /// Takes a place for a new instance.
    fn take_new(&self, of: VerifierId, now: Instant) -> Result<(), Refused> {
        let words = "too many new instances in one second";
        self.new_instances.take(of, now).then_some(()).ok_or(Refused::TooMany(words))
    }

    /// Takes in the newest changes of the log at the start.
    pub(super) fn fill_tail(&self, changes: Vec<(Position, Change)>) {
        let changes = changes.into_iter().map(|(position, it)| logged(position, &it));
        self.tail.add_before(changes.collect());
    }
}

/// A change of the log, as the feed has it. An invalid public key cannot have been written.
pub fn logged(position: Position, change: &Change) -> LoggedChange {
    LoggedChange { position, change: change.entry().ok().flatten() }
}

/// Whether the verifier may do what the instance asks for.
fn permits(verifier: &VerifierRow, query: &FeedQuery) -> Result<(), Refused> {
    if query.staleness > Duration::from_millis(verifier.max_staleness.into()) {
        return Err(too_long(verifier, query));
    }
    if query.on_stale == OnStale::Allow && !verifier.allow {
        return Err(not_permitted());
    }
    Ok(())
}

fn too_long(verifier: &VerifierRow, query: &FeedQuery) -> Refused {
    let (asked, most) = (query.staleness.as_millis(), verifier.max_staleness);
    Refused::Forbidden(format!(
        "staleness is {asked} ms, and the verifier's max_staleness is {most} ms"
    ))
}

fn not_permitted() -> Refused {
    Refused::Forbidden("on_stale is allow, which the verifier is not permitted".to_owned())
}

/// Whether the instance is still registered: no receipt lists one that was removed, so it gets no
/// answer before it is registered again.
fn is_known(seen: &Seen) -> Result<(), Refused> {
    if seen.has_ended() { Err(removed()) } else { Ok(()) }
}

fn removed() -> Refused {
    Refused::Unavailable("instances were removed just now".to_owned())
}

fn stopped() -> Refused {
    let words = "this instance has reported its end; a process that starts again draws a new id";
    Refused::Forbidden(words.to_owned())
}
