//! The master key, which encrypts the authority's signing keys and is kept outside of the
//! database: a stolen database alone cannot sign anything.
//!
//! AES-256-GCM with a random nonce; the id of the encrypted key is authenticated with it,
//! so one row's ciphertext is not valid in another row.

use crate::authority::{private_file, random};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use std::{
    fmt, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use tegata_store::{SigningKeyRow, WrappedKey};
use tegata_token::id::{PersonId, SigningKeyId};
use zeroize::Zeroizing;

/// The master key.
pub struct MasterKey(LessSafeKey);

/// Why the master key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be used.
    #[error("the master key")]
    File(#[from] private_file::Error),
    /// The file does not hold a master key.
    #[error("{} does not hold a master key: 64 hex characters", .0.display())]
    NotAKey(PathBuf),
    /// The store holds signing keys, so this is not a first start.
    #[error(
        "there is no master key at {}, but this store holds signing keys that were encrypted with \
         one; bring the file back. If it is lost for good, see \"Replace a lost master key\" in \
         docs/book/src/runbooks/restore.md",
        .0.display()
    )]
    Lost(PathBuf),
    /// The store's signing keys were encrypted with another master key.
    #[error(
        "{} is not the master key that encrypts this store's signing keys; bring that one back. If \
         it is lost for good, run `tegata recover` with this one: see \"Replace a lost master key\" in \
         docs/book/src/runbooks/restore.md",
        .0.display()
    )]
    Wrong(PathBuf),
    /// The machine has no random bytes.
    #[error("the system returned no random bytes for a master key")]
    NoRandomness,
}

/// The file that holds the key before the last rotation, for the master key at `path`.
#[must_use]
pub fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".previous");
    name.into()
}

/// The key before the last rotation, as it was found before a backup.
#[derive(Debug)]
pub struct PreviousKey {
    path: PathBuf,
    stamp: (u64, i64, i64),
}

impl PreviousKey {
    /// That of the master key at `path`; `None` if there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let path = previous(path);
        Some(Self { stamp: Self::stamp(&path)?, path })
    }

    /// Removes the file after a complete backup, which only the present key decrypts.
    /// Returns its path; `None` if a rotation during the backup replaced it.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(self) -> io::Result<Option<PathBuf>> {
        if Self::stamp(&self.path) != Some(self.stamp) {
            return Ok(None);
        }
        std::fs::remove_file(&self.path)?;
        Ok(Some(self.path))
    }

    fn stamp(path: &Path) -> Option<(u64, i64, i64)> {
        let it = std::fs::metadata(path).ok()?;
        Some((it.ino(), it.mtime(), it.mtime_nsec()))
    }
}

