//! Verifiers, their instances, and receipts.

use super::{
    facade::{Admin, Result},
    ids::{no_id, ten_digits},
};
use crate::authority::{feed::ListedInstance, random, receipt::Receipt, verifiers};
use std::time::Duration;
use tegata_policy::permission::Permission;
use tegata_policy::secret::PlainSecret;
use tegata_store::{Error, NewVerifier, VerifierPatch, VerifierRow};
use tegata_token::{
    feed::InstanceId,
    id::{Position, ProviderId, VerifierId},
};

/// A verifier as lists show it.
#[derive(Debug, Clone)]
pub struct ListedVerifier {
    /// The verifier.
    pub verifier: VerifierRow,
    /// Its instances, oldest first.
    pub instances: Vec<ListedInstance>,
}

/// A verifier's settings.
#[derive(Debug, Clone)]
pub struct VerifierSettings {
    /// Its display name.
    pub name: String,
    /// The only provider whose tokens it may verify; `None`: all.
    pub provider: Option<ProviderId>,
    /// The longest staleness that its instances may use, in milliseconds.
    pub max_staleness: u32,
    /// Whether its instances may accept tokens by a stale view.
    pub allow: bool,
}

impl Admin {
    /// Creates a verifier; its token is shown this once.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`].
    pub async fn create_verifier(
        &self,
        settings: VerifierSettings,
    ) -> Result<(VerifierRow, PlainSecret)> {
        self.may(Permission::CreateVerifier)?;
        let token = verifiers::token(random::bytes()?);
        let VerifierSettings { name, provider, max_staleness, allow } = settings;
        loop {
            let id = VerifierId::from_number(ten_digits()?).ok_or_else(no_id)?;
            let (name, token_hash) = (name.clone(), token.hash());
            let new = NewVerifier { id, name, provider, max_staleness, allow, token: token_hash };
            match self.authority.store().create_verifier(new, self.by()).await {
                Err(Error::Taken) => {}
                done => return Ok((done?, token)),
            }
        }
    }

    /// The verifiers, newest first, with their instances.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn verifiers(&self) -> Result<Vec<ListedVerifier>> {
        self.may(Permission::ReadVerifiers)?;
        let all = self.authority.store().verifiers().await?;
        Ok(all.into_iter().map(|it| self.with_instances(it)).collect())
    }

    /// One verifier.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn verifier(&self, id: VerifierId) -> Result<ListedVerifier> {
        self.may_with(Permission::ReadVerifiers)?;
        let found = self.verifiers().await?.into_iter().find(|it| it.verifier.id == id);
        Ok(found.ok_or(Error::NotFound("verifier"))?)
    }

    fn with_instances(&self, verifier: VerifierRow) -> ListedVerifier {
        let now = self.authority.clock().steady();
        let instances = self.authority.feed().instances.listed(Some(verifier.id), now);
        ListedVerifier { verifier, instances }
    }

    /// Changes a verifier's settings.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn change_verifier(
        &self,
        id: VerifierId,
        patch: VerifierPatch,
    ) -> Result<ListedVerifier> {
        self.may_with(Permission::ChangeVerifier)?;
        let changed = self.authority.store().change_verifier(id, patch, self.by()).await?;
        Ok(self.with_instances(changed))
    }

    /// Deletes a verifier: its token authenticates no request any more, and a request that is
    /// held gets no answer. Its instances stay in receipts.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn delete_verifier(&self, id: VerifierId) -> Result<()> {
        self.may_with(Permission::DeleteVerifier)?;
        Ok(self.authority.store().delete_verifier(id, self.by()).await?)
    }

    /// Removes one or all instances of a verifier, deleted verifiers included: those that the
    /// operator knows to be gone. Receipts do not wait for them any more.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn remove_instances(
        &self,
        id: VerifierId,
        instance: Option<InstanceId>,
    ) -> Result<usize> {
        self.may_with(Permission::RemoveInstances)?;
        let by = self.by();
        let actor = by.actor.clone();
        let removed = self.authority.store().remove_instances(id, instance, by).await?;
        let names: Vec<_> = removed.into_iter().map(|it| (id, it)).collect();
        self.authority.instances_removed(&names, actor);
        Ok(names.len())
    }

    /// The instances of verifiers whose leases have run out, or that cannot apply what they
    /// received.
    ///
    /// # Errors
    /// [`Forbidden`](super::Error::Forbidden).
    pub fn silent_instances(&self) -> Result<Vec<ListedInstance>> {
        if self.may(Permission::ReadVerifierWarnings).is_err() {
            return Ok(Vec::new());
        }
        let all = self.authority.feed().instances.listed(None, self.authority.clock().steady());
        Ok(all.into_iter().filter(|it| it.needs_attention()).collect())
    }

    /// The receipt of the act at a position; waits up to `wait` until it is complete.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn receipt(&self, at: Position, wait: Duration) -> Result<Receipt> {
        let none = Error::NotFound("receipt");
        if self.seen(Permission::ReadReceipts)?.is_some() {
            let about = self.authority.store().receipt(at).await?.ok_or(none.clone())?.about;
            if !self.has_channel_of(about.provider).await? {
                return Err(none.into());
            }
        }
        let found = self.authority.receipt_at(at, wait).await?;
        Ok(found.ok_or(none)?)
    }

    /// Whether the actor may read receipts of acts on a channel of this provider: they list
    /// the provider's verifiers.
    async fn has_channel_of(&self, provider: Option<ProviderId>) -> Result<bool> {
        let Some(provider) = provider else { return Ok(false) };
        let seen = self.seen(Permission::ReadReceipts)?.unwrap_or_default();
        for channel in seen.channels {
            let found = self.authority.channel(channel).await?;
            if found.is_some_and(|it| it.provider == provider) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
