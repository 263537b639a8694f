//! The world of a history: one authority, two replicas of it that issue and check
//! by what they have read so far, two followers that only check, time and clocks.
//! After each act the views are held against the naive model.

use super::{
    Fault,
    act::{Act, Chance, Want, Which},
    authority::{Authority, ChannelRow, GRACE, is_stored},
    naive::{Answer, Ask, Asker, ChannelNo, Ends, Epoch, Event, Naive, Settings, Token, TokenNo},
};
use crate::{
    channel::{self, NOW, OWN_URL},
    signer::OWN,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex},
};
use tegata_token::{
    assertion::UnverifiedAssertion,
    claims::Claims,
    decide::{Refused, Signatures, decide},
    id::{AssertionKeyId, ChannelId, Position, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, SigningKey},
    law::{ChannelType, Kind, Law},
    policy::{
        Channel, ChannelState, Credential, Grant, GroupRule, Live, RegisteredKey, Secret, judge,
    },
    refusal::Refusal,
    secret::PlainSecret,
    time::UnixTime,
    view::{ChannelChange, Entry, Providers, SINGLES, Scope, SingleToken, View},
    wire::write,
};

/// A replica that has read nothing for so long, in seconds, reads before it
/// serves (its lease); and what is begun is committed within that time or never.
const LEASE: i64 = 10;

/// What a history must never come to; in words.
pub type Violation = String;

macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}

/// How often something happened that histories must come to, or they show nothing.
#[derive(Debug, Default, Clone)]
pub struct Seen(pub BTreeMap<&'static str, usize>);

impl Seen {
    fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

/// Somebody who checks tokens by a view of his own: 0 and 1 are the replicas, 2
/// follows everything, 3 only one provider.
struct Checker {
    epoch: usize,
    /// How many entries of the log he has read.
    read: usize,
    view: View,
    providers: Vec<ProviderId>,
    /// His clock is so many seconds off the true time.
    off: i64,
    /// The latest time that he ever read: a clock stepped back makes no token live.
    latest: UnixTime,
    /// What he once refused as expired or ended.
    over: BTreeSet<TokenNo>,
}

/// What a replica issues by: the channels as it read them last.
struct Replica {
    channels: Vec<Arc<Channel>>,
    /// How many entries there were then.
    read: usize,
    /// When that was, by a clock that cannot be stepped.
    read_at: UnixTime,
    /// Its wall clock jumped: it is out of service until it jumps back.
    jumped: bool,
}

/// Something begun and not yet committed.
enum Pending {
    Issue(Box<PendingIssue>),
    Revoke { replica: usize, no: TokenNo, lives_then: Vec<Live> },
}

struct PendingIssue {
    replica: usize,
    channel: ChannelNo,
    grant: Grant,
    ask: Ask,
    shown: Shown,
    asked_at: UnixTime,
    /// How much of the log was answered for when it was asked.
    settled: usize,
    /// How much there was when the channel was read that it was judged by.
    read: usize,
    lives_then: Vec<Live>,
}

/// The credential of a request, as the world knows it.
#[derive(Clone, Copy)]
enum Shown {
    Secret(u32),
    Key(AssertionKeyId),
    Administrator,
}

/// A secret that is taken, by its number, and until when.
type Taken = (u32, Option<UnixTime>);

struct Backup {
    authority: Authority,
    epoch: Epoch,
    tokens: usize,
    endings: usize,
    taken: Vec<Vec<Taken>>,
}

pub struct World {
    fault: Fault,
    now: UnixTime,
    authority: Authority,
    naive: Naive,
    /// What was handed out, by its number.
    handed: Vec<(String, Claims)>,
    /// The private halves of the signing keys; they are never restored.
    signing: HashMap<SigningKeyId, SigningKey>,
    /// One cache for all who check: it must make no difference whose it is.
    signatures: Signatures,
    checkers: [Checker; 4],
    replicas: [Replica; 2],
    /// What was begun, and when.
    pending: Vec<(UnixTime, Pending)>,
    /// Positions of narrowing acts whose answer is not given yet.
    waiting: Vec<usize>,
    /// Tokens that no replica accepts from then on: an answer said so.
    promised: BTreeMap<TokenNo, UnixTime>,
    backups: Vec<Backup>,
    /// The log of endings, which no restore takes back.
    endings: Vec<(Entry, Event)>,
    taken: Vec<Vec<Taken>>,
    /// Every assertion key that a channel ever had in a place.
    assertion_keys: Vec<[Vec<AssertionKeyId>; 2]>,
    secrets: u32,
    sample: Chance,
    steps: usize,
    pub seen: Seen,
}

fn providers() -> [ProviderId; 2] {
    [1, 2].map(|number| ProviderId::from_number(number).unwrap())
}

fn assertion_key(channel: ChannelNo, place: usize, generation: usize) -> AssertionKeyId {
    let mut bytes = [0xA0; 16];
    bytes[..3].copy_from_slice(&[channel as u8, place as u8, generation as u8]);
    AssertionKeyId::from_random(bytes)
}

fn registered(channel: ChannelNo, place: usize, generation: usize) -> RegisteredKey {
    let group = (place == 1).then(|| channel::group("b"));
    RegisteredKey {
        id: assertion_key(channel, place, generation),
        ..channel::registered(&OWN, group)
    }
}

fn secret_of(channel: ChannelNo, version: u32) -> PlainSecret {
    channel::secret(&format!("secret {version} of {channel}"))
}

/// An assertion of the key, good for some while. Signing is slow, so they are
/// kept: the same one serves all histories.
fn assertion(
    channel: ChannelId,
    key: AssertionKeyId,
    life: i64,
    now: UnixTime,
) -> UnverifiedAssertion {
    type Kept = HashMap<(ChannelId, AssertionKeyId, i64, i64), UnverifiedAssertion>;
    static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);
    let exp = (now.0 / 1_500 + 1) * 1_500 + 60;
    let sign = || {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key});
        let claims = serde_json::json!({
            "iss": channel, "sub": channel, "aud": OWN_URL, "exp": exp, "token_exp": life,
        });
        UnverifiedAssertion::parse(&OWN.jws(&header.to_string(), &claims.to_string())).unwrap()
    };
    let mut kept = KEPT.lock().unwrap();
    kept.entry((channel, key, life, exp)).or_insert_with(sign).clone()
}

