//! The recovery of an old copy of a store, after the journal was applied again.

use super::{
    Act, ActName, Decided,
    audit_event::{AuditEvent, StoreRecovered},
    effects::{Effects, Write},
    locked::{Locked, Needs},
    signing::{add, set_state},
    things::{By, Event, SigningKeyRow, WrappedKey},
};
use tegata_token::{id::SigningKeyId, key::KeyState, time::UnixTime};

/// How much serials are raised: more than a channel can be issued between a backup and
/// its restore, and a million times less than a JSON number holds exactly.
const LEAP: u64 = 1 << 32;

/// Makes the tokens invalid that the store lost: limits or revokes its signing keys, makes
/// a new key active, and raises all serials, so that no new token has the serial of a lost
/// one. Returns how many keys do not sign any more.
#[derive(Debug, Clone)]
pub struct Recover {
    /// Tokens of the old keys that were issued later are invalid; `None`: all are.
    pub issued_before: Option<UnixTime>,
    /// The store's new time, which may be earlier.
    pub clock: Option<UnixTime>,
    /// The new active key.
    pub successor: SigningKeyRow,
    /// Keys whose private half cannot be decrypted any more.
    pub lost: Vec<SigningKeyId>,
    /// Whether the same holds for the audit's key.
    pub audit_key_lost: bool,
    /// What the audit event says.
    pub event: StoreRecovered,
    /// Who requests it.
    pub by: By,
}

impl Act for Recover {
    type Output = usize;
    const NAME: ActName = ActName::Recover;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let mut effects = Effects::default();
        if let Some(after) = self.clock {
            // Their validity depends on the time.
            effects.write(Write::PreviousSecretsDropped { after });
        }
        effects.write(Write::EverySerialRaised { by: LEAP });
        let mut old_keys = 0;
        for key in locked.keys.iter().map(|it| &it.key) {
            let state = match (key.state, self.issued_before) {
                (KeyState::Revoked, _) => continue,
                (KeyState::Retired { issued_before: Some(earlier) }, Some(before)) => {
                    KeyState::Retired { issued_before: Some(before.min(earlier)) }
                }
                (_, Some(before)) => KeyState::Retired { issued_before: Some(before) },
                (_, None) => KeyState::Revoked,
            };
            let mut key = key.clone();
            if self.lost.contains(&key.id) {
                key.wrapped = WrappedKey(Vec::new());
            }
            set_state(&key, state, now, &mut effects);
            old_keys += 1;
        }
        add(&self.successor, KeyState::Active, now, &mut effects);
        if self.audit_key_lost {
            effects.write(Write::AuditBegunAnew);
        }
        effects.audit_of(&self.by, Event::of(AuditEvent::StoreRecover(self.event.clone())));
        Ok((old_keys, effects))
    }
}
