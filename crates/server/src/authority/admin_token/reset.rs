//! Replaces the administrator's token in its file, for `tegata admin reset`.

use super::{AdminTokenError, fresh, read};
use crate::authority::{
    place::Files,
    private_file,
    record::{self, LastServer, TokenFrom},
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use tegata_policy::text::is_reason;
use tegata_store::{RootTokenHash, sqlite::OpenError};
use zeroize::Zeroizing;

/// Writes a new token into the file at `path`, for the server on `store`, and returns its
/// [fingerprint](record::fingerprint). The old token is not accepted any more. The server
/// reads the reason from a file in the same folder.
///
/// # Errors
/// [`AdminTokenError`]; the old token is still in force then.
pub fn replace(path: &Path, store: &Path, reason: Option<&str>) -> Result<String, AdminTokenError> {
    replace_file(path, store, reason).map(|token| record::fingerprint(&token))
}

/// The same; returns the token.
fn replace_file(
    path: &Path,
    store: &Path,
    reason: Option<&str>,
) -> Result<Zeroizing<String>, AdminTokenError> {
    let token = fresh()?;
    let fingerprint = record::fingerprint(&token);
    if let Some(reason) = reason {
        let text = format!("{fingerprint} {reason}");
        private_file::replace(&reason_file(path), &text, store)?;
    }
    private_file::replace(path, &token, store)?;
    Ok(token)
}

/// The file in which a reset of the token at `path` leaves its reason for the server,
/// which writes the audit event.
fn reason_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".reason");
    name.into()
}

/// The reason that was left with the token of this fingerprint.
pub(super) fn reason(path: &Path, fingerprint: &str) -> Option<String> {
    let text = private_file::read(&reason_file(path)).ok().flatten()?;
    let (of, reason) = text.split_once(' ')?;
    (of == fingerprint && is_reason(reason)).then(|| reason.to_owned())
}

/// Removes the reason once it is recorded, or if no server records it.
pub(super) fn forget_reason(path: &Path) {
    // There may be none.
    let _ = std::fs::remove_file(reason_file(path));
}

/// When a new token takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The running server, with this process id, confirmed it.
    Running(u32),
    /// No server runs on the store; the next one reads it at its start.
    NextStart,
    /// It is in force for all servers that share the store.
    AllServers,
}

/// Reads the file at `path`, which the operator has `named` or not, as the start of a server does,
/// and creates nothing.
///
/// # Errors
/// A server does not start with the file.
pub fn check(path: &Path, named: bool) -> Result<(), AdminTokenError> {
    read(path, named).map(drop)
}

/// Why the administrator's token was not replaced, or not confirmed.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The record beside the store cannot be read.
    #[error("{0}: {1}")]
    LastServer(PathBuf, io::Error),
    /// The file.
    #[error(transparent)]
    File(#[from] AdminTokenError),
    /// The token is set in the environment.
    #[error(
        "nothing was changed: the server on {0} takes the administrator's token from the variable \
         TEGATA_ADMIN_TOKEN. Set another one there and restart the server; or restart it without \
         the variable, so that it uses a file, and run this again"
    )]
    FromEnvironment(PathBuf),
    /// The token is in another file.
    #[error(
        "nothing was changed: the server on {store} reads the administrator's token from {used}, and \
         these settings name {named}; run: tegata admin reset --admin-token-file {used}",
        store = store.display(), used = used.display(), named = named.display()
    )]
    OtherFile {
        /// The store.
        store: PathBuf,
        /// The file that the server reads.
        used: PathBuf,
        /// The file that was to be replaced.
        named: PathBuf,
    },
    /// A server runs that left no record.
    #[error(
        "nothing was changed: the server that uses {0} left no record of where it takes the \
         administrator's token from; restart it, and run this again"
    )]
    NoRecord(PathBuf),
    /// The reason cannot be recorded.
    #[error(
        "nothing was changed: the reason must be 1 to 500 characters that show something, without \
         characters that control a terminal or the direction of writing"
    )]
    Reason,
    /// The store of servers that share it did not take the new token.
    #[error(
        "{file} holds a new token, but the database has not taken it ({why}); until it does, the old \
         token may be in force. Run this again", file = .file.display()
    )]
    NotTaken {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The server did not confirm that it read the new token.
    #[error(
        "{file} holds a new token, but the server that uses {store} (process {process}) did not \
         confirm within {CONFIRMED_WITHIN} s that it read it; until it does, the old token may be \
         in force. See the server's log, or restart it",
        store = store.display(), file = file.display()
    )]
    Unconfirmed {
        /// The store.
        store: PathBuf,
        /// The file.
        file: PathBuf,
        /// The process id that the server recorded.
        process: u32,
    },
}

