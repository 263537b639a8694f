//! Issuing: the grant that may have to be authorized again, the retry, the caps.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, TokenIssued},
    effects::{Effects, NewToken, Write},
    known::{other_groups, use_group},
    locked::{Locked, Needs, Tokens},
    things::{By, RevocationCause},
};
use crate::{
    admit::{Admit, admit},
    assertion::Assertion,
    authorize::Grant,
    denied::Denied,
};
use std::{borrow::Cow, sync::Arc};
use tegata_token::{
    claims::Claims,
    id::{Position, TokenId},
    key::KeyState,
    time::UnixTime,
};

/// The public address that new tokens name, and its row.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The row's number.
    pub number: i64,
    /// The address.
    pub issuer: Arc<str>,
}

/// Uses a grant to issue a stored token.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The grant.
    pub grant: Grant,
    /// Fresh random bytes.
    pub id: TokenId,
    /// The issuer, part of the token's form.
    pub form: Issuer,
    /// Who requested it, if the issue is recorded in the audit.
    pub by: Option<By>,
}

/// A token whose row is written: what the signer needs to write the token, now or for a
/// retry.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Its claims.
    pub claims: Claims,
    /// The public address that its JWS form names.
    pub issuer: Arc<str>,
    /// Of a reissue: until when the previous token is active.
    pub previous_until: Option<UnixTime>,
    /// Whether the row existed before, under the same `Idempotency-Key`.
    pub again: bool,
    /// How many tokens were evicted.
    pub evicted: usize,
    /// How many tokens are revoked for it, now or after a delay.
    pub revoked: usize,
    /// The position of its last change; the store knows it.
    pub position: Position,
}

/// Maximum number of rows that an issue marks as past; since it adds one row, they
/// decrease faster than they increase.
const MARKED_AT_ONCE: usize = 8;

impl Act for Issue {
    type Output = Issued;
    const NAME: ActName = ActName::Issue;

    fn needs(&self) -> Needs {
        Needs {
            tokens: Tokens::Counted,
            revocations: true,
            issued_under: self.grant.idempotency(),
            ..needs_of(&self.grant)
        }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Issued> {
        let grant = &*current(&self.grant, locked, now)?;
        let channel = grant.channel();
        let mut effects = Effects::default();
        if let Some(issued) = issued_before(grant, locked, now)? {
            if self.by.is_some() {
                // The first answer was lost, perhaps: this one has a receipt as well.
                effects.touch(channel);
                effects.reissued = Some(valid_until(&issued));
            }
            return Ok((issued, effects));
        }
        let live = locked.live(now);
        let groups = grant.group().map_or(0, |group| other_groups(channel, &live, group, now));
        let serial = locked.count()?.serial.next();
        let admit = admit(grant, &live, groups, serial, now)?;
        let key = locked.key_in(KeyState::Active).ok_or(ActError::NoSigningKey)?;
        let claims = grant.claims(self.id, serial, key.key.id, now);

        use_assertion(grant, locked, &mut effects)?;
        let idempotency = grant.idempotency();
        effects.write(Write::Token(Box::new(NewToken {
            claims: claims.clone(),
            key: key.row,
            form: self.form.number,
            idempotency,
            parameters: idempotency.map(|_| parameters(grant)),
        })));
        effects.write(Write::Serial(channel.id, serial));
        let over = locked.tokens.iter().filter(|token| token.times.over_at() <= now);
        for token in over.take(MARKED_AT_ONCE) {
            let revoked = token.times.own_revocation(now);
            effects.write(Write::TokenPast { row: token.row, revoked });
        }
        let previous_until = make_room(&admit, locked, now, &mut effects);
        if let Some(change) = admit.change(&locked.revocations, &live, now) {
            effects.tokens_because(channel, &locked.revocations, change, cause(&admit));
        }
        if let Some(by) = &self.by {
            if effects.changes.is_empty() {
                // The receipt of the act needs a position.
                effects.touch(channel);
            }
            let issued = TokenIssued { token_id: self.id, kind: grant.kind() };
            effects.audit(by, channel, AuditEvent::TokenIssue(issued));
        }
        let issuer = self.form.issuer.clone();
        let evicted = if admit.reissue { 0 } else { admit.ends.len() };
        let (revoked, position) = (effects.taken.len(), Position::default());
        let issued =
            Issued { claims, issuer, previous_until, again: false, evicted, revoked, position };
        if self.by.is_some() {
            effects.reissued = Some(valid_until(&issued));
        }
        Ok((issued, effects))
    }
}

/// From when on the predecessor of a reissued token is invalid.
fn valid_until(issued: &Issued) -> UnixTime {
    issued.previous_until.unwrap_or(issued.claims.issued_at)
}

/// Why tokens are revoked for a new one.
fn cause(admit: &Admit) -> RevocationCause {
    if admit.reissue { RevocationCause::Reissued } else { RevocationCause::Evicted }
}

/// Marks the rows of the tokens that are revoked for a new one; returns until when the
/// predecessor of a reissue is active.
fn make_room(
    admit: &Admit,
    locked: &Locked,
    now: UnixTime,
    effects: &mut Effects,
) -> Option<UnixTime> {
    let by = cause(admit);
    for end in &admit.ends {
        if let Some(token) = locked.active_at(end.serial, now) {
            let replaced_by = Some(admit.serial);
            effects.write(Write::TokenRevoked { row: token.row, by, replaced_by });
        }
    }
    let (predecessor, from) = admit.ends_later?;
    let token = locked.active_at(predecessor, now)?;
    // An earlier scheduled revocation stays.
    let at = token.times.ends_at.map_or(from, |at| at.min(from));
    effects.write(Write::TokenRevokedFrom { row: token.row, at, replaced_by: Some(admit.serial) });
    Some(at)
}

/// Prepares a token that needs no row: marks the assertion as used, if its channel
/// accepts each one once, and writes the row of a new group.
#[derive(Debug, Clone)]
pub struct TakeAssertion {
    /// The grant.
    pub grant: Grant,
}

impl Act for TakeAssertion {
    type Output = Grant;
    const NAME: ActName = ActName::TakeAssertion;

