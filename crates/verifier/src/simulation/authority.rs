//! A naive authority: a log in memory, instances with their acknowledgements, and receipts
//! judged by leases. It uses the projection of the feed's messages that servers use.

pub(super) use super::clock::{Moment, START};
use super::{Planted, clock::AuthorityClock};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tegata_token::{
    claims::Claims,
    feed::{
        ChangesQuery, ChangesResponse, FeedQuery, LoggedChange, OnStale, ResponseHead, Snapshot,
        SnapshotResponse, lease, longest_hold,
    },
    id::{ChannelId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    view::{
        ChannelChange, ChannelState, Cutoff, FeedChange, Providers, RevokedToken, Scope,
        SingleRevocation, View, ViewKey,
    },
    wire,
};

const ISSUER: &str = "https://tokens.example";

/// A token, and what is true about it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub text: String,
    pub claims: Claims,
    /// When its key was published.
    pub key_known: Moment,
    pub issued: Moment,
    /// When its revocation was committed.
    pub revoked: Option<Moment>,
    /// From when on it is revoked, if later.
    pub from: Option<UnixTime>,
    /// When the receipt of its revocation was complete.
    pub complete: Option<Moment>,
    /// Lost by a restore: nothing is promised about it any more.
    pub lost: bool,
}

#[derive(Debug, Clone)]
struct Instance {
    provider: Option<ProviderId>,
    staleness: Duration,
    on_stale: OnStale,
    acknowledged: Option<Position>,
}

#[derive(Debug)]
struct Receipt {
    token: usize,
    position: Position,
    committed: Moment,
    /// The instances that may still accept.
    waiting: BTreeSet<String>,
}

/// Where a response goes.
#[derive(Debug, Clone)]
pub(super) struct ReturnAddress {
    pub host: usize,
    pub process: u64,
    pub id: String,
    pub seq: Option<String>,
}

/// A held request.
#[derive(Debug)]
pub(super) struct Held {
    pub query: ChangesQuery,
    pub provider: Option<ProviderId>,
    pub until: Moment,
    /// Whom to answer.
    pub to: ReturnAddress,
}

/// What the authority answers.
#[derive(Debug)]
pub(super) enum Reply {
    Now(u16, String),
    Hold(Duration),
}

pub(super) struct Authority {
    planted: Planted,
    epoch: u64,
    head: u64,
    /// Changes up to this position are deleted from the log.
    deleted: u64,
    log: BTreeMap<u64, LoggedChange>,
    view: View,
    keys: Vec<(SigningKey, Moment)>,
    active_key: usize,
    pending: Option<(Position, Moment)>,
    pub tokens: Vec<Token>,
    /// Each channel with its provider, and since when it is active, if it is.
    pub channels: Vec<(ProviderId, ChannelId, Option<Moment>)>,
    instances: BTreeMap<String, Instance>,
    said_bye: BTreeSet<String>,
    receipts: Vec<Receipt>,
    /// Until when an instance that a restore has lost could accept.
    lost_until: Moment,
    pub held: Vec<Held>,
    pub clock: AuthorityClock,
}

impl Authority {
    pub fn new(planted: Planted) -> Self {
        let channel = |number: u64| {
            let provider = ProviderId::from_number(1 + number % 2);
            Some((provider?, ChannelId::from_number(1_000_000_000 + number)?, Some(0)))
        };
        let mut it = Self {
            planted,
            epoch: 1,
            head: 0,
            deleted: 0,
            log: BTreeMap::new(),
            view: View::new(Providers::All),
            keys: Vec::new(),
            active_key: 0,
            pending: None,
            tokens: Vec::new(),
            channels: (0..4).filter_map(channel).collect(),
            instances: BTreeMap::new(),
            said_bye: BTreeSet::new(),
            receipts: Vec::new(),
            lost_until: 0,
            held: Vec::new(),
            clock: AuthorityClock::default(),
        };
        it.add_key(0, KeyState::Active);
        it
    }

    fn position(&self) -> Position {
        Position { epoch: self.epoch, number: self.head }
    }

    fn time(now: Moment) -> UnixTime {
        UnixTime(START + now / 1_000_000_000)
    }

    fn append(&mut self, change: Option<FeedChange>) {
        self.head += 1;
        self.view = self.view.after(&change, self.position());
        let position = self.position();
        self.log.insert(self.head, LoggedChange { position, change });
    }

    // ---- acts

    fn add_key(&mut self, now: Moment, state: KeyState) {
        let seed = [u8::try_from(self.keys.len() + 1).unwrap_or(u8::MAX); 32];
        // Any seed is a key.
        let Ok(key) = SigningKey::from_seed(&seed) else { return };
        let change = FeedChange::SigningKey(ViewKey { key: key.public().clone(), state });
        self.keys.push((key, now));
        self.append(Some(change));
    }

    fn set_key(&mut self, index: usize, state: KeyState) {
        let key = self.keys[index].0.public().clone();
        self.append(Some(FeedChange::SigningKey(ViewKey { key, state })));
    }

