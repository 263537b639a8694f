//! The record that a server leaves beside its store for commands on the same machine:
//! where it reads the administrator's token from, and the hash of the one in force.
//! `tegata admin reset` uses it to find what to replace, and to confirm that the server
//! has read the new token.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tegata_policy::secret::sha256;
use tegata_store::{
    RootTokenHash,
    file::{self, Owner},
};

/// Where a server reads the administrator's token from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFrom {
    /// The variable `TEGATA_ADMIN_TOKEN`, at its start.
    Environment,
    /// A file, which is read again when it changes.
    File {
        /// The file's absolute path.
        path: PathBuf,
        /// The [`fingerprint`] of the token in force; `None`: the file holds no token.
        in_force: Option<String>,
    },
}

/// The record of the last server on a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastServer {
    /// Its process id.
    pub process: u32,
    /// Where it reads the administrator's token from.
    pub admin_token: TokenFrom,
    /// Whether an administrator was ever authenticated on the store. Until then, a start
    /// prints the first steps.
    #[serde(default)]
    pub administered: bool,
    /// The [`fingerprint`] of the token that it had, wherever it came from.
    #[serde(default)]
    pub held: Option<String>,
}

/// Identifies a token without revealing it.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    HEXLOWER.encode(&hash(token).0)
}

/// The bytes of the same.
#[must_use]
pub fn hash(token: &str) -> RootTokenHash {
    RootTokenHash(sha256(&[b"tegata administrator's token\0", token.as_bytes()]))
}

/// The path of the record of a store.
#[must_use]
pub fn path(store: &Path) -> PathBuf {
    // Named after the store's real path, like its lock.
    let mut name = store.canonicalize().unwrap_or_else(|_| store.to_owned()).into_os_string();
    name.push(".server");
    name.into()
}

/// Writes the record of this process at `path`.
///
/// # Errors
/// The system's.
pub fn write(
    path: &Path,
    admin_token: TokenFrom,
    administered: bool,
    held: Option<RootTokenHash>,
) -> io::Result<()> {
    let held = held.map(|it| HEXLOWER.encode(&it.0));
    let record = LastServer { process: std::process::id(), admin_token, administered, held };
    let text = serde_json::to_string(&record)? + "\n";
    file::replace(path, text.as_bytes(), Owner::of(path)?)
}

/// Reads the record at `path`; `None` if there is none.
///
/// # Errors
/// The system's, or the record is malformed.
pub fn read(path: &Path) -> io::Result<Option<LastServer>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
