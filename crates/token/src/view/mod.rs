//! The revocation view: what a verifier knows besides the public keys, namely which
//! tokens were revoked before their expiry.
//!
//! Revocations only accumulate. A cutoff or a single revocation never undoes another, so
//! changes may be applied twice, and the answer to "is it revoked?" can only turn from no
//! to yes. A revocation leaves the view by a `Forget` change, written long after the last
//! token that it covers has expired.

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
    /// Its state.
    pub state: KeyState,
}

/// One change of the feed: everything that can change the result of a verification. A
/// plain issue changes no result and is not here.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedChange {
    /// The revocations or the state of one channel changed.
    Channel {
        /// The provider that owns it.
        provider: ProviderId,
        /// The channel.
        channel: ChannelId,
        /// The change.
        change: ChannelChange,
    },
    /// A signing key is new or has a new state.
    SigningKey(ViewKey),
}

/// The providers whose tokens a view can verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Providers {
    /// All providers: the authority's own view.
    All,
    /// Only these; a token of any other provider is foreign.
    Only(BTreeSet<ProviderId>),
}

/// The signing keys and the revocations at one position of the change log. Cheap to
/// clone; a clone can be changed while others read the original.
#[derive(Debug, Clone)]
pub struct View {
    providers: Arc<Providers>,
    keys: Arc<[ViewKey]>,
    shards: Arc<[Versioned]>,
    position: Position,
}

/// Number of maps that the channels are distributed over, so that a change copies only
/// one of them.
const SHARDS: usize = 1024;

/// A shard and the version of its content. A version is unique among all views of this
/// process, so "not revoked in version 7" holds in every view with version 7.
#[derive(Debug, Clone)]
struct Versioned {
    version: u64,
    shard: Arc<Shard>,
    /// Number of revocations of its channels together.
    revocations: usize,
}

impl Versioned {
    fn new(shard: Arc<Shard>, revocations: usize) -> Self {
        /// No shard has version 0: it stands for "not looked up yet".
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { version: NEXT.fetch_add(1, Ordering::Relaxed), shard, revocations }
    }
}

/// The revocations of some of the channels. Boxed, so that the entries that a look-up
/// walks over are small and close together.
type Shard = HashMap<ChannelId, Box<Channel>, BuildHasherDefault<ChannelHasher>>;

/// A channel with revocations.
#[derive(Debug, Clone)]
struct Channel {
    /// The provider that owns it: the feed shows a channel only to its provider.
    provider: ProviderId,
    revocations: ChannelRevocations,
}

/// Hashes channel ids with one multiplication. The authority draws the ids at random, so
/// no client can choose ids that collide.
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
    /// An empty view of `providers`, at the start of the change log.
    #[must_use]
    pub fn new(providers: Providers) -> Self {
        Self {
            providers: Arc::new(providers),
            keys: Arc::from([]),
            shards: (0..SHARDS).map(|_| Versioned::new(Arc::default(), 0)).collect(),
            position: Position::default(),
        }
    }

    /// The view at `position`, from keys and revocations that were read from the store.
    #[must_use]
    pub fn from_state(
        providers: Providers,
        position: Position,
        keys: Vec<ViewKey>,
        channels: impl IntoIterator<Item = (ProviderId, ChannelId, ChannelRevocations)>,
    ) -> Self {
        let mut shards = vec![Shard::default(); SHARDS];
        for (provider, channel, revocations) in channels {
            let channel_entry = Box::new(Channel { provider, revocations });
            shards[shard_of(channel)].insert(channel, channel_entry);
        }
        let versioned = |shard: Shard| {
            let revocations = shard.values().map(|it| it.revocations.count()).sum();
            Versioned::new(Arc::new(shard), revocations)
        };
        Self {
            providers: Arc::new(providers),
            keys: keys.into(),
            shards: shards.into_iter().map(versioned).collect(),
            position,
        }
    }

    /// The view with `entries` applied, the last of which is at `position`.
    #[must_use]
    pub fn after<'a>(
        &self,
        entries: impl IntoIterator<Item = &'a FeedChange>,
        position: Position,
    ) -> Self {
        let mut next = self.clone();
        for entry in entries {
            match entry {
                // A token of a foreign provider is invalid anyway.
                FeedChange::Channel { provider, .. } if next.is_foreign(*provider) => {}
                FeedChange::Channel { provider, channel, change } => {
                    let place = &mut Arc::make_mut(&mut next.shards)[shard_of(*channel)];
                    let shard = Arc::make_mut(&mut place.shard);
                    let new = || Channel { provider: *provider, revocations: <_>::default() };
                    let known = shard.entry(*channel).or_insert_with(|| Box::new(new()));
                    let revocations = &mut known.revocations;
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

    /// The position in the change log.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The known signing keys, revoked ones included.
    #[must_use]
    pub fn keys(&self) -> &[ViewKey] {
        &self.keys
    }

    /// The signing key with this id.
    #[must_use]
    pub fn key(&self, id: SigningKeyId) -> Option<&ViewKey> {
        self.keys.iter().find(|it| it.key.id() == id)
    }

    /// The revocations of a channel, if there are any.
    #[must_use]
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelRevocations> {
        self.shards[shard_of(id)].shard.get(&id).map(|it| &it.revocations)
    }

    /// The channels that are suspended or deleted or have revocations, in no order, each
    /// with the provider that owns it.
    pub fn each_channel(
        &self,
    ) -> impl Iterator<Item = (ProviderId, ChannelId, &ChannelRevocations)> {
        let channels = self.shards.iter().flat_map(|it| it.shard.iter());
        channels.map(|(id, it)| (it.provider, *id, &it.revocations))
    }

    /// Number of channels with revocations.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shards.iter().map(|it| it.shard.len()).sum()
    }

    /// Number of revocations of all channels: cutoffs and single revocations.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.shards.iter().map(|it| it.revocations).sum()
    }

    /// The version of the shard that holds this channel.
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
    // Uses other bits than the maps do, or each map would fill unevenly.
    (spread(channel.number()) >> 40) as usize % SHARDS
}
