//! When stored tokens were last used, gathered in memory: checking writes
//! nothing, and a job takes the stamps to the store from time to time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Serial},
    time::UnixTime,
};

/// The stamps since they were last taken.
pub struct LastUsed([Mutex<HashMap<(ChannelId, Serial), UnixTime>>; STRIPES]);

const STRIPES: usize = 32;

/// Beyond this many tokens in a stripe further ones go unstamped until the next
/// flush: a stamp is a courtesy, memory is not.
const MOST: usize = 16_384;

impl LastUsed {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Notes the use of a token; of a stateless one there is no row to stamp.
    pub fn note(&self, token: &Claims, now: UnixTime) {
        if !token.kind.is_stored() {
            return;
        }
        let at = (token.channel.number() ^ token.serial.0.rotate_left(7)) % STRIPES as u64;
        let mut stamps = lock(&self.0[usize::try_from(at).unwrap_or(0)]);
        let name = (token.channel, token.serial);
        if let Some(stamp) = stamps.get_mut(&name) {
            *stamp = now;
        } else if stamps.len() < MOST {
            stamps.insert(name, now);
        }
    }

    /// Takes all stamps out.
    pub fn take(&self) -> Vec<(ChannelId, Serial, UnixTime)> {
        let mut all = Vec::new();
        for stripe in &self.0 {
            let stamps = std::mem::take(&mut *lock(stripe));
            all.extend(stamps.into_iter().map(|((channel, serial), at)| (channel, serial, at)));
        }
        all
    }
}

impl Default for LastUsed {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(stripe: &Mutex<T>) -> MutexGuard<'_, T> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}
