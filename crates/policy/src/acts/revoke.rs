//! Revoking tokens, one or all of a scope; and forgetting revocations of expired tokens.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, TokensRevoked},
    effects::{Effects, Write},
    known::check_scope,
    locked::{Locked, Needs, Tokens},
    stored::StoredToken,
    things::{By, RevocationCause, RevocationTarget},
};
use crate::{
    admit::{Live, revoke_singly},
    channel::Channel,
    denied::Denied,
    rules::{MAX_SCOPE_REVOCATIONS, MAX_STATELESS_REVOCATIONS},
};
use std::sync::Arc;
use tegata_token::{
    id::{ChannelId, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::{
        ChannelChange, ChannelRevocations, ChannelState, Cutoff, RevokedToken, Scope,
        SingleRevocation,
    },
};

/// Revokes tokens of a channel; returns how many active stored ones it revoked, and 1 for
/// a stateless one that is named by itself.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// The channel.
    pub channel: ChannelId,
    /// Its settings, if they are known; they are read if they have changed.
    pub known: Option<Arc<Channel>>,
    /// The tokens.
    pub target: RevocationTarget,
    /// Who requests it.
    pub by: By,
}

impl Act for Revoke {
    type Output = usize;
    const NAME: ActName = ActName::Revoke;

    fn needs(&self) -> Needs {
        let unless_revision = self.known.as_ref().map(|it| it.revision);
        Needs { unless_revision, ..Self::needs_of(self.channel, &self.target) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = self.channel_in(locked)?;
        let mut effects = Effects::default();
        let revoked = match (&self.target, Self::scope(&self.target)) {
            (
                RevocationTarget::Stored { serial } | RevocationTarget::Presented { serial, .. },
                _,
            ) => revoke_stored(locked, channel, *serial, now, &mut effects)?,
            (RevocationTarget::Stateless { id, expires_at }, _) => {
                revoke_stateless(locked, channel, (*id, *expires_at), now, &mut effects)?
            }
            (_, scope) => {
                let scope = scope.unwrap_or(Scope::Channel);
                check_scope(locked, channel, &scope, now)?;
                revoke_scope(locked, channel, scope, now, &mut effects)?
            }
        };
        if effects.changes.is_empty() {
            // The receipt of the act needs a position.
            effects.touch(channel);
        }
        let mut detail = TokensRevoked { revoked, ..TokensRevoked::default() };
        match &self.target {
            RevocationTarget::Stored { serial } => {
                detail.serial = Some(*serial);
                detail.token_id = locked.named;
            }
            RevocationTarget::Presented { serial, id } => {
                detail.serial = Some(*serial);
                detail.token_id = Some(*id);
            }
            RevocationTarget::Stateless { id, .. } => detail.token_id = Some(*id),
            RevocationTarget::Group(group) => detail.group = Some(group.clone()),
            RevocationTarget::Kind(kind) => detail.kind = Some(*kind),
            RevocationTarget::AssertionKey(key) => detail.assertion_key = Some(*key),
            RevocationTarget::BySecret => detail.by_secret = Some(true),
            RevocationTarget::All => detail.all = Some(true),
        }
        effects.audit(&self.by, channel, AuditEvent::TokenRevoke(detail));
        Ok((revoked, effects))
    }
}

impl Revoke {
    /// The channel as it is now.
    fn channel_in<'a>(&'a self, locked: &'a Locked) -> Result<&'a Channel, ActError> {
        let revision = locked.count.map(|it| it.revision);
        let known = self.known.as_deref().filter(|it| Some(it.revision) == revision);
        match known {
            Some(known) if known.state != ChannelState::Deleted => Ok(known),
            _ => locked.existing(),
        }
    }

