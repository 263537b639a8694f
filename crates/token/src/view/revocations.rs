//! What is said of one channel: which of its tokens were ended early, and how
//! several such facts add up.

use crate::{
    claims::Claims,
    id::{AssertionKeyId, Group, Serial, TokenId},
    kind::Kind,
    time::UnixTime,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Whether a channel may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelState {
    /// As usual.
    Active,
    /// Neither issued for nor checked, until resumed.
    Suspended,
    /// Gone for good; its id is never used again.
    Deleted,
}

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
    pub fn longest_lifetime(&self) -> i64 {
        let can_cover = |kind: Kind| match self {
            Self::Channel => true,
            Self::Kind { kind: of } | Self::KindGroup { kind: of, .. } => kind == *of,
            // Long-lived tokens have neither a group nor an assertion key.
            Self::Group { .. } | Self::AssertionKey { .. } => kind != Kind::LongLived,
        };
        let lives = Kind::all().filter(|&kind| can_cover(kind)).map(|kind| kind.life().longest());
        lives.max().unwrap_or(0)
    }
}

/// "In this scope, every serial below this one is dead": at once, or from a time
/// on; all of them, or all but a few (a *fold*).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoff {
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

impl Cutoff {
    /// A floor set at `now`; it can matter until the longest-lived token that
    /// might have been issued before it has expired.
    #[must_use]
    pub fn set(scope: Scope, below: Serial, from: Option<UnixTime>, now: UnixTime) -> Self {
        let until = now.plus(scope.longest_lifetime());
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
pub struct SingleRevocation {
    /// Which.
    #[serde(flatten)]
    pub token: RevokedToken,
    /// When it would have expired.
    pub until: UnixTime,
}

/// How one token is named: a stored one by its serial, a stateless one, which
/// shares its serial with others, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RevokedToken {
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

/// Why a token is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// By itself: revoked, evicted or replaced.
    SingleRevocation,
    /// With others of its scope.
    Cutoff,
    /// With the key that signed it.
    SigningKey,
    /// With its channel.
    Channel,
}

/// All that a view says of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRevocations {
    /// Whether the channel may be used.
    #[serde(skip, default = "active")]
    pub state: ChannelState,
    /// Floors and folds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cutoffs: Vec<Cutoff>,
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

impl Default for ChannelRevocations {
    fn default() -> Self {
        Self {
            state: ChannelState::Active,
            cutoffs: Vec::new(),
            singles: BTreeMap::new(),
            stateless: HashMap::new(),
        }
    }
}

/// What the channel's facts say of one token at one moment.
pub(crate) enum RevocationStatus {
    Revoked(RevokedBy),
    Suspended,
    /// It lives, until then at the latest.
    Lives(UnixTime),
}

impl ChannelRevocations {
    /// Whether the channel is in ordinary use and nothing of it was ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many endings it holds: floors, and tokens that ended by themselves.
    #[must_use]
    pub fn count(&self) -> usize {
        self.cutoffs.len() + self.singles.len() + self.stateless.len()
    }

    pub(crate) fn of(&self, token: &Claims, now: UnixTime) -> RevocationStatus {
        if self.state == ChannelState::Deleted {
            return RevocationStatus::Revoked(RevokedBy::Channel);
        }
        let single = match token.kind {
            Kind::Stateless => self.stateless.contains_key(&token.id),
            _ => self.singles.contains_key(&token.serial),
        };
        if single {
            return RevocationStatus::Revoked(RevokedBy::SingleRevocation);
        }
        let mut until = token.expires_at;
        for cutoff in self.cutoffs.iter().filter(|cutoff| cutoff.covers(token)) {
            match cutoff.from {
                Some(from) if now < from => until = until.min(from),
                _ => return RevocationStatus::Revoked(RevokedBy::Cutoff),
            }
        }
        if self.state == ChannelState::Suspended {
            return RevocationStatus::Suspended;
        }
        RevocationStatus::Lives(until)
    }

    /// Takes in a floor. Those of one scope that hold at once become one, which
    /// lets live only what each of them let live; a delayed one is dropped if
    /// another says at least as much, as early.
    fn add_cutoff(&mut self, mut new: Cutoff) {
        self.cutoffs.retain(|old| {
            if old.scope != new.scope {
                return true;
            }
            if old.from.is_none() && new.from.is_none() {
                let lives = |cutoff: &Cutoff, serial: Serial| {
                    serial >= cutoff.below || cutoff.except.contains(&serial)
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
        let said_already = self.cutoffs.iter().any(|old| {
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
            self.cutoffs.push(new);
        }
    }

    fn add_single(&mut self, single: SingleRevocation) {
        match single.token {
            RevokedToken::Stateless { id } => {
                self.stateless.insert(id, single.until);
            }
            // Stored kinds share one count, so the serial alone is a name.
            RevokedToken::Stored { kind, serial } => {
                self.singles.insert(serial, (kind, single.until));
            }
        }
    }

    /// Takes in one entry about this channel.
    pub fn apply(&mut self, change: &ChannelChange) {
        match change {
            ChannelChange::Revoked { tokens } => {
                tokens.iter().for_each(|single| self.add_single(single.clone()));
            }
            ChannelChange::Cutoff { cutoffs } => {
                cutoffs.iter().for_each(|cutoff| self.add_cutoff(cutoff.clone()));
            }
            // Deletion is for good.
            ChannelChange::State { state } => {
                if self.state != ChannelState::Deleted {
                    self.state = *state;
                }
            }
            ChannelChange::Forget { expired_by } => {
                self.cutoffs.retain(|cutoff| cutoff.until > *expired_by);
                self.singles.retain(|_, (_, until)| *until > *expired_by);
                self.stateless.retain(|_, until| *until > *expired_by);
            }
        }
    }

    /// The moment by which the first of the facts can be forgotten, if there is any.
    #[must_use]
    pub fn first_until(&self) -> Option<UnixTime> {
        let cutoffs = self.cutoffs.iter().map(|cutoff| cutoff.until);
        let singles = self.singles.values().map(|(_, until)| *until);
        cutoffs.chain(singles).chain(self.stateless.values().copied()).min()
    }
}

/// What an entry says of its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum ChannelChange {
    /// These tokens ended by themselves.
    Revoked {
        /// Which.
        tokens: Vec<SingleRevocation>,
    },
    /// These floors hold.
    Cutoff {
        /// Which.
        cutoffs: Vec<Cutoff>,
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
