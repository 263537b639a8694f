//! When stored tokens, secrets and assertion keys were last used, collected in memory: a
//! verification writes nothing, and a job writes the times to the store.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tegata_policy::secret::HashedSecret;
use tegata_store::Stamp;
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Serial},
    time::UnixTime,
};

/// The last-used times since they were last taken.
pub struct LastUsed {
    tokens: [Mutex<HashMap<(ChannelId, Serial), UnixTime>>; STRIPES],
    keys: Mutex<HashMap<AssertionKeyId, UnixTime>>,
    secrets: Mutex<HashMap<(ChannelId, [u8; 32]), UnixTime>>,
}

const STRIPES: usize = 32;

/// Maximum number of entries per map until the next flush; the times of further ones are
/// not recorded, to bound memory.
const MOST: usize = 16_384;

impl LastUsed {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        let tokens = std::array::from_fn(|_| Mutex::default());
        Self { tokens, keys: Mutex::default(), secrets: Mutex::default() }
    }

    /// Records the use of a token; a stateless one has no row.
    pub fn note(&self, token: &Claims, now: UnixTime) {
        if token.kind.is_stored() {
            self.note_stored(token.channel, token.serial, now);
        }
    }

    /// Records the use of a stored token.
    pub fn note_stored(&self, channel: ChannelId, serial: Serial, now: UnixTime) {
        let at = (channel.number() ^ serial.0.rotate_left(7)) % STRIPES as u64;
        let mut stamps = lock(&self.tokens[usize::try_from(at).unwrap_or(0)]);
        stamp(&mut stamps, (channel, serial), now);
    }

    /// Records that an assertion was signed with this key.
    pub fn note_key(&self, key: AssertionKeyId, now: UnixTime) {
        stamp(&mut lock(&self.keys), key, now);
    }

    /// Records that a client authenticated with this secret of a channel.
    pub fn note_secret(&self, channel: ChannelId, secret: HashedSecret, now: UnixTime) {
        stamp(&mut lock(&self.secrets), (channel, secret.to_stored()), now);
    }

    /// When a secret was last used, if its time was not taken out since.
    pub fn secret(&self, channel: ChannelId, secret: HashedSecret) -> Option<UnixTime> {
        lock(&self.secrets).get(&(channel, secret.to_stored())).copied()
    }

    /// Takes out all times.
    pub fn take(&self) -> Vec<Stamp> {
        let keys = std::mem::take(&mut *lock(&self.keys)).into_iter();
        let mut all: Vec<_> = keys.map(|(key, at)| Stamp::AssertionKey(key, at)).collect();
        let secrets = std::mem::take(&mut *lock(&self.secrets)).into_iter();
        all.extend(secrets.map(|((channel, hash), at)| {
            Stamp::Secret(channel, HashedSecret::from_stored(hash), at)
        }));
        for stripe in &self.tokens {
            let stamps = std::mem::take(&mut *lock(stripe)).into_iter();
            all.extend(stamps.map(|((channel, serial), at)| Stamp::Token(channel, serial, at)));
        }
        all
    }
}

impl Default for LastUsed {
    fn default() -> Self {
        Self::new()
    }
}

fn stamp<K: Hash + Eq>(stamps: &mut HashMap<K, UnixTime>, name: K, now: UnixTime) {
    if let Some(stamp) = stamps.get_mut(&name) {
        // A verifier reports uses late.
        *stamp = now.max(*stamp);
    } else if stamps.len() < MOST {
        stamps.insert(name, now);
    }
}

fn lock<T>(stripe: &Mutex<T>) -> MutexGuard<'_, T> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}