impl World {
    /// Two Messaging API channels of one provider, a LINE Login channel of
    /// another, and one signing key.
    pub fn new(fault: Fault) -> Self {
        let [one, two] = providers();
        let types = [ChannelType::MessagingApi, ChannelType::MessagingApi, ChannelType::LineLogin];
        let row = |(no, channel_type): (usize, ChannelType)| {
            let channel = Channel {
                id: ChannelId::from_number(1_000_000_000 + no as u64).unwrap(),
                provider: if no == 2 { two } else { one },
                channel_type,
                secrets: vec![Secret { hash: secret_of(no, 0).hash(), until: None }],
                assertion_keys: vec![registered(no, 0, 0), registered(no, 1, 0)],
                ..channel::channel()
            };
            ChannelRow {
                channel: Arc::new(channel),
                serial: Serial(0),
                facts: Default::default(),
                tokens: Vec::new(),
            }
        };
        let authority = Authority {
            fault,
            epoch: 0,
            channels: types.into_iter().enumerate().map(row).collect(),
            keys: Vec::new(),
            log: Vec::new(),
            written: NOW,
        };
        let checker = |providers: &[ProviderId]| Checker {
            epoch: 0,
            read: 0,
            view: View::new(Providers::All),
            providers: providers.to_vec(),
            off: 0,
            latest: NOW,
            over: BTreeSet::new(),
        };
        let replica = || Replica { channels: Vec::new(), read: 0, read_at: NOW, jumped: false };
        let mut world = Self {
            fault,
            now: NOW,
            authority,
            naive: Naive { tokens: Vec::new(), epochs: vec![Epoch::default()] },
            handed: Vec::new(),
            signing: HashMap::new(),
            signatures: Signatures::new(1_000),
            checkers: [
                checker(&[one, two]),
                checker(&[one, two]),
                checker(&[one, two]),
                checker(&[one]),
            ],
            replicas: [replica(), replica()],
            pending: Vec::new(),
            waiting: Vec::new(),
            promised: BTreeMap::new(),
            backups: Vec::new(),
            endings: Vec::new(),
            taken: vec![vec![(0, None)]; 3],
            assertion_keys: (0..3)
                .map(|no| [0, 1].map(|place| vec![assertion_key(no, place, 0)]))
                .collect(),
            secrets: 0,
            sample: Chance::of(7),
            steps: 0,
            seen: Seen::default(),
        };
        world.new_key(KeyState::Active);
        (0..4).for_each(|who| world.take_snapshot(who));
        world
    }

    /// Does one act, then checks.
    pub fn step(&mut self, act: &Act) -> Result<(), Violation> {
        self.steps += 1;
        self.act(act)?;
        self.answer_who_waits();
        self.check(self.steps.is_multiple_of(40))
    }

    /// Checks every token, once everybody has read everything, too.
    pub fn end(&mut self) -> Result<(), Violation> {
        self.check(true)?;
        (0..4).for_each(|who| self.follow(who, usize::MAX));
        self.answer_who_waits();
        self.check(true)
    }

