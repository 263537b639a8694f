//! Signing in by an identity provider: OpenID Connect's authorization code flow with PKCE.
//!
//! The server keeps nothing while a person is at the provider. What it must know afterwards
//! is in a ticket, encrypted with the master key, that the browser keeps as a cookie: so any
//! server of the store can complete the flow, and only in the browser that began it.

mod discovery;
mod exchange;
pub mod ticket;

use crate::authority::{openid_settings::OpenIdSettings, random};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use discovery::{DiscoveredProvider, KnownProvider};
use reqwest::Url;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_policy::{
    openid::{BadIdToken, ExpectedIdToken, IdTokenFacts},
    secret::sha256,
};
use tegata_token::time::UnixTime;
use ticket::{Asked, Purpose};
use tokio::sync::Mutex;

/// A response of the provider that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The path of the console that the provider sends browsers back to.
const RETURN: &str = "/console/sign-in/identity/return";

/// Why a sign-in by the identity provider does not succeed. Each is logged with its details,
/// which no page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenIdError {
    /// The browser did not begin this sign-in, or too long ago.
    #[error("this browser has not begun this sign-in, or too long ago")]
    NotBegun,
    /// The person or the provider has declined.
    #[error("the identity provider has not signed the person in")]
    Declined,
    /// The provider cannot be reached, or answers with an error or with nothing of use.
    #[error("the identity provider cannot be used at the moment")]
    Unavailable,
    /// The ID token is not one for this sign-in.
    #[error("the identity provider's response is not valid")]
    Invalid,
}

/// What the provider sent back with the browser.
#[derive(Debug, Default, Clone, Copy)]
pub struct Returned<'a> {
    /// `state`, as it was sent.
    pub state: Option<&'a str>,
    /// The authorization code.
    pub code: Option<&'a str>,
    /// The provider's own name (RFC 9207).
    pub iss: Option<&'a str>,
    /// Why there is no code.
    pub error: Option<&'a str>,
}

/// The configured identity provider.
pub struct OpenId {
    settings: OpenIdSettings,
    /// Where the provider sends browsers back to.
    redirect_uri: String,
    /// The issuer, where the provider's documents are.
    issuer: Url,
    known: Mutex<KnownProvider>,
}

impl OpenId {
    /// The provider of these settings, for the console at `console_url`. Nothing is requested of
    /// it before the first sign-in.
    ///
    /// # Errors
    /// What is wrong with the settings, in words.
    pub fn new(settings: OpenIdSettings, console_url: &str) -> Result<Self, &'static str> {
        let issuer = Url::parse(&settings.issuer).ok().filter(is_confidential);
        let issuer = issuer.filter(|it| it.query().is_none() && it.fragment().is_none());
        let issuer = issuer.ok_or(
            "the issuer must be an https URL without a query, exactly as the provider writes it; \
             http is for a provider on loopback alone",
        )?;
        let console = Url::parse(console_url).ok().filter(is_confidential).and_then(|it| {
            // The console is at the root of its address.
            it.join(RETURN).ok()
        });
        let redirect_uri = console.ok_or(
            "browsers must reach the console by https, or on loopback: set --console-url to \
             the address that they use",
        )?;
        let redirect_uri = redirect_uri.into();
        Ok(Self { settings, redirect_uri, issuer, known: Mutex::default() })
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &OpenIdSettings {
        &self.settings
    }

    /// Whether browsers reach the console by https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.redirect_uri.starts_with("https://")
    }

    /// Begins a flow: the address to send the browser to, and what must be known when it
    /// returns.
    ///
    /// # Errors
    /// [`OpenIdError::Unavailable`].
    pub async fn begin(
        &self,
        purpose: Purpose,
        next: String,
        (now, steady): (UnixTime, Instant),
    ) -> Result<(Url, Asked), OpenIdError> {
        let provider = self.provider(steady).await?;
        let random = || -> Result<String, OpenIdError> {
            let bytes = random::bytes::<32>().map_err(|_| OpenIdError::Unavailable)?;
            Ok(URL_SAFE_NO_PAD.encode(bytes))
        };
        let asked = Asked {
            state: random()?,
            nonce: random()?,
            verifier: random()?,
            next,
            purpose,
            until: now.plus(ticket::AWAY),
        };
        let mut to = provider.authorization_endpoint.clone();
        let challenge = URL_SAFE_NO_PAD.encode(sha256(&[asked.verifier.as_bytes()]));
        to.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", "openid profile email")
            .append_pair("state", &asked.state)
            .append_pair("nonce", &asked.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((to, asked))
    }

    /// Completes a flow: exchanges the code, and verifies the ID token.
    ///
    /// # Errors
    /// [`OpenIdError`].
    pub async fn complete(
        &self,
        asked: &Asked,
        returned: Returned<'_>,
        (now, steady): (UnixTime, Instant),
    ) -> Result<IdTokenFacts, OpenIdError> {
        if returned.state != Some(asked.state.as_str()) {
            return Err(OpenIdError::NotBegun);
        }
        let provider = self.provider(steady).await?;
        // A response of another provider must not be sent to this one (RFC 9207).
        let is_its_own = match returned.iss {
            Some(iss) => iss == self.settings.issuer,
            None => !provider.names_itself,
        };
        if !is_its_own {
            tracing::warn!("a response for the sign-in names another identity provider");
            return Err(OpenIdError::Invalid);
        }
        let Some(code) = returned.code else {
            let error = returned.error.unwrap_or("neither a code nor an error");
            let error: String = error.chars().take(100).collect();
            tracing::info!(error, "the identity provider has not signed a person in");
            return Err(OpenIdError::Declined);
        };
        let token = self.exchange(&provider, code, &asked.verifier).await?;
        let expected = ExpectedIdToken {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &asked.nonce,
        };
        let verified = match provider.keys.verify(&token, expected, now) {
            // The provider may have begun to sign with a new key.
            Err(BadIdToken::UnknownKey) => {
                let provider = self.provider_again(steady).await?;
                provider.keys.verify(&token, expected, now)
            }
            verified => verified,
        };
        verified.map_err(|error| {
            tracing::warn!(%error, "an ID token of the identity provider is rejected");
            OpenIdError::Invalid
        })
    }
}

/// Whether what is sent to an address can be read only there.
fn is_confidential(url: &Url) -> bool {
    let is_plain_loopback = url.scheme() == "http" && tegata_system::http::is_this_machine(url);
    let has_credentials = !url.username().is_empty() || url.password().is_some();
    (url.scheme() == "https" || is_plain_loopback) && !has_credentials
}

impl OpenId {
    /// The provider's metadata and keys, at most an hour old; up to a day if the provider
    /// cannot be reached.
    async fn provider(&self, steady: Instant) -> Result<Arc<DiscoveredProvider>, OpenIdError> {
        self.known.lock().await.current(self, steady).await
    }

    /// The same, fetched again unless that was just done.
    async fn provider_again(
        &self,
        steady: Instant,
    ) -> Result<Arc<DiscoveredProvider>, OpenIdError> {
        self.known.lock().await.refreshed(self, steady).await
    }
}

#[cfg(test)]
mod tests;
