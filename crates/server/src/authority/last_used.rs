//! When stored tokens, secrets and assertion keys were last used, and from where tokens
//! were, collected in memory: a verification writes nothing, and a job writes the times
//! and the uses to the store.
//!
//! A reader asks the store first and then here, while the job may be writing. A time is
//! therefore still here until the next ones are taken out: that it is then in both places does
//! no harm, since the later one counts. The counts of uses are added up, so each use must be
//! in one place alone: its readers and the job exclude each other ([`super::uses`]).

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};
use tegata_policy::{idle::KnownUses, secret::HashedSecret};
use tegata_store::{NotedUse, RecentUse, Stamp};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Serial},
    time::UnixTime,
};

use super::source::Source;

/// The last-used times and the uses since they were last taken.
pub struct LastUsed {
    tokens: [Mutex<Tokens>; STRIPES],
    keys: Mutex<HashMap<AssertionKeyId, UnixTime>>,
    secrets: Mutex<Secrets>,
    /// Whether the uses of tokens are recorded, and not their last time alone.
    uses: bool,
    /// The last time when the use of a token was not recorded.
    left_out: AtomicI64,
    /// How often the use of a key or secret was recorded.
    stamped: AtomicU64,
}

/// The tokens of one stripe.
#[derive(Default)]
struct Tokens {
    used: HashMap<(ChannelId, Serial), TokenUsed>,
    /// Apart, since most of the memory is here: see [`MOST_WITH_USES`].
    uses: Vec<Uses>,
    /// The times that were taken out last.
    before: HashMap<(ChannelId, Serial), UnixTime>,
    /// How often a use was recorded.
    noted: u64,
}

/// The secrets, by their channel and their hash.
#[derive(Default)]
struct Secrets {
    used: HashMap<(ChannelId, [u8; 32]), UnixTime>,
    /// The times that were taken out last.
    before: HashMap<(ChannelId, [u8; 32]), UnixTime>,
}

/// The last use of a token, and the place of its uses.
struct TokenUsed {
    at: UnixTime,
    uses: Option<u32>,
}

/// The uses of one token. The last place holds those from all further addresses.
type Uses = [Option<RecentUse>; 8];

const STRIPES: usize = 32;

/// Maximum number of entries per map until the next flush; the times of further ones are
/// not recorded, to bound memory.
const MOST: usize = 16_384;

/// Maximum number of tokens of a stripe whose uses are recorded until the next flush: in
/// all, 16 MiB.
const MOST_WITH_USES: usize = 2_048;

impl LastUsed {
    /// An empty collection.
    #[must_use]
    pub fn new() -> Self {
        let tokens = std::array::from_fn(|_| Mutex::default());
        let left_out = AtomicI64::new(i64::MIN);
        Self {
            tokens,
            keys: Mutex::default(),
            secrets: Mutex::default(),
            uses: true,
            left_out,
            stamped: AtomicU64::new(0),
        }
    }

    /// The same, without the uses of tokens.
    #[must_use]
    pub fn without_uses(self) -> Self {
        Self { uses: false, ..self }
    }

    /// Records the use of a token; a stateless one has no row.
    pub fn note(&self, token: &Claims, source: Option<Source>, now: UnixTime) {
        if token.kind.is_stored() {
            let used = RecentUse::once(source.map(|it| it.0), now);
            self.note_uses(token.channel, token.serial, used, now);
        }
    }

    /// Records uses of a stored token, the last of them `at` this time.
    pub fn note_uses(&self, channel: ChannelId, serial: Serial, used: RecentUse, at: UnixTime) {
        let mut stripe = lock(self.stripe(channel, serial));
        let Tokens { used: tokens, uses, noted, .. } = &mut *stripe;
        *noted += 1;
        let full = tokens.len() >= MOST;
        let token = match tokens.get_mut(&(channel, serial)) {
            Some(token) => token,
            None if full => return self.leave_out(at),
            None => tokens.entry((channel, serial)).or_insert(TokenUsed { at, uses: None }),
        };
        token.at = token.at.max(at);
        if !self.uses {
            return;
        }
        if token.uses.is_none() && uses.len() < MOST_WITH_USES {
            token.uses = u32::try_from(uses.len()).ok();
            uses.push(Uses::default());
        }
        let place = token.uses.and_then(|place| usize::try_from(place).ok());
        if let Some(uses) = place.and_then(|place| uses.get_mut(place)) {
            add(uses, used);
        }
    }

