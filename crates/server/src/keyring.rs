//! The private halves of the signing keys, opened. Which of them signs is not
//! decided here: the view says it, and changes with the commit that changed it.

use crate::{
    chance,
    master_key::{self, MasterKey},
    private_file,
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, path::Path, sync::Arc};
use tegata_store::{By, Error, SigningKeyRow, Store};
use tegata_token::{id::SigningKeyId, key::SigningKey, time::UnixTime};
use zeroize::Zeroizing;

/// All signing keys that may still have to sign: for a new token, or again for a
/// retried request.
pub struct Keyring {
    master: ArcSwap<MasterKey>,
    keys: ArcSwap<HashMap<SigningKeyId, SigningKey>>,
}

impl Keyring {
    /// Opens the keys whose private half is still there, with the master key in
    /// `path`; where there are no keys yet it is made.
    ///
    /// # Errors
    /// [`master_key::Error`].
    pub fn load(path: &Path, rows: &[SigningKeyRow]) -> Result<Self, master_key::Error> {
        let master = MasterKey::load_for(path, rows)?;
        let mut keys = HashMap::new();
        for row in rows.iter().filter(|row| !row.sealed.0.is_empty()) {
            let opened = master.open(row.id, &row.sealed);
            let key = opened.and_then(|seed| SigningKey::from_seed(&seed).ok());
            let key = key.filter(|key| key.public().to_bytes() == row.public);
            let key = key.ok_or_else(|| master_key::Error::Wrong(path.to_owned()))?;
            keys.insert(row.id, key);
        }
        let ring = Self::empty(master);
        ring.keys.store(Arc::new(keys));
        Ok(ring)
    }

    /// No keys yet.
    #[must_use]
    pub fn empty(master: MasterKey) -> Self {
        Self { master: ArcSwap::from_pointee(master), keys: ArcSwap::default() }
    }

    /// The master key that is in force.
    #[must_use]
    pub fn master(&self) -> Arc<MasterKey> {
        self.master.load_full()
    }

    /// Puts a new master key in the place of the one in `path`, and new seals around
    /// all keys of `rows` in one act: the new key's file waits beside the old one's
    /// meanwhile, so that whichever opens the store is there after a crash. Answers
    /// how many keys it seals. Nobody may [`make`](Self::make) a key meanwhile.
    ///
    /// # Errors
    /// As the store's. Should the files be the reason, the log names them.
    pub async fn rotate_master_key(
        &self,
        path: &Path,
        rows: &[SigningKeyRow],
        store: &dyn Store,
        by: By,
    ) -> Result<usize, Error> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "the master key cannot be replaced");
            Error::Unavailable(format!("the master key cannot be replaced: {error}").into())
        };
        let new = MasterKey::prepare(path).map_err(|error| failed(&error))?;
        let old = self.master.load_full();
        let mut sealed = Vec::new();
        for row in rows.iter().filter(|row| !row.sealed.0.is_empty()) {
            let seed = old.open(row.id, &row.sealed);
            let seed = seed.ok_or_else(|| failed(&"a signing key does not open"))?;
            sealed.push((row.id, new.seal(row.id, &seed)?));
        }
        let count = sealed.len();
        if let Some((public, seal)) = store.audit_key().await? {
            let id = tegata_token::key::VerifyingKey::from_bytes(public)
                .map_err(|error| failed(&error))?
                .id();
            let seed = old.open(id, &seal);
            let seed = seed.ok_or_else(|| failed(&"the audit key does not open"))?;
            sealed.push((id, new.seal(id, &seed)?));
        }
        store.reseal(sealed, by).await?;
        // From here on the old one opens nothing.
        self.master.store(Arc::new(new));
        let waiting = private_file::beside(path);
        private_file::rename(&waiting, path).map_err(|error| failed(&error))?;
        Ok(count)
    }

    /// The key of that name.
    #[must_use]
    pub fn get(&self, id: SigningKeyId) -> Option<SigningKey> {
        self.keys.load().get(&id).cloned()
    }

    /// Makes a new key, at hand from now on, and the row that the store shall
    /// keep of it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: no random bytes.
    pub fn make(&self, now: UnixTime) -> Result<SigningKeyRow, Error> {
        let seed = Zeroizing::new(chance::bytes::<32>()?);
        let bad = |_| Error::Unavailable("making a signing key failed".into());
        let key = SigningKey::from_seed(&seed).map_err(bad)?;
        let id = key.public().id();
        let sealed = self.master.load().seal(id, &seed)?;
        let public = key.public().to_bytes();
        self.change(|keys| {
            keys.insert(id, key.clone());
        });
        Ok(SigningKeyRow {
            id,
            public,
            sealed,
            state: tegata_token::key::KeyState::Coming,
            created_at: now,
            changed_at: now,
        })
    }

    /// Drops all keys but those that `keep` names.
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