    fn act(&mut self, act: &Act) -> Result<(), Violation> {
        match act {
            Act::Wait(seconds) => self.now = self.now.plus(*seconds),
            Act::Step { who, off } => self.checkers[*who].off = *off,
            Act::Jump { replica } => self.replicas[*replica].jumped ^= true,
            Act::Follow { who, entries } => self.follow(*who, *entries),
            Act::Snapshot { who } => self.take_snapshot(*who),
            Act::Ask { replica, channel, want, times, at_once } => {
                for _ in 0..*times {
                    if let Some(pending) = self.ask(*replica, *channel, want)? {
                        self.pending.push((self.now, Pending::Issue(Box::new(pending))));
                        if *at_once {
                            self.commit(self.pending.len() - 1)?;
                        }
                    }
                }
            }
            Act::Revoke { replica, token, times, at_once } => {
                for next in 0..*times {
                    if let Some(pending) = self.ask_to_end(*replica, token + next) {
                        self.pending.push((self.now, pending));
                        if *at_once {
                            self.commit(self.pending.len() - 1)?;
                        }
                    }
                }
            }
            Act::Commit { nth, times } => {
                for _ in 0..(*times).min(self.pending.len()) {
                    self.commit(nth % self.pending.len())?;
                }
            }
            Act::EndAll { replica, channel, scope, delay } => {
                if let Some(now) = self.time_of(*replica) {
                    let from = delay.map(|delay| now.plus(delay));
                    self.end_all(*channel, self.scope(*channel, scope), from, now);
                }
            }
            Act::Rotate { replica, channel, keep, revoke_tokens } => {
                if let Some(now) = self.time_of(*replica) {
                    self.rotate(*channel, *keep, now);
                    if *revoke_tokens {
                        self.end_all(*channel, Scope::Channel, None, now);
                    }
                }
            }
            Act::ReplaceKey { replica, channel, key, revoke_tokens } => {
                if let Some(now) = self.time_of(*replica) {
                    let old = self.replace_key(*channel, *key);
                    if *revoke_tokens {
                        self.end_all(*channel, Scope::AssertionKey { key: old }, None, now);
                    }
                }
            }
            Act::Put { replica, channel, state } => {
                let deleted =
                    self.authority.channels[*channel].channel.state == ChannelState::Deleted;
                if !deleted && self.time_of(*replica).is_some() {
                    let entry = self.authority.set_state(*channel, *state);
                    self.note(Some(entry), Event::State { channel: *channel, state: *state });
                    self.wait();
                }
            }
            Act::Change { channel, law } => self.set(*channel, |channel| channel.law = *law),
            Act::Groups { channel, cap, when_full } => {
                let rule = GroupRule { cap: *cap, when_full: *when_full };
                self.set(*channel, |channel| channel.group_rule = rule);
            }
            Act::Announce => {
                if !self.authority.keys.iter().any(|it| it.state == KeyState::Coming) {
                    self.new_key(KeyState::Coming);
                }
            }
            Act::Activate => self.activate(),
            Act::Bound { replica, key } => {
                if let Some(now) = self.time_of(*replica) {
                    self.narrow_key(*key, KeyState::Bounded { until: now });
                }
            }
            Act::Remove { replica, key } => {
                if self.time_of(*replica).is_some() {
                    self.narrow_key(*key, KeyState::Removed);
                }
            }
            Act::Forget { replica, channel } => self.forget(*replica, *channel),
            Act::Backup => self.back_up(),
            Act::Restore { nth, replay } if !self.backups.is_empty() => {
                self.restore(nth % self.backups.len(), *replay);
            }
            Act::Restore { .. } => {}
        }
        Ok(())
    }

    // ---- clocks and reading

    /// What somebody's clock shows.
    fn clock(&self, who: usize) -> UnixTime {
        let jumped = self.replicas.get(who).is_some_and(|replica| replica.jumped);
        self.now.plus(self.checkers[who].off + if jumped { 40 * 86_400 } else { 0 })
    }

    /// The time of an act of this replica, if it is in service.
    fn time_of(&mut self, replica: usize) -> Option<UnixTime> {
        let now = self.clock(replica);
        (!self.replicas[replica].jumped).then(|| self.authority.time(now))
    }

    /// The next `entries` of the log are read. A replica that reads more than one
    /// reads the channels again as well.
    fn follow(&mut self, who: usize, entries: usize) {
        if self.checkers[who].epoch != self.authority.epoch {
            return self.take_snapshot(who);
        }
        let checker = &mut self.checkers[who];
        let to = self.authority.log.len().min(checker.read.saturating_add(entries));
        let entries_read = self.authority.feed(checker.read, to, &checker.providers);
        if self.fault == Fault::DelayReplaces {
            entries_read.iter().for_each(|entry| drop_delayed_floors(checker, entry));
        }
        let position = Position { epoch: checker.epoch as u64, number: to as u64 };
        checker.view = checker.view.after(entries_read, position);
        checker.read = to;
        if entries > 1 {
            self.read_channels(who);
        }
    }

    fn read_channels(&mut self, who: usize) {
        let channels = self.authority.channels.iter().map(|row| row.channel.clone()).collect();
        if let Some(replica) = self.replicas.get_mut(who) {
            replica.channels = channels;
            replica.read = self.authority.log.len();
            replica.read_at = self.now;
        }
    }

    fn take_snapshot(&mut self, who: usize) {
        let checker = &mut self.checkers[who];
        let authority = &self.authority;
        checker.epoch = authority.epoch;
        checker.read = authority.log.len();
        let position = Position { epoch: checker.epoch as u64, number: checker.read as u64 };
        let own = authority.channels.iter();
        let own = own.filter(|row| checker.providers.contains(&row.channel.provider));
        checker.view = View::from_state(
            Providers::Only(checker.providers.iter().copied().collect()),
            position,
            authority.keys.clone(),
            own.map(|row| (row.channel.id, row.facts.clone())),
        );
        self.read_channels(who);
    }

    // ---- what is written

    /// Tells the naive model what an entry means, and the log of endings, if it
    /// is one.
    fn note(&mut self, entry: Option<Entry>, event: Event) {
        let is_ending = match &event {
            Event::Quiet => false,
            Event::Ended(_) | Event::AllEnded { .. } | Event::State { .. } => true,
            Event::Key { state, .. } => {
                matches!(state, KeyState::Bounded { .. } | KeyState::Removed)
            }
        };
        if let Some(entry) = entry
            && is_ending
        {
            self.endings.push((entry, event.clone()));
        }
        self.note_no_ending(event);
    }

