//! Issuing, in two acts: a request is authorized with what a replica has read, and
//! committed later on the store's state at that time.

use super::{LEASE, Violation, World};
use crate::model::{
    Fault,
    act::Want,
    authority::is_stored,
    naive::{Ask, ChannelNo, Event, Revokes, Settings, Token, TokenNo},
};
use crate::{
    channel::{self, OWN_URL},
    signer::OWN,
};
use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};
use tegata_policy::{
    acts::StoredToken,
    assertion::{AssertionRules, UnverifiedAssertion},
    authorize::{Credential, Grant, authorize},
    channel::RegisteredKey,
    denied::Denied,
    secret::PlainSecret,
};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    view::{ChannelChange, ChannelState, FeedChange},
    wire::write,
};

/// An act that was begun and is not committed yet.
pub(super) enum Pending {
    Issue(Box<PendingIssue>),
    Revoke { replica: usize, no: TokenNo, rows_then: Vec<StoredToken> },
}

pub(super) struct PendingIssue {
    replica: usize,
    channel: ChannelNo,
    grant: Grant,
    ask: Ask,
    shown: Shown,
    asked_at: UnixTime,
    /// How much of the log was answered for when the token was requested.
    settled: usize,
    /// The length of the log when the channel was read that authorized the request.
    read: usize,
    rows_then: Vec<StoredToken>,
}

/// The credential of a request, as the world identifies it.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    Secret(u32),
    Key(AssertionKeyId),
    Administrator,
}

/// A secret that is accepted, by its number, and until when.
pub(super) type Taken = (u32, Option<UnixTime>);

pub(super) fn assertion_key(channel: ChannelNo, place: usize, generation: usize) -> AssertionKeyId {
    let mut bytes = [0xA0; 16];
    bytes[..3].copy_from_slice(&[channel as u8, place as u8, generation as u8]);
    AssertionKeyId::from_random(bytes)
}

pub(super) fn registered(channel: ChannelNo, place: usize, generation: usize) -> RegisteredKey {
    let group = (place == 1).then(|| channel::group("b"));
    RegisteredKey {
        id: assertion_key(channel, place, generation),
        ..channel::registered(&OWN, group)
    }
}

pub(super) fn secret_of(channel: ChannelNo, version: u32) -> PlainSecret {
    channel::secret(&format!("secret {version} of {channel}"))
}

/// An assertion of the key, valid for some time. Signing is slow, so assertions are
/// cached: all histories use the same ones.
fn assertion(
    channel: ChannelId,
    key: AssertionKeyId,
    life: i64,
    now: UnixTime,
) -> UnverifiedAssertion {
    type Kept = HashMap<(ChannelId, AssertionKeyId, i64, i64), UnverifiedAssertion>;
    static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(Mutex::default);
    let exp = (now.0 / 1_500 + 1) * 1_500 + 60;
    let sign = || {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key});
        let claims = serde_json::json!({
            "iss": channel, "sub": channel, "aud": OWN_URL, "exp": exp, "token_exp": life,
        });
        UnverifiedAssertion::parse(
            &OWN.jws(&header.to_string(), &claims.to_string()),
            AssertionRules::Line,
        )
        .unwrap()
    };
    let mut kept = KEPT.lock().unwrap();
    kept.entry((channel, key, life, exp)).or_insert_with(sign).clone()
}

