//! Verifiers: the credentials with which programs follow the feed and ask for
//! introspection.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, InstancesRemoved, VerifierChanged, VerifierCreated, VerifierNamed},
    change::Change,
    effects::{Effects, Write},
    expected::SettingsTag,
    followers::{VerifierPatch, VerifierRow},
    journal::JournalEntry,
    locked::{Locked, Needs},
    things::{By, Event},
    upkeep::Upkeep,
};
use crate::secret::HashedSecret;
use tegata_token::{
    feed::InstanceId,
    id::{ProviderId, VerifierId},
    time::UnixTime,
};

/// The staleness that a verifier may use if none is set, in milliseconds.
pub const DEFAULT_MAX_STALENESS: u32 = 60_000;

/// Creates a verifier.
#[derive(Debug, Clone)]
pub struct CreateVerifier {
    /// A fresh random id.
    pub id: VerifierId,
    /// Its display name.
    pub name: String,
    /// The only provider whose tokens it may verify.
    pub provider: Option<ProviderId>,
    /// The longest staleness, in milliseconds.
    pub max_staleness: u32,
    /// Whether stale views may be used.
    pub allow: bool,
    /// The hash of its token.
    pub token: HashedSecret,
    /// Who requests it.
    pub by: By,
}

impl Act for CreateVerifier {
    type Output = VerifierRow;
    const NAME: ActName = ActName::CreateVerifier;

    fn needs(&self) -> Needs {
        Needs { provider: self.provider, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<VerifierRow> {
        if self.provider.is_some() && locked.provider.is_none() {
            return Err(ActError::NotFound("provider"));
        }
        let new = VerifierRow {
            id: self.id,
            name: self.name.clone(),
            provider: self.provider,
            max_staleness: self.max_staleness,
            allow: self.allow,
            token: self.token.into(),
            created_at: now,
        };
        let mut effects = Effects::default();
        effects.write(Write::NewVerifier(Box::new(new.clone())));
        effects.change(Change::Verifier { verifier: new.clone() });
        effects.journal.push(JournalEntry::VerifierCreated {
            verifier: new.id,
            name: new.name.clone(),
            provider: new.provider,
            max_staleness: new.max_staleness,
            allow: new.allow,
        });
        let created = VerifierCreated {
            verifier: new.id,
            name: new.name.clone(),
            max_staleness: new.max_staleness,
            allow: new.allow,
        };
        effects.audit_of(&self.by, event(&new, AuditEvent::VerifierCreate(created)));
        Ok((new, effects))
    }
}

/// Changes a verifier's settings.
#[derive(Debug, Clone)]
pub struct ChangeVerifier {
    /// The verifier.
    pub id: VerifierId,
    /// The changes.
    pub patch: VerifierPatch,
    /// Who requests it.
    pub by: By,
}

impl Act for ChangeVerifier {
    type Output = VerifierRow;
    const NAME: ActName = ActName::ChangeVerifier;

    fn needs(&self) -> Needs {
        needs(self.id)
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<VerifierRow> {
        let old = existing(locked)?;
        self.by.expects(SettingsTag::of_verifier(old))?;
        let VerifierPatch { name, max_staleness, allow } = self.patch.clone();
        let new = VerifierRow {
            name: name.unwrap_or_else(|| old.name.clone()),
            max_staleness: max_staleness.unwrap_or(old.max_staleness),
            allow: allow.unwrap_or(old.allow),
            ..old.clone()
        };
        let mut effects = Effects::default();
        effects.write(Write::VerifierSettings(Box::new(new.clone())));
        effects.change(Change::Verifier { verifier: new.clone() });
        let VerifierRow { id: verifier, max_staleness, allow, .. } = new;
        effects.journal.push(JournalEntry::Verifier { verifier, max_staleness, allow });
        let VerifierPatch { name, max_staleness, allow } = self.patch.clone();
        let changed = VerifierChanged { verifier: new.id, name, max_staleness, allow };
        effects.audit_of(&self.by, event(&new, AuditEvent::VerifierSet(changed)));
        Ok((new, effects))
    }
}

/// Deletes a verifier: its token authenticates no request any more.
#[derive(Debug, Clone)]
pub struct DeleteVerifier {
    /// The verifier.
    pub id: VerifierId,
    /// Who requests it.
    pub by: By,
}

impl Act for DeleteVerifier {
    type Output = ();
    const NAME: ActName = ActName::DeleteVerifier;

    fn needs(&self) -> Needs {
        needs(self.id)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<()> {
        let old = existing(locked)?;
        self.by.expects(SettingsTag::of_verifier(old))?;
        let mut effects = Effects::default();
        effects.write(Write::VerifierDeleted(old.id, now));
        effects.change(Change::VerifierDeleted { verifier: old.id });
        let deleted = VerifierNamed { verifier: old.id, name: old.name.clone() };
        effects.audit_of(&self.by, event(old, AuditEvent::VerifierDelete(deleted)));
        Ok(((), effects))
    }
}

/// Removes one or all instances of a verifier, deleted verifiers included: what an
/// operator knows to be gone. Returns their ids.
#[derive(Debug, Clone)]
pub struct RemoveInstances {
    /// The verifier.
    pub id: VerifierId,
    /// The instance; `None`: all.
    pub instance: Option<InstanceId>,
    /// Who requests it.
    pub by: By,
}

impl Act for RemoveInstances {
    type Output = Vec<InstanceId>;
    const NAME: ActName = ActName::RemoveInstances;

    fn needs(&self) -> Needs {
        let upkeep = Upkeep::Instances(self.id, self.instance.clone());
        Needs { upkeep, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<Vec<InstanceId>> {
        let verifier = locked.upkeep.verifier.as_ref().ok_or(ActError::NotFound("verifier"))?;
        let present = locked.upkeep.instances.iter().filter(|it| !it.stopped);
        let names: Vec<InstanceId> = present.map(|it| it.instance.clone()).collect();
        if self.instance.is_some() && names.is_empty() {
            return Err(ActError::NotFound("instance"));
        }
        self.by.expects_presence()?;
        let mut effects = Effects::default();
        for instance in &names {
            let (verifier, instance) = (self.id, instance.clone());
            let dropped = instance.clone();
            effects.write(Write::InstanceDropped { verifier, instance: dropped, renewed_at: None });
            effects.change(Change::InstanceRemoved { verifier, instance });
        }
        let removed = InstancesRemoved {
            verifier: self.id,
            instance: self.instance.clone(),
            removed: names.len(),
        };
        effects.audit_of(&self.by, event(verifier, AuditEvent::VerifierRemoveInstances(removed)));
        Ok((names, effects))
    }
}

fn needs(id: VerifierId) -> Needs {
    Needs { upkeep: Upkeep::Verifier(id), ..Needs::default() }
}

/// The verifier, unless it is deleted.
fn existing(locked: &Locked) -> Result<&VerifierRow, ActError> {
    let upkeep = &locked.upkeep;
    let found = upkeep.verifier.as_ref().filter(|_| !upkeep.verifier_deleted);
    found.ok_or(ActError::NotFound("verifier"))
}

fn event(verifier: &VerifierRow, event: AuditEvent) -> Event {
    Event { event, provider: verifier.provider, channel: None }
}
