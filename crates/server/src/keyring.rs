//! The private halves of the signing keys, opened. Which of them signs is not
//! decided here: the view says it, and changes with the commit that changed it.

use crate::{chance, master_key::MasterKey};
use arc_swap::ArcSwap;
use std::{collections::HashMap, sync::Arc};
use tegata_store::{Error, SigningKeyRow};
use tegata_token::{
    id::SigningKeyId,
    key::{KeyState, SigningKey},
    time::UnixTime,
};
use zeroize::Zeroizing;

/// All signing keys that may still have to sign: for a new token, or again for a
/// retried request.
pub struct Keyring {
    master: MasterKey,
    keys: ArcSwap<HashMap<SigningKeyId, SigningKey>>,
}

impl Keyring {
    /// Opens the keys that are not removed; `None` if one does not open.
    #[must_use]
    pub fn open(master: MasterKey, rows: &[SigningKeyRow]) -> Option<Self> {
        let mut keys = HashMap::new();
        for row in rows.iter().filter(|row| row.state != KeyState::Removed) {
            let seed = master.open(row.id, &row.sealed)?;
            let key = SigningKey::from_seed(&seed).ok()?;
            (key.public().to_bytes() == row.public).then_some(())?;
            keys.insert(row.id, key);
        }
        Some(Self { master, keys: ArcSwap::from_pointee(keys) })
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
        let sealed = self.master.seal(id, &seed)?;
        let public = key.public().to_bytes();
        self.change(|keys| {
            keys.insert(id, key.clone());
        });
        Ok(SigningKeyRow {
            id,
            public,
            sealed,
            state: KeyState::Coming,
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
