//! Acts as plain data, so that a history can be generated from a seed, printed, and
//! shortened.

use tegata_policy::channel::RevokeTokens;
use tegata_policy::rules::{TokenRules, WhenFull};
use tegata_token::{kind::Kind, view::ChannelState};

/// One act of a history. Numbers are taken modulo the number of things that exist at
/// that time, so that every act is valid in every history; an impossible act is skipped.
#[derive(Debug, Clone)]
pub enum Act {
    /// Time passes, in seconds.
    Wait(i64),
    /// A clock of a replica or follower is set to this many seconds off the true time.
    Step { who: usize, off: i64 },
    /// A replica's wall clock jumps 40 days ahead, or back again.
    Jump { replica: usize },
    /// A token is requested; unless `at_once`, the request is authorized now and the
    /// token issued by a later act.
    Ask { replica: usize, channel: usize, want: Want, times: usize, at_once: bool },
    /// Some tokens are revoked one by one: found now and, unless `at_once`, committed
    /// later.
    Revoke { replica: usize, token: usize, times: usize, at_once: bool },
    /// Some of the pending acts are committed.
    Commit { nth: usize, times: usize },
    /// All tokens of a scope are revoked, at once or after a delay.
    EndAll { replica: usize, channel: usize, scope: Which, delay: Option<i64> },
    /// A channel's secret is rotated; the old one is accepted for this many seconds.
    Rotate { replica: usize, channel: usize, keep: i64, revoke_tokens: RevokeTokens },
    /// An assertion key is deleted and another registered in its place.
    ReplaceKey { replica: usize, channel: usize, key: usize, revoke_tokens: bool },
    /// A channel is suspended, resumed or deleted.
    Put { replica: usize, channel: usize, state: ChannelState },
    /// A channel's token rules change.
    Change { channel: usize, rules: TokenRules },
    /// A channel's settings for groups change.
    Groups { channel: usize, cap: usize, when_full: WhenFull },
    /// A signing key is published; it becomes active once every verifier has it.
    Announce,
    /// The published key becomes active.
    Activate,
    /// A signing key is limited to the tokens issued before now.
    LimitKey { replica: usize, key: usize },
    /// A signing key is revoked.
    RevokeKey { replica: usize, key: usize },
    /// What no longer matters of a channel is forgotten.
    Forget { replica: usize, channel: usize },
    /// A replica or follower reads this many entries.
    Follow { who: usize, entries: usize },
    /// A follower takes a snapshot.
    Snapshot { who: usize },
    /// The state is saved.
    Backup,
    /// A saved state is restored; the revocation journal is replayed, or every token
    /// issued before is revoked.
    Restore { nth: usize, replay: bool },
}

/// The parameters of a request for a token.
#[derive(Debug, Clone)]
pub struct Want {
    pub kind: Kind,
    pub group: Option<&'static str>,
    /// 0 is the current secret or key; a higher number is an earlier one, or the key that
    /// is bound to a group.
    pub with: usize,
    /// The lifetime that the assertion requests.
    pub life: i64,
    /// How long a reissue keeps the predecessor active, in seconds.
    pub delay: i64,
}

