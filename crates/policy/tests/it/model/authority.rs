//! A tiny authority in memory that does what a store does under a channel's lock: it
//! loads what an act needs, lets `tegata_policy::acts` decide, writes the effects, and
//! keeps the log. It can be made to have one of the [`Fault`]s.

use super::{
    Fault,
    changes::{AT_ONCE, lower, revokes_from},
    naive::{ChannelNo, TokenNo},
};
use std::sync::Arc;
use tegata_policy::{
    acts::{
        Act, ActError, By, Change, Count, Effects, ExpectedSettings, Forget, Issue, Issuer, Locked,
        Remembered, RevocationCause, RevocationTarget, Revoke, SigningKeyRow, StoredKey,
        StoredToken, Times, WrappedKey, Write,
    },
    admit::Live,
    authorize::Grant,
    channel::Channel,
    denied::Denied,
    rules::Rule,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    key::{KeyState, VerifyingKey},
    kind::Kind,
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, ChannelState, Cutoff, FeedChange, Scope, ViewKey},
};

/// The store after some commit.
#[derive(Clone)]
pub struct Authority {
    pub fault: Fault,
    pub epoch: usize,
    pub channels: Vec<ChannelRow>,
    pub keys: Vec<ViewKey>,
    /// The change log. `None` is an entry for replicas only, which verifiers do not
    /// need.
    pub log: Vec<Option<FeedChange>>,
    /// The latest time ever written.
    pub written: UnixTime,
}

/// A channel and what belongs to it.
#[derive(Clone)]
pub struct ChannelRow {
    pub channel: Arc<Channel>,
    /// The last serial taken.
    pub serial: Serial,
    pub revocations: ChannelRevocations,
    pub tokens: Vec<TokenRow>,
}

/// A stored token.
#[derive(Clone)]
pub struct TokenRow {
    pub no: TokenNo,
    pub live: Live,
    pub assertion_key: Option<AssertionKeyId>,
    issued_at: UnixTime,
    key: SigningKeyId,
    /// When it is revoked, if it is.
    revoked_from: Option<UnixTime>,
}

/// An issue that was committed.
pub struct Issued {
    pub claims: Claims,
    /// The tokens that it revoked at once.
    pub at_once: Vec<TokenNo>,
    /// The tokens that it revokes later, and when.
    pub later: Option<(TokenNo, UnixTime)>,
    /// Whether those are the predecessors of a reissue.
    pub reissue: bool,
    /// Its entry in the log.
    pub entry: Option<FeedChange>,
}

fn by() -> By {
    By {
        actor: "administrator".into(),
        source: None,
        reason: None,
        at: UnixTime(0),
        expected: ExpectedSettings::default(),
        request_id: None,
    }
}

impl Authority {
    /// The time of an act whose replica's clock shows `now`: it never decreases.
    pub fn time(&mut self, now: UnixTime) -> UnixTime {
        self.written = self.written.max(now);
        self.written
    }

    /// The channel's active stored tokens at the time of an act.
    pub fn places(&self, channel: ChannelNo, now: UnixTime) -> Vec<TokenNo> {
        let rows = self.rows(channel);
        rows.iter().filter(|row| row.is_active(now)).map(|row| row.row as TokenNo).collect()
    }

    /// All rows of a channel, oldest first, as a store reads them.
    pub fn rows(&self, channel: ChannelNo) -> Vec<StoredToken> {
        self.channels[channel].tokens.iter().map(|row| self.row(row)).collect()
    }

    fn row(&self, row: &TokenRow) -> StoredToken {
        let key = self.keys.iter().find(|it| it.key.id() == row.key).map(|it| it.state);
        let revocation = row
            .revoked_from
            .filter(|end| *end == AT_ONCE)
            .map(|at| (RevocationCause::Requested, at));
        StoredToken {
            row: row.no as i64,
            serial: row.live.serial,
            kind: row.live.kind,
            group: row.live.group.clone(),
            assertion_key: row.assertion_key,
            times: Times {
                issued_at: row.issued_at,
                expires_at: row.live.expires_at,
                ends_at: row.revoked_from,
                revocation,
                key: key.unwrap_or(KeyState::Revoked),
                key_since: AT_ONCE,
            },
        }
    }

