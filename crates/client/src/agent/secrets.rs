//! Reads credentials from the file or the environment variable that the settings name. They
//! are read again each time, so a replaced one needs no restart.

use super::config::{Caller, ChannelConfig, Watched};
use crate::{call::is_b64token, failure::Failure, key::PrivateKey, wanted::Credentials};
use std::path::PathBuf;
use tegata_policy::{jwk::is_private_text, secret::PlainSecret};
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

/// Where the settings get a text from, for errors.
fn source(file: Option<&PathBuf>, env: Option<&String>) -> String {
    match (file, env) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(name)) => format!("the variable {name}"),
        (None, None) => String::new(),
    }
}

/// Reads a secret, and checks that the text can be one. The error names what it is
/// instead, and quotes nothing.
fn read_secret(
    file: Option<&PathBuf>,
    env: Option<&String>,
    what: &str,
) -> Result<Option<PlainSecret>, String> {
    // As a document, so that the error can name what it is.
    let Some(secret) = read(file, env, Form::Key)? else { return Ok(None) };
    let text = secret.reveal();
    let found = if is_private_text(text) {
        "a private key; set `key_file` to it, and write the secret to a file of its own"
    } else if text.starts_with('{') || text.starts_with('[') {
        "JSON; write the secret alone"
    } else if text.contains("-----BEGIN ") {
        "PEM; write the secret alone"
    } else if text.starts_with("eyJ") && text.bytes().filter(|&it| it == b'.').count() == 2 {
        "a token or an assertion"
    } else if text.contains(['\n', '\r']) {
        "more than one line; write the secret alone"
    } else if !text.bytes().all(|it| it.is_ascii_graphic()) {
        "characters that no secret has (white space, control or non-ASCII characters)"
    } else {
        return Ok(Some(secret));
    };
    Err(format!("{} should hold {what}, but holds {found}", source(file, env)))
}

impl ChannelConfig {
    /// Names the credential that the authority refused, and its source, in the failure of
    /// a request. Another refusal is unchanged.
    #[must_use]
    pub fn blame(&self, uses_secret: bool, failure: Failure) -> Failure {
        let Failure::Denied { status, said } = failure else { return failure };
        // LINE's words for wrong credentials, as documented and as observed.
        let has = |words: &[&str]| words.iter().any(|it| said.contains(it));
        let secret = uses_secret
            && (status == 401 || has(&["client_credentials", "client_secret", "client_id"]));
        let key = !uses_secret
            && (status == 404
                || status == 401
                || has(&["signature", "Invalid kid", "Invalid iss"]));
        let source = match (secret, key) {
            (true, _) => source(self.secret_file.as_ref(), self.secret_env.as_ref()),
            (_, true) => source(self.key_file.as_ref(), self.key_env.as_ref()),
            _ => return Failure::Denied { status, said },
        };
        let id = self.id;
        let advice = if secret {
            format!(
                "the secret in {source} is not that of channel {id}, or the channel is suspended"
            )
        } else {
            format!(
                "the assertion key in {source} is not registered on channel {id} with this id, or the \
                 channel is suspended"
            )
        };
        Failure::Denied { status, said: format!("{}; {advice}", said.trim_end_matches('.')) }
    }

