//! The second step of issuing: [`admit`] decides what the caps allow and evict. It runs
//! inside the store's transaction, under the channel's lock, on the tokens that are
//! active at that moment, and is the same function on every database, so no race can
//! exceed a cap.

use crate::{
    authorize::Grant,
    denied::Denied,
    rules::{GROUPS, TokenRules, WhenFull},
};
use std::collections::BTreeSet;
use tegata_token::{
    id::{Group, Serial},
    kind::Kind,
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, Cutoff, RevokedToken, Scope, SingleRevocation},
};

/// An active stored token: not expired, not revoked, and its signing key still accepts
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// Its serial.
    pub serial: Serial,
    /// Its group.
    pub group: Option<Group>,
    /// Its expiry, as signed.
    pub expires_at: UnixTime,
}

/// The decision on an issue: the token's serial, and the tokens that it revokes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// The new token's serial.
    pub serial: Serial,
    /// Active tokens that the issue revokes immediately.
    pub ends: Vec<Live>,
    /// An active long-lived token that is revoked later, and when.
    pub ends_later: Option<(Serial, UnixTime)>,
    /// Whether the revoked tokens are all predecessors of a reissue.
    pub reissue: bool,
}

impl Admit {
    /// The change to log, if tokens are revoked: one change, however many there are.
    /// `revocations` and `live` are what [`admit`] read under the same lock.
    #[must_use]
    pub fn change(
        &self,
        revocations: &ChannelRevocations,
        live: &[Live],
        now: UnixTime,
    ) -> Option<ChannelChange> {
        if self.ends.is_empty() && self.ends_later.is_none() {
            return None;
        }
        if self.reissue {
            let scope = || Scope::Kind { kind: Kind::LongLived };
            // Everything before the predecessor is revoked now, the predecessor later.
            // The first cutoff is logged even if it revokes nothing: it replaces older
            // delayed cutoffs, which would otherwise accumulate, one per reissue.
            let below = self.ends_later.map_or(self.serial, |(predecessor, _)| predecessor);
            let at_once = Cutoff::set(scope(), below, None, now);
            let later =
                self.ends_later.map(|(_, from)| Cutoff::set(scope(), self.serial, Some(from), now));
            let cutoffs = [at_once].into_iter().chain(later).collect();
            return Some(ChannelChange::Cutoff { cutoffs });
        }
        let ends: Vec<_> = self.ends.iter().map(|it| (it.kind, it.serial, it.expires_at)).collect();
        let stays = |token: &&Live| !self.ends.iter().any(|end| end.serial == token.serial);
        let active: Vec<Live> = live.iter().filter(stays).cloned().collect();
        Some(revoke_singly(revocations, &ends, &active, self.serial, now))
    }
}

/// Decides under the channel's lock whether a grant can be used now, and which tokens it
/// revokes. `live` are all active stored tokens of the channel, `serial` is the channel's
/// next serial, `groups` the number of other groups that take a place.
///
/// # Errors
/// The channel or the group is full; then no token is revoked.
pub fn admit(
    grant: &Grant,
    live: &[Live],
    groups: usize,
    serial: Serial,
    now: UnixTime,
) -> Result<Admit, Denied> {
    let kind = grant.kind();
    let mut active: Vec<&Live> = live.iter().collect();
    active.sort_by_key(|token| token.serial);
    let mut ends = Vec::new();

    // The group's own rule applies first, the channel's cap to what remains.
    if let Some(group) = grant.group() {
        if groups >= GROUPS {
            return Err(Denied::TooManyGroups);
        }
        let rule = grant.channel().rule_of(group);
        let own = |token: &Live| token.kind == kind && token.group.as_ref() == Some(group);
        let excess = excess(active.iter().filter(|token| own(token)).count(), rule.cap);
        if excess > 0 && rule.when_full == WhenFull::Deny {
            return Err(Denied::GroupFull(kind));
        }
        if evict_oldest(&mut active, &mut ends, excess, own) < excess {
            return Err(Denied::GroupFull(kind)); // A cap of 0: there is none to evict.
        }
    }

    let reissue = kind == Kind::LongLived && grant.channel().rules == TokenRules::Current;
    let mut ends_later = None;
    if reissue {
        // One at a time: the newest may stay active for the delay, all others are
        // revoked.
        let mut current: Vec<&Live> = active.into_iter().filter(|it| it.kind == kind).collect();
        if grant.delay() > 0
            && let Some(newest) = current.pop()
        {
            ends_later = Some((newest.serial, now.plus(grant.delay())));
        }
        ends.extend(current.into_iter().cloned());
    } else if let Some(pool) = grant.channel().rules.pool(kind) {
        let counted = |token: &Live| pool.kinds.contains(&token.kind);
        let excess = excess(active.iter().filter(|it| counted(it)).count(), pool.cap.most);
        let evicted = match pool.cap.when_full {
            WhenFull::Deny => 0,
            // Only tokens of the same group: an issue for one group never evicts a token
            // of another.
            WhenFull::EvictOldest => evict_oldest(&mut active, &mut ends, excess, |token| {
                counted(token) && token.group.as_ref() == grant.group()
            }),
        };
        if evicted < excess {
            return Err(Denied::Full(kind));
        }
    }
    Ok(Admit { serial, ends, ends_later, reissue })
}

/// How many tokens must be evicted so that one more fits under the cap.
fn excess(count: usize, cap: usize) -> usize {
    (count + 1).saturating_sub(cap)
}

/// Moves the `count` oldest tokens that `may` be evicted from `active` (sorted by serial)
/// to `ends`; returns how many it moved.
fn evict_oldest(
    active: &mut Vec<&Live>,
    ends: &mut Vec<Live>,
    count: usize,
    may: impl Fn(&Live) -> bool,
) -> usize {
    let before = ends.len();
    active.retain(|token| {
        let goes = ends.len() - before < count && may(token);
        if goes {
            ends.push((*token).clone());
        }
        !goes
    });
    ends.len() - before
}

/// Maximum number of single revocations of a kind before they are compacted.
pub const MAX_SINGLE_REVOCATIONS: usize = 8;

/// The change that revokes single stored tokens: one by one while they are few; beyond
/// that, for each kind among them, one cutoff whose exceptions are the active tokens.
///
/// Call it under the channel's lock: `active` must be all the channel's active tokens when
/// the change is committed, without those that it revokes, and `next` a serial that none
/// of them has reached.
#[must_use]
pub fn revoke_singly(
    revocations: &ChannelRevocations,
    revoked: &[(Kind, Serial, UnixTime)],
    active: &[Live],
    next: Serial,
    now: UnixTime,
) -> ChannelChange {
    let held = |of: Kind| revocations.singles.values().filter(|(kind, _)| *kind == of).count();
    let kinds: BTreeSet<Kind> = revoked.iter().map(|it| it.0).collect();
    let new = |of: Kind| revoked.iter().filter(move |it| it.0 == of);
    if kinds.iter().all(|&kind| held(kind) + new(kind).count() <= MAX_SINGLE_REVOCATIONS) {
        let single = |&(kind, serial, until): &(Kind, Serial, UnixTime)| SingleRevocation {
            token: RevokedToken::Stored { kind, serial },
            until,
        };
        return ChannelChange::Revoked { tokens: revoked.iter().map(single).collect() };
    }
    let compacted = |kind: Kind| {
        let mut cutoff = Cutoff::set(Scope::Kind { kind }, next, None, now);
        cutoff.except = active.iter().filter(|it| it.kind == kind).map(|it| it.serial).collect();
        cutoff
    };
    ChannelChange::Cutoff { cutoffs: kinds.into_iter().map(compacted).collect() }
}
