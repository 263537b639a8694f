//! What a verifier must know beside the public keys: what was ended early.
//!
//! Facts about endings only ever add up. A floor, a fold or a single ending never
//! takes back what another said, so entries may be applied twice, and the answer
//! to "is it ended?" can only turn from no to yes. A fact leaves by a `Forget`
//! entry, written once the last token that it could touch has long expired.

use crate::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, VerifyingKey},
    law::{Kind, LAW, Life},
    policy::{ChannelState, Live},
    time::UnixTime,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Which tokens of a channel a floor is about. A closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case")]
pub enum Scope {
    /// All of them.
    Channel,
    /// One kind.
    Kind {
        /// Which.
        kind: Kind,
    },
    /// One kind within one group, or expressly without a group.
    KindGroup {
        /// Which kind.
        kind: Kind,
        /// Which group; `None` is "those without".
        group: Option<Group>,
    },
    /// One group, all kinds.
    Group {
        /// Which.
        group: Group,
    },
    /// All that was asked for with one assertion key.
    AssertionKey {
        /// Which.
        key: AssertionKeyId,
    },
}

impl Scope {
    /// Whether a token with these marks is one that the scope is about.
    #[must_use]
    pub fn covers(&self, kind: Kind, group: Option<&Group>, key: Option<AssertionKeyId>) -> bool {
        match self {
            Self::Channel => true,
            Self::Kind { kind: of } => kind == *of,
            Self::KindGroup { kind: of, group: within } => kind == *of && group == within.as_ref(),
            Self::Group { group: of } => group == Some(of),
            Self::AssertionKey { key: of } => key == Some(*of),
        }
    }

    /// The longest life, in seconds, of a token that the scope may cover.
    #[must_use]
    pub fn longest_life(&self) -> i64 {
        let can_cover = |kind: Kind| match self {
            Self::Channel => true,
            Self::Kind { kind: of } | Self::KindGroup { kind: of, .. } => kind == *of,
            // Long-lived tokens have neither a group nor an assertion key.
            Self::Group { .. } | Self::AssertionKey { .. } => kind != Kind::LongLived,
        };
        let life = |life: Life| match life {
            Life::AskedFor { longest } => longest,
            Life::Fixed(seconds) => seconds,
        };
        let lives = LAW.iter().filter(|rule| can_cover(rule.kind)).map(|rule| life(rule.life));
        lives.max().unwrap_or(0)
    }
}

/// "In this scope, every serial below this one is dead": at once, or from a time
/// on; all of them, or all but a few (a *fold*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Which tokens.
    #[serde(flatten)]
    pub scope: Scope,
    /// Those with a smaller serial than this.
    pub below: Serial,
    /// From when on; `None` is at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixTime>,
    /// These live on: what a fold found living, under the channel's lock.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<Serial>,
    /// By then every token that the floor could touch has expired.
    pub until: UnixTime,
}

impl Floor {
    /// A floor set at `now`; it can matter until the longest-lived token that
    /// might have been issued before it has expired.
    #[must_use]
    pub fn set(scope: Scope, below: Serial, from: Option<UnixTime>, now: UnixTime) -> Self {
        let until = now.plus(scope.longest_life());
        Self { scope, below, from, except: BTreeSet::new(), until }
    }

    fn covers(&self, token: &Claims) -> bool {
        token.serial < self.below
            && self.scope.covers(token.kind, token.group.as_ref(), token.assertion_key)
            // Stateless tokens share serials, so an exception never means one.
            && !(token.kind.is_stored() && self.except.contains(&token.serial))
    }
}

/// One token that ended early by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Single {
    /// Which.
    #[serde(flatten)]
    pub token: SingleToken,
    /// When it would have expired.
    pub until: UnixTime,
}

/// How one token is named: a stored one by its serial, a stateless one, which
/// shares its serial with others, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SingleToken {
    /// A token with a row.
    Stored {
        /// Its kind.
        kind: Kind,
        /// Its place in the channel's count.
        serial: Serial,
    },
    /// A stateless token.
    Stateless {
        /// Its id.
        id: TokenId,
    },
}

/// How many single endings of a kind are kept apart before they are folded.
pub const SINGLES: usize = 8;

/// Why a token is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself: revoked, evicted or replaced.
    Single,
    /// With others of its scope.
    Floor,
    /// With the key that signed it.
    SigningKey,
    /// With its channel.
    Channel,
}