impl World {
    /// A replica receives a request and authorizes it with what it has read.
    pub(super) fn ask(
        &mut self,
        replica: usize,
        channel: ChannelNo,
        want: &Want,
    ) -> Result<Option<PendingIssue>, Violation> {
        if self.replicas[replica].jumped {
            return Ok(None);
        }
        if self.now.since(self.replicas[replica].read_at) > LEASE {
            self.follow(replica, usize::MAX);
        }
        let now = self.clock(replica);
        let id = self.authority.channels[channel].channel.id;
        let [large, bound] = &self.assertion_keys[channel];
        let by_assertion = match (want.kind, want.with) {
            (Kind::V21, 0) | (Kind::Stateless, 2) => large.last(),
            (Kind::V21, 1) => bound.last(),
            (Kind::V21, _) => large.iter().rev().nth(1).or(large.last()),
            _ => None,
        };
        let newest = self.taken[channel].last().unwrap().0;
        let (shown, credential) = match (want.kind, by_assertion) {
            (Kind::LongLived, _) => {
                (Shown::Administrator, Credential::Administrator { delay: want.delay })
            }
            (_, Some(&key)) => {
                let assertion = assertion(id, key, want.life, now);
                (Shown::Key(key), Credential::Assertion(assertion))
            }
            (_, None) => {
                let before = self.taken[channel][0].0.min(newest.saturating_sub(1));
                let version = if want.with == 0 { newest } else { before };
                let secret = secret_of(channel, version);
                (Shown::Secret(version), Credential::Secret(secret))
            }
        };
        let asked = want.group.map(channel::group);
        let request = channel::request(want.kind, credential, asked.clone());
        let snapshot = self.replicas[replica].channels[channel].clone();
        let Ok(grant) = authorize(request, snapshot, channel::audience(), now) else {
            self.seen.one("denied when authorized");
            return Ok(None);
        };
        let group = match want.kind {
            Kind::LongLived => None,
            _ if by_assertion.is_some_and(|key| bound.contains(key)) => Some(channel::group("b")),
            _ => asked,
        };
        ensure!(grant.group() == group.as_ref(), "granted for the wrong group");
        Ok(Some(PendingIssue {
            replica,
            channel,
            grant,
            ask: Ask { kind: want.kind, group, delay: want.delay },
            shown,
            asked_at: now,
            settled: self.waiting.iter().min().map_or(self.authority.log.len(), |it| it - 1),
            read: self.replicas[replica].read,
            rows_then: self.rows_then(channel),
        }))
    }

    /// The rows for the fault that uses them.
    pub(super) fn rows_then(&self, channel: ChannelNo) -> Vec<StoredToken> {
        match self.fault {
            Fault::CompactOutsideLock => self.authority.rows(channel),
            _ => Vec::new(),
        }
    }

    pub(super) fn commit(&mut self, nth: usize) -> Result<(), Violation> {
        let (begun, pending) = self.pending.remove(nth);
        if self.now.since(begun) > LEASE {
            return Ok(());
        }
        match pending {
            Pending::Issue(pending) if self.replicas[pending.replica].jumped => Ok(()),
            Pending::Issue(pending) if is_stored(pending.ask.kind) => self.issue_stored(*pending),
            Pending::Issue(pending) => self.issue_stateless(*pending),
            Pending::Revoke { replica, no, rows_then } => {
                if let Some(now) = self.time_of(replica) {
                    self.revoke_one(no, rows_then, now);
                }
                Ok(())
            }
        }
    }

    pub(super) fn issue_stored(&mut self, pending: PendingIssue) -> Result<(), Violation> {
        let PendingIssue { replica, channel, grant, ask, shown, asked_at, settled, .. } = pending;
        let now = self.time_of(replica).unwrap();
        let epoch = self.authority.epoch;
        let set = self.settings(channel);
        let places = self.naive.places(channel, epoch, now);
        let rows: Vec<TokenNo> = self.authority.places(channel, now);
        ensure!(rows == places, "the store counts {rows:?}, but {places:?} are active");
        let expected = self.naive.rules(&places, &ask, set, now);

        let no = self.handed.len();
        let id = TokenId((no as u128).to_be_bytes());
        let set_for = |no: TokenNo| self.authority.token(channel, no).1;
        let sooner = expected.as_ref().ok().and_then(|it| it.later).map(|(no, _)| set_for(no));
        let issued = self.authority.issue(channel, grant, (id, no), pending.rows_then, now);
        let (issued, expected) = match (issued, expected) {
            (Ok(issued), Ok(expected)) => (issued, expected),
            (Ok(_), Err(denied)) => return Err(format!("{ask:?} is admitted: {denied}")),
            (Err(full @ (Denied::Full(_) | Denied::GroupFull(_))), expected) => {
                let same = expected == Err(full);
                ensure!(same, "{ask:?} is denied, {full}, instead of {expected:?}");
                self.seen.one("denied for being full");
                return Ok(());
            }
            (Err(denied), _) => {
                // The channel that it was authorized with has changed.
                let is_cap = matches!(denied, Denied::TooManyGroups);
                ensure!(!is_cap, "{ask:?} is denied: {denied}");
                self.seen.one("denied when authorized again");
                return Ok(());
            }
        };
        ensure!(
            self.still_takes(channel, shown, asked_at),
            "{ask:?} is admitted for a credential that was withdrawn before"
        );

        // An earlier revocation time that is already set stays.
        let sooner = sooner.flatten();
        let later = expected.later.map(|(no, from)| (no, sooner.map_or(from, |it| it.min(from))));
        let expected = Revokes { later, ..expected };
        let revokes = Revokes { at_once: issued.at_once, later: issued.later };
        ensure!(revokes == expected, "{ask:?} revokes {revokes:?} instead of {expected:?}");
        let of_another = |no: &TokenNo| self.authority.token(channel, *no).0 != ask.group;
        let others: Vec<_> = revokes.at_once.iter().filter(|no| of_another(no)).collect();
        ensure!(others.is_empty(), "{ask:?} revokes a token of another group: {others:?}");

        if let Some(entry) = issued.entry {
            let at_once = revokes.at_once.into_iter().map(|no| (no, None));
            let later = revokes.later.map(|(no, from)| (no, Some(from)));
            self.see_entry(&entry, "evicted");
            self.note(Some(entry), Event::Revoked(at_once.chain(later).collect()));
            if issued.reissue {
                self.wait();
            }
        }
        self.hand_out(channel, issued.claims, self.authority.log.len());
        self.check_caps(channel, &ask, set, now)?;
        self.check_new(no, settled, now)
    }