    /// What an act on the channel is decided on.
    fn locked(&self, channel: ChannelNo) -> Locked {
        let row = &self.channels[channel];
        let key = |(row, it): (usize, &ViewKey)| StoredKey {
            row: row as i64,
            key: SigningKeyRow {
                id: it.key.id(),
                public: it.key.to_bytes(),
                wrapped: WrappedKey(Vec::new()),
                state: it.state,
                created_at: UnixTime(0),
                changed_at: AT_ONCE,
            },
        };
        Locked {
            count: Some(Count { serial: row.serial, revision: row.channel.revision }),
            channel: Some(row.channel.clone()),
            tokens: self.rows(channel).into(),
            revocations: row.revocations.clone().into(),
            // The histories name only groups and keys that exist.
            remembered: Remembered { by_tokens: true, until: None },
            keys: self.keys.iter().enumerate().map(key).collect(),
            ..Locked::default()
        }
    }

    /// Writes the effects of an act; returns the log entry for verifiers. The act must mark
    /// in rows what its changes revoke.
    fn apply(&mut self, channel: ChannelNo, effects: Effects) -> Option<FeedChange> {
        let mut marked = self.channels[channel].tokens.clone();
        for write in effects.writes {
            let row = &mut self.channels[channel];
            let mut mark = |no: i64, at: UnixTime| {
                let token = marked.iter_mut().find(|it| it.no as i64 == no).unwrap();
                token.revoked_from = Some(at);
            };
            match write {
                Write::TokenRevoked { row, .. } => mark(row, AT_ONCE),
                Write::TokenRevokedFrom { row, at, .. } => mark(row, at),
                Write::Serial(_, serial) => row.serial = serial,
                Write::BulkSerial(_, serial) => {
                    Arc::make_mut(&mut row.channel).bulk_serial = serial
                }
                Write::Revocations(_, revocations) => row.revocations = revocations,
                // The caller knows the token's number.
                Write::Token(_) | Write::TokenPast { .. } => {}
                other => panic!("no act of the histories writes {other:?}"),
            }
        }
        let mut last = None;
        for change in effects.changes {
            if let Change::Tokens { change, .. } = &change {
                for token in &mut self.channels[channel].tokens {
                    for from in revokes_from(change, token) {
                        token.revoked_from =
                            Some(token.revoked_from.map_or(from, |end| end.min(from)));
                    }
                }
            }
            last = change.entry().unwrap();
            self.log.push(last.clone());
        }
        for (said, marked) in self.channels[channel].tokens.iter().zip(&marked) {
            let (said, marked) = (self.row(said), self.row(marked));
            assert_eq!(
                said.is_active(self.written),
                marked.is_active(self.written),
                "the row of token {} is not marked as its change says",
                said.row
            );
        }
        last
    }

    /// Issues a stored token: authorizes it again if the channel changed, admits it, and
    /// writes its row and its entry. `rows_then` are the rows at the time of the first
    /// authorization; only a fault uses them.
    pub fn issue(
        &mut self,
        channel: ChannelNo,
        grant: Grant,
        (id, no): (TokenId, TokenNo),
        rows_then: Vec<StoredToken>,
        now: UnixTime,
    ) -> Result<Issued, Denied> {
        let mut locked = self.locked(channel);
        if self.fault == Fault::NotAuthorizedAgain {
            locked.count =
                locked.count.map(|it| Count { revision: grant.channel().revision, ..it });
        }
        if self.fault == Fault::CompactOutsideLock {
            locked.tokens = rows_then.into();
        }
        let form = Issuer { number: 1, issuer: crate::channel::OWN_URL.into() };
        let (issued, effects) = match (Issue { grant, id, form, by: None }).decide(&locked, now) {
            Ok(decided) => decided,
            Err(ActError::Denied(denied)) => return Err(denied),
            Err(denied) => panic!("{denied}"),
        };
        let claims = issued.claims;
        let (mut at_once, mut later, mut reissue) = (Vec::new(), None, false);
        for write in &effects.writes {
            match write {
                Write::TokenRevoked { row, by, replaced_by } => {
                    assert_eq!(*replaced_by, Some(claims.serial));
                    at_once.push(*row as TokenNo);
                    reissue |= *by == RevocationCause::Reissued;
                }
                Write::TokenRevokedFrom { row, at, .. } => {
                    later = Some((*row as TokenNo, *at));
                    reissue = true;
                }
                Write::Token(token) => assert_eq!(token.claims, claims),
                _ => {}
            }
        }
        let entry = self.apply(channel, effects);
        self.channels[channel].tokens.push(TokenRow {
            no,
            live: Live {
                kind: claims.kind,
                serial: claims.serial,
                group: claims.group.clone(),
                expires_at: claims.expires_at,
            },
            assertion_key: claims.assertion_key,
            issued_at: claims.issued_at,
            key: claims.key,
            revoked_from: None,
        });
        Ok(Issued { claims, at_once, later, reissue, entry })
    }