/// All that a view says of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// Whether the channel may be used.
    #[serde(skip, default = "active")]
    pub state: ChannelState,
    /// Floors and folds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floors: Vec<Floor>,
    /// Stored tokens that ended by themselves: the kind of each, and when it would
    /// have expired.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub singles: BTreeMap<Serial, (Kind, UnixTime)>,
    /// Stateless tokens that ended by themselves, and when each would have expired.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub stateless: HashMap<TokenId, UnixTime>,
}

fn active() -> ChannelState {
    ChannelState::Active
}

impl Default for ChannelFacts {
    fn default() -> Self {
        Self {
            state: ChannelState::Active,
            floors: Vec::new(),
            singles: BTreeMap::new(),
            stateless: HashMap::new(),
        }
    }
}

/// What the channel's facts say of one token at one moment.
pub(crate) enum Said {
    Ended(How),
    Suspended,
    /// It lives, until then at the latest.
    Lives(UnixTime),
}

impl ChannelFacts {
    /// Whether the channel is in ordinary use and nothing of it was ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many endings it holds: floors, and tokens that ended by themselves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.floors.len() + self.singles.len() + self.stateless.len()
    }

    pub(crate) fn of(&self, token: &Claims, now: UnixTime) -> Said {
        if self.state == ChannelState::Deleted {
            return Said::Ended(How::Channel);
        }
        let single = match token.kind {
            Kind::Stateless => self.stateless.contains_key(&token.id),
            _ => self.singles.contains_key(&token.serial),
        };
        if single {
            return Said::Ended(How::Single);
        }
        let mut until = token.expires_at;
        for floor in self.floors.iter().filter(|floor| floor.covers(token)) {
            match floor.from {
                Some(from) if now < from => until = until.min(from),
                _ => return Said::Ended(How::Floor),
            }
        }
        if self.state == ChannelState::Suspended {
            return Said::Suspended;
        }
        Said::Lives(until)
    }

    /// Takes in a floor. Those of one scope that hold at once become one, which
    /// lets live only what each of them let live; a delayed one is dropped if
    /// another says at least as much, as early.
    fn add_floor(&mut self, mut new: Floor) {
        self.floors.retain(|old| {
            if old.scope != new.scope {
                return true;
            }
            if old.from.is_none() && new.from.is_none() {
                let lives = |floor: &Floor, serial: Serial| {
                    serial >= floor.below || floor.except.contains(&serial)
                };
                let named = old.except.union(&new.except).copied();
                new.except = named.filter(|&it| lives(old, it) && lives(&new, it)).collect();
                new.below = new.below.max(old.below);
                new.until = new.until.max(old.until);
                return false;
            }
            let as_early = old.from.is_some_and(|old| new.from.is_none_or(|new| new <= old));
            let says_less = as_early && old.below <= new.below && new.except.is_empty();
            if says_less {
                new.until = new.until.max(old.until);
            }
            !says_less
        });
        let said_already = self.floors.iter().any(|old| {
            *old == new
                || (old.scope == new.scope
                    && old.except.is_empty()
                    && old.from.is_none()
                    && new.below <= old.below
                    && new.until <= old.until)
        });
        // What a floor that holds at once says of stored tokens need not be said singly.
        if new.from.is_none()
            && let Scope::Kind { kind: of } = new.scope
        {
            self.singles.retain(|serial, (kind, _)| {
                *kind != of || *serial >= new.below || new.except.contains(serial)
            });
        }
        if !said_already {
            self.floors.push(new);
        }
    }

    fn add_single(&mut self, single: Single) {
        match single.token {
            SingleToken::Stateless { id } => {
                self.stateless.insert(id, single.until);
            }
            // Stored kinds share one count, so the serial alone is a name.
            SingleToken::Stored { kind, serial } => {
                self.singles.insert(serial, (kind, single.until));
            }
        }
    }

    /// Takes in one entry about this channel.
    pub fn apply(&mut self, change: &ChannelChange) {
        match change {
            ChannelChange::Ended { tokens } => {
                tokens.iter().for_each(|single| self.add_single(single.clone()));
            }
            ChannelChange::Floor { floors } => {
                floors.iter().for_each(|floor| self.add_floor(floor.clone()));
            }
            // Deletion is for good.
            ChannelChange::State { state } => {
                if self.state != ChannelState::Deleted {
                    self.state = *state;
                }
            }
            ChannelChange::Forget { expired_by } => {
                self.floors.retain(|floor| floor.until > *expired_by);
                self.singles.retain(|_, (_, until)| *until > *expired_by);
                self.stateless.retain(|_, until| *until > *expired_by);
            }
        }
    }

    /// The moment by which the first of the facts can be forgotten, if there is any.
    #[must_use]
    pub fn first_until(&self) -> Option<UnixTime> {
        let floors = self.floors.iter().map(|floor| floor.until);
        let singles = self.singles.values().map(|(_, until)| *until);
        floors.chain(singles).chain(self.stateless.values().copied()).min()
    }

    /// The entry that ends single stored tokens: one by one while they are few;
    /// beyond that, for each kind among them, as one fold that names what lives.
    ///
    /// Call it under the channel's lock, since `lives` must be all the channel's
    /// live tokens when the entry is committed, without those that end now, and
    /// `next` a serial that none of them has reached.
    #[must_use]
    pub fn end_singly(
        &self,
        ends: &[(Kind, Serial, UnixTime)],
        lives: &[Live],
        next: Serial,
        now: UnixTime,
    ) -> ChannelChange {
        let held = |of: Kind| self.singles.values().filter(|(kind, _)| *kind == of).count();
        let kinds: BTreeSet<Kind> = ends.iter().map(|end| end.0).collect();
        let ending = |of: Kind| ends.iter().filter(move |end| end.0 == of);
        if kinds.iter().all(|&kind| held(kind) + ending(kind).count() <= SINGLES) {
            let single = |&(kind, serial, until): &(Kind, Serial, UnixTime)| Single {
                token: SingleToken::Stored { kind, serial },
                until,
            };
            return ChannelChange::Ended { tokens: ends.iter().map(single).collect() };
        }
        let fold = |kind: Kind| {
            let mut floor = Floor::set(Scope::Kind { kind }, next, None, now);
            floor.except = lives.iter().filter(|it| it.kind == kind).map(|it| it.serial).collect();
            floor
        };
        ChannelChange::Floor { floors: kinds.into_iter().map(fold).collect() }
    }
}

