//! Reads credentials from the file or the environment variable that the settings name. They
//! are read again each time, so a replaced one needs no restart.

use super::config::{Caller, ChannelConfig, Watched};
use crate::{call::Failure, key::PrivateKey, wanted::Credentials};
use std::path::PathBuf;
use tegata_policy::secret::PlainSecret;
use tegata_system::secret::{self, Form};

/// Reads a secret or a key; `None` if the settings name neither a file nor a variable.
fn read(
    file: Option<&PathBuf>,
    env: Option<&String>,
    form: Form,
) -> Result<Option<PlainSecret>, String> {
    let text = match (file, env) {
        // The files of a Kubernetes volume are symbolic links.
        (Some(path), _) => secret::in_file(path, form),
        (None, Some(name)) => {
            let text = secret::in_variable(name, form).map_err(|error| error.to_string())?;
            Ok(text.ok_or_else(|| format!("{name} is not set in the environment"))?)
        }
        (None, None) => return Ok(None),
    };
    let text = text.map_err(|error| error.to_string())?;
    Ok(Some(PlainSecret::from_caller(text.to_string())))
}

impl ChannelConfig {
    /// Reads the channel's credentials.
    ///
    /// # Errors
    /// [`Failure::NotAsked`] names what cannot be read.
    pub fn credentials(&self, audience: &str) -> Result<Credentials, Failure> {
        let wrong = |what: String| Failure::NotAsked(what);
        let text = read(self.key_file.as_ref(), self.key_env.as_ref(), Form::Key).map_err(wrong)?;
        let from = || match (&self.key_file, &self.key_env) {
            (Some(path), _) => path.display().to_string(),
            (None, name) => name.clone().unwrap_or_default(),
        };
        let parse = |text: PlainSecret| {
            PrivateKey::parse(text.reveal(), self.key_id.as_deref())
                .map_err(|error| Failure::NotAsked(format!("{}: {error}", from())))
        };
        let key = text.map(parse).transpose()?;
        let secret =
            read(self.secret_file.as_ref(), self.secret_env.as_ref(), Form::Line).map_err(wrong)?;
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
        let secret =
            read(self.secret_file.as_ref(), self.secret_env.as_ref(), Form::Line).map_err(wrong)?;
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
        read(self.file.as_ref(), self.env.as_ref(), Form::Line)?
            .ok_or_else(|| "no token".to_owned())
    }
}
