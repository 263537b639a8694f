//! The revocations of one channel, and how they combine.

use crate::{
    claims::Claims,
    id::{AssertionKeyId, Group, Serial, TokenId},
    kind::Kind,
    time::UnixTime,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// State of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelState {
    /// Tokens are issued and verified.
    Active,
    /// No token is issued, and none is active, until the channel is resumed.
    Suspended,
    /// Deleted permanently; its id is never reused.
    Deleted,
}

/// Which tokens of a channel a cutoff covers. A closed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case")]
pub enum Scope {
    /// All tokens.
    Channel,
    /// All tokens of a kind.
    Kind {
        /// The kind.
        kind: Kind,
    },
    /// All tokens of a kind within one group, or those without a group.
    KindGroup {
        /// The kind.
        kind: Kind,
        /// The group; `None` covers the tokens without a group.
        group: Option<Group>,
    },
    /// All tokens of a group, of any kind.
    Group {
        /// The group.
        group: Group,
    },
    /// All tokens that were issued for one assertion key.
    AssertionKey {
        /// The assertion key.
        key: AssertionKeyId,
    },
    /// All tokens that were issued for the channel's secret: the short-lived ones, and the
    /// stateless ones without an assertion key.
    Secret,
}

impl Scope {
    /// Whether the scope covers a token of this kind, group and assertion key.
    #[must_use]
    pub fn covers(&self, kind: Kind, group: Option<&Group>, key: Option<AssertionKeyId>) -> bool {
        match self {
            Self::Channel => true,
            Self::Kind { kind: of } => kind == *of,
            Self::KindGroup { kind: of, group: within } => kind == *of && group == within.as_ref(),
            Self::Group { group: of } => group == Some(of),
            Self::AssertionKey { key: of } => key == Some(*of),
            // Long-lived tokens are issued by administrators, v2.1 ones for keys.
            Self::Secret => matches!(kind, Kind::ShortLived | Kind::Stateless) && key.is_none(),
        }
    }

    /// The maximum lifetime, in seconds, of a token that the scope can cover.
    #[must_use]
    pub fn longest_lifetime(&self) -> i64 {
        let can_cover = |kind: Kind| match self {
            Self::Channel => true,
            Self::Kind { kind: of } | Self::KindGroup { kind: of, .. } => kind == *of,
            // Long-lived tokens have neither a group nor an assertion key.
            Self::Group { .. } | Self::AssertionKey { .. } => kind != Kind::LongLived,
            Self::Secret => matches!(kind, Kind::ShortLived | Kind::Stateless),
        };
        let lives = Kind::all().filter(|&kind| can_cover(kind)).map(|kind| kind.life().longest());
        lives.max().unwrap_or(0)
    }
}

/// Revokes every token of a scope whose serial is below a limit: immediately or from a
/// time on; all of them, or all but a few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoff {
    /// The scope.
    #[serde(flatten)]
    pub scope: Scope,
    /// Tokens with a smaller serial are revoked.
    pub below: Serial,
    /// The time from which they are revoked; `None`: immediately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<UnixTime>,
    /// Serials that are not revoked: the tokens that were active when single revocations
    /// were compacted, under the channel's lock.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub except: BTreeSet<Serial>,
    /// The time by which every token that the cutoff covers has expired.
    pub until: UnixTime,
}

impl Cutoff {
    /// A cutoff set at `now`. It is kept until the longest-lived token that it can cover
    /// has expired.
    #[must_use]
    pub fn set(scope: Scope, below: Serial, from: Option<UnixTime>, now: UnixTime) -> Self {
        let until = now.plus(scope.longest_lifetime());
        Self { scope, below, from, except: BTreeSet::new(), until }
    }

    /// Whether it revokes the whole channel at once, and so everything that a cutoff of
    /// part of it does, for as long.
    fn implies(&self, other: &Self) -> bool {
        self.scope == Scope::Channel
            && other.scope != Scope::Channel
            && self.from.is_none()
            && self.except.is_empty()
            && other.below <= self.below
            && other.until <= self.until
    }

    fn covers(&self, token: &Claims) -> bool {
        token.serial < self.below
            && self.scope.covers(token.kind, token.group.as_ref(), token.assertion_key)
            // Stateless tokens share serials, so an exception never names one.
            && !(token.kind.is_stored() && self.except.contains(&token.serial))
    }
}

/// The revocation of one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleRevocation {
    /// The token.
    #[serde(flatten)]
    pub token: RevokedToken,
    /// The token's expiry.
    pub until: UnixTime,
}

/// Identifies one token: a stored one by its serial; a stateless one, which shares its
/// serial with others, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RevokedToken {
    /// A stored token.
    Stored {
        /// Its kind.
        kind: Kind,
        /// Its serial.
        serial: Serial,
    },
    /// A stateless token.
    Stateless {
        /// Its id.
        id: TokenId,
    },
}

