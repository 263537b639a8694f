//! Signing keys and the master key, changed one at a time.

use super::{Authority, master_key::MasterKey};
use std::{sync::Arc, time::Duration};
use tegata_store::{By, Error, Result, Revoked, SigningKeyChange, SigningKeyRow};
use tegata_token::{
    id::SigningKeyId,
    key::{KeyState, SigningKey},
    time::UnixTime,
};

/// How long the JWKS may be cached.
pub const JWKS_CACHE: Duration = Duration::from_secs(15 * 60);

impl Authority {
    /// The signing keys as the store holds them, including revoked ones.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        self.store.signing_keys().await
    }

    /// When a key retired; `None` if it did not.
    #[must_use]
    pub fn retired_at(&self, key: SigningKeyId) -> Option<UnixTime> {
        let keys = self.memory.signing_keys.load();
        let is_retired =
            |it: &&SigningKeyRow| it.state == KeyState::Retired { issued_before: None };
        keys.get(&key).filter(is_retired).map(|it| it.changed_at)
    }

    /// Begins a rotation: a new key is published, and signs after its promotion. The very
    /// first key signs at once.
    ///
    /// # Errors
    /// [`Error::Conflict`] while another key is pending, or [`Error::Unavailable`].
    pub(super) async fn add_signing_key(&self, by: By) -> Result<SigningKeyId> {
        let _alone = self.rotating.lock().await;
        let row = self.make_signing_key(by.at).await?;
        let id = row.id;
        self.change_signing_keys(SigningKeyChange::Add(row), by).await?;
        Ok(id)
    }

    /// Adds the first signing key, unless another server has added one.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn add_first_signing_key(&self, by: By) -> Result<()> {
        let _alone = self.rotating.lock().await;
        let row = self.make_signing_key(by.at).await?;
        match self.change_signing_keys(SigningKeyChange::AddFirst(row), by).await {
            Err(Error::Taken) => self.store.catch_up().await,
            done => done.map(drop),
        }
    }

    /// Promotes the pending key to the active one; the active one retires.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] or [`Error::Unavailable`].
    pub(super) async fn promote_signing_key(&self, key: SigningKeyId, by: By) -> Result<()> {
        let _alone = self.rotating.lock().await;
        self.change_signing_keys(SigningKeyChange::Promote(key), by).await.map(drop)
    }

    /// Revokes a signing key, or without `key` all of them, and so all tokens that they
    /// signed.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub(super) async fn remove_signing_key(
        &self,
        key: Option<SigningKeyId>,
        by: By,
    ) -> Result<Revoked<Option<usize>>> {
        let _alone = self.rotating.lock().await;
        let successor = self.make_signing_key(by.at).await?;
        let change = match key {
            Some(key) => SigningKeyChange::Revoke { key, successor },
            None => SigningKeyChange::RevokeAll { successor },
        };
        self.change_signing_keys(change, by).await
    }

    async fn make_signing_key(&self, now: UnixTime) -> Result<SigningKeyRow> {
        self.keyring.resolve_rotation(&self.master_key, &*self.store).await?;
        // Not with a master key that another server has replaced.
        self.store.catch_up().await?;
        self.master()?;
        self.keyring.make(now)
    }

    /// The master key that is in force.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: another server has replaced it, and its file is not here.
    pub(super) fn master(&self) -> Result<Arc<MasterKey>> {
        self.keyring.master(&self.master_key, &self.memory.signing_keys.load_full())
    }

    /// The private key of this id. One that another server made is decrypted at its first use.
    pub(super) fn signing_key(&self, id: SigningKeyId) -> Option<SigningKey> {
        self.keyring.get(id).or_else(|| {
            let master = self.master().ok()?;
            self.keyring.add(self.memory.signing_keys.load().get(&id)?, &master)
        })
    }

    /// Replaces the master key while tokens are issued and verified; returns the number
    /// of signing keys that the new one encrypts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn rotate_master_key(&self, by: By) -> Result<usize> {
        let _alone = self.rotating.lock().await;
        self.keyring.rotate_master_key(&self.master_key, &*self.store, by).await
    }

    /// Completes a master-key rotation whose outcome is unknown.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) async fn resolve_master_key_rotation(&self) -> Result<()> {
        let _alone = self.rotating.lock().await;
        self.keyring.resolve_rotation(&self.master_key, &*self.store).await
    }

    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
        by: By,
    ) -> Result<Revoked<Option<usize>>> {
        let done = self.store.change_signing_keys(change, by).await;
        // A key that was created and not stored, or was revoked, will never sign. After
        // an act of unknown outcome all keys stay loaded.
        if !matches!(done, Err(Error::Unavailable(_))) {
            let view = self.view();
            let signs = |id| view.key(id).is_some_and(|it| it.state != KeyState::Revoked);
            self.keyring.retain(signs);
        }
        done
    }

    /// Whether no token of this signing key is valid.
    pub(super) fn is_revoked_key(&self, id: SigningKeyId) -> bool {
        self.view().key(id).is_some_and(|it| it.state == KeyState::Revoked)
    }

    pub(super) fn active_key(&self) -> Option<SigningKeyId> {
        let view = self.memory.view.load();
        let active = view.keys().iter().find(|it| it.state == KeyState::Active);
        active.map(|it| it.key.id())
    }

    /// Whether the key that signs new tokens is loaded.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.active_key().is_some_and(|key| self.signing_key(key).is_some())
    }
}