/// Which tokens of a channel.
#[derive(Debug, Clone)]
pub enum Which {
    Channel,
    Kind(Kind),
    KindGroup(Kind, Option<&'static str>),
    Group(&'static str),
    AssertionKey(usize),
}

/// A small random number generator (splitmix64), the same on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

const KINDS: [Kind; 4] = [Kind::V21, Kind::Stateless, Kind::ShortLived, Kind::LongLived];
const GROUPS: [&str; 3] = ["a", "b", "c"];
const DAY: i64 = 86_400;

/// Generates a history from a seed. Each has a channel and a kind that most acts are
/// about, so that caps are reached; in some, most acts overlap; each has some faults of
/// clocks and stores, but not all.
pub fn history(seed: u64) -> Vec<Act> {
    let rng = &mut Rng::of(seed);
    let favourites = (rng.below(2), rng.pick(&KINDS), rng.one_in(2));
    let hasty = rng.one_in(2);
    let restores = rng.one_in(3);
    let jumps = rng.one_in(3);
    let deletes = rng.one_in(6);
    let mut acts = Vec::new();
    while acts.len() < 160 {
        let replica = rng.below(2);
        let at_once = if hasty { !rng.one_in(6) } else { rng.one_in(3) };
        let channel = if rng.one_in(3) { rng.below(3) } else { favourites.0 };
        acts.push(match rng.below(100) {
            0..36 => {
                let want = want(rng, favourites.1, favourites.2);
                let times = if rng.one_in(6) { 1 + rng.below(14) } else { 1 };
                Act::Ask { replica, channel, want, times, at_once }
            }
            36..43 => Act::Commit { nth: rng.below(8), times: 1 + rng.below(6) },
            43..54 => {
                let times = if rng.one_in(5) { 1 + rng.below(10) } else { 1 };
                Act::Revoke { replica, token: rng.below(1_000), times, at_once }
            }
            54..59 => {
                let delay = rng.one_in(2).then(|| rng.pick(&[2, 60, 3_600, DAY]));
                Act::EndAll { replica, channel, scope: which(rng), delay }
            }
            59..73 => {
                let entries = rng.pick(&[1, 1, 2, 5, 1_000, 1_000]);
                Act::Follow { who: rng.below(4), entries }
            }
            73 => Act::Snapshot { who: 2 + rng.below(2) },
            74..82 => {
                let seconds = [0, 1, 2, 3, 30, 61, 901, 3_600, DAY, 2 * DAY, 31 * DAY, 33 * DAY];
                Act::Wait(rng.pick(&seconds))
            }
            82..84 => Act::Step { who: rng.below(4), off: rng.below(3) as i64 - 1 },
            84..86 => {
                let which = [RevokeTokens::None, RevokeTokens::BySecret, RevokeTokens::All];
                let (keep, revoke_tokens) = (rng.pick(&[0, 0, 600]), rng.pick(&which));
                Act::Rotate { replica, channel, keep, revoke_tokens }
            }
            86 => {
                let (key, revoke_tokens) = (rng.below(2), rng.one_in(2));
                Act::ReplaceKey { replica, channel, key, revoke_tokens }
            }
            87..89 => {
                use ChannelState::{Active, Deleted, Suspended};
                let last = if deletes { Deleted } else { Active };
                let state = rng.pick(&[Suspended, Active, Active, Active, last]);
                Act::Put { replica, channel, state }
            }
            89 => Act::Change {
                channel,
                rules: rng.pick(&[TokenRules::Current, TokenRules::Legacy2020]),
            },
            90 => {
                let when_full = rng.pick(&[WhenFull::Deny, WhenFull::EvictOldest]);
                Act::Groups { channel, cap: 1 + rng.below(20), when_full }
            }
            91 => Act::Announce,
            92 => Act::Activate,
            93 => Act::LimitKey { replica, key: rng.below(8) },
            94 => Act::RevokeKey { replica, key: rng.below(8) },
            95..97 => Act::Forget { replica, channel },
            97 if jumps => Act::Jump { replica },
            98 => Act::Backup,
            99 if restores => Act::Restore { nth: rng.below(4), replay: !rng.one_in(4) },
            _ => Act::Wait(1),
        });
    }
    acts
}

fn want(rng: &mut Rng, favourite: Kind, in_groups: bool) -> Want {
    let kind = if rng.one_in(3) { rng.pick(&KINDS) } else { favourite };
    let grouped = if in_groups { !rng.one_in(4) } else { rng.one_in(8) };
    Want {
        kind,
        group: grouped.then(|| rng.pick(&GROUPS)),
        with: if rng.one_in(4) { 1 + rng.below(2) } else { 0 },
        life: rng.pick(&[30, 3_600, 20 * DAY, 30 * DAY, 30 * DAY]),
        delay: if rng.one_in(2) { 0 } else { rng.pick(&[2, 3_600, DAY]) },
    }
}

fn which(rng: &mut Rng) -> Which {
    let kind = rng.pick(&KINDS);
    match rng.below(6) {
        0 => Which::Channel,
        1 => Which::Kind(kind),
        2 => Which::KindGroup(kind, Some(rng.pick(&GROUPS))),
        3 => Which::KindGroup(kind, None),
        4 => Which::Group(rng.pick(&GROUPS)),
        _ => Which::AssertionKey(rng.below(2)),
    }
}
