//! The naive model: a list of tokens and a list of events; every question is answered
//! by reading both from end to end.
//!
//! It has no serials, no cutoffs and no compaction, and forgets nothing: "older" means
//! earlier in the list. It is slow and plain on purpose; the views, the compaction and
//! the token rules must agree with it.

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

/// A token, by its index in the list of all issued tokens.
pub type TokenNo = usize;
/// A channel, by its index in the world.
pub type ChannelNo = usize;

/// A token as the model stores it.
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
    /// The number of events before the token was created; later ones can revoke it.
    /// A stateless token counts as created when the channel was read that its request
    /// was authorized with, whenever it was handed out.
    pub born: usize,
}

/// An event; its index in the list is its position in the log.
#[derive(Debug, Clone)]
pub enum Event {
    /// Nothing that changes what a verifier answers.
    Quiet,
    /// These tokens were revoked: at once, or from a time on.
    Revoked(Vec<(TokenNo, Option<UnixTime>)>),
    /// All older tokens of a scope were revoked: at once, or from a time on.
    AllRevoked { channel: ChannelNo, scope: Scope, from: Option<UnixTime> },
    /// A channel was suspended, resumed or deleted.
    State { channel: ChannelNo, state: ChannelState },
    /// A signing key was added or changed its state.
    Key { key: SigningKeyId, state: KeyState },
}

/// The events of the store between two restores.
#[derive(Debug, Clone, Default)]
pub struct Epoch {
    pub events: Vec<Event>,
    /// Tokens that were issued after the moment to which the store was restored: the
    /// store has no record of them, and no verifier may accept them.
    pub lost: Vec<Range<TokenNo>>,
}

/// All tokens and events.
#[derive(Debug, Default)]
pub struct Naive {
    pub tokens: Vec<Token>,
    pub epochs: Vec<Epoch>,
}

/// A verifier: how far it has read, at what time, and which providers' tokens it verifies.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    pub epoch: usize,
    /// The number of events read.
    pub read: usize,
    pub now: UnixTime,
    pub providers: &'a [ProviderId],
}

/// The answer that a verifier must give for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Active, until this time as far as the verifier can know.
    Active(UnixTime),
    Expired,
    Revoked,
    Suspended,
    UnknownKey,
    Foreign,
    /// Invalid, for any reason.
    No,
}

/// A request for a token, as far as the token rules need it.
#[derive(Debug, Clone)]
pub struct Ask {
    pub kind: Kind,
    pub group: Option<Group>,
    pub delay: i64,
}

/// The settings of a channel, as far as the token rules need them.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub rules: TokenRules,
    pub group_cap: usize,
    pub group_when_full: WhenFull,
}

/// What an issue revokes: these tokens at once, that one later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revokes {
    pub at_once: Vec<TokenNo>,
    pub later: Option<(TokenNo, UnixTime)>,
}

const LONG_AGO: UnixTime = UnixTime(i64::MIN);

impl Naive {
    /// The answer that `asker` must give for a token.
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
        let until = match self.revoked_from(no, asker.epoch, asker.read) {
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

    /// The earliest time from which the first `read` events revoke a token, if they do.
    pub fn revoked_from(&self, no: TokenNo, epoch: usize, read: usize) -> Option<UnixTime> {
        let token = &self.tokens[no];
        let events = self.epochs[epoch].events[..read].iter().enumerate();
        let revokes = events.filter_map(|(place, event)| match event {
            Event::Revoked(tokens) => {
                let (_, from) = tokens.iter().find(|(it, _)| *it == no)?;
                Some(from.unwrap_or(LONG_AGO))
            }
            Event::AllRevoked { channel, scope, from } => {
                let hit = token.born <= place && token.channel == *channel && is_in(scope, token);
                hit.then_some(from.unwrap_or(LONG_AGO))
            }
            _ => None,
        });
        revokes.min()
    }

    /// The state of a signing key, if the verifier has read of it.
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
        // Deletion is permanent, whatever a replay adds later.
        states.fold(ChannelState::Active, |before, state| match before {
            ChannelState::Deleted => before,
            _ => state,
        })
    }

    /// The stored tokens of a channel that the caps count at a time, oldest first.
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
                && self.revoked_from(*no, epoch, read).is_none_or(|end| end > now)
        };
        (0..self.tokens.len()).filter(has_place).collect()
    }

    /// The token rules: which of these tokens, oldest first, an issue revokes, or why it
    /// is denied.
    pub fn rules(
        &self,
        places: &[TokenNo],
        ask: &Ask,
        set: Settings,
        now: UnixTime,
    ) -> Result<Revokes, Denied> {
        let mut living: Vec<TokenNo> = places.to_vec();
        let mut revokes = Revokes::default();
        let of = |no: &TokenNo| &self.tokens[*no];

        // At most the group's cap of a kind in a group.
        while ask.group.is_some() {
            let is_own = |no: &TokenNo| of(no).kind == ask.kind && of(no).group == ask.group;
            let own: Vec<TokenNo> = living.iter().copied().filter(is_own).collect();
            match own.first() {
                _ if own.len() < set.group_cap => break,
                Some(oldest) if set.group_when_full == WhenFull::EvictOldest => {
                    revokes.at_once.push(*oldest);
                    living.retain(|no| no != oldest);
                }
                _ => return Err(Denied::GroupFull(ask.kind)),
            }
        }

        let counted: &[Kind] = match (ask.kind, set.rules) {
            (Kind::Stateless, _) => return Ok(revokes),
            // One at a time; with a delay the last one stays active for that time.
            (Kind::LongLived, TokenRules::Current) => {
                let mut all: Vec<TokenNo> = living;
                all.retain(|no| of(no).kind == Kind::LongLived);
                if ask.delay > 0 {
                    revokes.later = all.pop().map(|last| (last, now.plus(ask.delay)));
                }
                revokes.at_once.extend(all);
                return Ok(revokes);
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
                    revokes.at_once.push(oldest);
                    living.retain(|no| *no != oldest);
                }
                _ => return Err(Denied::Full(ask.kind)),
            }
        }
        Ok(revokes)
    }
}

fn is_in(scope: &Scope, token: &Token) -> bool {
    match scope {
        Scope::Channel => true,
        Scope::Kind { kind } => token.kind == *kind,
        Scope::KindGroup { kind, group } => token.kind == *kind && token.group == *group,
        Scope::Group { group } => token.group.as_ref() == Some(group),
        Scope::AssertionKey { key } => token.assertion_key == Some(*key),
        Scope::Secret => match token.kind {
            Kind::ShortLived => true,
            Kind::Stateless => token.assertion_key.is_none(),
            Kind::V21 | Kind::LongLived => false,
        },
    }
}

fn is_good(key: KeyState, issued_at: UnixTime) -> bool {
    match key {
        KeyState::Pending | KeyState::Active | KeyState::Retired { issued_before: None } => true,
        KeyState::Retired { issued_before: Some(before) } => issued_at < before,
        KeyState::Revoked => false,
    }
}