    /// Reads the channel's credentials.
    ///
    /// # Errors
    /// [`Failure::NotAsked`] names what cannot be read.
    pub fn credentials(&self, audience: &str) -> Result<Credentials, Failure> {
        let wrong = |what: String| Failure::NotAsked(what);
        let text = read(self.key_file.as_ref(), self.key_env.as_ref(), Form::Key).map_err(wrong)?;
        let from = || source(self.key_file.as_ref(), self.key_env.as_ref());
        let parse = |text: PlainSecret| {
            if text.reveal().bytes().all(|it| it.is_ascii_graphic() && it != b'{') {
                let found = "should hold the private assertion key (a JWK or PEM), but holds one \
                             word; if that is the channel's secret, set `secret_file` to it";
                return Err(Failure::NotAsked(format!("{} {found}", from())));
            }
            PrivateKey::parse(text.reveal(), self.key_id.as_deref())
                .map_err(|error| Failure::NotAsked(format!("{}: {error}", from())))
        };
        let key = text.map(parse).transpose()?;
        let (file, env) = (self.secret_file.as_ref(), self.secret_env.as_ref());
        let secret = read_secret(file, env, "the channel's secret").map_err(wrong)?;
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
        let (file, env) = (self.secret_file.as_ref(), self.secret_env.as_ref());
        let secret = read_secret(file, env, "the caller's secret").map_err(wrong)?;
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
        let (file, env) = (self.file.as_ref(), self.env.as_ref());
        let token = read(file, env, Form::Key)?.ok_or_else(|| "no token".to_owned())?;
        if is_b64token(token.reveal()) {
            return Ok(token);
        }
        let wrong = "should hold a token alone (RFC 6750, section 2.1), but holds something else";
        Err(format!("{} {wrong}", source(file, env)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(folder: &std::path::Path, key: &str, secret: &str) -> ChannelConfig {
        std::fs::write(folder.join("key"), key).unwrap();
        std::fs::write(folder.join("secret"), secret).unwrap();
        let at = folder.display();
        let text = format!("id = '1234567890'\nkey_file = '{at}/key'\nsecret_file = '{at}/secret'");
        toml::from_str(&text).unwrap()
    }

    fn said(key: &str, secret: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let read = channel(folder.path(), key, secret).credentials("https://api.line.me/");
        read.map(drop).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_file_with_another_kind_of_credential_is_named_with_what_it_holds() {
        let key = PrivateKey::generate().unwrap().to_json("a-kid");
        let pem = "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n";
        let secret = "canary0123456789abcdef0123456789";
        assert_eq!(said(&key, &format!("\u{feff}{secret}\r\n")), Ok(()));
        for (key, secret, file, found) in [
            (key.as_str(), key.as_str(), "secret", "a private key"),
            (&key, pem, "secret", "a private key"),
            (&key, certificate, "secret", "PEM"),
            (&key, "{\"secret\": \"canary\"}", "secret", "JSON"),
            (&key, "eyJhbGciOiJSUzI1NiJ9.canary.canary", "secret", "a token"),
            (&key, "canary\ncanary", "secret", "more than one line"),
            (&key, "canary canary", "secret", "white space"),
            (&key, "canary\u{0007}", "secret", "U+0007"),
            (&key, "canäry", "secret", "non-ASCII"),
            (secret, secret, "key", "secret_file"),
            ("eyJhbGciOiJSUzI1NiJ9.canary.canary", secret, "key", "one word"),
        ] {
            let error = said(key, secret).unwrap_err();
            assert!(error.contains(&format!("/{file}")) && error.contains(found), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_refused_credential_is_named_with_its_source_and_no_other_refusal_is() {
        let folder = tempfile::tempdir().unwrap();
        let channel = channel(folder.path(), "k", "s");
        let blamed = |uses_secret, status, said: &str| {
            let failure = Failure::Denied { status, said: said.to_owned() };
            channel.blame(uses_secret, failure).to_string()
        };
        for words in ["Invalid 'client_credentials'. (invalid_request)", "invalid client_secret"] {
            let said = blamed(true, 400, words);
            assert!(said.contains("/secret is not that of channel 1234567890"), "{said}");
        }
        for (status, words) in [(404, "Cannot find channel key"), (400, "Invalid signature")] {
            let said = blamed(false, status, words);
            assert!(said.contains("/key is not registered on channel 1234567890"), "{said}");
            assert!(said.ends_with("with this id, or the channel is suspended"), "{said}");
        }
        for (uses_secret, words) in [(true, "The maximum number"), (false, "Invalid exp")] {
            assert_eq!(blamed(uses_secret, 400, words), format!("refused with 400: {words}"));
        }
    }
}