    fn note_no_ending(&mut self, event: Event) {
        let events = &mut self.naive.epochs[self.authority.epoch].events;
        events.push(event);
    }

    /// The act that was just written is answered once both replicas have read it.
    fn wait(&mut self) {
        self.waiting.push(self.authority.log.len());
    }

    fn answer_who_waits(&mut self) {
        let read = |who: usize| self.checkers[who].read.min(self.replicas[who].read);
        let both = read(0).min(read(1));
        let (answered, waiting) = self.waiting.iter().partition(|&&position| position <= both);
        self.waiting = waiting;
        let answered: Vec<usize> = answered;
        if let Some(&last) = answered.iter().max() {
            self.promise(last);
        }
    }

    /// What ended by this position is accepted by no replica any more.
    fn promise(&mut self, position: usize) {
        let epoch = self.authority.epoch;
        let providers = providers();
        // What counts as ended whatever the clock shows; delayed ends have their time.
        let always = UnixTime(i64::MIN);
        let asker = Asker { epoch, read: position, now: always, providers: &providers };
        for no in 0..self.handed.len() {
            if self.promised.get(&no) == Some(&always) {
                continue;
            }
            let end = match self.naive.answer(no, asker) {
                Answer::Ended => Some(always),
                _ => self.naive.early_end(no, epoch, position),
            };
            if let Some(end) = end {
                let promised = self.promised.entry(no).or_insert(end);
                *promised = end.min(*promised);
            }
        }
    }

    fn set(&mut self, channel: ChannelNo, edit: impl FnOnce(&mut Channel)) {
        self.authority.set(channel, edit);
        self.note(None, Event::Quiet);
        self.wait();
    }

    fn end_all(&mut self, channel: ChannelNo, scope: Scope, from: Option<UnixTime>, now: UnixTime) {
        let entry = self.authority.end_all(channel, scope.clone(), from, now);
        self.note(Some(entry), Event::AllEnded { channel, scope, from });
        self.wait();
        self.seen.one(if from.is_some() { "scope ended later" } else { "scope ended at once" });
    }

    fn scope(&self, channel: ChannelNo, which: &Which) -> Scope {
        match which {
            Which::Channel => Scope::Channel,
            Which::Kind(kind) => Scope::Kind { kind: *kind },
            Which::KindGroup(kind, group) => {
                Scope::KindGroup { kind: *kind, group: group.map(channel::group) }
            }
            Which::Group(group) => Scope::Group { group: channel::group(group) },
            Which::AssertionKey(place) => {
                let key = *self.assertion_keys[channel][*place].last().unwrap();
                Scope::AssertionKey { key }
            }
        }
    }

    fn rotate(&mut self, channel: ChannelNo, keep: i64, now: UnixTime) {
        self.secrets += 1;
        let taken = &mut self.taken[channel];
        let kept = taken.last().filter(|_| keep > 0).map(|(it, _)| (*it, Some(now.plus(keep))));
        *taken = kept.into_iter().chain([(self.secrets, None)]).collect();
        let secret = |&(it, until): &Taken| Secret { hash: secret_of(channel, it).hash(), until };
        let secrets = taken.iter().map(secret).collect();
        self.set(channel, |channel| channel.secrets = secrets);
    }

    fn replace_key(&mut self, channel: ChannelNo, place: usize) -> AssertionKeyId {
        let of_place = &mut self.assertion_keys[channel][place];
        let new = registered(channel, place, of_place.len());
        of_place.push(new.id);
        let old = self.authority.channels[channel].channel.assertion_keys[place].id;
        self.set(channel, |channel| channel.assertion_keys[place] = new);
        old
    }

    fn forget(&mut self, replica: usize, channel: ChannelNo) {
        // A replica whose clock jumped forgets nothing, unless that is the fault.
        if self.replicas[replica].jumped && self.fault != Fault::ForgetsByTheWall {
            return;
        }
        let now = self.clock(replica);
        self.time_of(replica);
        if let Some(entry) = self.authority.forget(channel, now) {
            self.note(Some(entry), Event::Quiet);
            self.seen.one("forgotten");
        }
    }

    // ---- signing keys

    fn new_key(&mut self, state: KeyState) {
        let number = self.signing.len() as u8;
        let key = SigningKey::from_seed(&[number; 32]).unwrap();
        let entry = self.authority.set_key(key.public().clone(), state);
        self.note(Some(entry), Event::Key { key: key.public().id(), state });
        self.signing.insert(key.public().id(), key);
    }

    fn set_key(&mut self, key: SigningKeyId, state: KeyState) {
        let public = self.signing[&key].public().clone();
        let entry = self.authority.set_key(public, state);
        self.note(Some(entry), Event::Key { key, state });
    }

    fn coming(&self) -> Option<SigningKeyId> {
        let coming = self.authority.keys.iter().find(|it| it.state == KeyState::Coming);
        coming.map(|it| it.key.id())
    }