    /// The group of a stored token, and when it is revoked, if it is.
    pub fn token(&self, channel: ChannelNo, no: TokenNo) -> (Option<Group>, Option<UnixTime>) {
        let row = self.channels[channel].tokens.iter().find(|it| it.no == no).unwrap();
        (row.live.group.clone(), row.revoked_from)
    }

    /// Revokes one stored token; logs nothing if its signing key, or its channel's deletion,
    /// had revoked it before.
    pub fn revoke_stored(
        &mut self,
        channel: ChannelNo,
        no: TokenNo,
        rows_then: Vec<StoredToken>,
        now: UnixTime,
    ) -> Option<FeedChange> {
        let mut locked = self.locked(channel);
        if self.fault == Fault::CompactOutsideLock {
            // The token's own row is current, whenever the others were read.
            let own = |it: &StoredToken| it.row == no as i64;
            let token = locked.tokens.iter().find(|it| own(it)).unwrap().clone();
            let mut tokens: Vec<_> = rows_then.into_iter().filter(|it| !own(it)).collect();
            tokens.push(token);
            tokens.sort_by_key(|it| it.serial);
            locked.tokens = tokens.into();
        }
        let row = self.channels[channel].tokens.iter().find(|it| it.no == no).unwrap();
        self.revoke(channel, RevocationTarget::Stored { serial: row.live.serial }, &locked, now)
    }