/// A signing key as verifiers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewKey {
    /// Its public half.
    pub key: VerifyingKey,
    /// What it is good for.
    pub state: KeyState,
}

/// One entry of the change log: everything that can change an answer. A plain
/// issue changes none and is not here.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Something about one channel.
    Channel {
        /// Which.
        channel: ChannelId,
        /// What.
        change: ChannelChange,
    },
    /// A signing key is new or has a new state.
    SigningKey(ViewKey),
}

/// What an entry says of its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum ChannelChange {
    /// These tokens ended by themselves.
    Ended {
        /// Which.
        tokens: Vec<Single>,
    },
    /// These floors hold.
    Floor {
        /// Which.
        floors: Vec<Floor>,
    },
    /// The channel is suspended, resumed or deleted.
    State {
        /// What it is now.
        state: ChannelState,
    },
    /// What was said of tokens that expired by then can go.
    Forget {
        /// Facts whose `until` is not after this.
        expired_by: UnixTime,
    },
}

/// Whose tokens a view can judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// Everybody's: the authority's own view.
    All,
    /// Only these; a token of any other is foreign.
    Only(BTreeSet<ProviderId>),
}

/// What was ended early, at one position of the change log. Cheap to clone, and
/// a clone can be changed while others read the original.
#[derive(Debug, Clone)]
pub struct View {
    providers: Arc<Providers>,
    keys: Arc<[ViewKey]>,
    shards: Arc<[Versioned]>,
    position: Position,
}

/// Channels are spread over this many maps, so that a change copies only one.
const SHARDS: usize = 1024;

/// A shard and the name of its content: no two contents ever bear the same, in
/// any view of this process, so "nothing was said against it in version 7" holds
/// wherever version 7 is met again.
#[derive(Debug, Clone)]
struct Versioned {
    version: u64,
    shard: Arc<Shard>,
    /// How many facts its channels have together.
    facts: usize,
}