    /// The coming key signs, if everybody knows it.
    fn activate(&mut self) {
        let Some(coming) = self.coming() else { return };
        let knows =
            |it: &Checker| it.epoch == self.authority.epoch && it.view.key(coming).is_some();
        if self.checkers.iter().all(knows) {
            let old = self.authority.active_key();
            self.set_key(coming, KeyState::Active);
            self.set_key(old, KeyState::Retired);
            self.seen.one("signing key rotated");
        }
    }

    /// A key is bounded or removed; the active one has a successor at once.
    fn narrow_key(&mut self, nth: usize, state: KeyState) {
        let key = self.authority.keys[nth % self.authority.keys.len()].clone();
        let state = match (key.state, state) {
            (KeyState::Removed, _) => return,
            (KeyState::Bounded { until: before }, KeyState::Bounded { until }) => {
                KeyState::Bounded { until: until.min(before) }
            }
            (_, state) => state,
        };
        if key.state == KeyState::Active {
            match self.coming() {
                Some(coming) => self.set_key(coming, KeyState::Active),
                None => self.new_key(KeyState::Active),
            }
        }
        self.set_key(key.key.id(), state);
        self.wait();
        self.seen.one("signing key bounded or removed");
    }

    // ---- issuing

    /// A request comes to a replica and is judged by what that has read.
    fn ask(
        &mut self,
        replica: usize,
        channel: ChannelNo,
        want: &Want,
    ) -> Result<Option<PendingIssue>, Violation> {
        if self.replicas[replica].jumped {
            return Ok(None);
        }
        if self.now.since(self.replicas[replica].read_at) > LEASE {
            self.follow(replica, usize::MAX);
        }
        let now = self.clock(replica);
        let id = self.authority.channels[channel].channel.id;
        let [large, bound] = &self.assertion_keys[channel];
        let by_assertion = match (want.kind, want.with) {
            (Kind::V21, 0) | (Kind::Stateless, 2) => large.last(),
            (Kind::V21, 1) => bound.last(),
            (Kind::V21, _) => large.iter().rev().nth(1).or(large.last()),
            _ => None,
        };
        let newest = self.taken[channel].last().unwrap().0;
        let (shown, credential) = match (want.kind, by_assertion) {
            (Kind::LongLived, _) => {
                (Shown::Administrator, Credential::Administrator { delay: want.delay })
            }
            (_, Some(&key)) => {
                let assertion = assertion(id, key, want.life, now);
                (Shown::Key(key), Credential::Assertion(assertion))
            }
            (_, None) => {
                let before = self.taken[channel][0].0.min(newest.saturating_sub(1));
                let version = if want.with == 0 { newest } else { before };
                let secret = secret_of(channel, version);
                (Shown::Secret(version), Credential::Secret(secret))
            }
        };
        let asked = want.group.map(channel::group);
        let request = channel::request(want.kind, credential, asked.clone());
        let snapshot = self.replicas[replica].channels[channel].clone();
        let Ok(grant) = judge(request, snapshot, channel::audience(), now) else {
            self.seen.one("refused when judged");
            return Ok(None);
        };
        let group = match want.kind {
            Kind::LongLived => None,
            _ if by_assertion.is_some_and(|key| bound.contains(key)) => Some(channel::group("b")),
            _ => asked,
        };
        ensure!(grant.group() == group.as_ref(), "granted for the wrong group");
        Ok(Some(PendingIssue {
            replica,
            channel,
            grant,
            ask: Ask { kind: want.kind, group, delay: want.delay },
            shown,
            asked_at: now,
            settled: self.waiting.iter().min().map_or(self.authority.log.len(), |it| it - 1),
            read: self.replicas[replica].read,
            lives_then: self.lives_then(channel, now),
        }))
    }

    /// Of concern only to the fault that uses it.
    fn lives_then(&self, channel: ChannelNo, now: UnixTime) -> Vec<Live> {
        match self.fault {
            Fault::FoldOutsideLock => self.authority.live(channel, now),
            _ => Vec::new(),
        }
    }

    fn commit(&mut self, nth: usize) -> Result<(), Violation> {
        let (begun, pending) = self.pending.remove(nth);
        if self.now.since(begun) > LEASE {
            return Ok(());
        }
        match pending {
            Pending::Issue(pending) if self.replicas[pending.replica].jumped => Ok(()),
            Pending::Issue(pending) if is_stored(pending.ask.kind) => self.issue_stored(*pending),
            Pending::Issue(pending) => self.issue_stateless(*pending),
            Pending::Revoke { replica, no, lives_then } => {
                if let Some(now) = self.time_of(replica) {
                    self.end_one(no, &lives_then, now);
                }
                Ok(())
            }
        }
    }