    fn needs(&self) -> Needs {
        let tokens = if self.grant.group().is_some() { Tokens::Counted } else { Tokens::None };
        Needs { tokens, ..needs_of(&self.grant) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Grant> {
        let grant = current(&self.grant, locked, now)?;
        let mut effects = Effects::default();
        use_assertion(&grant, locked, &mut effects)?;
        use_group(&grant, locked, now, &mut effects)?;
        Ok((grant.into_owned(), effects))
    }
}

/// What every use of a grant needs.
fn needs_of(grant: &Grant) -> Needs {
    Needs {
        channel: Some(grant.channel().id),
        unless_revision: Some(grant.channel().revision),
        assertion: grant.assertion().map(|it| it.fingerprint),
        single_use: grant.channel().single_use_assertions,
        ..Needs::default()
    }
}

/// The grant, authorized again if its channel changed.
fn current<'a>(
    grant: &'a Grant,
    locked: &Locked,
    now: UnixTime,
) -> Result<Cow<'a, Grant>, ActError> {
    if locked.count()?.revision == grant.channel().revision {
        return Ok(Cow::Borrowed(grant));
    }
    let channel = locked.channel.clone().ok_or(Denied::UnknownChannel)?;
    Ok(Cow::Owned(grant.clone().authorize_again(channel, now)?))
}

/// The grant's assertion, if its channel accepts each one once.
fn single_use(grant: &Grant) -> Option<&Assertion> {
    grant.assertion().filter(|_| grant.channel().single_use_assertions)
}

/// Marks the assertion as used, or denies, if its channel accepts each one once.
fn use_assertion(grant: &Grant, locked: &Locked, effects: &mut Effects) -> Result<(), ActError> {
    let Some(assertion) = single_use(grant) else { return Ok(()) };
    if locked.assertion_used {
        return Err(Denied::AssertionUsed.into());
    }
    effects.write(Write::AssertionUsed {
        channel: grant.channel().id,
        fingerprint: assertion.fingerprint,
        expires_at: assertion.expires_at,
    });
    Ok(())
}

/// The parameters that a retry must repeat.
fn parameters(grant: &Grant) -> String {
    let (life, delay) = grant.parameters();
    format!("{life} {delay}")
}

/// The token that was issued under the same `Idempotency-Key` before, if any.
fn issued_before(grant: &Grant, locked: &Locked, now: UnixTime) -> Result<Option<Issued>, Denied> {
    let Some(before) = &locked.before else { return Ok(None) };
    if before.parameters != parameters(grant) {
        return Err(Denied::IdempotencyMismatch);
    }
    if !before.times.is_active(now) {
        return Err(Denied::IdempotencyInactive);
    }
    let claims = grant.claims(before.id, before.serial, before.key, before.times.issued_at);
    Ok(Some(Issued {
        claims: Claims { expires_at: before.times.expires_at, ..claims },
        issuer: before.issuer.clone(),
        previous_until: before.previous_until,
        again: true,
        evicted: 0,
        revoked: 0,
        position: Position::default(),
    }))
}
