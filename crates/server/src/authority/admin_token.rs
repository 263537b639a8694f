//! The administrator's token of a running server: set at the start, or read from its
//! file, which is read again when the file changes. So `tegata admin reset` takes effect
//! at once, without a request to the server.

mod reset;
mod shared;

pub use reset::{ResetError, Taken, check, file_in_use, replace, reset, reset_shared};
pub use shared::{PLACE_IN_FORCE, problem_of};

use crate::authority::{
    private_file::{self, Error},
    random,
    record::{self, TokenFrom},
};
use data_encoding::HEXLOWER;
use shared::Agreement;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU32,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};
use tegata_policy::secret::{HashedSecret, PlainSecret};
use tegata_store::RootTokenHash;
use tegata_system::secret::{Form, in_file};
use zeroize::Zeroizing;

/// The root administrator's token. Only hashes of it are kept.
#[derive(Debug, Clone, Copy)]
pub struct AdminToken {
    hash: HashedSecret,
    /// What servers that share a store compare.
    shared: RootTokenHash,
}

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
        Ok(Self { hash: text.hash(), shared: record::hash(text.reveal()) })
    }

    /// Whether `shown` is the token.
    #[must_use]
    pub fn is(&self, shown: &PlainSecret) -> bool {
        self.hash.is_of(shown)
    }
}

/// Where the token comes from, and how it stands to that of other servers.
pub struct TokenSource {
    origin: Origin,
    agreement: Mutex<Agreement>,
}

/// Where the token comes from.
enum Origin {
    /// It was set at the start.
    Set(AdminToken),
    /// It is in a file.
    File(TokenFile),
}

/// A file that holds the token.
struct TokenFile {
    path: PathBuf,
    /// The operator named the file, and is responsible for its permissions.
    named: bool,
    /// Where the server records which token is in force.
    record: Option<PathBuf>,
    known: Mutex<(Stamp, Option<Known>)>,
    /// How often the token was replaced without an audit event yet.
    replaced: AtomicU32,
    /// Held while such an event is written, so that all later acts follow it.
    recording: tokio::sync::Mutex<()>,
    /// Whether an administrator was ever authenticated on the store.
    administered: AtomicBool,
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
    /// Reads the token from `path`. If the file does not exist it is created, unless the servers
    /// that share the store `have_one`.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn in_file(path: &Path, have_one: bool) -> Result<Self, AdminTokenError> {
        if private_file::read(path)?.is_none() {
            if have_one {
                return Ok(Self::of_file(path, false, None));
            }
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
        Ok(Self::of_file(path, named, Some((stamp, known))))
    }

    fn of_file(path: &Path, named: bool, read: Option<(Stamp, Known)>) -> Self {
        let known = read.map_or((None, None), |(stamp, known)| (stamp, Some(known)));
        let origin = Origin::File(TokenFile {
            path: path.to_owned(),
            named,
            record: None,
            known: Mutex::new(known),
            replaced: AtomicU32::new(0),
            recording: tokio::sync::Mutex::default(),
            administered: AtomicBool::new(false),
        });
        Self { origin, agreement: Mutex::default() }
    }

    /// The same, with a record in `path` of where the token comes from and, if that is a
    /// file, which token is in force.
    #[must_use]
    pub fn recorded(mut self, path: &Path) -> Self {
        let before = record::read(path).ok().flatten();
        let administered = before.as_ref().is_some_and(|it| it.administered);
        let held = before.and_then(|it| it.held).and_then(|it| shared::hash_of(&it));
        self.agreement.get_mut().unwrap_or_else(PoisonError::into_inner).held = held;
        match &mut self.origin {
            Origin::Set(token) => {
                note(path, TokenFrom::Environment, administered, Some(token.shared));
            }
            Origin::File(file) => {
                file.record = Some(path.to_owned());
                file.administered = AtomicBool::new(administered);
                let known = file.known.lock().unwrap_or_else(PoisonError::into_inner);
                file.note(known.1.as_ref());
            }
        }
        self
    }