    fn issue_stored(&mut self, pending: PendingIssue) -> Result<(), Violation> {
        let PendingIssue { replica, channel, grant, ask, shown, asked_at, settled, .. } = pending;
        let now = self.time_of(replica).unwrap();
        let epoch = self.authority.epoch;
        let set = self.settings(channel);
        let places = self.naive.places(channel, epoch, now, GRACE);
        let rows: Vec<TokenNo> =
            self.authority.places(channel, now).iter().map(|row| row.no).collect();
        ensure!(rows == places, "the store counts {rows:?}, but {places:?} live");
        let expected = self.naive.law(&places, &ask, set, now);

        let no = self.handed.len();
        let id = TokenId((no as u128).to_be_bytes());
        let issued = self.authority.issue(channel, grant, (id, no), &pending.lives_then, now);
        let issued = match (issued, expected) {
            (Ok(issued), Ok(expected)) => {
                let number = |serial: Serial| {
                    let rows = &self.authority.channels[channel].tokens;
                    rows.iter().find(|row| row.live.serial == serial).unwrap().no
                };
                let ends = Ends {
                    at_once: issued.admit.ends.iter().map(|it| number(it.serial)).collect(),
                    later: issued.admit.ends_later.map(|(serial, from)| (number(serial), from)),
                };
                ensure!(ends == expected, "{ask:?} ends {ends:?} instead of {expected:?}");
                issued
            }
            (Err(full @ (Refusal::Full(_) | Refusal::GroupFull(_))), expected) => {
                let same = expected == Err(full);
                ensure!(same, "{ask:?} is refused, {full}, instead of {expected:?}");
                self.seen.one("refused for being full");
                return Ok(());
            }
            (Err(refusal), _) => {
                // What it was judged by is no more.
                let is_law = matches!(refusal, Refusal::TooManyGroups);
                ensure!(!is_law, "{ask:?} is refused: {refusal}");
                self.seen.one("refused when judged again");
                return Ok(());
            }
            (Ok(_), Err(refusal)) => return Err(format!("{ask:?} is admitted: {refusal}")),
        };
        ensure!(
            self.still_takes(channel, shown, asked_at),
            "{ask:?} is admitted for a credential that was taken back before"
        );

        let admit = &issued.admit;
        let others = admit.ends.iter().any(|end| end.group != ask.group);
        ensure!(!others, "{ask:?} ends a token of another group: {:?}", admit.ends);
        if issued.entry.is_some() {
            let number = |serial: Serial| {
                let rows = &self.authority.channels[channel].tokens;
                rows.iter().find(|row| row.live.serial == serial).unwrap().no
            };
            let at_once = admit.ends.iter().map(|it| (number(it.serial), None));
            let later = admit.ends_later.map(|(serial, from)| (number(serial), Some(from)));
            let event = Event::Ended(at_once.chain(later).collect());
            self.see_entry(issued.entry.as_ref().unwrap(), "evicted");
            self.note(issued.entry, event);
            if admit.reissue {
                self.wait();
            }
        }
        self.hand_out(channel, issued.claims, self.authority.log.len());
        self.check_caps(channel, &ask, set, now)?;
        self.check_new(no, settled, now)
    }

    fn issue_stateless(&mut self, pending: PendingIssue) -> Result<(), Violation> {
        let PendingIssue { replica, channel, grant, settled, read, .. } = pending;
        let now = self.clock(replica);
        let no = self.handed.len();
        let id = TokenId((no as u128).to_be_bytes());
        let keys = self.checkers[replica].view.keys();
        let key = keys.iter().rfind(|it| it.state == KeyState::Active).unwrap().key.id();
        let claims = match self.fault {
            Fault::SerialReadLate => {
                let serial = self.authority.channels[channel].channel.bulk_serial;
                grant.claims(id, serial, key, now)
            }
            _ => grant.stateless_claims(id, key, now),
        };
        self.hand_out(channel, claims, read);
        self.seen.one("issued stateless");
        self.check_new(no, settled, now)
    }

    fn hand_out(&mut self, channel: ChannelNo, claims: Claims, born: usize) {
        self.naive.tokens.push(Token {
            channel,
            provider: claims.provider,
            kind: claims.kind,
            group: claims.group.clone(),
            assertion_key: claims.assertion_key,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            key: claims.key,
            born,
        });
        let bytes = write(&claims, OWN_URL, &self.signing[&claims.key]);
        self.handed.push((bytes, claims));
        self.seen.one("issued");
    }

    fn settings(&self, channel: ChannelNo) -> Settings {
        let channel = &self.authority.channels[channel].channel;
        Settings {
            law: channel.law,
            group_cap: channel.group_rule.cap,
            group_when_full: channel.group_rule.when_full,
        }
    }

    /// Whether the channel, as it now stands, takes a credential that was shown
    /// then: secrets kept for a while count until the request was judged.
    fn still_takes(&self, channel: ChannelNo, shown: Shown, then: UnixTime) -> bool {
        let row = &self.authority.channels[channel].channel;
        let credential = match shown {
            Shown::Secret(version) => self.taken[channel]
                .iter()
                .any(|(it, until)| *it == version && until.is_none_or(|until| then < until)),
            Shown::Key(key) => row.assertion_keys.iter().any(|it| it.id == key),
            Shown::Administrator => true,
        };
        credential && row.state == ChannelState::Active
    }

    fn see_entry(&mut self, entry: &Entry, what: &'static str) {
        let Entry::Channel { change, .. } = entry else { return };
        self.seen.one(match change {
            ChannelChange::Floor { floors } if floors.iter().any(|it| !it.except.is_empty()) => {
                "folded"
            }
            ChannelChange::Floor { floors } if floors.iter().any(|it| it.from.is_some()) => {
                "reissued with a delay"
            }
            _ => what,
        });
    }

    // ---- ending one token

