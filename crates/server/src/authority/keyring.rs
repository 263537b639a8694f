//! The decrypted private keys. The view decides which of them signs, and changes with the
//! commit that changed that.

use crate::authority::{
    master_key::{self, MasterKey, previous},
    memory::SigningKeys,
    private_file, random,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tegata_store::{By, Error, RewrapKeys, SigningKeyRow, Store, WrappedKey};
use tegata_token::{
    id::{PersonId, SigningKeyId},
    key::SigningKey,
    time::UnixTime,
};
use zeroize::Zeroizing;

/// All signing keys that may be needed for signing: for a new token, or again for a
/// retried request.
pub struct Keyring {
    master: ArcSwap<MasterKey>,
    /// A rotation of the master key began, and its outcome is unknown.
    unresolved: AtomicBool,
    keys: ArcSwap<HashMap<SigningKeyId, SigningKey>>,
    /// The stored keys that the master key was last found to encrypt.
    opened: ArcSwap<SigningKeys>,
}

impl Keyring {
    /// Decrypts the keys whose private half is still stored, with the master key in
    /// `path`; creates the master key if there are no keys yet.
    ///
    /// # Errors
    /// [`master_key::Error`].
    pub fn load(path: &Path, rows: &[SigningKeyRow]) -> Result<Self, master_key::Error> {
        let master = MasterKey::load_for(path, rows)?;
        let mut keys = HashMap::new();
        for row in rows.iter().filter(|row| !row.wrapped.0.is_empty()) {
            let key = decrypted(&master, row);
            let key = key.ok_or_else(|| master_key::Error::Wrong(path.to_owned()))?;
            keys.insert(row.id, key);
        }
        let ring = Self::empty(master);
        ring.keys.store(Arc::new(keys));
        Ok(ring)
    }

    /// An empty keyring.
    #[must_use]
    pub fn empty(master: MasterKey) -> Self {
        let master = ArcSwap::from_pointee(master);
        let (keys, opened) = (ArcSwap::default(), ArcSwap::default());
        Self { master, unresolved: AtomicBool::new(false), keys, opened }
    }

    /// The master key that this server last used.
    #[must_use]
    pub fn own_master(&self) -> Arc<MasterKey> {
        self.master.load_full()
    }

    /// The master key that is in force: the one that encrypts the stored `keys`. Another
    /// server may have replaced it; then the file at `path` is read again.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the file does not hold it either.
    pub fn master(&self, path: &Path, keys: &Arc<SigningKeys>) -> Result<Arc<MasterKey>, Error> {
        let master = self.master.load_full();
        // During a rotation of this server, both its keys are in their files.
        let is_known = Arc::ptr_eq(&self.opened.load(), keys);
        if is_known || self.unresolved.load(Relaxed) || master.opens_all(keys.values()) {
            if !is_known {
                self.opened.store(keys.clone());
            }
            return Ok(master);
        }
        let rows: Vec<_> = keys.values().cloned().collect();
        let master = MasterKey::load_for(path, &rows).map_err(|error| {
            let what = "the master key was replaced by another server; copy its file";
            Error::Unavailable(format!("{what}: {error}").into())
        })?;
        tracing::info!(file = %path.display(), "another server has replaced the master key");
        self.master.store(Arc::new(master));
        self.opened.store(keys.clone());
        Ok(self.master.load_full())
    }

    /// Replaces the master key in `path`, and encrypts all keys anew in one act.
    /// Both keys have a file until the commit, so that after a crash one of them
    /// decrypts the store. Returns the number of signing keys that
    /// it encrypts. The caller prevents [`make`](Self::make) meanwhile.
    ///
    /// # Errors
    /// As the store's. If the files are the reason, the error is logged with their names.
    pub async fn rotate_master_key(
        &self,
        path: &Path,
        store: &dyn Store,
        by: By,
    ) -> Result<usize, Error> {
        // A waiting file may be the only one that decrypts the store.
        self.resolve_rotation(path, store).await?;
        let rows = store.signing_keys().await?;
        let new = MasterKey::prepare(path).map_err(|error| not_replaced(&error))?;
        // Backups from before are encrypted with the old key.
        private_file::copy(path, &previous(path)).map_err(|error| not_replaced(&error))?;
        let old = self.master.load_full();
        let mut wrapped = Vec::new();
        for row in rows.iter().filter(|row| !row.wrapped.0.is_empty()) {
            let seed = old.open(row.id, &row.wrapped);
            let seed = seed.ok_or_else(|| not_replaced(&"a signing key cannot be decrypted"))?;
            wrapped.push((row.id, new.wrap(row.id, &seed)?));
        }
        let count = wrapped.len();
        if let Some((public, wrap)) = store.audit_key().await? {
            let id = tegata_token::key::VerifyingKey::from_bytes(public)
                .map_err(|error| not_replaced(&error))?
                .id();
            let seed = old.open(id, &wrap);
            let seed = seed.ok_or_else(|| not_replaced(&"the audit key cannot be decrypted"))?;
            wrapped.push((id, new.wrap(id, &seed)?));
        }
        let people = second_factors(&old, &new, store).await?;
        // The caller may be cancelled, and the store may commit without a confirmation.
        self.unresolved.store(true, Relaxed);
        store.rewrap(RewrapKeys { keys: wrapped, people, by }).await?;
        // From here on the old master key decrypts nothing.
        self.master.store(Arc::new(new));
        private_file::put_in_place(path).map_err(|error| not_replaced(&error))?;
        self.unresolved.store(false, Relaxed);
        Ok(count)
    }

    /// Completes a master-key rotation whose outcome is unknown: puts the right file and
    /// key in place. Until then no key may be made, since it could be encrypted with a
    /// master key that is not in force any more.
    ///
    /// # Errors
    /// As [`Self::rotate_master_key`].
    pub async fn resolve_rotation(&self, path: &Path, store: &dyn Store) -> Result<(), Error> {
        if !self.unresolved.load(Relaxed) {
            return Ok(());
        }
        // Waits for the acts that are still queued.
        store.is_writable().await?;
        let rows = store.signing_keys().await?;
        let key = MasterKey::load_for(path, &rows).map_err(|error| not_replaced(&error))?;
        self.master.store(Arc::new(key));
        self.unresolved.store(false, Relaxed);
        Ok(())
    }

    /// The key with this id.
    #[must_use]
    pub fn get(&self, id: SigningKeyId) -> Option<SigningKey> {
        self.keys.load().get(&id).cloned()
    }

    /// Decrypts a key that another server has stored; it can sign from now on. `None`: the
    /// master key does not decrypt it, or it is revoked.
    pub fn add(&self, row: &SigningKeyRow, master: &MasterKey) -> Option<SigningKey> {
        let key = decrypted(master, row)?;
        self.change(|keys| {
            keys.insert(row.id, key.clone());
        });
        Some(key)
    }

    /// Creates a key, which can sign from now on, and the row that the store keeps of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: no random bytes.
    pub fn make(&self, now: UnixTime) -> Result<SigningKeyRow, Error> {
        let seed = Zeroizing::new(random::bytes::<32>()?);
        let bad = |_| Error::Unavailable("a signing key cannot be created".into());
        let key = SigningKey::from_seed(&seed).map_err(bad)?;
        let id = key.public().id();
        let wrapped = self.master.load().wrap(id, &seed)?;
        let public = key.public().to_bytes();
        self.change(|keys| {
            keys.insert(id, key.clone());
        });
        Ok(SigningKeyRow {
            id,
            public,
            wrapped,
            state: tegata_token::key::KeyState::Pending,
            created_at: now,
            changed_at: now,
        })
    }

    /// Drops all keys but those that `keep` selects.
    pub fn retain(&self, keep: impl Fn(SigningKeyId) -> bool) {
        self.change(|keys| keys.retain(|id, _| keep(*id)));
    }

    fn change(&self, change: impl Fn(&mut HashMap<SigningKeyId, SigningKey>)) {
        self.keys.rcu(|keys| {
            let mut keys = HashMap::clone(keys);
            change(&mut keys);
            Arc::new(keys)
        });
    }
}

/// The key of this row; `None` if the master key does not decrypt it.
fn decrypted(master: &MasterKey, row: &SigningKeyRow) -> Option<SigningKey> {
    let key = SigningKey::from_seed(&*master.open(row.id, &row.wrapped)?).ok()?;
    (key.public().to_bytes() == row.public).then_some(key)
}

/// The secrets of people's second factors, encrypted with the new master key. One that the
/// old master key does not decrypt is lost: its person needs a reset.
async fn second_factors(
    old: &MasterKey,
    new: &MasterKey,
    store: &dyn Store,
) -> Result<Vec<(PersonId, WrappedKey)>, Error> {
    let mut wrapped = Vec::new();
    for stored in store.people().await? {
        let (id, Some(secrets)) = (stored.person.id, stored.secrets) else { continue };
        let again = match old.open_totp(id, &secrets.totp) {
            Some(secret) => new.wrap_totp(id, &secret)?,
            None => WrappedKey(Vec::new()),
        };
        wrapped.push((id, again));
    }
    Ok(wrapped)
}

fn not_replaced(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, "the master key cannot be replaced");
    Error::Unavailable(format!("the master key cannot be replaced: {error}").into())
}
