//! Providers: the organisations that own channels.

use super::{
    facade::{Admin, Result},
    ids::{no_id, ten_digits},
    permission::Permission,
};
use tegata_store::{Error, Page, Provider, ProviderRevocation, RowId};
use tegata_token::id::ProviderId;

/// A provider as lists show it.
#[derive(Debug, Clone)]
pub struct ListedProvider {
    /// The provider.
    pub provider: Provider,
    /// The progress of revoking all its tokens, while that is under way.
    pub revocation: Option<ProviderRevocation>,
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

    /// Providers whose name or id contains `search`, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn providers(
        &self,
        search: Option<String>,
        page: Page,
    ) -> Result<Vec<(RowId, ListedProvider)>> {
        self.may(Permission::ReadProviders)?;
        let providers = self.authority.store().providers(search, page).await?;
        let revocations = self.authority.store().provider_revocations().await?;
        let listed = |(row, provider): (RowId, Provider)| {
            let revocation = revocations.iter().find(|it| it.provider == provider.id).copied();
            (row, ListedProvider { provider, revocation })
        };
        Ok(providers.into_iter().map(listed).collect())
    }
}