    fn ask_to_end(&mut self, replica: usize, token: usize) -> Option<Pending> {
        // Mostly one of the last, which still live.
        let back = token % self.handed.len().clamp(1, 40);
        let no = self.handed.len().checked_sub(back + 1)?;
        let epoch = &self.naive.epochs[self.authority.epoch];
        let lost = epoch.lost.iter().any(|lost| lost.contains(&no));
        let now = self.clock(replica);
        let lives_then = self.lives_then(self.naive.tokens[no].channel, now);
        (!lost).then_some(Pending::Revoke { replica, no, lives_then })
    }

    fn end_one(&mut self, no: TokenNo, lives_then: &[Live], now: UnixTime) {
        let epoch = self.authority.epoch;
        let Token { channel, kind, expires_at, .. } = self.naive.tokens[no];
        if now >= expires_at {
            return;
        }
        let is_ended = |read| self.naive.early_end(no, epoch, read).is_some_and(|it| it <= now);
        if is_ended(self.authority.log.len()) {
            // The work is done; the answer waits for the act that did it.
            self.seen.one("revoked twice");
            match self.fault {
                Fault::RepeatAnswersAtOnce => _ = self.promised.insert(no, UnixTime(i64::MIN)),
                _ => {
                    let by = (0..=self.authority.log.len()).find(|read| is_ended(*read)).unwrap();
                    self.waiting.push(by);
                }
            }
            return;
        }
        let entry = if is_stored(kind) {
            self.authority.end_stored(channel, no, lives_then, now)
        } else {
            self.authority.end_stateless(channel, self.handed[no].1.id, expires_at)
        };
        self.see_entry(&entry, "revoked");
        self.note(Some(entry), Event::Ended(vec![(no, None)]));
        self.wait();
    }

    // ---- saving and restoring

    fn back_up(&mut self) {
        self.backups.push(Backup {
            authority: self.authority.clone(),
            epoch: self.naive.epochs[self.authority.epoch].clone(),
            tokens: self.handed.len(),
            endings: self.endings.len(),
            taken: self.taken.clone(),
        });
    }

    /// The store is as it was; what it then heard of endings is replayed, or all
    /// that was issued before ends. Nobody's memory but the store's is restored.
    fn restore(&mut self, nth: usize, replay: bool) {
        self.backups.truncate(nth + 1);
        let backup = &self.backups[nth];
        let mut epoch = backup.epoch.clone();
        epoch.lost.push(backup.tokens..self.handed.len());
        self.authority = backup.authority.clone();
        self.authority.epoch = self.naive.epochs.len();
        self.taken = backup.taken.clone();
        let since = self.endings[backup.endings..].to_vec();
        self.naive.epochs.push(epoch);

        if replay {
            for (entry, event) in since {
                self.authority.replay(&entry);
                self.note_no_ending(event);
                self.seen.one("ending replayed");
            }
            // Last, so that no bound that was replayed stands in for this one.
            for (key, state) in self.authority.bounds() {
                self.note_no_ending(Event::Key { key: key.id(), state });
                self.authority.set_key(key, state);
            }
        } else {
            // An ending like others: a later restore replays it.
            let keys: Vec<_> = self.authority.keys.iter().map(|it| it.key.id()).collect();
            keys.into_iter().for_each(|key| self.set_key(key, KeyState::Removed));
        }
        self.new_key(KeyState::Active);
        self.pending.clear();
        self.waiting.clear();
        (0..2).for_each(|replica| self.take_snapshot(replica));
        self.seen.one(if replay { "restored with replay" } else { "restored without" });
    }

    // ---- what must hold

    /// Everybody's view says of some tokens, or of `all`, what the naive model says.
    fn check(&mut self, all: bool) -> Result<(), Violation> {
        self.check_lengths()?;
        let count = self.handed.len();
        let chosen: Vec<TokenNo> = if all || count <= 12 {
            (0..count).collect()
        } else {
            let some = (0..8).map(|_| self.sample.below(count)).collect::<Vec<_>>();
            some.into_iter().chain(count - 4..count).collect()
        };
        for who in 0..4 {
            for &no in &chosen {
                self.check_token(who, no)?;
            }
        }
        Ok(())
    }

    fn check_token(&mut self, who: usize, no: TokenNo) -> Result<(), Violation> {
        // Out of service, it does not check either.
        if self.replicas.get(who).is_some_and(|it| it.jumped) {
            return Ok(());
        }
        let now = self.clock(who);
        let checker = &mut self.checkers[who];
        checker.latest = checker.latest.max(now);
        let asker = Asker {
            epoch: checker.epoch,
            read: checker.read,
            now: checker.latest,
            providers: &checker.providers,
        };
        let bytes = self.handed[no].0.as_bytes();
        let said = decide(bytes, asker.now, &checker.view, &self.signatures);
        let said = said.map(|active| active.until);
        let expected = self.naive.answer(no, asker);
        let right = match (&said, expected) {
            (Ok(until), Answer::Active(expected)) => *until == expected,
            (Err(Refused::Expired), Answer::Expired)
            | (Err(Refused::Ended(_)), Answer::Ended)
            | (Err(Refused::Suspended), Answer::Suspended)
            | (Err(Refused::UnknownKey), Answer::UnknownKey)
            | (Err(Refused::Foreign), Answer::Foreign)
            | (Err(_), Answer::No) => true,
            _ => false,
        };
        let token = &self.naive.tokens[no];
        ensure!(
            right,
            "checker {who}, having read {}-{}, at {:?}, says {said:?} of token {no}, not \
             {expected:?}\n{token:?}\n{:?}",
            asker.epoch,
            asker.read,
            asker.now,
            self.handed[no].1,
        );
        if said.is_ok() {
            let over = checker.over.contains(&no);
            ensure!(!over, "token {no} lives again for checker {who}\n{token:?}");
            let promised = self.promised.get(&no).is_some_and(|end| *end <= asker.now);
            ensure!(
                !(who < 2 && promised),
                "replica {who} accepts token {no} after the answer that it has ended\n{token:?}"
            );
        } else if matches!(said, Err(Refused::Expired | Refused::Ended(_))) {
            checker.over.insert(no);
        }
        if self.steps.is_multiple_of(32) {
            let cold = decide(bytes, asker.now, &checker.view, &Signatures::new(1));
            ensure!(cold.map(|it| it.until) == said, "the cache changes the answer for {no}");
        }
        Ok(())
    }

