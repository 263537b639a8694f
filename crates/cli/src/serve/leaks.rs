//! Who may report leaked tokens in the name of a programme, by the settings.

use super::settings::LeaksSettings;
use crate::{
    failure::BadUsage,
    files::{read_secret, secret_variable},
};
use tegata_server::authority::leaks::LeakSettings;

/// Holds the token of a self-managed GitLab itself.
const VARIABLE: &str = "TEGATA_GITLAB_REVOCATION_TOKEN";

/// The shortest token of a self-managed GitLab.
const SHORTEST: usize = 32;

impl LeaksSettings {
    /// The server's settings.
    ///
    /// # Errors
    /// [`BadUsage`]: the token is too short, or its file cannot be read.
    pub fn leaks(self) -> anyhow::Result<LeakSettings> {
        let (gitlab_token, from) =
            match (secret_variable(VARIABLE)?, &self.gitlab_revocation_token_file) {
                (None, Some(path)) => (Some(read_secret(path)?), path.display().to_string()),
                (token, _) => (token, format!("the variable {VARIABLE}")),
            };
        if let Some(token) = &gitlab_token
            && token.reveal().len() < SHORTEST
        {
            let wrong = format!(
                "{from}: a token of at least {SHORTEST} characters is needed; `openssl rand -hex 32` \
                 makes one"
            );
            return Err(BadUsage(wrong).into());
        }
        Ok(LeakSettings { keys: self.leak_keys, gitlab_token })
    }
}
