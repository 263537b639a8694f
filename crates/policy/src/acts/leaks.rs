//! Reports of leaked tokens of one channel: revoked or flagged, as the channel prescribes.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, LeakReported},
    effects::{Effects, Write},
    locked::{Locked, Needs, Tokens},
    revoke::{make_room_for_stateless, revoke_scope},
    stored::StoredToken,
    things::{By, RevocationCause},
};
use crate::{
    admit::{Live, revoke_singly},
    channel::{Channel, OnLeak},
    denied::Denied,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Serial, TokenId},
    kind::Kind,
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, RevokedToken, Scope, SingleRevocation},
};

/// Handles leaked tokens of a channel, which one report named. Returns how many active ones it
/// revoked, stateless ones included.
#[derive(Debug, Clone)]
pub struct ReportLeaks {
    /// The channel.
    pub channel: ChannelId,
    /// The tokens: claims whose signatures were verified.
    pub tokens: Vec<Claims>,
    /// Where they were found, if the report says so and its sender is authenticated.
    pub found_at: Vec<String>,
    /// If there are more stateless tokens than can be named: revoke all of the channel. Not for a
    /// report that anyone can send, since it would revoke the tokens of other groups, too.
    pub all_if_full: bool,
    /// Who reported them.
    pub by: By,
}

impl Act for ReportLeaks {
    type Output = usize;
    const NAME: ActName = ActName::ReportLeaks;

    fn needs(&self) -> Needs {
        Needs { tokens: Tokens::Counted, revocations: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        let mut effects = Effects::default();
        let revoked = match channel.on_leak {
            OnLeak::Revoke => self.revoke(locked, channel, now, &mut effects)?,
            OnLeak::Flag => 0,
        };
        let mut detail = LeakReported {
            on_leak: channel.on_leak,
            revoked,
            found_at: self.found_at.clone(),
            ..LeakReported::default()
        };
        match &self.tokens[..] {
            [only] => {
                detail.token_id = Some(only.id);
                detail.kind = Some(only.kind);
                detail.group = only.group.clone();
            }
            all => detail.token_ids = all.iter().map(|it| it.id).collect(),
        }
        effects.audit(&self.by, channel, AuditEvent::LeakReport(detail));
        Ok((revoked, effects))
    }
}

impl ReportLeaks {
    fn revoke(
        &self,
        locked: &Locked,
        channel: &Channel,
        now: UnixTime,
        effects: &mut Effects,
    ) -> Result<usize, ActError> {
        let serials = self.tokens.iter().filter(|it| it.kind.is_stored()).map(|it| it.serial);
        let serials: BTreeSet<Serial> = serials.collect();
        let stored: Vec<&StoredToken> =
            serials.iter().filter_map(|&serial| locked.active_at(serial, now)).collect();
        let mut held = Arc::clone(&locked.revocations);
        if !stored.is_empty() {
            let change = revoke_stored(locked, &serials, &stored, now, effects)?;
            effects.tokens(channel, &held, change.clone());
            ChannelRevocations::apply(Arc::make_mut(&mut held), &change);
        }
        let stateless = self.tokens.iter().filter(|it| it.kind == Kind::Stateless);
        let stateless = stateless.filter(|it| it.expires_at > now);
        let stateless = stateless.filter(|it| !held.stateless.contains_key(&it.id));
        let stateless: BTreeMap<TokenId, UnixTime> =
            stateless.map(|it| (it.id, it.expires_at)).collect();
        if stateless.is_empty() {
            return Ok(stored.len());
        }
        if let Some(held) = make_room_for_stateless(channel, &held, stateless.len(), now, effects) {
            let single = |(&id, &until): (&TokenId, &UnixTime)| SingleRevocation {
                token: RevokedToken::Stateless { id },
                until,
            };
            let tokens = stateless.iter().map(single).collect();
            effects.tokens(channel, &held, ChannelChange::Revoked { tokens });
        } else if !self.all_if_full {
            return Err(Denied::TooManyStatelessRevocations.into());
        } else {
            // Too many to name: all stateless tokens of the channel. Its clients, which need
            // new ones every quarter of an hour, get new ones at once.
            let after = Locked { revocations: held, ..locked.clone() };
            let scope = Scope::Kind { kind: Kind::Stateless };
            revoke_scope(&after, channel, scope, now, effects)?;
        }
        Ok(stored.len() + stateless.len())
    }
}

/// Marks the rows of stored tokens, and returns the change that revokes them.
fn revoke_stored(
    locked: &Locked,
    serials: &BTreeSet<Serial>,
    stored: &[&StoredToken],
    now: UnixTime,
    effects: &mut Effects,
) -> Result<ChannelChange, ActError> {
    for token in stored {
        effects.write(Write::TokenRevoked {
            row: token.row,
            by: RevocationCause::Requested,
            replaced_by: None,
        });
    }
    let others = locked.active(now).filter(|it| !serials.contains(&it.serial));
    let active: Vec<Live> = others.map(StoredToken::live).collect();
    let single = |it: &&StoredToken| (it.kind, it.serial, it.times.expires_at);
    let singles: Vec<_> = stored.iter().map(single).collect();
    let next = locked.count()?.serial.next();
    Ok(revoke_singly(&locked.revocations, &singles, &active, next, now))
}
