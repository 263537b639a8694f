//! The settings of the identity provider, also in a program that is built without it.

use std::fmt;
use tegata_policy::secret::PlainSecret;

/// The identity provider by which people sign in to the console (OpenID Connect).
#[derive(Clone)]
pub struct OpenIdSettings {
    /// The provider: `iss` of its ID tokens, exactly.
    pub issuer: String,
    /// This server's id at the provider.
    pub client_id: String,
    /// The secret shared with the provider, of a client that has one.
    pub client_secret: Option<PlainSecret>,
    /// Who asks for a second factor.
    pub second_factor: SecondFactorFrom,
}

impl fmt::Debug for OpenIdSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenId({})", self.issuer)
    }
}

/// Who asks for a second factor when a person signs in by an identity provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecondFactorFrom {
    /// Tegata: the code that it asks for after a password, too.
    #[default]
    Tegata,
    /// The identity provider alone.
    IdentityProvider,
}