    /// What the revocation of a channel's tokens needs.
    pub(super) fn needs_of(channel: ChannelId, target: &RevocationTarget) -> Needs {
        let tokens = match target {
            RevocationTarget::AssertionKey(_) => Tokens::WithKeys,
            _ => Tokens::Counted,
        };
        let named = match target {
            RevocationTarget::Stored { serial } => Some(*serial),
            _ => None,
        };
        let scope = Self::scope(target);
        // A single token is revoked without a look at keys and groups.
        let without_parts = scope.is_none();
        let needs = Needs::channel(channel);
        Needs { tokens, named, scope, without_parts, revocations: true, ..needs }
    }

    /// The scope that a target names; `None`: a single token.
    fn scope(target: &RevocationTarget) -> Option<Scope> {
        match target {
            RevocationTarget::Stored { .. }
            | RevocationTarget::Presented { .. }
            | RevocationTarget::Stateless { .. } => None,
            RevocationTarget::Group(group) => Some(Scope::Group { group: group.clone() }),
            RevocationTarget::Kind(kind) => Some(Scope::Kind { kind: *kind }),
            RevocationTarget::AssertionKey(key) => Some(Scope::AssertionKey { key: *key }),
            RevocationTarget::BySecret => Some(Scope::Secret),
            RevocationTarget::All => Some(Scope::Channel),
        }
    }
}

fn revoke_stored(
    locked: &Locked,
    channel: &Channel,
    serial: Serial,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, ActError> {
    let Some(token) = locked.active_at(serial, now) else {
        // It does not exist or was revoked before; then the change of that act precedes
        // this act's result.
        return Ok(0);
    };
    effects.write(Write::TokenRevoked {
        row: token.row,
        by: RevocationCause::Requested,
        replaced_by: None,
    });
    let others = locked.active(now).filter(|it| it.serial != serial);
    let active: Vec<Live> = others.map(StoredToken::live).collect();
    let next = locked.count()?.serial.next();
    let revoked = [(token.kind, serial, token.times.expires_at)];
    let change = revoke_singly(&locked.revocations, &revoked, &active, next, now);
    effects.tokens(channel, &locked.revocations, change);
    Ok(1)
}

/// Maximum number of single revocations of stateless tokens, including those whose tokens
/// have expired but that are not forgotten yet: each further one writes them all.
const STATELESS_HELD: usize = 10 * MAX_STATELESS_REVOCATIONS;

/// Returns 1 if the token was neither revoked singly nor expired before.
fn revoke_stateless(
    locked: &Locked,
    channel: &Channel,
    (id, until): (TokenId, UnixTime),
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, ActError> {
    let held = &locked.revocations.stateless;
    if held.contains_key(&id) || until <= now {
        return Ok(0);
    }
    let held = make_room_for_stateless(channel, &locked.revocations, 1, now, effects);
    let held = held.ok_or(Denied::TooManyStatelessRevocations)?;
    let tokens = vec![SingleRevocation { token: RevokedToken::Stateless { id }, until }];
    effects.tokens(channel, &held, ChannelChange::Revoked { tokens });
    Ok(1)
}

/// Whether so many more stateless tokens of a channel can be revoked one by one.
fn has_room_for_stateless(revocations: &ChannelRevocations, more: usize, now: UnixTime) -> bool {
    let held = &revocations.stateless;
    // Those whose token has expired only wait to be forgotten.
    let count = held.values().filter(|&&until| until > now).count();
    count + more <= MAX_STATELESS_REVOCATIONS && held.len() + more <= STATELESS_HELD
}

/// After this time, in seconds, revocations of expired tokens are forgotten if there is no room for
/// others: the clock of a verifier would have to be behind by that. So a channel whose programs
/// revoke each of their tokens can go on with it: what is held then is at most the limit of tokens that
/// have not expired, five times.
const FORGOTTEN_EARLY: i64 = 3_600;

/// The channel's revocations with room for `more` single revocations of stateless tokens. Where too many
/// wait to be forgotten, that is done first. `None`: too many are of tokens that have not expired.
pub(super) fn make_room_for_stateless(
    channel: &Channel,
    held: &Arc<ChannelRevocations>,
    more: usize,
    now: UnixTime,
    effects: &mut Effects,
) -> Option<Arc<ChannelRevocations>> {
    if has_room_for_stateless(held, more, now) {
        return Some(held.clone());
    }
    let forget = ChannelChange::Forget { expired_by: now.plus(-FORGOTTEN_EARLY) };
    let mut after = ChannelRevocations::clone(held);
    after.apply(&forget);
    if !has_room_for_stateless(&after, more, now) {
        return None;
    }
    effects.tokens(channel, held, forget);
    Some(Arc::new(after))
}

/// The active tokens that a scope covers.
pub fn covered<'a>(
    locked: &'a Locked,
    scope: &'a Scope,
    now: UnixTime,
) -> impl Iterator<Item = &'a StoredToken> {
    locked
        .active(now)
        .filter(|token| scope.covers(token.kind, token.group.as_ref(), token.assertion_key))
}

/// Denies a further group or assertion key if the channel has the maximum of cutoffs of
/// such scopes: each further one writes them all. Groups and keys are created and deleted
/// without end, and each can be revoked.
fn check_room_for(
    channel: ChannelId,
    revocations: &ChannelRevocations,
    scope: &Scope,
) -> Result<(), ActError> {
    let named = |it: &Scope| matches!(it, Scope::Group { .. } | Scope::AssertionKey { .. });
    let others = revocations.cutoffs.iter().filter(|it| named(&it.scope) && it.scope != *scope);
    match named(scope) && others.count() >= MAX_SCOPE_REVOCATIONS {
        true => Err(Denied::TooManyScopeRevocations(channel).into()),
        false => Ok(()),
    }
}

/// Revokes a scope: takes a serial, sets a cutoff below it, and marks the rows; returns
/// how many stored tokens it revokes.
pub(super) fn revoke_scope(
    locked: &Locked,
    channel: &Channel,
    scope: Scope,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, ActError> {
    check_room_for(channel.id, &locked.revocations, &scope)?;
    let mut revoked = 0;
    for token in covered(locked, &scope, now) {
        effects.write(Write::TokenRevoked {
            row: token.row,
            by: RevocationCause::Requested,
            replaced_by: None,
        });
        revoked += 1;
    }
    let serial = locked.count()?.serial.next();
    effects.write(Write::Serial(channel.id, serial));
    effects.write(Write::BulkSerial(channel.id, serial));
    // Logged before the cutoff: the act's result names the position of its last change.
    effects.touch(channel);
    let mut cutoff = Cutoff::set(scope, serial, None, now);
    if revoked == 0 && matches!(cutoff.scope, Scope::Group { .. } | Scope::AssertionKey { .. }) {
        // No stored token of the scope is active: only stateless ones can be. Groups and
        // keys are created and deleted often, so their cutoffs must be forgotten soon.
        cutoff.until = now.plus(Kind::Stateless.life().longest());
    }
    effects.tokens(channel, &locked.revocations, ChannelChange::Cutoff { cutoffs: vec![cutoff] });
    Ok(revoked)
}

/// How long revocations are kept after the last token that they cover has expired, in
/// seconds.
pub const REVOCATIONS_KEPT: i64 = DAY;

/// Drops a channel's revocations that cover no unexpired token; returns how many it
/// dropped.
#[derive(Debug, Clone)]
pub struct Forget {
    /// The channel, which may have been deleted.
    pub channel: ChannelId,
}

impl Act for Forget {
    type Output = usize;
    const NAME: ActName = ActName::Forget;

    fn needs(&self) -> Needs {
        Needs { revocations: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.channel.as_deref().ok_or(ActError::NotFound("channel"))?;
        let mut effects = Effects::default();
        let change = ChannelChange::Forget { expired_by: now.plus(-REVOCATIONS_KEPT) };
        let mut after = ChannelRevocations::clone(&locked.revocations);
        after.apply(&change);
        let gone = locked.revocations.count() - after.count();
        if gone > 0 {
            effects.tokens(channel, &locked.revocations, change);
        }
        Ok((gone, effects))
    }
}
