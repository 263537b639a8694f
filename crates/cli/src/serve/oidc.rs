//! The identity provider of the console, by its settings.

use super::settings::OidcSettings;
use crate::{
    failure::BadUsage,
    files::{read_secret, secret_variable},
};
use tegata_server::authority::openid_settings::OpenIdSettings;

/// Holds the client secret itself.
const VARIABLE: &str = "TEGATA_OIDC_CLIENT_SECRET";

impl OidcSettings {
    /// The identity provider, if one is set; `lost`: whether browsers reach the console at an
    /// address that no setting has.
    ///
    /// # Errors
    /// [`BadUsage`]: settings that go together are not given together; or the file of the
    /// secret cannot be read.
    pub fn openid(&self, lost: bool) -> anyhow::Result<Option<OpenIdSettings>> {
        let secret = match (secret_variable(VARIABLE)?, &self.oidc_client_secret_file) {
            (None, Some(path)) => Some(read_secret(path)?),
            (secret, _) => secret,
        };
        let wrong = |what: &str| Err(BadUsage(what.to_owned()).into());
        match (&self.oidc_issuer, &self.oidc_client_id) {
            (None, None) if secret.is_some() => wrong(
                "a client secret is set without oidc_issuer and oidc_client_id: set both, or \
                 remove the secret",
            ),
            (None, None) => Ok(None),
            (Some(_), Some(_)) if lost => wrong(
                "oidc_issuer: set console_url too, since admin_listen gives the console an address \
                 of its own",
            ),
            (Some(issuer), Some(client_id)) => Ok(Some(OpenIdSettings {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
                client_secret: secret,
                second_factor: self.oidc_second_factor,
            })),
            _ => wrong("oidc_issuer and oidc_client_id go together: give both, or neither"),
        }
    }
}
