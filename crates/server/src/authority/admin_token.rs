//! The administrator's token of a running server: set at the start, or read from its
//! file, which is read again when the file changes. So `tegata admin reset` takes effect
//! at once, without a request to the server.

use crate::authority::{
    private_file::{self, Error},
    random,
    record::{self, LastServer, TokenFrom},
};
use data_encoding::HEXLOWER;
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_policy::secret::{HashedSecret, PlainSecret};
use tegata_store::sqlite::OpenError;
use tegata_system::secret::{Form, in_file};
use zeroize::Zeroizing;

/// The root administrator's token. Only its hash is kept.
#[derive(Debug, Clone, Copy)]
pub struct AdminToken(HashedSecret);

/// The administrator's token is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the administrator's token must have at least 32 characters")]
pub struct TooShort;

impl AdminToken {
    /// Hashes the token that `text` is.
    ///
    /// # Errors
    /// [`TooShort`].
    pub fn new(text: &PlainSecret) -> Result<Self, TooShort> {
        if text.reveal().chars().count() < 32 {
            return Err(TooShort);
        }
        Ok(Self(text.hash()))
    }

    /// Whether `shown` is the token.
    #[must_use]
    pub fn is(&self, shown: &PlainSecret) -> bool {
        self.0.is_of(shown)
    }
}

/// Where the token comes from.
pub enum TokenSource {
    /// It was set at the start.
    Set(AdminToken),
    /// It is in a file.
    File(TokenFile),
}

/// A file that holds the token.
pub struct TokenFile {
    path: PathBuf,
    /// The operator named the file, and is responsible for its permissions.
    named: bool,
    /// Where the server records which token is in force.
    record: Option<PathBuf>,
    known: Mutex<(Stamp, Option<Known>)>,
    /// The token was replaced since [`TokenSource::was_replaced`] was last called.
    replaced: AtomicBool,
}

/// A token that was read.
#[derive(Clone)]
struct Known {
    token: AdminToken,
    fingerprint: String,
}

/// Identifies one state of a file; `None`: it does not exist.
type Stamp = Option<(u64, i64, i64, u64)>;

/// The file does not hold a token, so no administrator can be authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl TokenSource {
    /// Reads the token from `path`; creates the file if it does not exist.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn in_file(path: &Path) -> Result<Self, AdminTokenError> {
        if private_file::read(path)?.is_none() {
            private_file::create(path, &fresh()?)?;
        }
        Self::reading(path, false)
    }

    /// Reads the token from `path`, a file that the operator named.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn in_named_file(path: &Path) -> Result<Self, AdminTokenError> {
        Self::reading(path, true)
    }

    fn reading(path: &Path, named: bool) -> Result<Self, AdminTokenError> {
        let stamp = stamp(path);
        let known = read(path, named)?.ok_or_else(|| AdminTokenError::NoToken(path.to_owned()))?;
        let known = Mutex::new((stamp, Some(known)));
        let (path, replaced) = (path.to_owned(), AtomicBool::new(false));
        Ok(Self::File(TokenFile { path, named, record: None, known, replaced }))
    }

    /// The same, with a record in `path` of where the token comes from and, if that is a
    /// file, which token is in force.
    #[must_use]
    pub fn recorded(mut self, path: &Path) -> Self {
        match &mut self {
            Self::Set(_) => note(path, TokenFrom::Environment),
            Self::File(file) => {
                file.record = Some(path.to_owned());
                let known = file.known.lock().unwrap_or_else(PoisonError::into_inner);
                file.note(known.1.as_ref());
            }
        }
        self
    }

    /// Whether the token was replaced since the last call.
    pub fn was_replaced(&self) -> bool {
        match self {
            Self::Set(_) => false,
            Self::File(file) => {
                // An error is logged.
                let _ = file.current();
                file.replaced.swap(false, Relaxed)
            }
        }
    }

    /// Whether `shown` is the token.
    ///
    /// # Errors
    /// [`Unusable`]; the reason is logged.
    pub fn is(&self, shown: &PlainSecret) -> Result<bool, Unusable> {
        match self {
            Self::Set(token) => Ok(token.is(shown)),
            Self::File(file) => file.current().map(|token| token.is(shown)),
        }
    }
}

impl From<AdminToken> for TokenSource {
    fn from(token: AdminToken) -> Self {
        Self::Set(token)
    }
}

impl TokenFile {
    fn current(&self) -> Result<AdminToken, Unusable> {
        let stamp = stamp(&self.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != stamp {
            let token = match read(&self.path, self.named) {
                Ok(Some(token)) => {
                    tracing::warn!(file = %self.path.display(), "the administrator's token was replaced");
                    self.replaced.store(true, Relaxed);
                    Some(token)
                }
                // The old token may have been reset because it leaked.
                Ok(None) => {
                    tracing::error!(file = %self.path.display(),
                        "the file of the administrator's token is gone, so no administrator can be authenticated; run `tegata admin reset`");
                    None
                }
                Err(error) => {
                    let error = in_one_line(&error);
                    tracing::error!(%error, "the file of the administrator's token cannot be used, so no administrator can be authenticated; run `tegata admin reset`");
                    None
                }
            };
            *known = (stamp, token);
            self.note(known.1.as_ref());
        }
        known.1.as_ref().map(|known| known.token).ok_or(Unusable)
    }

    fn note(&self, known: Option<&Known>) {
        let Some(record) = &self.record else { return };
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let in_force = known.map(|it| it.fingerprint.clone());
        note(record, TokenFrom::File { path, in_force });
    }
}

fn note(path: &Path, token: TokenFrom) {
    if let Err(error) = record::write(path, token) {
        tracing::warn!(%error, file = %path.display(),
            "the server cannot record where the administrator's token comes from, so `tegata \
             admin reset` cannot replace it");
    }
}

/// An error and its sources, in one line.
fn in_one_line(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_one_line(source)),
        None => error.to_string(),
    }
}