    /// Publishes the next signing key.
    pub fn publish_key(&mut self, now: Moment) {
        if self.pending.is_none() && self.keys.len() < 200 {
            self.add_key(now, KeyState::Pending);
            self.pending = Some((self.position(), now));
        }
    }

    /// Makes the published key active once each instance knows it.
    fn promote(&mut self, now: Moment) {
        let Some((position, committed)) = self.pending else { return };
        let is_ready = self.instances.values().all(|it| {
            it.acknowledged.is_some_and(|at| at.epoch == position.epoch && at >= position)
                || now - committed > nanos(lease(it.staleness))
        });
        if is_ready {
            let next = self.keys.len() - 1;
            self.set_key(self.active_key, KeyState::Retired { issued_before: None });
            self.set_key(next, KeyState::Active);
            self.active_key = next;
            self.pending = None;
        }
    }

    pub fn issue(&mut self, now: Moment, channel: usize, id: [u8; 16], lifetime: i64) {
        let (provider, channel, active) = self.channels[channel];
        if active.is_none() {
            return;
        }
        let (key, key_known) = &self.keys[self.active_key];
        let claims = Claims {
            id: TokenId(id),
            kind: Kind::V21,
            provider,
            channel,
            group: None,
            assertion_key: None,
            serial: Serial(self.tokens.len() as u64 + 1),
            issued_at: Self::time(now),
            expires_at: Self::time(now).plus(lifetime),
            key: key.public().id(),
        };
        self.tokens.push(Token {
            text: wire::write(&claims, ISSUER, key),
            claims,
            key_known: *key_known,
            issued: now,
            revoked: None,
            from: None,
            complete: None,
            lost: false,
        });
    }

    /// Revokes a token, at once or after a delay.
    pub fn revoke(&mut self, now: Moment, token: usize, delay: Option<i64>) {
        let claims = self.tokens[token].claims.clone();
        let change = match delay {
            None => {
                let kind = claims.kind;
                let revoked = RevokedToken::Stored { kind, serial: claims.serial };
                let tokens = vec![SingleRevocation { token: revoked, until: claims.expires_at }];
                ChannelChange::Revoked { tokens }
            }
            Some(delay) => {
                let from = Self::time(now).plus(delay);
                self.tokens[token].from = Some(from);
                let scope = Scope::Channel;
                let mut cutoff =
                    Cutoff::set(scope, claims.serial.next(), Some(from), Self::time(now));
                // A cutoff of this token alone.
                cutoff.except = (1..claims.serial.0).map(Serial).collect();
                ChannelChange::Cutoff { cutoffs: vec![cutoff] }
            }
        };
        let (provider, channel) = (claims.provider, claims.channel);
        self.append(Some(FeedChange::Channel { provider, channel, change }));
        self.tokens[token].revoked = Some(now);
        if delay.is_none() {
            let sees = |it: &Instance| it.provider.is_none_or(|it| it == claims.provider);
            let waiting = self.instances.iter().filter(|(_, it)| sees(it));
            let waiting = waiting.map(|(id, _)| id.clone()).collect();
            let position = self.position();
            self.receipts.push(Receipt { token, position, committed: now, waiting });
        }
    }

    /// Suspends an active channel, resumes a suspended one.
    pub fn switch_channel(&mut self, now: Moment, index: usize) {
        let (provider, channel, active) = self.channels[index];
        let (state, since) = match active {
            Some(_) => (ChannelState::Suspended, None),
            None => (ChannelState::Active, Some(now)),
        };
        self.channels[index].2 = since;
        let change = ChannelChange::State { state };
        self.append(Some(FeedChange::Channel { provider, channel, change }));
    }

    /// Changes something that concerns no verifier.
    pub fn change_settings(&mut self) {
        self.append(None);
    }

    /// Deletes all changes of the log but the last `kept`.
    pub fn trim(&mut self, kept: u64) {
        self.deleted = self.deleted.max(self.head.saturating_sub(kept));
        self.log = self.log.split_off(&(self.deleted + 1));
    }

    /// The store is replaced by a backup and its revocation journal: all tokens of the last
    /// `lost` moments are gone, revocations are not, positions start anew in a new epoch.
    pub fn restore(&mut self, now: Moment, lost: Moment) {
        self.tokens.iter_mut().filter(|it| it.issued > now - lost).for_each(|it| it.lost = true);
        self.epoch += 1;
        self.head /= 2;
        self.deleted = self.head;
        self.log.clear();
        self.receipts.clear();
        let lost = self.instances.values().map(|it| match it.on_stale {
            OnStale::Allow => Moment::MAX,
            _ => now + nanos(lease(it.staleness)),
        });
        self.lost_until = lost.fold(self.lost_until, Moment::max);
        self.instances.clear();
        self.pending = None;
        self.set_key(self.active_key, KeyState::Retired { issued_before: None });
        self.add_key(now, KeyState::Active);
        self.active_key = self.keys.len() - 1;
    }

    // ---- receipts

