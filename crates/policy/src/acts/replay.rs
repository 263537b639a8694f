//! Lines of the revocation journal, applied again to a store that lacks them.

use super::{
    Act, ActError, ActName, Decided,
    channels::empty,
    effects::{Effects, Write},
    expected::ExpectedSettings,
    followers::VerifierPatch,
    journal::JournalEntry,
    known::delete_key,
    locked::{Locked, Needs, Tokens},
    people,
    provider_job::BeginProviderRevocation,
    revoke::covered,
    root_token,
    signing::set_state,
    things::{Author, By, ChannelPatch, LimitsPatch, RevocationCause},
    upkeep::Upkeep,
    verifiers::{ChangeVerifier, DeleteVerifier},
};
use crate::{channel::Channel, secret::HashedSecret};
use std::collections::BTreeMap;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial, SigningKeyId},
    key::KeyState,
    time::UnixTime,
    view::{ChannelChange, ChannelState, RevokedToken},
};

/// Applies one line of the journal again, at the time of the line or, if the clock was ahead then,
/// at that of the recovery. What the store does not have is ignored, and nothing is created again; see [`LostInstances`] of verifiers.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The line.
    pub line: JournalEntry,
    /// Who did it and why, if the line names one.
    pub author: Option<Author>,
    /// Its time.
    pub at: UnixTime,
}

/// What a line did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many stored tokens it revoked.
    pub tokens: usize,
    /// Whether it replaced a secret.
    pub secret: bool,
    /// How many assertion keys it deleted.
    pub assertion_keys: usize,
    /// Whether it names a channel that the store lacks.
    pub unknown: bool,
}

impl Replay {
    fn begin(&self) -> Option<BeginProviderRevocation> {
        let JournalEntry::ProviderRevocation { provider } = self.line else { return None };
        let by = match &self.author {
            Some(author) => author.at(self.at),
            None => By {
                actor: "tegata".to_owned(),
                source: None,
                reason: None,
                at: self.at,
                expected: ExpectedSettings::default(),
                request_id: None,
            },
        };
        Some(BeginProviderRevocation { provider, by })
    }

    /// What a line about a verifier does to it.
    fn of_verifier(&self, locked: &Locked, now: UnixTime) -> Result<Effects, ActError> {
        let by = self.by();
        let done = match &self.line {
            JournalEntry::VerifierDeleted { verifier } => {
                DeleteVerifier { id: *verifier, by }.decide(locked, now).map(|(_, it)| it)
            }
            JournalEntry::Verifier { verifier, max_staleness, allow } => {
                let (max_staleness, allow) = (Some(*max_staleness), Some(*allow));
                let patch = VerifierPatch { name: None, max_staleness, allow };
                ChangeVerifier { id: *verifier, patch, by }.decide(locked, now).map(|(_, it)| it)
            }
            _ => return Ok(Effects::default()),
        };
        match done {
            // The recovery writes one event about all lines.
            Ok(effects) => Ok(Effects { audit: None, ..effects }),
            Err(ActError::NotFound(_)) => Ok(Effects::default()),
            Err(error) => Err(error),
        }
    }

    fn by(&self) -> By {
        By {
            actor: String::new(),
            source: None,
            reason: None,
            at: self.at,
            expected: ExpectedSettings::default(),
            request_id: None,
        }
    }

    /// The line without the time by which the clock was ahead `now`: for that long a previous
    /// secret would be valid, and a token that was reissued with a delay.
    fn corrected(&self, now: UnixTime) -> JournalEntry {
        let ahead = self.at.since(now).max(0);
        let mut line = self.line.clone();
        match &mut line {
            JournalEntry::Secret { previous_until: Some(until), .. } => {
                *until = until.plus(-ahead);
            }
            JournalEntry::Channel { change: ChannelChange::Cutoff { cutoffs }, .. } => {
                for from in cutoffs.iter_mut().filter_map(|it| it.from.as_mut()) {
                    *from = from.plus(-ahead);
                }
            }
            _ => {}
        }
        line
    }

    fn done(&self) -> Option<ProviderId> {
        match self.line {
            JournalEntry::ProviderEndDone { provider } => Some(provider),
            _ => None,
        }
    }
}

impl Act for Replay {
    type Output = Replayed;
    const NAME: ActName = ActName::Replay;

