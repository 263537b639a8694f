//! The authority's own keys and clock, and events that are only recorded.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, MasterKeyReplaced, SigningKeyNamed, SigningKeysRevoked},
    change::Change,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    person::{SignInSecrets, StoredPerson},
    things::{By, Event, SigningKeyChange, SigningKeyRow, WrappedKey},
    upkeep::Upkeep,
};
use tegata_token::{
    id::{PersonId, SigningKeyId},
    key::{KeyState, VerifyingKey},
    time::UnixTime,
};

/// Adds a signing key or changes the states of keys; returns the keys that were revoked.
#[derive(Debug, Clone)]
pub struct ChangeSigningKeys {
    /// The change.
    pub change: SigningKeyChange,
    /// Who requests it.
    pub by: By,
}

impl Act for ChangeSigningKeys {
    type Output = Vec<SigningKeyId>;
    const NAME: ActName = ActName::ChangeSigningKeys;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Vec<SigningKeyId>> {
        let mut effects = Effects::default();
        let mut kids = Vec::new();
        let in_state = |state| locked.key_in(state).map(|it| &it.key);
        let event = match &self.change {
            SigningKeyChange::Add(key) => {
                let state = match (in_state(KeyState::Active), in_state(KeyState::Pending)) {
                    (None, _) => KeyState::Active,
                    (Some(_), None) => KeyState::Pending,
                    (Some(_), Some(_)) => {
                        return Err(ActError::Conflict(
                            "a pending signing key exists already; it becomes active automatically",
                        ));
                    }
                };
                add(key, state, now, &mut effects);
                AuditEvent::SigningKeyRotate(SigningKeyNamed { kid: key.id })
            }
            SigningKeyChange::AddFirst(key) => {
                if in_state(KeyState::Active).is_some() {
                    return Err(ActError::Taken);
                }
                add(key, KeyState::Active, now, &mut effects);
                AuditEvent::SigningKeyRotate(SigningKeyNamed { kid: key.id })
            }
            SigningKeyChange::Promote(id) => {
                let pending = in_state(KeyState::Pending).filter(|key| key.id == *id);
                let pending = pending.ok_or(ActError::NotFound("pending signing key"))?;
                if let Some(active) = in_state(KeyState::Active) {
                    set_state(active, KeyState::Retired { issued_before: None }, now, &mut effects);
                }
                set_state(pending, KeyState::Active, now, &mut effects);
                AuditEvent::SigningKeyPromote(SigningKeyNamed { kid: *id })
            }
            SigningKeyChange::Revoke { key: id, successor } => {
                let key = locked.keys.iter().map(|it| &it.key).find(|key| key.id == *id);
                let key = key.ok_or(ActError::NotFound("signing key"))?;
                if key.state == KeyState::Revoked {
                    // The receipt of the act needs a position.
                    effects.change(Change::Empty { provider: None });
                } else {
                    set_state(key, KeyState::Revoked, now, &mut effects);
                    kids.push(*id);
                }
                if key.state == KeyState::Active {
                    match in_state(KeyState::Pending) {
                        Some(pending) => set_state(pending, KeyState::Active, now, &mut effects),
                        None => add(successor, KeyState::Active, now, &mut effects),
                    }
                }
                AuditEvent::SigningKeyRevoke(SigningKeysRevoked { kids: kids.clone() })
            }
            SigningKeyChange::RevokeAll { successor } => {
                let keys = locked.keys.iter().map(|it| &it.key);
                for key in keys.filter(|key| key.state != KeyState::Revoked) {
                    set_state(key, KeyState::Revoked, now, &mut effects);
                    kids.push(key.id);
                }
                add(successor, KeyState::Active, now, &mut effects);
                AuditEvent::SigningKeyRevokeAll(SigningKeysRevoked { kids: kids.clone() })
            }
        };
        effects.audit_of(&self.by, Event::of(event));
        Ok((kids, effects))
    }
}

pub(super) fn add(key: &SigningKeyRow, state: KeyState, now: UnixTime, effects: &mut Effects) {
    let new = SigningKeyRow { state, created_at: now, changed_at: now, ..key.clone() };
    effects.write(Write::SigningKey(new.clone()));
    effects.change(Change::SigningKey(new));
}

pub(super) fn set_state(
    key: &SigningKeyRow,
    state: KeyState,
    now: UnixTime,
    effects: &mut Effects,
) {
    let new = key.in_state(state, now);
    effects.write(Write::SigningKeyState(new.clone()));
    effects.change(Change::SigningKey(new));
}

