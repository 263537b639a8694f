//! The naive model: a list of tokens and a list of what happened, and every
//! question answered by going through both.
//!
//! No serials, no floors, no folds, nothing forgotten: "older" is what came
//! earlier in the list. Slow and plain on purpose; this is what the views, the
//! folds and the law must come to.

use std::ops::Range;
use tegata_policy::{
    denied::Denied,
    rules::{TokenRules, WhenFull},
};
use tegata_token::{
    id::{AssertionKeyId, Group, ProviderId, SigningKeyId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    view::{ChannelState, Scope},
};

/// A token, by its place in the list of all that were ever handed out.
pub type TokenNo = usize;
/// A channel, by its place in the world.
pub type ChannelNo = usize;

/// What is remembered of a token.
#[derive(Debug, Clone)]
pub struct Token {
    pub channel: ChannelNo,
    pub provider: ProviderId,
    pub kind: Kind,
    pub group: Option<Group>,
    pub assertion_key: Option<AssertionKeyId>,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
    pub key: SigningKeyId,
    /// How much had happened when it came about: what happens later can end it.
    /// A stateless token came about when the channel was read that its request
    /// was judged by, whenever it was handed out.
    pub born: usize,
}

/// One thing that happened; its place in the list is its position in the log.
#[derive(Debug, Clone)]
pub enum Event {
    /// Nothing that changes what a verifier answers.
    Quiet,
    /// These tokens ended: at once, or from a time on.
    Revoked(Vec<(TokenNo, Option<UnixTime>)>),
    /// All older tokens of a scope ended: at once, or from a time on.
    AllEnded { channel: ChannelNo, scope: Scope, from: Option<UnixTime> },
    /// A channel was suspended, resumed or deleted.
    State { channel: ChannelNo, state: ChannelState },
    /// A signing key is new, or has a new state.
    Key { key: SigningKeyId, state: KeyState },
}

/// What happened in one life of the store, between two restores.
#[derive(Debug, Clone, Default)]
pub struct Epoch {
    pub events: Vec<Event>,
    /// Tokens that were handed out after the moment to which the store was
    /// restored: it never heard of them, and nobody may accept them.
    pub lost: Vec<Range<TokenNo>>,
}

/// All that there is to know.
#[derive(Debug, Default)]
pub struct Naive {
    pub tokens: Vec<Token>,
    pub epochs: Vec<Epoch>,
}

/// Who asks: how far he has read, at what time, and whose tokens he may judge.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub epoch: usize,
    /// The first so many events.
    pub read: usize,
    pub now: UnixTime,
    pub providers: &'a [ProviderId],
}

/// What he must be told of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It lives, until then as far as he can know.
    Active(UnixTime),
    Expired,
    Revoked,
    Suspended,
    UnknownKey,
    Foreign,
    /// No, for whatever reason.
    No,
}

/// A request for a token, as far as the law cares.
#[derive(Debug, Clone)]
pub struct Ask {
    pub kind: Kind,
    pub group: Option<Group>,
    pub delay: i64,
}

/// What is set on a channel, as far as the law cares.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub rules: TokenRules,
    pub group_cap: usize,
    pub group_when_full: WhenFull,
}

/// What an issue ends: these at once, that one later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ends {
    pub at_once: Vec<TokenNo>,
    pub later: Option<(TokenNo, UnixTime)>,
}

const LONG_AGO: UnixTime = UnixTime(i64::MIN);

impl Naive {
    /// What `asker` must be told of a token.
    pub fn answer(&self, no: TokenNo, asker: Asker<'_>) -> Answer {
        let token = &self.tokens[no];
        if self.epochs[asker.epoch].lost.iter().any(|lost| lost.contains(&no)) {
            return Answer::No;
        }
        let Some(key) = self.key(token.key, asker) else { return Answer::UnknownKey };
        if !asker.providers.contains(&token.provider) {
            return Answer::Foreign;
        }
        if asker.now >= token.expires_at {
            return Answer::Expired;
        }
        let until = match self.early_end(no, asker.epoch, asker.read) {
            Some(end) if end <= asker.now => return Answer::Revoked,
            Some(end) => end.min(token.expires_at),
            None => token.expires_at,
        };
        if !is_good(key, token.issued_at) {
            return Answer::Revoked;
        }
        match self.state(token.channel, asker) {
            ChannelState::Active => Answer::Active(until),
            ChannelState::Suspended => Answer::Suspended,
            ChannelState::Deleted => Answer::Revoked,
        }
    }

    /// From when on the first `read` events end a token early, if they do: the
    /// earliest of all ends that were ever set.
    pub fn early_end(&self, no: TokenNo, epoch: usize, read: usize) -> Option<UnixTime> {
        let token = &self.tokens[no];
        let events = self.epochs[epoch].events[..read].iter().enumerate();
        let ends = events.filter_map(|(place, event)| match event {
            Event::Revoked(tokens) => {
                let (_, from) = tokens.iter().find(|(it, _)| *it == no)?;
                Some(from.unwrap_or(LONG_AGO))
            }
            Event::AllEnded { channel, scope, from } => {
                let hit = token.born <= place && token.channel == *channel && is_in(scope, token);
                hit.then_some(from.unwrap_or(LONG_AGO))
            }
            _ => None,
        });
        ends.min()
    }