fn stamp(path: &Path) -> Stamp {
    let it = fs::metadata(path).ok()?;
    Some((it.ino(), it.mtime(), it.mtime_nsec(), it.len()))
}

fn read(path: &Path, named: bool) -> Result<Option<Known>, AdminTokenError> {
    let text = match named {
        false => private_file::read(path)?,
        true => Some(in_file(path, Form::Line).map_err(Error::from)?),
    };
    let Some(text) = text else { return Ok(None) };
    let token = AdminToken::new(&PlainSecret::from_caller(text.to_string()));
    let token = token.map_err(|_| AdminTokenError::NoToken(path.to_owned()))?;
    Ok(Some(Known { token, fingerprint: record::fingerprint(&text) }))
}

/// Why the file of the token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file cannot be read or written.
    #[error("the administrator's token")]
    File(#[from] Error),
    /// The file does not hold a token.
    #[error("{} does not hold an administrator's token of at least 32 characters", .0.display())]
    NoToken(PathBuf),
    /// The machine has no random bytes.
    #[error("the system returned no random bytes for an administrator's token")]
    NoRandomness,
}

/// A new token.
fn fresh() -> Result<Zeroizing<String>, AdminTokenError> {
    let random = Zeroizing::new(random::bytes::<32>().map_err(|_| AdminTokenError::NoRandomness)?);
    let mut text = Zeroizing::new(String::with_capacity(80));
    text.push_str("tga_");
    HEXLOWER.encode_append(&random[..], &mut text);
    Ok(text)
}

/// Writes a new token into the file at `path`, for the server on `store`, and returns its
/// [fingerprint](record::fingerprint). The old token is not accepted any more.
///
/// # Errors
/// [`AdminTokenError`]; the old token is still in force then.
pub fn replace(path: &Path, store: &Path) -> Result<String, AdminTokenError> {
    let token = fresh()?;
    private_file::replace(path, &token, store)?;
    Ok(record::fingerprint(&token))
}

/// When a new token takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The running server, with this process id, confirmed it.
    Running(u32),
    /// No server runs on the store; the next one reads it at its start.
    NextStart,
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

/// In seconds; a server checks the file every two seconds.
const CONFIRMED_WITHIN: u64 = 15;

/// Replaces the token in `file`, which the server on `store` reads, and waits until the
/// server, if one runs, has recorded that the new one is in force.
///
/// # Errors
/// [`ResetError`].
pub async fn reset(store: &Path, file: &Path) -> Result<Taken, ResetError> {
    // Held until the end, so that no server starts meanwhile.
    let unused = tegata_store::sqlite::claim(store)?;
    let at = record::path(store);
    let read = || record::read(&at).map_err(|error| ResetError::LastServer(at.clone(), error));
    let record = read()?;
    match record.as_ref().map(|it| &it.admin_token) {
        Some(TokenFrom::Environment) => return Err(ResetError::FromEnvironment(store.to_owned())),
        Some(TokenFrom::File { path, .. }) if !is_same(path, file) => {
            let (store, used, named) = (store.to_owned(), path.clone(), file.to_owned());
            return Err(ResetError::OtherFile { store, used, named });
        }
        None if unused.is_none() => return Err(ResetError::NoRecord(store.to_owned())),
        _ => {}
    }
    let new = replace(file, store)?;
    if unused.is_some() {
        return Ok(Taken::NextStart);
    }
    for _ in 0..CONFIRMED_WITHIN * 20 {
        if let Some(LastServer { process, admin_token: TokenFrom::File { in_force, .. } }) = read()?
            && in_force.as_ref() == Some(&new)
        {
            return Ok(Taken::Running(process));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let process = record.map_or(0, |it| it.process);
    Err(ResetError::Unconfirmed { store: store.to_owned(), file: file.to_owned(), process })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |it: &Path| it.canonicalize().or_else(|_| std::path::absolute(it));
    one == other || matches!((real(one), real(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_in(path: &Path) -> PlainSecret {
        PlainSecret::from_caller(private_file::read(path).unwrap().unwrap().to_string())
    }

    #[test]
    fn a_reset_token_takes_effect_at_once_and_the_old_one_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path).unwrap();
        let old = token_in(&path);
        assert_eq!(source.is(&old), Ok(true));
        assert!(!source.was_replaced());
        replace(&path, &path).unwrap();
        assert!(source.was_replaced(), "noticed without a request");
        assert!(!source.was_replaced(), "reported once");
        assert_eq!(source.is(&old), Ok(false));
        assert_eq!(source.is(&token_in(&path)), Ok(true));
    }

    #[test]
    fn a_missing_or_invalid_file_authenticates_no_administrator() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path).unwrap();
        let old = token_in(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(source.is(&old), Err(Unusable));
        private_file::create(&path, "short").unwrap();
        assert_eq!(source.is(&old), Err(Unusable));
        replace(&path, &path).unwrap();
        assert_eq!(source.is(&token_in(&path)), Ok(true));
    }
}
