//! What a server leaves beside its store for commands on the same machine: where it
//! takes the administrator's token from, and which one is in force, as a hash. So
//! `tegata admin reset` knows what to replace, and that the server took it.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tegata_policy::secret::sha256;
use tegata_store::file::{self, Owner};

/// Where a server takes the administrator's token from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenFrom {
    /// The variable `TEGATA_ADMIN_TOKEN`, at its start.
    Environment,
    /// A file, which it reads again when it changes.
    File {
        /// Where it is, from the root.
        path: PathBuf,
        /// [`fingerprint`] of the token in force; `None`: the file holds no token.
        in_force: Option<String>,
    },
}

/// The last server on a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastServer {
    /// Its process.
    pub process: u32,
    /// Where it takes the administrator's token from.
    pub admin_token: TokenFrom,
}

/// Tells a token from others, and nothing else about it.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    HEXLOWER.encode(&sha256(&[b"tegata administrator's token\0", token.as_bytes()]))
}

/// The record's file for a store.
#[must_use]
pub fn path(store: &Path) -> PathBuf {
    // By the store's own name, as its lock.
    let mut name = store.canonicalize().unwrap_or_else(|_| store.to_owned()).into_os_string();
    name.push(".server");
    name.into()
}

/// Writes the record of this process at `path`.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, admin_token: TokenFrom) -> io::Result<()> {
    let record = LastServer { process: std::process::id(), admin_token };
    let text = serde_json::to_string(&record)? + "\n";
    file::replace(path, text.as_bytes(), Owner::of(path)?)
}

/// Reads the record at `path`; `None` if there is none.
///
/// # Errors
/// The system's, or it holds something else.
pub fn read(path: &Path) -> io::Result<Option<LastServer>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