    pub(super) fn issue_stateless(&mut self, pending: PendingIssue) -> Result<(), Violation> {
        let PendingIssue { replica, channel, grant, settled, read, .. } = pending;
        let now = self.clock(replica);
        let no = self.handed.len();
        let id = TokenId((no as u128).to_be_bytes());
        let keys = self.verifiers[replica].view.keys();
        let key = keys.iter().rfind(|it| it.state == KeyState::Active).unwrap().key.id();
        let claims = match self.fault {
            Fault::SerialReadLate => {
                let serial = self.authority.channels[channel].channel.bulk_serial;
                grant.claims(id, serial, key, now)
            }
            _ => grant.stateless_claims(id, key, now),
        };
        self.hand_out(channel, claims, read);
        self.seen.one("issued stateless");
        self.check_new(no, settled, now)
    }

    pub(super) fn hand_out(&mut self, channel: ChannelNo, claims: Claims, born: usize) {
        self.naive.tokens.push(Token {
            channel,
            provider: claims.provider,
            kind: claims.kind,
            group: claims.group.clone(),
            assertion_key: claims.assertion_key,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            key: claims.key,
            born,
        });
        let bytes = write(&claims, OWN_URL, &self.signing[&claims.key]);
        self.handed.push((bytes, claims));
        self.seen.one("issued");
    }

    pub(super) fn settings(&self, channel: ChannelNo) -> Settings {
        let channel = &self.authority.channels[channel].channel;
        Settings {
            rules: channel.rules,
            group_cap: channel.group_rule.cap,
            group_when_full: channel.group_rule.when_full,
        }
    }

    /// Whether the channel, as it is now, accepts a credential that was sent at `then`: a
    /// previous secret counts if it was accepted when the request was authorized.
    pub(super) fn still_takes(&self, channel: ChannelNo, shown: Shown, then: UnixTime) -> bool {
        let row = &self.authority.channels[channel].channel;
        let credential = match shown {
            Shown::Secret(version) => self.taken[channel]
                .iter()
                .any(|(it, until)| *it == version && until.is_none_or(|until| then < until)),
            Shown::Key(key) => row.assertion_keys.iter().any(|it| it.id == key),
            Shown::Administrator => true,
        };
        credential && row.state == ChannelState::Active
    }

    pub(super) fn see_entry(&mut self, entry: &FeedChange, what: &'static str) {
        let FeedChange::Channel { change, .. } = entry else { return };
        self.seen.one(match change {
            ChannelChange::Cutoff { cutoffs } if cutoffs.iter().any(|it| !it.except.is_empty()) => {
                "compacted"
            }
            ChannelChange::Cutoff { cutoffs } if cutoffs.iter().any(|it| it.from.is_some()) => {
                "reissued with a delay"
            }
            _ => what,
        });
    }
}
