//! The world of a history: one authority; two replicas of it that issue and verify by
//! what they have read so far; two followers that only verify; time and clocks. After
//! each act the views are compared with the naive model.

/// Returns a [`Violation`] with this text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}

mod checks;
mod issuing;
mod reading;
mod revoking;

use super::{
    Fault,
    act::{Act, Rng},
    authority::{Authority, ChannelRow},
    naive::{Answer, Asker, Epoch, Event, Naive, TokenNo},
};
use crate::channel::{self, NOW};
use issuing::{Pending, Taken, assertion_key, registered, secret_of};
use reading::{Replica, Verifier};
use revoking::Backup;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tegata_policy::{
    channel::{Channel, GroupRule, Secret},
    rules::ChannelType,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, ProviderId, Serial, SigningKeyId},
    key::{KeyState, SigningKey},
    time::UnixTime,
    verify::Signatures,
    view::{ChannelState, FeedChange, Providers, Scope, View},
};

/// A replica that has read nothing for this many seconds reads before it serves (its
/// lease); a pending act is committed within that time or never.
const LEASE: i64 = 10;

/// A property that a history broke, in words.
pub type Violation = String;

/// How often each event that histories must contain occurred.
#[derive(Debug, Default, Clone)]
pub struct Seen(pub BTreeMap<&'static str, usize>);

impl Seen {
    fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

pub struct World {
    fault: Fault,
    now: UnixTime,
    authority: Authority,
    naive: Naive,
    /// The issued tokens, by their numbers.
    handed: Vec<(String, Claims)>,
    /// The private halves of the signing keys; they are never restored.
    signing: HashMap<SigningKeyId, SigningKey>,
    /// One cache for all verifiers: sharing it must make no difference.
    signatures: Signatures,
    verifiers: [Verifier; 4],
    replicas: [Replica; 2],
    /// The pending acts, and when each was begun.
    pending: Vec<(UnixTime, Pending)>,
    /// Positions of narrowing acts whose response is not sent yet.
    waiting: Vec<usize>,
    /// Tokens that no replica may accept any more, since a response reported them revoked.
    promised: BTreeMap<TokenNo, UnixTime>,
    backups: Vec<Backup>,
    /// The revocation journal, which no restore takes back.
    journal: Vec<(FeedChange, Event)>,
    taken: Vec<Vec<Taken>>,
    /// Every assertion key that a channel has had, by its index.
    assertion_keys: Vec<[Vec<AssertionKeyId>; 2]>,
    secrets: u32,
    sample: Rng,
    steps: usize,
    pub seen: Seen,
}

fn providers() -> [ProviderId; 2] {
    [1, 2].map(|number| ProviderId::from_number(number).unwrap())
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
                revocations: Default::default(),
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
        let verifier = |providers: &[ProviderId]| Verifier {
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
            verifiers: [
                verifier(&[one, two]),
                verifier(&[one, two]),
                verifier(&[one, two]),
                verifier(&[one]),
            ],
            replicas: [replica(), replica()],
            pending: Vec::new(),
            waiting: Vec::new(),
            promised: BTreeMap::new(),
            backups: Vec::new(),
            journal: Vec::new(),
            taken: vec![vec![(0, None)]; 3],
            assertion_keys: (0..3)
                .map(|no| [0, 1].map(|place| vec![assertion_key(no, place, 0)]))
                .collect(),
            secrets: 0,
            sample: Rng::of(7),
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

    /// Checks every token, also after every verifier has read the whole log.
    pub fn finish(&mut self) -> Result<(), Violation> {
        self.check(true)?;
        (0..4).for_each(|who| self.follow(who, usize::MAX));
        self.answer_who_waits();
        self.check(true)
    }

    fn act(&mut self, act: &Act) -> Result<(), Violation> {
        match act {
            Act::Wait(seconds) => self.now = self.now.plus(*seconds),
            Act::Step { who, off } => self.verifiers[*who].off = *off,
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
                    if let Some(pending) = self.ask_to_revoke(*replica, token + next) {
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
                    self.revoke_all(*channel, self.scope(*channel, scope), from, now);
                }
            }
            Act::Rotate { replica, channel, keep, revoke_tokens } => {
                if let Some(now) = self.time_of(*replica) {
                    self.rotate(*channel, *keep, now);
                    if let Some(scope) = revoke_tokens.scope() {
                        self.revoke_all(*channel, scope, None, now);
                    }
                }
            }
            Act::ReplaceKey { replica, channel, key, revoke_tokens } => {
                if let Some(now) = self.time_of(*replica) {
                    let old = self.replace_key(*channel, *key);
                    if *revoke_tokens {
                        self.revoke_all(*channel, Scope::AssertionKey { key: old }, None, now);
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
            Act::Change { channel, rules } => self.set(*channel, |channel| channel.rules = *rules),
            Act::Groups { channel, cap, when_full } => {
                let rule = GroupRule { cap: *cap, when_full: *when_full };
                self.set(*channel, |channel| channel.group_rule = rule);
            }
            Act::Announce => {
                if !self.authority.keys.iter().any(|it| it.state == KeyState::Pending) {
                    self.new_key(KeyState::Pending);
                }
            }
            Act::Activate => self.activate(),
            Act::LimitKey { replica, key } => {
                if let Some(now) = self.time_of(*replica) {
                    self.narrow_key(*key, KeyState::Retired { issued_before: Some(now) });
                }
            }
            Act::RevokeKey { replica, key } => {
                if self.time_of(*replica).is_some() {
                    self.narrow_key(*key, KeyState::Revoked);
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

    // ---- what is written

    /// Adds an entry to the naive model and, if it is a revocation, to the revocation
    /// journal.
    fn note(&mut self, entry: Option<FeedChange>, event: Event) {
        let is_revocation = match &event {
            Event::Quiet => false,
            Event::Revoked(_) | Event::AllRevoked { .. } | Event::State { .. } => true,
            Event::Key { state, .. } => {
                matches!(state, KeyState::Retired { issued_before: Some(_) } | KeyState::Revoked)
            }
        };
        if let Some(entry) = entry
            && is_revocation
        {
            self.journal.push((entry, event.clone()));
        }
        self.note_no_revocation(event);
    }

    fn note_no_revocation(&mut self, event: Event) {
        let events = &mut self.naive.epochs[self.authority.epoch].events;
        // The last entry of an act is the one for verifiers.
        while events.len() + 1 < self.authority.log.len() {
            events.push(Event::Quiet);
        }
        events.push(event);
    }

    /// The act that was just written is answered once both replicas have read it.
    fn wait(&mut self) {
        self.waiting.push(self.authority.log.len());
    }

    fn answer_who_waits(&mut self) {
        let read = |who: usize| self.verifiers[who].read.min(self.replicas[who].read);
        let both = read(0).min(read(1));
        let (answered, waiting) = self.waiting.iter().partition(|&&position| position <= both);
        self.waiting = waiting;
        let answered: Vec<usize> = answered;
        if let Some(&last) = answered.iter().max() {
            self.promise(last);
        }
    }

    /// Records that no replica may accept the tokens revoked up to this position.
    fn promise(&mut self, position: usize) {
        let epoch = self.authority.epoch;
        let providers = providers();
        // Revoked whatever the clock shows; delayed revocations have their own time.
        let always = UnixTime(i64::MIN);
        let asker = Asker { epoch, read: position, now: always, providers: &providers };
        for no in 0..self.handed.len() {
            if self.promised.get(&no) == Some(&always) {
                continue;
            }
            let end = match self.naive.answer(no, asker) {
                Answer::Revoked => Some(always),
                _ => self.naive.revoked_from(no, epoch, position),
            };
            if let Some(end) = end {
                let promised = self.promised.entry(no).or_insert(end);
                *promised = end.min(*promised);
            }
        }
    }
}