    /// Records that an assertion was signed with this key.
    pub fn note_key(&self, key: AssertionKeyId, now: UnixTime) {
        self.stamp(&mut lock(&self.keys), key, now);
    }

    /// Records that a client authenticated with this secret of a channel.
    pub fn note_secret(&self, channel: ChannelId, secret: HashedSecret, now: UnixTime) {
        self.stamp(&mut lock(&self.secrets).used, (channel, secret.to_stored()), now);
    }

    /// Records a time, while its map is locked: what is read after [`Self::noted`] is then as
    /// new as the number.
    fn stamp<K: Hash + Eq>(&self, stamps: &mut HashMap<K, UnixTime>, name: K, now: UnixTime) {
        self.stamped.fetch_add(1, Ordering::Relaxed);
        if let Some(stamp) = stamps.get_mut(&name) {
            // A verifier reports uses late.
            *stamp = now.max(*stamp);
        } else if stamps.len() < MOST {
            stamps.insert(name, now);
        }
    }

    /// Notes that the use of a token at that time is not recorded.
    pub fn leave_out(&self, at: UnixTime) {
        self.left_out.fetch_max(at.0, Ordering::Relaxed);
    }

    /// Which uses of tokens at this server are known.
    pub fn known(&self, now: UnixTime) -> KnownUses {
        let left_out = self.left_out.load(Ordering::Relaxed);
        let left_out = (left_out > i64::MIN).then_some(UnixTime(left_out));
        KnownUses { left_out, ..KnownUses::all(now) }
    }

    /// When a secret was last used, unless the store has had that time since before times were
    /// last taken out.
    pub fn secret(&self, channel: ChannelId, secret: HashedSecret) -> Option<UnixTime> {
        let name = (channel, secret.to_stored());
        let secrets = lock(&self.secrets);
        secrets.used.get(&name).max(secrets.before.get(&name)).copied()
    }

    /// The last use of a stored token, unless the store has had that time since before times
    /// were last taken out.
    pub fn token(&self, channel: ChannelId, serial: Serial) -> Option<UnixTime> {
        let stripe = lock(self.stripe(channel, serial));
        let at = stripe.used.get(&(channel, serial)).map(|it| it.at);
        at.max(stripe.before.get(&(channel, serial)).copied())
    }

    /// The uses of a stored token that were not taken out yet.
    pub fn uses(&self, channel: ChannelId, serial: Serial) -> Vec<RecentUse> {
        let stripe = lock(self.stripe(channel, serial));
        let place = stripe.used.get(&(channel, serial)).and_then(|it| it.uses);
        let uses = place.and_then(|place| stripe.uses.get(usize::try_from(place).ok()?));
        uses.into_iter().flatten().flatten().copied().collect()
    }

    /// A number that changes with each use that is recorded or left out.
    pub fn noted(&self) -> u64 {
        let others = self.stamped.load(Ordering::Relaxed);
        let others = others.wrapping_add(self.left_out.load(Ordering::Relaxed).cast_unsigned());
        self.tokens.iter().fold(others, |sum, it| sum.wrapping_add(lock(it).noted))
    }

    /// Takes out all times, and all uses of tokens.
    pub fn take(&self) -> (Vec<Stamp>, Vec<NotedUse>) {
        let keys = std::mem::take(&mut *lock(&self.keys)).into_iter();
        let mut stamps: Vec<_> = keys.map(|(key, at)| Stamp::AssertionKey(key, at)).collect();
        let mut secrets = lock(&self.secrets);
        secrets.before = std::mem::take(&mut secrets.used);
        stamps.extend(secrets.before.iter().map(|((channel, hash), at)| {
            Stamp::Secret(*channel, HashedSecret::from_stored(*hash), *at)
        }));
        drop(secrets);
        let mut uses = Vec::new();
        for stripe in &self.tokens {
            let mut stripe = lock(stripe);
            let (tokens, all) =
                (std::mem::take(&mut stripe.used), std::mem::take(&mut stripe.uses));
            stripe.before = tokens.iter().map(|(name, token)| (*name, token.at)).collect();
            drop(stripe);
            for ((channel, serial), token) in tokens {
                stamps.push(Stamp::Token(channel, serial, token.at));
                let place = token.uses.and_then(|place| usize::try_from(place).ok());
                let of_token = place.and_then(|place| all.get(place));
                let used = of_token.into_iter().flatten().flatten();
                uses.extend(used.map(|&used| NotedUse { channel, serial, used }));
            }
        }
        (stamps, uses)
    }