/// What revoked a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedBy {
    /// A revocation of this token alone: requested, evicted or reissued.
    SingleRevocation,
    /// A cutoff of its scope.
    Cutoff,
    /// The revocation of the key that signed it.
    SigningKey,
    /// The deletion of its channel.
    Channel,
}

/// All revocations of one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRevocations {
    /// The channel's state.
    #[serde(skip, default = "active")]
    pub state: ChannelState,
    /// Cutoffs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cutoffs: Vec<Cutoff>,
    /// Single revocations of stored tokens: the kind and the expiry of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub singles: BTreeMap<Serial, (Kind, UnixTime)>,
    /// Single revocations of stateless tokens, with the expiry of each.
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

/// The revocation status of one token at one moment.
pub(crate) enum RevocationStatus {
    Revoked(RevokedBy),
    Suspended,
    /// It is not revoked before this time, which is its expiry at the latest.
    Active(UnixTime),
}

impl ChannelRevocations {
    /// Whether the channel is active and has no revocations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Number of revocations: cutoffs and single ones.
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
        RevocationStatus::Active(until)
    }

    /// Adds a cutoff. Immediate cutoffs of one scope are merged into one that spares only
    /// the tokens that both spare; a delayed cutoff is dropped if another of its scope
    /// revokes at least as much, as early.
    fn add_cutoff(&mut self, mut new: Cutoff) {
        if self.cutoffs.iter().any(|old| old.implies(&new)) {
            return;
        }
        self.cutoffs.retain(|old| !new.implies(old));
        self.cutoffs.retain(|old| {
            if old.scope != new.scope {
                return true;
            }
            if old.from.is_none() && new.from.is_none() {
                let spares = |cutoff: &Cutoff, serial: Serial| {
                    serial >= cutoff.below || cutoff.except.contains(&serial)
                };
                let named = old.except.union(&new.except).copied();
                new.except = named.filter(|&it| spares(old, it) && spares(&new, it)).collect();
                new.below = new.below.max(old.below);
                new.until = new.until.max(old.until);
                return false;
            }
            let as_early = old.from.is_some_and(|old| new.from.is_none_or(|new| new <= old));
            let is_implied = as_early && old.below <= new.below && new.except.is_empty();
            if is_implied {
                new.until = new.until.max(old.until);
            }
            !is_implied
        });
        let already_implied = self.cutoffs.iter().any(|old| {
            *old == new
                || (old.scope == new.scope
                    && old.except.is_empty()
                    && old.from.is_none()
                    && new.below <= old.below
                    && new.until <= old.until)
        });
        // Single revocations that an immediate cutoff covers are redundant.
        if new.from.is_none()
            && let Scope::Kind { kind: of } = new.scope
        {
            self.singles.retain(|serial, (kind, _)| {
                *kind != of || *serial >= new.below || new.except.contains(serial)
            });
        }
        if !already_implied {
            self.cutoffs.push(new);
        }
    }

    fn add_single(&mut self, single: SingleRevocation) {
        match single.token {
            RevokedToken::Stateless { id } => {
                self.stateless.insert(id, single.until);
            }
            // The stored kinds share one sequence of serials, so a serial identifies a
            // token.
            RevokedToken::Stored { kind, serial } => {
                self.singles.insert(serial, (kind, single.until));
            }
        }
    }

    /// Applies one change of this channel.
    pub fn apply(&mut self, change: &ChannelChange) {
        match change {
            ChannelChange::Revoked { tokens } => {
                tokens.iter().for_each(|single| self.add_single(single.clone()));
            }
            ChannelChange::Cutoff { cutoffs } => {
                cutoffs.iter().for_each(|cutoff| self.add_cutoff(cutoff.clone()));
            }
            // A deletion is permanent.
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

    /// The earliest time at which a revocation can be forgotten, if there are any.
    #[must_use]
    pub fn first_until(&self) -> Option<UnixTime> {
        let cutoffs = self.cutoffs.iter().map(|cutoff| cutoff.until);
        let singles = self.singles.values().map(|(_, until)| *until);
        cutoffs.chain(singles).chain(self.stateless.values().copied()).min()
    }
}

/// One change of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum ChannelChange {
    /// These tokens were revoked singly.
    Revoked {
        /// The tokens.
        tokens: Vec<SingleRevocation>,
    },
    /// These cutoffs were set.
    Cutoff {
        /// The cutoffs.
        cutoffs: Vec<Cutoff>,
    },
    /// The channel is suspended, resumed or deleted.
    State {
        /// Its new state.
        state: ChannelState,
    },
    /// Revocations of tokens that expired by a given time can be dropped.
    Forget {
        /// Revocations whose `until` is not after this time are dropped.
        expired_by: UnixTime,
    },
}
