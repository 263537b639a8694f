//! What a verifier must know beside the public keys: what was ended early.
//!
//! Facts about endings only ever add up. A floor, a fold or a single ending never
//! takes back what another said, so entries may be applied twice, and the answer
//! to "is it ended?" can only turn from no to yes. A fact leaves by a `Forget`
//! entry, written once the last token that it could touch has long expired.

mod revocations;

pub(crate) use revocations::RevocationStatus;
pub use revocations::{
    ChannelChange, ChannelRevocations, ChannelState, Cutoff, RevokedBy, RevokedToken, Scope,
    SingleRevocation,
};

use crate::{
    id::{ChannelId, Position, ProviderId, SigningKeyId},
    key::{KeyState, VerifyingKey},
};
use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

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
pub enum FeedChange {
    /// Something about one channel.
    Channel {
        /// Whose it is.
        provider: ProviderId,
        /// Which.
        channel: ChannelId,
        /// What.
        change: ChannelChange,
    },
    /// A signing key is new or has a new state.
    SigningKey(ViewKey),
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
    revocations: usize,
}

impl Versioned {
    fn new(shard: Arc<Shard>, revocations: usize) -> Self {
        /// 0 is nobody's.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { version: NEXT.fetch_add(1, Ordering::Relaxed), shard, revocations }
    }
}

/// What is said of some of the channels. Boxed, so that what a look-up walks
/// over is small and stays near.
type Shard = HashMap<ChannelId, Box<ChannelRevocations>, BuildHasherDefault<ChannelHasher>>;

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
        channels: impl IntoIterator<Item = (ChannelId, ChannelRevocations)>,
    ) -> Self {
        let mut shards = vec![Shard::default(); SHARDS];
        for (channel, revocations) in channels {
            shards[shard_of(channel)].insert(channel, Box::new(revocations));
        }
        let versioned = |shard: Shard| {
            let revocations = shard.values().map(|it| it.count()).sum();
            Versioned::new(Arc::new(shard), revocations)
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
        entries: impl IntoIterator<Item = &'a FeedChange>,
        position: Position,
    ) -> Self {
        let mut next = self.clone();
        for entry in entries {
            match entry {
                // Of a provider that the view knows nothing of it never answers.
                FeedChange::Channel { provider, .. } if next.is_foreign(*provider) => {}
                FeedChange::Channel { channel, change, .. } => {
                    let place = &mut Arc::make_mut(&mut next.shards)[shard_of(*channel)];
                    let shard = Arc::make_mut(&mut place.shard);
                    let revocations = shard.entry(*channel).or_default();
                    let before = revocations.count();
                    revocations.apply(change);
                    let count = place.revocations + revocations.count() - before;
                    if revocations.is_empty() {
                        shard.remove(channel);
                    }
                    *place = Versioned::new(place.shard.clone(), count);
                }
                FeedChange::SigningKey(new) => {
                    let id = new.key.id();
                    let mut keys = next.keys.to_vec();
                    match keys.iter_mut().find(|it| it.key.id() == id) {
                        Some(known) => *known = new.clone(),
                        None => keys.push(new.clone()),
                    }
                    next.keys = keys.into();
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
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelRevocations> {
        self.shards[shard_of(id)].shard.get(&id).map(Box::as_ref)
    }

    /// How many channels it has something to say of.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shards.iter().map(|it| it.shard.len()).sum()
    }

    /// How many facts it holds of all channels: floors, and single endings.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.shards.iter().map(|it| it.revocations).sum()
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