    /// A token that was just handed out lives for everybody who has read
    /// everything, but for acts that were under way when it was asked for.
    fn check_new(&mut self, no: TokenNo, settled: usize, now: UnixTime) -> Result<(), Violation> {
        let epoch = self.authority.epoch;
        let providers = providers();
        let read = self.authority.log.len();
        let at = |read| self.naive.answer(no, Asker { epoch, read, now, providers: &providers });
        if is_stored(self.naive.tokens[no].kind) {
            let lives = matches!(at(read), Answer::Active(_));
            ensure!(lives, "token {no} is stillborn: {:?}", at(read));
        }
        ensure!(
            !matches!(at(settled), Answer::Ended | Answer::No),
            "token {no} is hit by an ending that was answered before it was asked for"
        );
        for who in 0..4 {
            self.check_token(who, no)?;
        }
        Ok(())
    }

    /// After an issue the channel and the group have no more than they may have.
    fn check_caps(
        &self,
        channel: ChannelNo,
        ask: &Ask,
        set: Settings,
        now: UnixTime,
    ) -> Result<(), Violation> {
        let epoch = self.authority.epoch;
        let places = self.naive.places(channel, epoch, now, GRACE);
        let of = |kind: Kind| places.iter().filter(move |no| self.naive.tokens[**no].kind == kind);
        let (kind, legacy) = (ask.kind, set.law == Law::Legacy2020);
        let (count, most) = match kind {
            Kind::ShortLived | Kind::LongLived if legacy => {
                (of(Kind::ShortLived).count() + of(Kind::LongLived).count(), 30)
            }
            Kind::LongLived => {
                let read = self.authority.log.len();
                let stay = |no: &&TokenNo| self.naive.early_end(**no, epoch, read).is_none();
                ensure!(of(kind).count() <= 2, "more than one predecessor lives");
                (of(kind).filter(stay).count(), 1)
            }
            _ => (of(kind).count(), 30),
        };
        ensure!(count <= most, "{count} {kind} tokens live, {most} may");
        let in_group = |no: &&TokenNo| self.naive.tokens[**no].group == ask.group;
        let own = of(kind).filter(in_group).count();
        ensure!(ask.group.is_none() || own <= set.group_cap, "{own} {kind} tokens in {ask:?}");
        Ok(())
    }

    /// What is said of a channel is bounded by what lives, not by what happened.
    fn check_lengths(&self) -> Result<(), Violation> {
        let log = self.authority.log.len();
        let events = self.naive.epochs[self.authority.epoch].events.len();
        assert_eq!(log, events, "the harness forgot to note an event");
        for row in &self.authority.channels {
            for of in Kind::all() {
                let is = |it: &SingleToken| matches!(it, SingleToken::Stored { kind, .. } if *kind == of);
                let singles = row.facts.singles.iter().filter(|it| is(&it.token)).count();
                // A replay may bring more; the next ending folds them.
                let replayed = self.authority.epoch > 0;
                ensure!(
                    singles <= SINGLES || replayed,
                    "{singles} single endings of {of} are held"
                );
            }
            let at_once = row.facts.floors.iter().filter(|it| it.from.is_none());
            let mut scopes: Vec<&Scope> = at_once.map(|it| &it.scope).collect();
            while let Some(scope) = scopes.pop() {
                ensure!(!scopes.contains(&scope), "two floors at once for {scope:?}");
            }
        }
        Ok(())
    }
}

/// The fault of a follower that takes a new delayed floor for a replacement of an
/// earlier one of the same scope.
fn drop_delayed_floors(checker: &mut Checker, entry: &Entry) {
    let Entry::Channel { channel, change: ChannelChange::Floor { floors } } = entry else { return };
    let replaced = |scope: &Scope| floors.iter().any(|it| it.from.is_some() && it.scope == *scope);
    let view = &checker.view;
    let channels = (0..3).filter_map(|no| ChannelId::from_number(1_000_000_000 + no));
    let facts_of = |id: ChannelId| {
        let mut facts = view.channel(id)?.clone();
        facts.floors.retain(|it| id != *channel || it.from.is_none() || !replaced(&it.scope));
        Some((id, facts))
    };
    checker.view = View::from_state(
        Providers::Only(checker.providers.iter().copied().collect()),
        view.position(),
        view.keys().to_vec(),
        channels.filter_map(facts_of),
    );
}