    /// Judges leases at `now`.
    pub fn judge(&mut self, now: Moment) {
        let Self { receipts, instances, said_bye, tokens, lost_until, planted, .. } = self;
        receipts.retain_mut(|receipt| {
            let elapsed = now - receipt.committed;
            receipt.waiting.retain(|id| {
                let Some(it) = instances.get(id) else { return !said_bye.contains(id) };
                let knows = it
                    .acknowledged
                    .is_some_and(|at| at.epoch == receipt.position.epoch && at >= receipt.position);
                let ends = it.on_stale != OnStale::Allow || *planted == Planted::LenientExpire;
                let over = ends && elapsed > nanos(lease(it.staleness));
                !(knows || over)
            });
            let is_complete = receipt.waiting.is_empty() && *lost_until < now;
            if is_complete {
                tokens[receipt.token].complete = Some(now);
            }
            !is_complete
        });
        self.promote(now);
    }

    /// Whether a revocation waits for an instance that may not be there for ever.
    pub fn pending_receipts(&self) -> usize {
        let mut waiting = self.receipts.iter().flat_map(|it| &it.waiting);
        let ends =
            |id: &&String| self.instances.get(*id).is_some_and(|it| it.on_stale != OnStale::Allow);
        waiting.by_ref().filter(ends).count()
    }

    // ---- the feed

    fn register(&mut self, query: &FeedQuery, provider: Option<ProviderId>) -> bool {
        let id = query.instance.to_string();
        if self.said_bye.contains(&id) {
            return false;
        }
        let row = self.instances.entry(id).or_insert(Instance {
            provider,
            staleness: query.staleness,
            on_stale: query.on_stale,
            acknowledged: None,
        });
        row.staleness = row.staleness.max(query.staleness);
        row.on_stale = row.on_stale.max(query.on_stale);
        true
    }

    /// Answers `/feed/snapshot`.
    pub fn snapshot(&mut self, query: &FeedQuery, provider: Option<ProviderId>) -> Reply {
        if !self.register(query, provider) {
            return Reply::Now(403, String::new());
        }
        Reply::Now(200, Snapshot::write(&self.view, provider, ISSUER))
    }

    /// Answers `/feed/changes`, at once or later.
    pub fn changes(&mut self, query: &ChangesQuery, provider: Option<ProviderId>) -> Reply {
        let id = query.common.instance.to_string();
        if query.bye {
            self.instances.remove(&id);
            self.said_bye.insert(id);
            return Reply::Now(200, String::new());
        }
        if !self.register(&query.common, provider) {
            return Reply::Now(403, String::new());
        }
        let is_known = query.after.epoch == self.epoch && query.after.number <= self.head;
        if is_known
            && query.cannot.is_none()
            && let Some(row) = self.instances.get_mut(&id)
        {
            row.acknowledged = row.acknowledged.max(Some(query.after));
        }
        if self.is_gone(query.after) {
            return Reply::Now(410, String::new());
        }
        match self.has_news(query.after, provider) || query.hold.is_zero() {
            true => Reply::Now(200, String::new()),
            false => Reply::Hold(query.hold.min(longest_hold(query.common.staleness))),
        }
    }

    fn is_gone(&self, after: Position) -> bool {
        let other = after.epoch != self.epoch || after.number > self.head;
        (other && self.planted != Planted::HeldFuture)
            || (after.number < self.deleted && !other && self.planted != Planted::DeletedAtPosition)
    }

    fn has_news(&self, after: Position, provider: Option<ProviderId>) -> bool {
        after.epoch == self.epoch
            && self.log.range(after.number + 1..).any(|(_, it)| it.concerns(provider))
    }

    /// Takes the held requests that are to be answered now.
    pub fn due(&mut self, now: Moment) -> Vec<Held> {
        let is_due = |it: &Held| {
            it.until <= now || self.has_news(it.query.after, it.provider) || {
                self.is_gone(it.query.after)
            }
        };
        let due: Vec<usize> = (0..self.held.len()).filter(|&it| is_due(&self.held[it])).collect();
        due.into_iter().rev().map(|it| self.held.swap_remove(it)).collect()
    }

    /// The body of a response with changes, or the status without one.
    pub fn changes_body(
        &self,
        held: &ChangesQuery,
        of: Option<ProviderId>,
        head: ResponseHead,
    ) -> (u16, String) {
        let after = held.after;
        if self.is_gone(after) {
            return (410, String::new());
        }
        // A server with the fault answers from beyond its head.
        let through = match after.epoch == self.epoch {
            true => self.position().max(after),
            false => after,
        };
        let is_same = after.epoch == self.epoch;
        let next = Position { number: after.number + 1, ..through };
        let is_cut = is_same && self.planted == Planted::Parts;
        let through = if is_cut { through.min(next) } else { through };
        let log = self.log.range(after.number + 1..).filter(|_| is_same);
        let log = log.filter(|(number, _)| **number <= through.number);
        let log = log.map(|(_, it)| it.clone());
        (200, ChangesResponse::project(head, after, through, log, of).write())
    }

    /// The body of a response with a snapshot.
    pub fn snapshot_body(head: &ResponseHead, snapshot: &str) -> String {
        let (before, after) = SnapshotResponse::around(head);
        format!("{before}{snapshot}{after}")
    }
}

pub(super) fn nanos(time: Duration) -> Moment {
    time.as_nanos().try_into().unwrap_or(Moment::MAX)
}
