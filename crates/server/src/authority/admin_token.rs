//! The administrator's token as a running server knows it: set for good, or read
//! from its file, which is looked at again whenever it is another one. So a reset
//! works at once, and needs nothing of the server.

use crate::authority::{
    chance,
    private_file::{self, Error},
};
use data_encoding::HEXLOWER;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tegata_token::secret::{HashedSecret, PlainSecret};
use zeroize::Zeroizing;

/// The token that administrators show. Only its hash is kept.
#[derive(Debug, Clone, Copy)]
pub struct AdminToken(HashedSecret);

/// The administrator's token is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the administrator's token must have at least 32 characters")]
pub struct TooShort;

impl AdminToken {
    /// The token that `text` is.
    ///
    /// # Errors
    /// [`TooShort`].
    pub fn new(text: &PlainSecret) -> Result<Self, TooShort> {
        if text.reveal().chars().count() < 32 {
            return Err(TooShort);
        }
        Ok(Self(text.hash()))
    }

    /// Whether `shown` is it.
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
    known: Mutex<(Stamp, Option<AdminToken>)>,
    /// It was replaced, and nobody has asked whether it was.
    replaced: AtomicBool,
}

/// What tells one state of a file from another; `None`: it is not there.
type Stamp = Option<(u64, i64, i64, u64)>;

/// The file does not hold a token, so nobody can be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl TokenSource {
    /// The token in `path`, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn in_file(path: &Path) -> Result<Self, StartError> {
        if private_file::read(path)?.is_none() {
            private_file::create(path, &fresh()?)?;
        }
        let stamp = stamp(path);
        let token = read(path)?.ok_or_else(|| StartError::NoToken(path.to_owned()))?;
        let known = Mutex::new((stamp, Some(token)));
        let replaced = AtomicBool::new(false);
        Ok(Self::File(TokenFile { path: path.to_owned(), known, replaced }))
    }

    /// Whether the token was replaced since this was last asked.
    pub fn was_replaced(&self) -> bool {
        match self {
            Self::Set(_) => false,
            Self::File(file) => {
                // The log says it if there is none any more.
                let _ = file.current();
                file.replaced.swap(false, Relaxed)
            }
        }
    }

    /// Whether `shown` is the token.
    ///
    /// # Errors
    /// [`Unusable`]; the log says why.
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
            let token = match read(&self.path) {
                Ok(Some(token)) => {
                    tracing::warn!(file = %self.path.display(), "the administrator's token was replaced");
                    self.replaced.store(true, Relaxed);
                    Some(token)
                }
                // The old one may have been reset because it leaked.
                Ok(None) => {
                    tracing::error!(file = %self.path.display(),
                        "there is no administrator's token any more; run `tegata admin reset`");
                    None
                }
                Err(error) => {
                    let error = in_one_line(&error);
                    tracing::error!(%error, "nobody is let in as administrator; run `tegata admin reset`");
                    None
                }
            };
            *known = (stamp, token);
        }
        known.1.ok_or(Unusable)
    }
}

/// An error and what it came from, in one line.
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

fn read(path: &Path) -> Result<Option<AdminToken>, StartError> {
    let Some(text) = private_file::read(path)? else { return Ok(None) };
    let token = AdminToken::new(&PlainSecret::from_caller(text.to_string()));
    token.map(Some).map_err(|_| StartError::NoToken(path.to_owned()))
}

/// Why a file of the token is not used.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file itself.
    #[error("the administrator's token")]
    File(#[from] Error),
    /// What it holds is no token.
    #[error("{} does not hold an administrator's token of at least 32 characters", .0.display())]
    NoToken(PathBuf),
    /// The machine has no random bytes.
    #[error("no random bytes to be had for an administrator's token")]
    NoChance,
}

/// A new token, to be shown to its owner alone.
fn fresh() -> Result<Zeroizing<String>, StartError> {
    let random = Zeroizing::new(chance::bytes::<32>().map_err(|_| StartError::NoChance)?);
    let mut text = Zeroizing::new(String::with_capacity(80));
    text.push_str("tga_");
    HEXLOWER.encode_append(&random[..], &mut text);
    Ok(text)
}

/// Puts a new token into the file in `path`. The one before it is good no more.
///
/// # Errors
/// [`StartError`]; the old token is still in force then.
pub fn reset(path: &Path) -> Result<(), StartError> {
    Ok(private_file::replace(path, &fresh()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_in(path: &Path) -> PlainSecret {
        PlainSecret::from_caller(private_file::read(path).unwrap().unwrap().to_string())
    }

    #[test]
    fn a_reset_token_is_taken_at_once_and_the_old_one_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path).unwrap();
        let old = token_in(&path);
        assert_eq!(source.is(&old), Ok(true));
        assert!(!source.was_replaced());
        reset(&path).unwrap();
        assert!(source.was_replaced(), "nobody need show a token for it");
        assert!(!source.was_replaced(), "it is told once");
        assert_eq!(source.is(&old), Ok(false));
        assert_eq!(source.is(&token_in(&path)), Ok(true));
    }

    #[test]
    fn a_file_that_is_gone_or_holds_no_token_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.token");
        let source = TokenSource::in_file(&path).unwrap();
        let old = token_in(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(source.is(&old), Err(Unusable));
        private_file::create(&path, "short").unwrap();
        assert_eq!(source.is(&old), Err(Unusable));
        reset(&path).unwrap();
        assert_eq!(source.is(&token_in(&path)), Ok(true));
    }
}
