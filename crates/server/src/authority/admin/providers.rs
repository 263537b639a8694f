//! Providers: the organisations that own channels.

use super::{
    facade::{Admin, Result},
    ids::{no_id, ten_digits},
    options::ActOptions,
    taking::{Outcome, ROWS},
};
use crate::authority::receipt::{CommittedAct, Concerns};
use tegata_policy::permission::Permission;
use tegata_store::{
    Error, Page, Provider, ProviderFilter, ProviderRevocation, Revoked, RowId, SettingsTag, Taking,
};
use tegata_token::id::ProviderId;

/// A provider as lists show it.
#[derive(Debug, Clone)]
pub struct ListedProvider {
    /// The provider.
    pub provider: Provider,
    /// The progress of revoking all its tokens, while that is under way.
    pub revocation: Option<ProviderRevocation>,
    /// How many channels it has.
    pub channels: usize,
    /// How many active stored tokens these have; only counted for a single provider.
    pub active_tokens: Option<usize>,
}

impl Admin {
    /// Creates a provider.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn create_provider(&self, name: &str) -> Result<Provider> {
        self.may(Permission::CreateProvider)?;
        loop {
            let id = ProviderId::from_number(ten_digits()?).ok_or_else(no_id)?;
            match self.authority.store().create_provider(id, name.to_owned(), self.by()).await {
                Err(Error::Taken) => {}
                done => return Ok(done?),
            }
        }
    }

    /// One provider.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn provider(&self, id: ProviderId) -> Result<ListedProvider> {
        self.may_in(Permission::ReadProvider, id)?;
        let provider = self.existing_provider(id).await?;
        let revocations = self.authority.store().provider_revocations().await?;
        let revocation = revocations.into_iter().find(|it| it.provider == id);
        let store = self.authority.store();
        let channels = store.count_channels(vec![id]).await?.remove(&id).unwrap_or_default();
        let active_tokens = Some(store.count_tokens(id, self.authority.now()).await?);
        Ok(ListedProvider { provider, revocation, channels, active_tokens })
    }

    /// The provider alone, without what is counted.
    ///
    /// # Errors
    /// As [`Self::provider`].
    pub async fn provider_alone(&self, id: ProviderId) -> Result<Provider> {
        self.may_in(Permission::ReadProvider, id)?;
        self.existing_provider(id).await
    }

    async fn existing_provider(&self, id: ProviderId) -> Result<Provider> {
        let provider = self.authority.store().provider(id).await?;
        provider.ok_or_else(|| Error::NotFound("provider").into())
    }

    /// Renames a provider; without a name nothing changes.
    ///
    /// # Errors
    /// As [`Self::provider`].
    pub async fn change_provider(
        &self,
        id: ProviderId,
        name: Option<String>,
    ) -> Result<ListedProvider> {
        self.may_in(Permission::ChangeProvider, id)?;
        match name {
            Some(name) => self.authority.store().rename_provider(id, name, self.by()).await?,
            None => {
                let present = self.existing_provider(id).await?;
                self.expects(SettingsTag::of_provider(&present.name))?;
            }
        }
        self.provider(id).await
    }

    /// Deletes a provider whose channels are all deleted.
    ///
    /// # Errors
    /// [`Denied::ProviderHasChannels`](tegata_policy::denied::Denied), or as
    /// [`Self::provider`].
    pub async fn delete_provider(
        &self,
        id: ProviderId,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        self.may_in(Permission::DeleteProvider, id)?;
        let (store, act) = (self.authority.store(), Taking::provider(id, self.by_of(options)));
        if options.dry_run {
            let would = store.would_take(act, ROWS).await?;
            return Ok(Outcome::DryRun(self.would_take(would, false).await?));
        }
        let Revoked { tokens, position, at } = store.take(act).await?;
        let concerns = Concerns::Provider(id);
        let act = CommittedAct { position, effective_at: at, concerns };
        Ok(Outcome::Done((), self.taken(tokens, act, false, options).await?))
    }

    /// Providers whose name or id contains `search`, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn providers(
        &self,
        search: Option<String>,
        page: Page,
    ) -> Result<Vec<(RowId, ListedProvider)>> {
        let providers = self.providers_alone(search, page).await?;
        let ids = providers.iter().map(|(_, (it, _))| it.id).collect();
        let counts = self.authority.store().count_channels(ids).await?;
        let listed = |(row, (provider, revocation)): (RowId, (Provider, _))| {
            let channels = counts.get(&provider.id).copied().unwrap_or_default();
            (row, ListedProvider { provider, revocation, channels, active_tokens: None })
        };
        Ok(providers.into_iter().map(listed).collect())
    }

    /// The same without what is counted, which takes longer the more channels there are.
    ///
    /// # Errors
    /// As [`Self::providers`].
    pub async fn providers_alone(
        &self,
        search: Option<String>,
        page: Page,
    ) -> Result<Vec<(RowId, (Provider, Option<ProviderRevocation>))>> {
        let seen = self.seen(Permission::ReadProvider)?.map(|it| it.providers);
        let filter = ProviderFilter { search, seen };
        let providers = self.authority.store().providers(filter, page).await?;
        let revocations = self.authority.store().provider_revocations().await?;
        let listed = |(row, provider): (RowId, Provider)| {
            let revocation = revocations.iter().find(|it| it.provider == provider.id).copied();
            (row, (provider, revocation))
        };
        Ok(providers.into_iter().map(listed).collect())
    }
}
