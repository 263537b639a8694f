//! Providers: created, renamed, deleted.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, Named},
    change::Change,
    effects::{Effects, Write},
    expected::SettingsTag,
    locked::{Locked, Needs},
    things::{By, Event, Provider},
};
use crate::denied::Denied;
use tegata_token::{id::ProviderId, time::UnixTime};

/// Creates a provider.
#[derive(Debug, Clone)]
pub struct CreateProvider {
    /// A fresh random id.
    pub id: ProviderId,
    /// Its display name.
    pub name: String,
    /// Who requests it.
    pub by: By,
}

impl Act for CreateProvider {
    type Output = Provider;
    const NAME: ActName = ActName::CreateProvider;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, now: UnixTime) -> Decided<Provider> {
        let provider = Provider { id: self.id, name: self.name.clone(), created_at: now };
        let mut effects = Effects::default();
        effects.write(Write::Provider(provider.clone()));
        let event = AuditEvent::ProviderCreate(Named { name: self.name.clone() });
        effects.audit_of(&self.by, Event { event, provider: Some(self.id), channel: None });
        Ok((provider, effects))
    }
}

/// Renames a provider.
#[derive(Debug, Clone)]
pub struct RenameProvider {
    /// The provider.
    pub id: ProviderId,
    /// Its new display name.
    pub name: String,
    /// Who requests it.
    pub by: By,
}

impl Act for RenameProvider {
    type Output = ();
    const NAME: ActName = ActName::RenameProvider;

    fn needs(&self) -> Needs {
        Needs { provider: Some(self.id), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<()> {
        let provider = locked.provider.as_ref().ok_or(ActError::NotFound("provider"))?;
        self.by.expects(SettingsTag::of_provider(&provider.name))?;
        let mut effects = Effects::default();
        effects.write(Write::ProviderName(self.id, self.name.clone()));
        effects.change(Change::Empty { provider: Some(self.id) });
        let event = AuditEvent::ProviderSet(Named { name: self.name.clone() });
        effects.audit_of(&self.by, Event { event, provider: Some(self.id), channel: None });
        Ok(((), effects))
    }
}

/// Deletes a provider, which must have no channels any more. Its row stays, since deleted
/// channels and the audit name it; its id is not used again.
#[derive(Debug, Clone)]
pub struct DeleteProvider {
    /// The provider.
    pub id: ProviderId,
    /// Who requests it.
    pub by: By,
}

impl Act for DeleteProvider {
    type Output = usize;
    const NAME: ActName = ActName::DeleteProvider;

    fn needs(&self) -> Needs {
        Needs { provider: Some(self.id), count_channels: true, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<usize> {
        let provider = locked.provider.as_ref().ok_or(ActError::NotFound("provider"))?;
        self.by.expects(SettingsTag::of_provider(&provider.name))?;
        if provider.channels > 0 {
            let channels = provider.channels;
            return Err(Denied::ProviderHasChannels { provider: self.id, channels }.into());
        }
        let mut effects = Effects::default();
        effects.write(Write::ProviderDeleted(self.id));
        effects.change(Change::Empty { provider: Some(self.id) });
        let event = AuditEvent::ProviderDelete(Named { name: provider.name.clone() });
        effects.audit_of(&self.by, Event { event, provider: Some(self.id), channel: None });
        Ok((0, effects))
    }
}