impl Versioned {
    fn new(shard: Arc<Shard>, facts: usize) -> Self {
        /// 0 is nobody's.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { version: NEXT.fetch_add(1, Ordering::Relaxed), shard, facts }
    }
}

/// What is said of some of the channels. Boxed, so that what a look-up walks
/// over is small and stays near.
type Shard = HashMap<ChannelId, Box<ChannelFacts>, BuildHasherDefault<ChannelHasher>>;

/// Channel ids are the authority's own random numbers: nobody can choose them to
/// collide, so one multiplication spreads them well enough.
#[derive(Default)]
struct ChannelHasher(u64);

impl Hasher for ChannelHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = spread(number);
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = spread(self.0 ^ u64::from(byte));
        }
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4), with the top
/// half folded back so that low bits depend on all of the number.
fn spread(number: u64) -> u64 {
    let product = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

impl View {
    /// A view of `providers` at the very beginning of the log.
    #[must_use]
    pub fn new(providers: Providers) -> Self {
        Self {
            providers: Arc::new(providers),
            keys: Arc::from([]),
            shards: (0..SHARDS).map(|_| Versioned::new(Arc::default(), 0)).collect(),
            position: Position::default(),
        }
    }

    /// A view read from the state's own tables, which stood at `position`.
    #[must_use]
    pub fn from_state(
        providers: Providers,
        position: Position,
        keys: Vec<ViewKey>,
        channels: impl IntoIterator<Item = (ChannelId, ChannelFacts)>,
    ) -> Self {
        let mut shards = vec![Shard::default(); SHARDS];
        for (channel, facts) in channels {
            shards[shard_of(channel)].insert(channel, Box::new(facts));
        }
        let versioned = |shard: Shard| {
            let facts = shard.values().map(|it| it.count()).sum();
            Versioned::new(Arc::new(shard), facts)
        };
        Self {
            providers: Arc::new(providers),
            keys: keys.into(),
            shards: shards.into_iter().map(versioned).collect(),
            position,
        }
    }

    /// The view after `entries`, the last of which stands at `position`.
    #[must_use]
    pub fn after<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a Entry>,
        position: Position,
    ) -> Self {
        let mut next = self.clone();
        for entry in entries {
            match entry {
                Entry::Channel { channel, change } => {
                    let place = &mut Arc::make_mut(&mut next.shards)[shard_of(*channel)];
                    let shard = Arc::make_mut(&mut place.shard);
                    let facts = shard.entry(*channel).or_default();
                    let before = facts.count();
                    facts.apply(change);
                    let count = place.facts + facts.count() - before;
                    if facts.is_empty() {
                        shard.remove(channel);
                    }
                    *place = Versioned::new(place.shard.clone(), count);
                }
                Entry::SigningKey(new) => {
                    let id = new.key.id();
                    let others = next.keys.iter().filter(|it| it.key.id() != id).cloned();
                    next.keys = others.chain([new.clone()]).collect();
                }
            }
        }
        next.position = position;
        next
    }

    /// How far in the log the view is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The signing keys that it knows, removed ones included.
    #[must_use]
    pub fn keys(&self) -> &[ViewKey] {
        &self.keys
    }

    /// The signing key of that name.
    #[must_use]
    pub fn key(&self, id: SigningKeyId) -> Option<&ViewKey> {
        self.keys.iter().find(|it| it.key.id() == id)
    }

    /// What it has to say of a channel, if anything.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelFacts> {
        self.shards[shard_of(id)].shard.get(&id).map(Box::as_ref)
    }

    /// How many channels it has something to say of.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shards.iter().map(|it| it.shard.len()).sum()
    }

    /// How many facts it holds of all channels: floors, and single endings.
    #[must_use]
    pub fn facts(&self) -> usize {
        self.shards.iter().map(|it| it.facts).sum()
    }

    /// The name of all that is said of this channel and of those it is kept with.
    pub(crate) fn version(&self, id: ChannelId) -> u64 {
        self.shards[shard_of(id)].version
    }

    pub(crate) fn is_foreign(&self, provider: ProviderId) -> bool {
        match &*self.providers {
            Providers::All => false,
            Providers::Only(known) => !known.contains(&provider),
        }
    }
}

fn shard_of(channel: ChannelId) -> usize {
    // Other bits than the maps themselves use, or each map would fill unevenly.
    (spread(channel.number()) >> 40) as usize % SHARDS
}
