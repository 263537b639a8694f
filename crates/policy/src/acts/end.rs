//! Ending tokens, one or all of a scope; and forgetting what can no longer matter.

use super::{
    Act, ActName, Decided, Denied,
    audit_event::{AuditEvent, TokensRevoked},
    effects::{Effects, Write},
    known::check_scope,
    locked::{Locked, Needs, Tokens},
    stored::StoredToken,
    things::{By, EndedBy, Ending},
};
use crate::{
    admit::{Live, end_singly},
    channel::Channel,
    law::STATELESS_ENDINGS,
    refusal::Refusal,
};
use tegata_token::{
    id::{ChannelId, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    view::{ChannelChange, Floor, Scope, Single, SingleToken},
};

/// Ends tokens of a channel; answers how many stored ones lived until now, and 1 for a
/// stateless one that is named by itself.
#[derive(Debug, Clone)]
pub struct End {
    /// The channel.
    pub channel: ChannelId,
    /// Which tokens.
    pub ending: Ending,
    /// Who asks.
    pub by: By,
}

impl Act for End {
    type Output = usize;
    const NAME: ActName = ActName::End;

    fn needs(&self) -> Needs {
        let tokens = match self.ending {
            Ending::AssertionKey(_) => Tokens::WithKeys,
            _ => Tokens::Counted,
        };
        let named = match self.ending {
            Ending::Stored { serial } => Some(serial),
            _ => None,
        };
        let scope = self.scope();
        Needs { tokens, named, scope, facts: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        let mut effects = Effects::default();
        let ended = match (&self.ending, self.scope()) {
            (Ending::Stored { serial }, _) => {
                end_stored(locked, channel, *serial, now, &mut effects)?
            }
            (Ending::Stateless { id, expires_at }, _) => {
                end_stateless(locked, channel, (*id, *expires_at), now, &mut effects)?
            }
            (_, scope) => {
                let scope = scope.unwrap_or(Scope::Channel);
                check_scope(locked, channel, &scope, now)?;
                end_scope(locked, channel, scope, now, &mut effects)?
            }
        };
        let mut detail = TokensRevoked { revoked: ended, ..TokensRevoked::default() };
        match &self.ending {
            Ending::Stored { serial } => {
                detail.serial = Some(*serial);
                detail.token_id = locked.named;
            }
            Ending::Stateless { id, .. } => detail.token_id = Some(*id),
            Ending::Group(group) => detail.group = Some(group.clone()),
            Ending::Kind(kind) => detail.kind = Some(*kind),
            Ending::AssertionKey(key) => detail.assertion_key = Some(*key),
            Ending::All => detail.all = Some(true),
        }
        effects.audit(&self.by, channel, AuditEvent::TokenRevoke(detail));
        Ok((ended, effects))
    }
}

impl End {
    /// The scope that it names; `None`: a token by itself.
    fn scope(&self) -> Option<Scope> {
        match &self.ending {
            Ending::Stored { .. } | Ending::Stateless { .. } => None,
            Ending::Group(group) => Some(Scope::Group { group: group.clone() }),
            Ending::Kind(kind) => Some(Scope::Kind { kind: *kind }),
            Ending::AssertionKey(key) => Some(Scope::AssertionKey { key: *key }),
            Ending::All => Some(Scope::Channel),
        }
    }
}

fn end_stored(
    locked: &Locked,
    channel: &Channel,
    serial: Serial,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, Denied> {
    let Some(token) = locked.active_at(serial, now) else {
        // It is not there, or ended before: then a change of that act, in front
        // of this one's answer, says so.
        return Ok(0);
    };
    effects.write(Write::TokenEnded { row: token.row, by: EndedBy::Revoked, ended_for: None });
    let others = locked.active(now).filter(|it| it.serial != serial);
    let lives: Vec<Live> = others.map(StoredToken::live).collect();
    let next = locked.count()?.serial.next();
    let ends = [(token.kind, serial, token.times.expires_at)];
    let change = end_singly(&locked.facts, &ends, &lives, next, now);
    effects.tokens(channel, &locked.facts, change);
    Ok(1)
}

/// So many single endings of stateless tokens are held at the most, with those that
/// expired and are not forgotten yet: each further one writes them all.
const STATELESS_HELD: usize = 10 * STATELESS_ENDINGS;

/// Answers 1 where the token was neither revoked by itself nor expired before.
fn end_stateless(
    locked: &Locked,
    channel: &Channel,
    (id, until): (TokenId, UnixTime),
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, Denied> {
    let held = &locked.facts.stateless;
    if held.contains_key(&id) || until <= now {
        return Ok(0);
    }
    // Those whose token has expired meanwhile only wait to be forgotten.
    let count = held.values().filter(|&&until| until > now).count();
    if count >= STATELESS_ENDINGS || held.len() >= STATELESS_HELD {
        return Err(Refusal::TooManyStatelessEndings.into());
    }
    let tokens = vec![Single { token: SingleToken::Stateless { id }, until }];
    effects.tokens(channel, &locked.facts, ChannelChange::Ended { tokens });
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
pub(super) fn end_scope(
    locked: &Locked,
    channel: &Channel,
    scope: Scope,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<usize, Denied> {
    let mut ended = 0;
    for token in covered(locked, &scope, now) {
        effects.write(Write::TokenEnded { row: token.row, by: EndedBy::Revoked, ended_for: None });
        ended += 1;
    }
    let serial = locked.count()?.serial.next();
    effects.write(Write::Serial(channel.id, serial));
    effects.write(Write::BulkSerial(channel.id, serial));
    // In front of the floor: the act's answer names the place of its last change.
    effects.touch(channel);
    let mut floor = Floor::set(scope, serial, None, now);
    if ended == 0 && matches!(floor.scope, Scope::Group { .. } | Scope::AssertionKey { .. }) {
        // No stored token of the scope lives: what is left to end are stateless
        // ones. Groups and keys come and go; their floors must go soon, too.
        floor.until = now.plus(Kind::Stateless.life().longest());
    }
    effects.tokens(channel, &locked.facts, ChannelChange::Floor { floors: vec![floor] });
    Ok(ended)
}

/// Facts are forgotten this long after the last token that they could touch has
/// expired, in seconds.
pub const FACTS_KEPT: i64 = DAY;

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
        Needs { facts: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.channel.as_deref().ok_or(Denied::NotFound("channel"))?;
        let mut effects = Effects::default();
        let change = ChannelChange::Forget { expired_by: now.plus(-FACTS_KEPT) };
        let mut after = locked.facts.clone();
        after.apply(&change);
        let gone = locked.facts.count() - after.count();
        if gone > 0 {
            effects.tokens(channel, &locked.facts, change);
        }
        Ok((gone, effects))
    }
}