impl MasterKey {
    /// Reads the key from `path`; if there is no such file and `may_make`, creates key
    /// and file.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load(path: &Path, may_make: bool) -> Result<Self, Error> {
        if let Some(text) = private_file::read(path)? {
            let bytes = from_hex(&text).ok_or_else(|| Error::NotAKey(path.to_owned()))?;
            return Self::new(&bytes).ok_or_else(|| Error::NotAKey(path.to_owned()));
        }
        if !may_make {
            return Err(Error::Lost(path.to_owned()));
        }
        let bytes = Zeroizing::new(random::bytes::<32>().map_err(|_| Error::NoRandomness)?);
        // Another server of a new database may create it at the same time.
        let text = private_file::create_first(path, &to_hex(&bytes))?;
        let bytes = from_hex(&text).ok_or_else(|| Error::NotAKey(path.to_owned()))?;
        Self::new(&bytes).ok_or_else(|| Error::NotAKey(path.to_owned()))
    }

    /// The master key that encrypts `rows`: the one in `path`, or the one that a killed
    /// rotation left beside it, which is then put in its place. If there are no rows yet,
    /// the key may be created.
    ///
    /// # Errors
    /// [`Error`].
    pub fn load_for(path: &Path, rows: &[SigningKeyRow]) -> Result<Self, Error> {
        let loaded = match Self::load(path, rows.is_empty()) {
            Ok(key) if key.opens_all(rows.iter()) => return Ok(key),
            Ok(_) => Err(Error::Wrong(path.to_owned())),
            Err(error) => Err(error),
        };
        let Ok(waiting) = private_file::beside(path) else { return loaded };
        match Self::load(&waiting, false) {
            Ok(key) if key.opens_all(rows.iter()) => {
                private_file::put_in_place(path)?;
                tracing::warn!(file = %path.display(), "a rotation of the master key was interrupted; it is complete now");
                Ok(key)
            }
            _ => loaded,
        }
    }

    /// Creates a new key, in a file that waits beside `path`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn prepare(path: &Path) -> Result<Self, Error> {
        let bytes = Zeroizing::new(random::bytes::<32>().map_err(|_| Error::NoRandomness)?);
        private_file::write_beside(path, &to_hex(&bytes))?;
        Self::new(&bytes).ok_or_else(|| Error::NotAKey(path.to_owned()))
    }

    /// Whether it decrypts every private key in these rows.
    pub(super) fn opens_all<'a>(&self, rows: impl Iterator<Item = &'a SigningKeyRow>) -> bool {
        let mut wrapped = rows.filter(|row| !row.wrapped.0.is_empty());
        wrapped.all(|row| self.open(row.id, &row.wrapped).is_some())
    }

    fn new(bytes: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, bytes).ok().map(LessSafeKey::new).map(Self)
    }

    /// Encrypts a signing key's seed: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn wrap(
        &self,
        id: SigningKeyId,
        seed: &[u8; 32],
    ) -> Result<WrappedKey, tegata_store::Error> {
        self.encrypt(&id.0, seed)
    }

    /// The decrypted seed; `None` if it was not encrypted with this key for `id`.
    #[must_use]
    pub fn open(&self, id: SigningKeyId, wrapped: &WrappedKey) -> Option<Zeroizing<[u8; 32]>> {
        self.decrypt(&id.0, wrapped)
    }

    /// Encrypts the secret of a person's second factor.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_totp(
        &self,
        id: PersonId,
        secret: &[u8; 32],
    ) -> Result<WrappedKey, tegata_store::Error> {
        self.encrypt(second_factor_of(id).as_bytes(), secret)
    }

    /// Encrypts the response to a request, which may hold a secret.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_response(
        &self,
        request: [u8; 32],
        response: &[u8],
    ) -> Result<WrappedKey, tegata_store::Error> {
        self.encrypt(&request, response)
    }

    /// The decrypted response; `None` if it was not encrypted with this key for `request`.
    #[must_use]
    pub fn open_response(
        &self,
        request: [u8; 32],
        wrapped: &WrappedKey,
    ) -> Option<Zeroizing<Vec<u8>>> {
        self.open_bytes(&request, wrapped)
    }

    /// Encrypts what a browser keeps for the server; `kind` says what it is.
    ///
    /// # Errors
    /// As [`Self::wrap`].
    pub fn wrap_ticket(
        &self,
        kind: &str,
        ticket: &[u8],
    ) -> Result<WrappedKey, tegata_store::Error> {
        self.encrypt(ticket_of(kind).as_bytes(), ticket)
    }

    /// The decrypted ticket; `None` if it was not encrypted with this key as one of this kind.
    #[must_use]
    pub fn open_ticket(&self, kind: &str, wrapped: &WrappedKey) -> Option<Zeroizing<Vec<u8>>> {
        self.open_bytes(ticket_of(kind).as_bytes(), wrapped)
    }

    /// The decrypted secret; `None` if it was not encrypted with this key for `id`.
    #[must_use]
    pub fn open_totp(&self, id: PersonId, wrapped: &WrappedKey) -> Option<Zeroizing<[u8; 32]>> {
        self.decrypt(second_factor_of(id).as_bytes(), wrapped)
    }

    /// Encrypts bytes; what they are for is authenticated with them.
    fn encrypt(&self, of: &[u8], seed: &[u8]) -> Result<WrappedKey, tegata_store::Error> {
        let nonce: [u8; NONCE_LEN] = random::bytes()?;
        let mut text = Vec::with_capacity(seed.len() + AES_256_GCM.tag_len());
        text.extend_from_slice(seed);
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(of), &mut text)
            .map_err(|_| tegata_store::Error::Unavailable("a key cannot be encrypted".into()))?;
        Ok(WrappedKey([&nonce[..], &text].concat()))
    }

    fn decrypt(&self, of: &[u8], wrapped: &WrappedKey) -> Option<Zeroizing<[u8; 32]>> {
        let seed = self.open_bytes(of, wrapped)?;
        <&[u8; 32]>::try_from(&seed[..]).ok().copied().map(Zeroizing::new)
    }

    fn open_bytes(&self, of: &[u8], wrapped: &WrappedKey) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = wrapped.0.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.0.open_in_place(nonce, Aad::from(of), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

/// Longer than the id of a signing key, so that neither passes for the other.
fn second_factor_of(id: PersonId) -> String {
    format!("second factor of {id}")
}

/// Longer than the name of a request, so that neither passes for the other.
fn ticket_of(kind: &str) -> String {
    format!("what a browser keeps for the server: {kind}")
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

fn to_hex(bytes: &[u8; 32]) -> Zeroizing<String> {
    // Allocated beforehand: a growing string would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(64));
    HEXLOWER.encode_append(bytes, &mut text);
    text
}

fn from_hex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    if text.len() != 64 {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut bytes[..]).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SigningKeyId = SigningKeyId([1; 8]);

    #[test]
    fn a_wrapped_key_opens_with_its_master_key_and_for_its_id_alone() {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::load(&folder.path().join("a"), true).unwrap();
        let again = MasterKey::load(&folder.path().join("a"), false).unwrap();
        let other = MasterKey::load(&folder.path().join("b"), true).unwrap();
        let wrapped = key.wrap(ID, &[7; 32]).unwrap();
        assert_eq!(*again.open(ID, &wrapped).unwrap(), [7; 32]);
        assert!(other.open(ID, &wrapped).is_none());
        assert!(again.open(SigningKeyId([2; 8]), &wrapped).is_none());
        let mut torn = wrapped.clone();
        torn.0[20] ^= 1;
        assert!(again.open(ID, &torn).is_none());
        assert!(again.open(ID, &WrappedKey(vec![1, 2, 3])).is_none());
    }

    #[test]
    fn a_lost_key_is_not_replaced_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        assert!(matches!(MasterKey::load(&path, false), Err(Error::Lost(_))));
        private_file::create(&path, "not hex").unwrap();
        assert!(matches!(MasterKey::load(&path, true), Err(Error::NotAKey(_))));
    }
}