    fn needs(&self) -> Needs {
        if let Some(begin) = self.begin() {
            return begin.needs();
        }
        if let Some(provider) = self.done() {
            return Needs { upkeep: Upkeep::OldestProviderJob(provider), ..Needs::default() };
        }
        if let JournalEntry::VerifierDeleted { verifier }
        | JournalEntry::Verifier { verifier, .. } = &self.line
        {
            return Needs { upkeep: Upkeep::Verifier(*verifier), ..Needs::default() };
        }
        if let JournalEntry::Person { person, loss } = &self.line {
            return people::replay::needs(*person, loss, self.by());
        }
        if let JournalEntry::RootToken { .. } = &self.line {
            return Needs { upkeep: Upkeep::RootTokens, ..Needs::default() };
        }
        match self.line.channel() {
            Some(id) => Needs { tokens: Tokens::WithKeys, revocations: true, ..Needs::channel(id) },
            None => Needs::default(),
        }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Replayed> {
        let mut effects = Effects::default();
        let mut replayed = Replayed::default();
        if let Some(begin) = self.begin() {
            match begin.decide(locked, now) {
                Ok((_, begun)) => effects = begun,
                // A provider that the store lacks has no channels here.
                Err(ActError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        } else if self.done().is_some() {
            let job = locked.upkeep.job.as_ref().map(|it| it.number);
            effects.writes.extend(job.map(Write::ProviderJobDone));
        } else if let JournalEntry::SigningKey { key, state } = self.line {
            signing_key(locked, key, state, now, &mut effects);
        } else if self.line.channel().is_some() {
            match locked.channel.as_deref() {
                None => replayed.unknown = true,
                Some(channel) if channel.state == ChannelState::Deleted => {}
                Some(channel) => {
                    let line = self.corrected(now);
                    replayed = of_channel(&line, channel, locked, now, &mut effects)?;
                }
            }
        } else if let JournalEntry::Person { person, loss } = &self.line {
            effects = people::replay::lost(*person, loss, self.by(), (locked, now))?;
        } else if let JournalEntry::RootToken { ended, in_force } = self.line {
            effects = root_token::replay(ended, in_force, locked);
        } else {
            effects = self.of_verifier(locked, now)?;
        }
        effects.author = self.author.clone();
        if !effects.is_empty() {
            effects.journal = vec![self.line.clone()];
        }
        Ok((replayed, effects))
    }
}

fn of_channel(
    line: &JournalEntry,
    channel: &Channel,
    locked: &Locked,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<Replayed, ActError> {
    let mut replayed = Replayed::default();
    match line {
        JournalEntry::Channel { change, cause, .. } => {
            replayed.tokens = tokens(channel, (change, *cause), locked, now, effects);
            effects.tokens_because(channel, &locked.revocations, change.clone(), *cause);
        }
        JournalEntry::Secret { sha256, previous_until, .. } => {
            let hash = hash(sha256).ok_or(ActError::Conflict("a secret's hash is not one"))?;
            let hash = HashedSecret::from_stored(hash);
            effects.write(Write::Secret { channel: channel.id, hash, kept: *previous_until });
            effects.revise(channel);
            replayed.secret = true;
        }
        JournalEntry::AssertionKey { key, .. } => {
            replayed.assertion_keys =
                channel.assertion_keys.iter().filter(|it| it.id == *key).count();
            delete_key(channel, *key, now, effects);
        }
        JournalEntry::Rules { rules, .. } => settings(channel, rules, effects),
        JournalEntry::Limits { limits, .. } => {
            let limits = LimitsPatch::from(*limits);
            settings(channel, &ChannelPatch { limits, ..ChannelPatch::default() }, effects);
        }
        JournalEntry::GroupRules { group, rules, .. } => {
            effects.write(Write::Group(channel.id, group.clone(), rules.clone()));
            effects.revise(channel);
        }
        JournalEntry::Begins { .. }
        | JournalEntry::SigningKey { .. }
        | JournalEntry::ProviderRevocation { .. }
        | JournalEntry::ProviderEndDone { .. }
        | JournalEntry::VerifierCreated { .. }
        | JournalEntry::VerifierDeleted { .. }
        | JournalEntry::Verifier { .. }
        | JournalEntry::Person { .. }
        | JournalEntry::RootToken { .. } => {}
    }
    Ok(replayed)
}

fn settings(channel: &Channel, patch: &ChannelPatch, effects: &mut Effects) {
    let new = patch.applied_to(channel);
    effects.write(Write::Settings(Box::new(new.clone())));
    effects.revise(&new);
}

/// Marks the rows of the tokens that a change revokes; returns how many.
fn tokens(
    channel: &Channel,
    (change, by): (&ChannelChange, RevocationCause),
    locked: &Locked,
    now: UnixTime,
    effects: &mut Effects,
) -> usize {
    // Each row, with the time from which it is revoked; `None`: at once.
    let mut rows = BTreeMap::<i64, Option<UnixTime>>::new();
    match change {
        ChannelChange::Revoked { tokens } => {
            for single in tokens {
                if let RevokedToken::Stored { serial, .. } = single.token {
                    rows.extend(locked.active_at(serial, now).map(|it| (it.row, None)));
                }
            }
        }
        ChannelChange::Cutoff { cutoffs } => {
            for cutoff in cutoffs {
                let covered = covered(locked, &cutoff.scope, now)
                    .filter(|it| it.serial < cutoff.below && !cutoff.except.contains(&it.serial));
                for token in covered {
                    // An earlier scheduled revocation stays.
                    let from =
                        cutoff.from.map(|at| token.times.ends_at.map_or(at, |it| it.min(at)));
                    let known = rows.entry(token.row).or_insert(from);
                    *known = from.min(*known);
                }
            }
        }
        ChannelChange::State { state } => {
            let mut new = Channel { state: *state, ..channel.clone() };
            effects.revise(channel);
            if *state == ChannelState::Deleted {
                empty(&mut new, locked, now, effects);
                effects.write(Write::Settings(Box::new(new)));
                return locked.active(now).count();
            }
            effects.write(Write::Settings(Box::new(new)));
        }
        ChannelChange::Forget { .. } => {}
    }
    let revoked = rows.len();
    for (row, from) in rows {
        effects.write(match from {
            None => Write::TokenRevoked { row, by, replaced_by: None },
            Some(at) => Write::TokenRevokedFrom { row, at, replaced_by: None },
        });
    }
    revoked
}

/// A signing key's state only becomes stricter.
fn signing_key(
    locked: &Locked,
    id: SigningKeyId,
    said: KeyState,
    now: UnixTime,
    effects: &mut Effects,
) {
    let Some(key) = locked.keys.iter().map(|it| &it.key).find(|key| key.id == id) else { return };
    let state = match (key.state, said) {
        (KeyState::Revoked, _) => return,
        (_, KeyState::Revoked) => KeyState::Revoked,
        (
            KeyState::Retired { issued_before: Some(before) },
            KeyState::Retired { issued_before: Some(said) },
        ) => KeyState::Retired { issued_before: Some(before.min(said)) },
        (_, KeyState::Retired { issued_before: Some(_) }) => said,
        _ => return,
    };
    set_state(key, state, now, effects);
}

/// The 32 bytes of 64 hex digits.
fn hash(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 64 || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    for (n, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Raises a channel's serials to those that lines of the journal name: a token issued
/// below a cutoff, or with a revoked serial, would be invalid from the start. Copies of
/// the channel must be discarded in any case.
#[derive(Debug, Clone, Copy)]
pub struct RaiseSerials {
    /// The channel.
    pub channel: ChannelId,
    /// At least the last serial used.
    pub serial: Serial,
    /// At least the serial of the last bulk revocation.
    pub bulk: Serial,
}

impl RaiseSerials {
    /// What the lines need, one of each channel that they name.
    pub fn of<'a>(lines: impl Iterator<Item = &'a JournalEntry>) -> Vec<Self> {
        let mut highest = BTreeMap::<ChannelId, (Serial, Serial)>::new();
        for line in lines {
            let Some(channel) = line.channel() else { continue };
            let (serial, bulk) = highest.entry(channel).or_default();
            let JournalEntry::Channel { change, .. } = line else { continue };
            match change {
                ChannelChange::Revoked { tokens } => {
                    for single in tokens {
                        if let RevokedToken::Stored { serial: named, .. } = single.token {
                            *serial = named.max(*serial);
                        }
                    }
                }
                ChannelChange::Cutoff { cutoffs } => {
                    for cutoff in cutoffs {
                        (*serial, *bulk) = (cutoff.below.max(*serial), cutoff.below.max(*bulk));
                    }
                }
                ChannelChange::State { .. } | ChannelChange::Forget { .. } => {}
            }
        }
        let raise = |(channel, (serial, bulk))| Self { channel, serial, bulk };
        highest.into_iter().map(raise).collect()
    }
}

impl Act for RaiseSerials {
    type Output = ();
    const NAME: ActName = ActName::RaiseSerials;

    fn needs(&self) -> Needs {
        Needs::channel(self.channel)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        if let Ok(channel) = locked.existing() {
            if self.serial > locked.count()?.serial {
                effects.write(Write::Serial(channel.id, self.serial));
            }
            if self.bulk > channel.bulk_serial {
                effects.write(Write::BulkSerial(channel.id, self.bulk));
            }
            effects.revise(channel);
        }
        Ok(((), effects))
    }
}