impl SigningKeyRow {
    /// The key in another state since `now`; a revoked key loses its private half.
    #[must_use]
    pub fn in_state(&self, state: KeyState, now: UnixTime) -> Self {
        let wrapped = match state {
            KeyState::Revoked => WrappedKey(Vec::new()),
            _ => self.wrapped.clone(),
        };
        Self { state, wrapped, changed_at: now, ..self.clone() }
    }
}

/// Replaces the wrapped private halves of all keys that have one, because the master key
/// is being replaced.
#[derive(Debug, Clone)]
pub struct RewrapKeys {
    /// Each key's private half, wrapped with the new master key, including the audit's.
    pub keys: Vec<(SigningKeyId, WrappedKey)>,
    /// The secret of each person's second factor, the same way; empty if the old master key
    /// does not decrypt it.
    pub people: Vec<(PersonId, WrappedKey)>,
    /// Who requests it.
    pub by: By,
}

impl Act for RewrapKeys {
    type Output = ();
    const NAME: ActName = ActName::RewrapKeys;

    fn needs(&self) -> Needs {
        Needs { audit_key: true, upkeep: Upkeep::People, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let audit_key = locked.audit_key.and_then(|it| VerifyingKey::from_bytes(it).ok());
        let audit_key = audit_key.map(|key| key.id());
        let have_one = |it: &&SigningKeyRow| !it.wrapped.0.is_empty();
        let rows: Vec<_> = locked.keys.iter().map(|it| &it.key).filter(have_one).collect();
        let all: Vec<_> = rows.iter().map(|key| key.id).chain(audit_key).collect();
        let given = |id: &SigningKeyId| self.keys.iter().any(|(key, _)| key == id);
        if all.len() != self.keys.len() || !all.iter().all(given) {
            return Err(ActError::Conflict("the signing keys changed meanwhile; try again"));
        }
        let mut effects = Effects::default();
        for (id, wrapped) in &self.keys {
            if audit_key == Some(*id) {
                effects.write(Write::AuditKeyWrapped(wrapped.clone()));
            }
            if let Some(&key) = rows.iter().find(|key| key.id == *id) {
                effects.write(Write::SigningKeyWrapped(*id, wrapped.clone()));
                let wrapped = wrapped.clone();
                effects.change(Change::SigningKey(SigningKeyRow { wrapped, ..key.clone() }));
            }
        }
        for old in &locked.upkeep.people.people {
            let Some(secrets) = &old.secrets else { continue };
            let (_, totp) = self.people.iter().find(|(id, _)| *id == old.person.id).ok_or(
                ActError::Conflict("a person's second factor changed meanwhile; try again"),
            )?;
            let secrets = Some(SignInSecrets { totp: totp.clone(), ..secrets.clone() });
            effects.write(Write::Person(Box::new(StoredPerson { secrets, ..old.clone() })));
        }
        let replaced = MasterKeyReplaced { signing_keys: rows.len() };
        effects.audit_of(&self.by, Event::of(AuditEvent::MasterKeyRotate(replaced)));
        Ok(((), effects))
    }
}

/// Records an event that changed nothing in the store.
#[derive(Debug, Clone)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Who did it.
    pub by: By,
}

impl Act for Record {
    type Output = ();
    const NAME: ActName = ActName::Record;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        effects.audit_of(&self.by, self.event.clone());
        Ok(((), effects))
    }
}

/// Records an event of acts on several channels that came before it. Its change concerns
/// every verifier, so that the receipt at its position covers what those acts took away.
#[derive(Debug, Clone)]
pub struct RecordForAll {
    /// What happened.
    pub event: Event,
    /// Who did it.
    pub by: By,
}

impl Act for RecordForAll {
    type Output = ();
    const NAME: ActName = ActName::RecordForAll;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        effects.change(Change::Empty { provider: None });
        effects.audit_of(&self.by, self.event.clone());
        Ok(((), effects))
    }
}

/// Moves the development clock forward; returns its new offset, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct AdvanceClock {
    /// The number of seconds.
    pub seconds: i64,
}

impl Act for AdvanceClock {
    type Output = i64;
    const NAME: ActName = ActName::AdvanceClock;

    fn needs(&self) -> Needs {
        Needs { clock: true, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<i64> {
        let offset = locked.clock_offset + self.seconds;
        let mut effects = Effects::default();
        if self.seconds != 0 {
            effects.write(Write::ClockOffset(offset));
            effects.change(Change::Clock { offset });
        }
        Ok((offset, effects))
    }
}