    /// The state of a signing key, if he has heard of it.
    fn key(&self, key: SigningKeyId, asker: Asker<'_>) -> Option<KeyState> {
        let read = &self.epochs[asker.epoch].events[..asker.read];
        read.iter().rev().find_map(|event| match event {
            Event::Key { key: it, state } if *it == key => Some(*state),
            _ => None,
        })
    }

    fn state(&self, channel: ChannelNo, asker: Asker<'_>) -> ChannelState {
        let read = &self.epochs[asker.epoch].events[..asker.read];
        let states = read.iter().filter_map(|event| match event {
            Event::State { channel: it, state } if *it == channel => Some(*state),
            _ => None,
        });
        // Deletion is for good, whatever a replay says afterwards.
        states.fold(ChannelState::Active, |before, state| match before {
            ChannelState::Deleted => before,
            _ => state,
        })
    }

    /// The stored tokens of a channel that have a place in its count at a time,
    /// oldest first: those that live, and for `grace` seconds those that lived.
    pub fn places(&self, channel: ChannelNo, epoch: usize, now: UnixTime) -> Vec<TokenNo> {
        let read = self.epochs[epoch].events.len();
        let asker = Asker { epoch, read, now, providers: &[] };
        let has_place = |no: &TokenNo| {
            let token = &self.tokens[*no];
            token.channel == channel
                && token.kind != Kind::Stateless
                && token.expires_at > now
                && !self.epochs[epoch].lost.iter().any(|lost| lost.contains(no))
                && self.key(token.key, asker).is_some_and(|key| is_good(key, token.issued_at))
                && self.early_end(*no, epoch, read).is_none_or(|end| end > now)
        };
        (0..self.tokens.len()).filter(has_place).collect()
    }

    /// The law: what an issue ends of these, oldest first, or why there is none.
    pub fn rules(
        &self,
        places: &[TokenNo],
        ask: &Ask,
        set: Settings,
        now: UnixTime,
    ) -> Result<Ends, Denied> {
        let mut living: Vec<TokenNo> = places.to_vec();
        let mut ends = Ends::default();
        let of = |no: &TokenNo| &self.tokens[*no];

        // At most so many of a kind in a group.
        while ask.group.is_some() {
            let is_own = |no: &TokenNo| of(no).kind == ask.kind && of(no).group == ask.group;
            let own: Vec<TokenNo> = living.iter().copied().filter(is_own).collect();
            match own.first() {
                _ if own.len() < set.group_cap => break,
                Some(oldest) if set.group_when_full == WhenFull::EvictOldest => {
                    ends.at_once.push(*oldest);
                    living.retain(|no| no != oldest);
                }
                _ => return Err(Denied::GroupFull(ask.kind)),
            }
        }

        let counted: &[Kind] = match (ask.kind, set.rules) {
            (Kind::Stateless, _) => return Ok(ends),
            // One at a time; the last one may live on for the delay.
            (Kind::LongLived, TokenRules::Current) => {
                let mut all: Vec<TokenNo> = living;
                all.retain(|no| of(no).kind == Kind::LongLived);
                if ask.delay > 0 {
                    ends.later = all.pop().map(|last| (last, now.plus(ask.delay)));
                }
                ends.at_once.extend(all);
                return Ok(ends);
            }
            (Kind::V21, _) => &[Kind::V21],
            (Kind::ShortLived, TokenRules::Current) => &[Kind::ShortLived],
            (_, TokenRules::Legacy2020) => &[Kind::ShortLived, Kind::LongLived],
        };
        // At most 30 in the channel.
        while living.iter().filter(|no| counted.contains(&of(no).kind)).count() >= 30 {
            let may_go = |no: &TokenNo| counted.contains(&of(no).kind) && of(no).group == ask.group;
            match living.iter().copied().find(may_go) {
                Some(oldest) if ask.kind != Kind::V21 => {
                    ends.at_once.push(oldest);
                    living.retain(|no| *no != oldest);
                }
                _ => return Err(Denied::Full(ask.kind)),
            }
        }
        Ok(ends)
    }
}

fn is_in(scope: &Scope, token: &Token) -> bool {
    match scope {
        Scope::Channel => true,
        Scope::Kind { kind } => token.kind == *kind,
        Scope::KindGroup { kind, group } => token.kind == *kind && token.group == *group,
        Scope::Group { group } => token.group.as_ref() == Some(group),
        Scope::AssertionKey { key } => token.assertion_key == Some(*key),
    }
}

fn is_good(key: KeyState, issued_at: UnixTime) -> bool {
    match key {
        KeyState::Pending | KeyState::Active | KeyState::Retired => true,
        KeyState::Bounded { until } => issued_at <= until,
        KeyState::Revoked => false,
    }
}
