//! The authority's own keys.

use super::facade::{Admin, Result};
use tegata_policy::permission::Permission;
use tegata_store::{Error, SigningKeyRow};
use tegata_token::id::SigningKeyId;

impl Admin {
    /// The signing keys, newest first, including revoked ones.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        self.may(Permission::ReadSigningKeys)?;
        let mut keys = self.authority.signing_keys().await?;
        keys.sort_by_key(|key| std::cmp::Reverse((key.created_at, key.id)));
        Ok(keys)
    }

    /// Begins a rotation: adds a signing key, which is published at once, and signs after
    /// its promotion.
    ///
    /// # Errors
    /// [`Error::Conflict`] while another key is pending, or [`Error::Unavailable`].
    pub async fn rotate_signing_keys(&self) -> Result<SigningKeyRow> {
        self.may(Permission::RotateSigningKeys)?;
        let kid = self.authority.add_signing_key(self.by()).await?;
        let keys = self.authority.signing_keys().await?;
        let key = keys.into_iter().find(|key| key.id == kid);
        key.ok_or_else(|| Error::NotFound("signing key any more: it was just revoked").into())
    }

    /// Promotes the pending signing key to the active one; the active one retires.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] or [`Error::Unavailable`].
    pub async fn promote_signing_key(&self, key: SigningKeyId) -> Result<()> {
        self.may(Permission::PromoteSigningKey)?;
        Ok(self.authority.promote_signing_key(key, self.by()).await?)
    }

    /// Replaces the master key; returns the number of signing keys that the new one
    /// encrypts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn rotate_master_key(&self) -> Result<usize> {
        self.may(Permission::RotateMasterKey)?;
        Ok(self.authority.rotate_master_key(self.by()).await?)
    }
}
