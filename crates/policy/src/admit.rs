//! The second half of the law: [`admit`] runs inside the store's transaction,
//! under the channel's lock, on the tokens that live at that moment: the same
//! function on every database. Whatever the channel's count needs is decided
//! there, so no race can outrun it.

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

/// A stored token that lives: not expired, not ended, its key still good for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// Its kind.
    pub kind: Kind,
    /// Its place in the channel's count.
    pub serial: Serial,
    /// Its group.
    pub group: Option<Group>,
    /// When it expires by its own signature.
    pub expires_at: UnixTime,
}

/// What the law says to an issue: the token's place, and what must end for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// The new token's place in the channel's count.
    pub serial: Serial,
    /// Live tokens that end at once, with the issue.
    pub ends: Vec<Live>,
    /// A live long-lived token that ends later, and when.
    pub ends_later: Option<(Serial, UnixTime)>,
    /// Whether all that ends are the predecessors of a reissue.
    pub reissue: bool,
}

impl Admit {
    /// What the change log must say of it, if anything: one entry, however many
    /// tokens end. `revocations` and `live` are what [`admit`] saw under the same lock.
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
            // Everything before the predecessor ends now, the predecessor later. The
            // first is said even if nothing is left to end: it takes the place of
            // older delayed floors, which would else pile up, one for each reissue.
            let below = self.ends_later.map_or(self.serial, |(predecessor, _)| predecessor);
            let at_once = Cutoff::set(scope(), below, None, now);
            let later =
                self.ends_later.map(|(_, from)| Cutoff::set(scope(), self.serial, Some(from), now));
            let cutoffs = [at_once].into_iter().chain(later).collect();
            return Some(ChannelChange::Cutoff { cutoffs });
        }
        let ends: Vec<_> = self.ends.iter().map(|it| (it.kind, it.serial, it.expires_at)).collect();
        let stays = |token: &&Live| !self.ends.iter().any(|end| end.serial == token.serial);
        let lives: Vec<Live> = live.iter().filter(stays).cloned().collect();
        Some(revoke_singly(revocations, &ends, &lives, self.serial, now))
    }
}

/// The second half of the law, under the channel's lock: may this grant be used
/// now, and what does it end? `live` are all the channel's live stored tokens,
/// `serial` is the next place in the channel's count, `groups` how many groups
/// beside the asker's own take a place.
///
/// # Errors
/// The channel, or the group, is full; then nothing ends.
pub fn admit(
    grant: &Grant,
    live: &[Live],
    groups: usize,
    serial: Serial,
    now: UnixTime,
) -> Result<Admit, Denied> {
    let kind = grant.kind();
    let mut living: Vec<&Live> = live.iter().collect();
    living.sort_by_key(|token| token.serial);
    let mut ends = Vec::new();

    // The group's own rule first; the channel's cap judges what remains.
    if let Some(group) = grant.group() {
        if groups >= GROUPS {
            return Err(Denied::TooManyGroups);
        }
        let rule = grant.channel().rule_of(group);
        let own = |token: &Live| token.kind == kind && token.group.as_ref() == Some(group);
        let excess = excess(living.iter().filter(|token| own(token)).count(), rule.cap);
        if excess > 0 && rule.when_full == WhenFull::Deny {
            return Err(Denied::GroupFull(kind));
        }
        if end_oldest(&mut living, &mut ends, excess, own) < excess {
            return Err(Denied::GroupFull(kind)); // A cap of 0: there is none to end.
        }
    }

    let reissue = kind == Kind::LongLived && grant.channel().rules == TokenRules::Current;
    let mut ends_later = None;
    if reissue {
        // One at a time: the newest may live on for the delay, all others end.
        let mut current: Vec<&Live> = living.into_iter().filter(|it| it.kind == kind).collect();
        if grant.delay() > 0
            && let Some(newest) = current.pop()
        {
            ends_later = Some((newest.serial, now.plus(grant.delay())));
        }
        ends.extend(current.into_iter().cloned());
    } else if let Some(pool) = grant.channel().rules.pool(kind) {
        let counted = |token: &Live| pool.kinds.contains(&token.kind);
        let excess = excess(living.iter().filter(|it| counted(it)).count(), pool.cap.most);
        let may_end = match pool.cap.when_full {
            WhenFull::Deny => 0,
            // Only the asker's own: nobody's issue ends another group's token.
            WhenFull::EvictOldest => end_oldest(&mut living, &mut ends, excess, |token| {
                counted(token) && token.group.as_ref() == grant.group()
            }),
        };
        if may_end < excess {
            return Err(Denied::Full(kind));
        }
    }
    Ok(Admit { serial, ends, ends_later, reissue })
}

/// How many must go so that one more fits under the cap.
fn excess(count: usize, cap: usize) -> usize {
    (count + 1).saturating_sub(cap)
}

/// Moves the `count` oldest that `may` end from `living` (sorted by serial) to
/// `ends`; says how many there were.
fn end_oldest(
    living: &mut Vec<&Live>,
    ends: &mut Vec<Live>,
    count: usize,
    may: impl Fn(&Live) -> bool,
) -> usize {
    let before = ends.len();
    living.retain(|token| {
        let goes = ends.len() - before < count && may(token);
        if goes {
            ends.push((*token).clone());
        }
        !goes
    });
    ends.len() - before
}

/// How many single endings of a kind are kept apart before they are folded.
pub const MAX_SINGLE_REVOCATIONS: usize = 8;

/// The entry that ends single stored tokens: one by one while they are few;
/// beyond that, for each kind among them, as one fold that names what lives.
///
/// Call it under the channel's lock, since `lives` must be all the channel's
/// live tokens when the entry is committed, without those that end now, and
/// `next` a serial that none of them has reached.
#[must_use]
pub fn revoke_singly(
    revocations: &ChannelRevocations,
    ends: &[(Kind, Serial, UnixTime)],
    lives: &[Live],
    next: Serial,
    now: UnixTime,
) -> ChannelChange {
    let held = |of: Kind| revocations.singles.values().filter(|(kind, _)| *kind == of).count();
    let kinds: BTreeSet<Kind> = ends.iter().map(|end| end.0).collect();
    let ending = |of: Kind| ends.iter().filter(move |end| end.0 == of);
    if kinds.iter().all(|&kind| held(kind) + ending(kind).count() <= MAX_SINGLE_REVOCATIONS) {
        let single = |&(kind, serial, until): &(Kind, Serial, UnixTime)| SingleRevocation {
            token: RevokedToken::Stored { kind, serial },
            until,
        };
        return ChannelChange::Revoked { tokens: ends.iter().map(single).collect() };
    }
    let fold = |kind: Kind| {
        let mut cutoff = Cutoff::set(Scope::Kind { kind }, next, None, now);
        cutoff.except = lives.iter().filter(|it| it.kind == kind).map(|it| it.serial).collect();
        cutoff
    };
    ChannelChange::Cutoff { cutoffs: kinds.into_iter().map(fold).collect() }
}