    /// Revokes one stateless token.
    pub fn revoke_stateless(
        &mut self,
        channel: ChannelNo,
        id: TokenId,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Option<FeedChange> {
        let locked = self.locked(channel);
        self.revoke(channel, RevocationTarget::Stateless { id, expires_at }, &locked, now)
    }

    fn revoke(
        &mut self,
        channel: ChannelNo,
        target: RevocationTarget,
        locked: &Locked,
        now: UnixTime,
    ) -> Option<FeedChange> {
        let act =
            Revoke { channel: self.channels[channel].channel.id, known: None, target, by: by() };
        let mut effects = match act.decide(locked, now) {
            Ok((_, effects)) => effects,
            // A deleted channel: the deletion revoked all its tokens.
            Err(ActError::NotFound("channel")) => return None,
            Err(denied) => panic!("{denied}"),
        };
        if effects.changes.iter().all(|it| it.entry().unwrap().is_none()) {
            // It revoked nothing; its change only gives it a position.
            return None;
        }
        if self.fault == Fault::AtMostForBelow {
            lower(&mut effects, &locked.revocations);
        }
        self.apply(channel, effects)
    }

    /// Revokes all tokens of a scope, at once or from a time on. A verifier understands
    /// also the entries that the API does not offer.
    pub fn revoke_all(
        &mut self,
        channel: ChannelNo,
        scope: Scope,
        from: Option<UnixTime>,
        now: UnixTime,
    ) -> FeedChange {
        let of = self.channels[channel].channel.channel_type;
        let target = match scope.clone() {
            _ if from.is_some() => None,
            Scope::Kind { kind } if !Rule::of(kind).channel_types.contains(&of) => None,
            Scope::Secret => Some(RevocationTarget::BySecret),
            Scope::Channel => Some(RevocationTarget::All),
            Scope::Kind { kind } => Some(RevocationTarget::Kind(kind)),
            Scope::Group { group } => Some(RevocationTarget::Group(group)),
            Scope::AssertionKey { key } => Some(RevocationTarget::AssertionKey(key)),
            Scope::KindGroup { .. } => None,
        };
        let deleted = self.channels[channel].channel.state == ChannelState::Deleted;
        if let Some(target) = target.filter(|_| !deleted) {
            let locked = self.locked(channel);
            let entry = self.revoke(channel, target, &locked, now);
            return entry.expect("the revocation of a scope is logged for verifiers");
        }
        let row = &mut self.channels[channel];
        row.serial = row.serial.next();
        Arc::make_mut(&mut row.channel).bulk_serial = row.serial;
        let at_most = self.fault == Fault::AtMostForBelow;
        let below = if at_most { row.serial.next() } else { row.serial };
        let cutoffs = vec![Cutoff::set(scope, below, from, now)];
        self.change(channel, ChannelChange::Cutoff { cutoffs })
    }

    /// Changes the channel's data that requests are authorized with.
    pub fn set(&mut self, channel: ChannelNo, edit: impl FnOnce(&mut Channel)) {
        let channel = Arc::make_mut(&mut self.channels[channel].channel);
        edit(channel);
        channel.revision += 1;
        self.log.push(None);
    }

    pub fn set_state(&mut self, channel: ChannelNo, state: ChannelState) -> FeedChange {
        let of = Arc::make_mut(&mut self.channels[channel].channel);
        of.state = state;
        of.revision += 1;
        self.change(channel, ChannelChange::State { state })
    }

    /// Forgets the revocations of tokens that expired a day before the time written;
    /// returns the entry, if there were any.
    pub fn forget(&mut self, channel: ChannelNo, now: UnixTime) -> Option<FeedChange> {
        let now = if self.fault == Fault::ForgetsByWallClock { now } else { self.written };
        let act = Forget { channel: self.channels[channel].channel.id };
        let (gone, effects) = act.decide(&self.locked(channel), now).unwrap();
        assert_eq!(gone == 0, effects.is_empty());
        self.apply(channel, effects)
    }

    /// Writes an entry to the log, to the revocations, and to the rows that it revokes.
    pub fn change(&mut self, channel: ChannelNo, change: ChannelChange) -> FeedChange {
        let row = &mut self.channels[channel];
        for token in &mut row.tokens {
            for from in revokes_from(&change, token) {
                token.revoked_from = Some(token.revoked_from.map_or(from, |end| end.min(from)));
            }
        }
        row.revocations.apply(&change);
        let (provider, channel) = (row.channel.provider, row.channel.id);
        let entry = FeedChange::Channel { provider, channel, change };
        self.log.push(Some(entry.clone()));
        entry
    }

    // ---- signing keys

    pub fn active_key(&self) -> SigningKeyId {
        self.keys.iter().rfind(|it| it.state == KeyState::Active).unwrap().key.id()
    }

    pub fn set_key(&mut self, key: VerifyingKey, state: KeyState) -> FeedChange {
        self.keys.retain(|it| it.key != key);
        let new = ViewKey { key, state };
        self.keys.push(new.clone());
        self.log.push(Some(FeedChange::SigningKey(new.clone())));
        FeedChange::SigningKey(new)
    }

    // ---- what followers read

    /// The entries from one position to another that concern channels of these
    /// providers.
    pub fn feed(&self, from: usize, to: usize, providers: &[ProviderId]) -> Vec<&FeedChange> {
        let concerns = |entry: &&FeedChange| match entry {
            FeedChange::SigningKey(_) => true,
            FeedChange::Channel { channel, .. } => {
                let of = |row: &&ChannelRow| row.channel.id == *channel;
                let row = self.channels.iter().find(of).unwrap();
                providers.contains(&row.channel.provider)
            }
        };
        self.log[from..to].iter().flatten().filter(concerns).collect()
    }
}

/// Whether an act on this kind of token writes a row.
pub fn is_stored(kind: Kind) -> bool {
    kind != Kind::Stateless
}