    /// Writes the audit event of a replaced token with `write`, and then confirms the new
    /// token in the record. Called before an administrator's request is handled, so that the
    /// event precedes every act with the new token.
    ///
    /// # Errors
    /// That of `write`; the next call tries again.
    pub async fn record_reset<E>(
        &self,
        write: impl AsyncFnOnce(Option<String>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Origin::File(file) = &self.origin else { return Ok(()) };
        // An error is logged.
        let _ = file.current();
        if file.replaced.load(Acquire) == 0 {
            return Ok(());
        }
        let _one = file.recording.lock().await;
        let replaced = file.replaced.load(Acquire);
        if replaced == 0 {
            return Ok(());
        }
        let written = write(file.reason()).await;
        if written.is_ok() {
            file.replaced.fetch_sub(replaced, Release);
            reset::forget_reason(&file.path);
        }
        // The token is in force, whether the audit has the event or not.
        file.note(file.known.lock().unwrap_or_else(PoisonError::into_inner).1.as_ref());
        written
    }

    /// Whether an administrator was authenticated on the store, by this server or an earlier
    /// one.
    #[must_use]
    pub fn was_used(&self) -> bool {
        match &self.origin {
            Origin::Set(_) => true,
            Origin::File(file) => file.administered.load(Relaxed),
        }
    }

    /// Whether `shown` is the token: the one that is `in_force` for all servers of a store, if
    /// the store says which, else this server's own one.
    ///
    /// # Errors
    /// [`Unusable`]; the reason is logged.
    pub fn is(
        &self,
        shown: &PlainSecret,
        in_force: Option<RootTokenHash>,
    ) -> Result<bool, Unusable> {
        let shared = in_force.map(|it| {
            let shown = HashedSecret::from_stored(record::hash(shown.reveal()).0);
            HashedSecret::from_stored(it.0).is(&shown)
        });
        match (&self.origin, shared) {
            (Origin::Set(token), None) => Ok(token.is(shown)),
            (Origin::Set(_), Some(is)) => Ok(is),
            (Origin::File(file), _) => {
                let own = || file.current().map(|it| it.is(shown));
                let is = shared.map_or_else(own, Ok)?;
                if is && !file.administered.swap(true, Relaxed) {
                    file.note(file.known.lock().unwrap_or_else(PoisonError::into_inner).1.as_ref());
                }
                Ok(is)
            }
        }
    }

    /// The token that this server has; `None`: its file holds none.
    fn own(&self) -> Option<RootTokenHash> {
        match &self.origin {
            Origin::Set(token) => Some(token.shared),
            Origin::File(file) => file.current().ok().map(|it| it.shared),
        }
    }

    /// Where the token of this server is, for people.
    fn place(&self) -> String {
        match &self.origin {
            Origin::Set(_) => "the variable TEGATA_ADMIN_TOKEN of this server".to_owned(),
            Origin::File(file) => file.path.display().to_string(),
        }
    }
}

impl From<AdminToken> for TokenSource {
    fn from(token: AdminToken) -> Self {
        Self { origin: Origin::Set(token), agreement: Mutex::default() }
    }
}

impl TokenFile {
    /// The reason that was given for the token in force.
    fn reason(&self) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = known.1.as_ref().map(|it| it.fingerprint.clone())?;
        drop(known);
        reset::reason(&self.path, &fingerprint)
    }

    fn current(&self) -> Result<AdminToken, Unusable> {
        let stamp = stamp(&self.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != stamp {
            let token = match read(&self.path, self.named) {
                Ok(Some(token)) => {
                    tracing::warn!(file = %self.path.display(), "the administrator's token was replaced");
                    self.replaced.fetch_add(1, Release);
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
            // A new token is confirmed after its audit event.
            if known.1.is_none() {
                self.note(None);
            }
        }
        known.1.as_ref().map(|known| known.token).ok_or(Unusable)
    }

    fn note(&self, known: Option<&Known>) {
        let Some(record) = &self.record else { return };
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let in_force = known.map(|it| it.fingerprint.clone());
        let from = TokenFrom::File { path, in_force };
        note(record, from, self.administered.load(Relaxed), known.map(|it| it.token.shared));
    }
}

fn note(path: &Path, token: TokenFrom, administered: bool, held: Option<RootTokenHash>) {
    if let Err(error) = record::write(path, token, administered, held) {
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

/// Identifies the token in the file at `path`, which the operator has `named` or not; `None` if
/// it holds none that can be used.
#[must_use]
pub fn hash_in(path: &Path, named: bool) -> Option<RootTokenHash> {
    read(path, named).ok().flatten().map(|it| it.token.shared)
}

/// Why the file of the token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file cannot be read or written.
    #[error("the administrator's token")]
    File(#[source] Error),
    /// The file holds something else.
    #[error(
        "the administrator's token cannot be used (`tegata admin reset` replaces it by a new one)"
    )]
    Content(#[source] Error),
    /// The file does not hold a token.
    #[error(
        "{} does not hold an administrator's token of at least 32 characters; `tegata admin reset` \
         replaces it by a new one",
        .0.display()
    )]
    NoToken(PathBuf),
    /// The machine has no random bytes.
    #[error("the system returned no random bytes for an administrator's token")]
    NoRandomness,
}

impl From<Error> for AdminTokenError {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unusable(it) if it.is_about_content() => Self::Content(error),
            _ => Self::File(error),
        }
    }
}

/// A new token.
fn fresh() -> Result<Zeroizing<String>, AdminTokenError> {
    let random = Zeroizing::new(random::bytes::<32>().map_err(|_| AdminTokenError::NoRandomness)?);
    let mut text = Zeroizing::new(String::with_capacity(80));
    text.push_str("tga_");
    HEXLOWER.encode_append(&random[..], &mut text);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_in(path: &Path) -> PlainSecret {
        PlainSecret::from_caller(private_file::read(path).unwrap().unwrap().to_string())
    }

    #[tokio::test]
    async fn a_reset_token_takes_effect_at_once_and_the_old_one_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path, false).unwrap();
        let old = token_in(&path);
        assert_eq!(source.is(&old, None), Ok(true));
        let recorded = async |result: Result<(), ()>| {
            let mut called = false;
            let write = async |_| {
                called = true;
                result
            };
            assert_eq!(source.record_reset(write).await.is_err(), called && result.is_err());
            called
        };
        assert!(!recorded(Ok(())).await);
        replace(&path, &path, None).unwrap();
        assert!(recorded(Err(())).await, "noticed without a request");
        assert!(recorded(Ok(())).await, "tried again");
        assert!(!recorded(Ok(())).await, "recorded once");
        assert_eq!(source.is(&old, None), Ok(false));
        assert_eq!(source.is(&token_in(&path), None), Ok(true));
    }

    #[test]
    fn a_missing_or_invalid_file_authenticates_no_administrator() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path, false).unwrap();
        let old = token_in(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(source.is(&old, None), Err(Unusable));
        private_file::create(&path, "short").unwrap();
        assert_eq!(source.is(&old, None), Err(Unusable));
        replace(&path, &path, None).unwrap();
        assert_eq!(source.is(&token_in(&path), None), Ok(true));
    }
}