/// The file that the last server on `store` read the administrator's token from, if it
/// left a record and used a file.
#[must_use]
pub fn file_in_use(store: &Path) -> Option<PathBuf> {
    match record::read(&record::path(store)).ok()??.admin_token {
        TokenFrom::File { path, .. } => Some(path),
        TokenFrom::Environment => None,
    }
}

/// In seconds; a server checks the file every two seconds.
const CONFIRMED_WITHIN: u64 = 15;

/// Replaces the token in `file`, which the server of this place reads, and waits until the
/// server, if one runs here, has recorded that the new one is in force.
///
/// # Errors
/// [`ResetError`].
pub async fn reset(place: &Files, file: &Path, reason: Option<&str>) -> Result<Taken, ResetError> {
    if reason.is_some_and(|it| !is_reason(it)) {
        return Err(ResetError::Reason);
    }
    let store = &*place.store;
    let at = record::path(store);
    let read = || record::read(&at).map_err(|error| ResetError::LastServer(at.clone(), error));
    // Held until the end, so that no server starts on the file meanwhile.
    let claim = tegata_store::sqlite::claim(store)?;
    let record = read()?;
    let is_unused = claim.is_some();
    match record.as_ref().map(|it| &it.admin_token) {
        Some(TokenFrom::Environment) => return Err(ResetError::FromEnvironment(store.to_owned())),
        Some(TokenFrom::File { path, .. }) if !is_same(path, file) => {
            let (store, used, named) = (store.to_owned(), path.clone(), file.to_owned());
            return Err(ResetError::OtherFile { store, used, named });
        }
        None if !is_unused => return Err(ResetError::NoRecord(store.to_owned())),
        _ => {}
    }
    let new = replace(file, store, reason)?;
    if is_unused {
        forget_reason(file);
        return Ok(Taken::NextStart);
    }
    for _ in 0..CONFIRMED_WITHIN * 20 {
        if let Some(LastServer { process, admin_token: TokenFrom::File { in_force, .. }, .. }) =
            read()?
            && in_force.as_ref() == Some(&new)
        {
            return Ok(Taken::Running(process));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let process = record.map_or(0, |it| it.process);
    Err(ResetError::Unconfirmed { store: store.to_owned(), file: file.to_owned(), process })
}

/// Replaces the token of all servers that share a store: writes a new one into `file`, of the
/// server of this place, and puts it in force with `put`.
///
/// # Errors
/// [`ResetError`].
pub async fn reset_shared<E: std::fmt::Display>(
    place: &Files,
    file: &Path,
    reason: Option<&str>,
    put: impl AsyncFnOnce(RootTokenHash) -> Result<(), E>,
) -> Result<Taken, ResetError> {
    if reason.is_some_and(|it| !is_reason(it)) {
        return Err(ResetError::Reason);
    }
    let store = &*place.store;
    let at = record::path(store);
    let record = record::read(&at).map_err(|error| ResetError::LastServer(at, error))?;
    if let Some(TokenFrom::File { path, .. }) = record.map(|it| it.admin_token)
        && !is_same(&path, file)
    {
        let (store, named) = (store.to_owned(), file.to_owned());
        return Err(ResetError::OtherFile { store, used: path, named });
    }
    // The file first: else an interruption would leave a token that is known to no operator.
    let text = replace_file(file, store, reason)?;
    let put = put(record::hash(&text)).await;
    forget_reason(file);
    match put {
        Ok(()) => Ok(Taken::AllServers),
        Err(why) => Err(ResetError::NotTaken { file: file.to_owned(), why: why.to_string() }),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |it: &Path| it.canonicalize().or_else(|_| std::path::absolute(it));
    one == other || matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}
