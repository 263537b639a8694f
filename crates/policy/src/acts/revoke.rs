//! Ending tokens, one or all of a scope; and forgetting what can no longer matter.

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
    rules::MAX_STATELESS_REVOCATIONS,
};
use tegata_token::{
    id::{ChannelId, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::{ChannelChange, ChannelRevocations, Cutoff, RevokedToken, Scope, SingleRevocation},
};

/// Ends tokens of a channel; answers how many stored ones lived until now, and 1 for a
/// stateless one that is named by itself.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// The channel.
    pub channel: ChannelId,
    /// Which tokens.
    pub ending: RevocationTarget,
    /// Who asks.
    pub by: By,
}

impl Act for Revoke {
    type Output = usize;
    const NAME: ActName = ActName::Revoke;

    fn needs(&self) -> Needs {
        let tokens = match self.ending {
            RevocationTarget::AssertionKey(_) => Tokens::WithKeys,
            _ => Tokens::Counted,
        };
        let named = match self.ending {
            RevocationTarget::Stored { serial } => Some(serial),
            _ => None,
        };
        let scope = self.scope();
        Needs { tokens, named, scope, revocations: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        let mut effects = Effects::default();
        let revoked = match (&self.ending, self.scope()) {
            (RevocationTarget::Stored { serial }, _) => {
                revoke_stored(locked, channel, *serial, now, &mut effects)?
            }
            (RevocationTarget::Stateless { id, expires_at }, _) => {
                revoke_stateless(locked, channel, (*id, *expires_at), now, &mut effects)?
            }
            (_, scope) => {
                let scope = scope.unwrap_or(Scope::Channel);
                check_scope(locked, channel, &scope, now)?;
                revoke_scope(locked, channel, scope, now, &mut effects)?
            }
        };
        let mut detail = TokensRevoked { revoked, ..TokensRevoked::default() };
        match &self.ending {
            RevocationTarget::Stored { serial } => {
                detail.serial = Some(*serial);
                detail.token_id = locked.named;
            }
            RevocationTarget::Stateless { id, .. } => detail.token_id = Some(*id),
            RevocationTarget::Group(group) => detail.group = Some(group.clone()),
            RevocationTarget::Kind(kind) => detail.kind = Some(*kind),
            RevocationTarget::AssertionKey(key) => detail.assertion_key = Some(*key),
            RevocationTarget::All => detail.all = Some(true),
        }
        effects.audit(&self.by, channel, AuditEvent::TokenRevoke(detail));
        Ok((revoked, effects))
    }
}

impl Revoke {
    /// The scope that it names; `None`: a token by itself.
    fn scope(&self) -> Option<Scope> {
        match &self.ending {
            RevocationTarget::Stored { .. } | RevocationTarget::Stateless { .. } => None,
            RevocationTarget::Group(group) => Some(Scope::Group { group: group.clone() }),
            RevocationTarget::Kind(kind) => Some(Scope::Kind { kind: *kind }),
            RevocationTarget::AssertionKey(key) => Some(Scope::AssertionKey { key: *key }),
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
        // It is not there, or ended before: then a change of that act, in front
        // of this one's answer, says so.
        return Ok(0);
    };
    effects.write(Write::TokenRevoked {
        row: token.row,
        by: RevocationCause::Requested,
        replaced_by: None,
    });
    let others = locked.active(now).filter(|it| it.serial != serial);
    let lives: Vec<Live> = others.map(StoredToken::live).collect();
    let next = locked.count()?.serial.next();
    let ends = [(token.kind, serial, token.times.expires_at)];
    let change = revoke_singly(&locked.revocations, &ends, &lives, next, now);
    effects.tokens(channel, &locked.revocations, change);
    Ok(1)
}

/// So many single endings of stateless tokens are held at the most, with those that
/// expired and are not forgotten yet: each further one writes them all.
const STATELESS_HELD: usize = 10 * MAX_STATELESS_REVOCATIONS;

/// Answers 1 where the token was neither revoked by itself nor expired before.
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
    // Those whose token has expired meanwhile only wait to be forgotten.
    let count = held.values().filter(|&&until| until > now).count();
    if count >= MAX_STATELESS_REVOCATIONS || held.len() >= STATELESS_HELD {
        return Err(Denied::TooManyStatelessRevocations.into());
    }
    let tokens = vec![SingleRevocation { token: RevokedToken::Stateless { id }, until }];
    effects.tokens(channel, &locked.revocations, ChannelChange::Revoked { tokens });
    Ok(1)
}

/// The active tokens that a scope is about.
pub fn covered<'a>(
    locked: &'a Locked,
    scope: &'a Scope,
    now: UnixTime,
) -> impl Iterator<Item = &'a StoredToken> {
    locked
        .active(now)
        .filter(|token| scope.covers(token.kind, token.group.as_ref(), token.assertion_key))
}

/// A bulk ending: takes a serial, sets a floor below it, marks the rows; says how many
/// stored tokens it ends.
pub(super) fn revoke_scope(
    locked: &Locked,
    channel: &Channel,
    scope: Scope,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, ActError> {
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
    // In front of the floor: the act's answer names the place of its last change.
    effects.touch(channel);
    let mut cutoff = Cutoff::set(scope, serial, None, now);
    if revoked == 0 && matches!(cutoff.scope, Scope::Group { .. } | Scope::AssertionKey { .. }) {
        // No stored token of the scope lives: what is left to end are stateless
        // ones. Groups and keys come and go; their floors must go soon, too.
        cutoff.until = now.plus(Kind::Stateless.life().longest());
    }
    effects.tokens(channel, &locked.revocations, ChannelChange::Cutoff { cutoffs: vec![cutoff] });
    Ok(revoked)
}

/// Facts are forgotten this long after the last token that they could touch has
/// expired, in seconds.
pub const REVOCATIONS_KEPT: i64 = DAY;

/// Forgets in the view what can no longer matter of a channel; answers how many facts
/// went.
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