    fn stripe(&self, channel: ChannelId, serial: Serial) -> &Mutex<Tokens> {
        let at = (channel.number() ^ serial.0.rotate_left(7)) % STRIPES as u64;
        &self.tokens[usize::try_from(at).unwrap_or(0)]
    }
}

impl Default for LastUsed {
    fn default() -> Self {
        Self::new()
    }
}

/// Adds uses to those of a token.
fn add(uses: &mut Uses, used: RecentUse) {
    let is_same = |it: &&mut RecentUse| it.source == used.source && it.minute == used.minute;
    if let Some(same) = uses.iter_mut().flatten().find(is_same) {
        same.count = same.count.saturating_add(used.count);
        return;
    }
    let (others, single) = match uses {
        [single @ .., others] => (others, single),
    };
    if let Some(free) = single.iter_mut().find(|it| it.is_none()) {
        *free = Some(used);
        return;
    }
    let others = others.get_or_insert(RecentUse { count: 0, source: None, ..used });
    others.minute = others.minute.max(used.minute);
    others.count = others.count.saturating_add(used.count);
}

fn lock<T>(stripe: &Mutex<T>) -> MutexGuard<'_, T> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const NOW: UnixTime = UnixTime(6_000);

    fn noted(from: impl IntoIterator<Item = u8>) -> LastUsed {
        let all = LastUsed::new();
        let (channel, serial) = (ChannelId::from_number(1_000_000_000).unwrap(), Serial(1));
        for last in from {
            let source = Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)));
            all.note_uses(channel, serial, RecentUse::once(source, NOW), NOW);
        }
        all
    }

    #[test]
    fn uses_are_counted_by_address_and_minute_and_many_addresses_become_one_entry() {
        let counts = |all: &LastUsed| {
            let uses = all.take().1;
            uses.iter().map(|it| (it.used.source.is_some(), it.used.count)).collect::<Vec<_>>()
        };
        assert_eq!(counts(&noted([1, 2, 1])), [(true, 2), (true, 1)]);
        let many = counts(&noted(0..200));
        assert_eq!(many.len(), 8);
        assert_eq!(many.iter().map(|(_, count)| count).sum::<u32>(), 200);
        assert_eq!(many[7], (false, 193));
    }

    #[test]
    fn each_use_changes_the_number_and_taking_them_out_does_not() {
        let all = noted([1]);
        let (channel, serial) = (ChannelId::from_number(1_000_000_000).unwrap(), Serial(1));
        let mut before = all.noted();
        let mut changes = || {
            let now = all.noted();
            std::mem::replace(&mut before, now) != now
        };
        all.note_uses(channel, serial, RecentUse::once(None, NOW), NOW);
        assert!(changes(), "the same token in the same second");
        let _ = all.take();
        assert!(!changes(), "the store changes then");
        all.note_key(AssertionKeyId([7; 16]), NOW);
        assert!(changes());
        all.leave_out(NOW);
        assert!(changes());
    }

    #[test]
    fn a_time_stays_until_the_next_ones_are_taken_out_and_a_use_does_not() {
        let all = noted([1]);
        let (channel, serial) = (ChannelId::from_number(1_000_000_000).unwrap(), Serial(1));
        let secret = HashedSecret::from_stored([9; 32]);
        all.note_secret(channel, secret, NOW);
        assert_eq!(all.uses(channel, serial).len(), 1);
        let (stamps, uses) = all.take();
        assert_eq!((stamps.len(), uses.len()), (2, 1));
        // A reader who asked the store before the job wrote to it asks here now.
        assert_eq!(all.token(channel, serial), Some(NOW));
        assert_eq!(all.secret(channel, secret), Some(NOW));
        assert!(all.uses(channel, serial).is_empty(), "each is in one place");
        let later = UnixTime(NOW.0 + 1);
        all.note_uses(channel, serial, RecentUse::once(None, later), later);
        assert_eq!(all.token(channel, serial), Some(later));
        let _ = (all.take(), all.take());
        assert_eq!((all.token(channel, serial), all.secret(channel, secret)), (None, None));
    }

    #[test]
    fn without_uses_only_the_last_time_is_noted() {
        let all = LastUsed::new().without_uses();
        let channel = ChannelId::from_number(1_000_000_000).unwrap();
        all.note_uses(channel, Serial(1), RecentUse::once(None, NOW), NOW);
        let (stamps, uses) = all.take();
        assert_eq!((stamps.len(), uses.len()), (1, 0));
        assert!(all.take().0.is_empty(), "taken out");
    }
}
