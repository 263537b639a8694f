//! Reads credentials from the file or the environment variable that the settings name. They
//! are read again each time, so a replaced one needs no restart.

use super::config::{Caller, ChannelConfig, Watched};
use crate::{call::Failure, key::PrivateKey, wanted::Credentials};
use std::path::PathBuf;
use tegata_policy::secret::PlainSecret;
use tegata_system::file::{self, Links};

/// The longest file with a secret or a key, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The text of a secret, without surrounding white space.
fn read(file: Option<&PathBuf>, env: Option<&String>) -> Result<Option<PlainSecret>, String> {
    let (text, from) = match (file, env) {
        (Some(path), _) => {
            let from = path.display().to_string();
            // The files of a Kubernetes volume are symbolic links.
            let found = file::read(path, Links::Follow, LONGEST);
            (found.map_err(|error| format!("{from}: {error}"))?.0, from)
        }
        (None, Some(name)) => {
            let text = std::env::var(name);
            (text.map_err(|_| format!("{name} is not set in the environment"))?, name.clone())
        }
        (None, None) => return Ok(None),
    };
    let secret = PlainSecret::from_caller(text);
    let trimmed = PlainSecret::from_caller(secret.reveal().trim().to_owned());
    if trimmed.reveal().is_empty() { Err(format!("{from} is empty")) } else { Ok(Some(trimmed)) }
}

impl ChannelConfig {
    /// Reads the channel's credentials.
    ///
    /// # Errors
    /// [`Failure::NotAsked`] names what cannot be read.
    pub fn credentials(&self, audience: &str) -> Result<Credentials, Failure> {
        let wrong = |what: String| Failure::NotAsked(what);
        let text = read(self.key_file.as_ref(), self.key_env.as_ref()).map_err(wrong)?;
        let from = || match (&self.key_file, &self.key_env) {
            (Some(path), _) => path.display().to_string(),
            (None, name) => name.clone().unwrap_or_default(),
        };
        let parse = |text: PlainSecret| {
            PrivateKey::parse(text.reveal(), self.key_id.as_deref())
                .map_err(|error| Failure::NotAsked(format!("{}: {error}", from())))
        };
        let key = text.map(parse).transpose()?;
        let secret = read(self.secret_file.as_ref(), self.secret_env.as_ref()).map_err(wrong)?;
        Ok(Credentials { key, secret, audience: audience.to_owned() })
    }
}

/// The shortest secret that a caller may have.
const SHORTEST: usize = 16;

impl Caller {
    /// Reads the caller's secret.
    ///
    /// # Errors
    /// What cannot be read, or is too short.
    pub fn secret(&self) -> Result<PlainSecret, String> {
        let wrong = |what: String| format!("caller {}: {what}", self.name);
        let secret = read(self.secret_file.as_ref(), self.secret_env.as_ref()).map_err(wrong)?;
        match secret {
            Some(secret) if secret.reveal().len() >= SHORTEST => Ok(secret),
            _ => Err(wrong(format!("the secret must have at least {SHORTEST} characters"))),
        }
    }
}

impl Watched {
    /// Reads the watched token.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn token(&self) -> Result<PlainSecret, String> {
        read(self.file.as_ref(), self.env.as_ref())?.ok_or_else(|| "no token".to_owned())
    }
}
