//! What a provider publishes about itself (OpenID Connect Discovery 1.0), and its keys.

use super::{OpenId, OpenIdError, PATIENCE, is_confidential};
use reqwest::Url;
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tegata_client::exchange::fetch;
use tegata_policy::openid::ProviderKeys;

/// The longest document that is read, in bytes.
const LONGEST: usize = 262_144;
/// How long the documents are used without a look at the provider.
const FRESH: Duration = Duration::from_secs(3_600);
/// How long they are used while the provider cannot be reached.
const USABLE: Duration = Duration::from_secs(24 * 3_600);
/// How long no request is made after one that failed, or after one for new keys.
const PAUSE: Duration = Duration::from_secs(10);

/// What is known of the provider.
#[derive(Default)]
pub struct KnownProvider {
    found: Option<(Instant, Arc<DiscoveredProvider>)>,
    /// When the last request failed.
    failed: Option<Instant>,
}

/// A provider's endpoints and keys.
#[derive(Debug)]
pub struct DiscoveredProvider {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// Whether it takes the client's secret in the `Authorization` header.
    pub takes_basic: bool,
    /// Whether its responses name it (RFC 9207).
    pub names_itself: bool,
    pub keys: ProviderKeys,
}

/// The document, those members that are used.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl KnownProvider {
    /// What is known, if it is fresh; else fetched.
    pub async fn current(
        &mut self,
        openid: &OpenId,
        now: Instant,
    ) -> Result<Arc<DiscoveredProvider>, OpenIdError> {
        match &self.found {
            Some((at, found)) if now.saturating_duration_since(*at) < FRESH => Ok(found.clone()),
            _ => self.fetched(openid, now).await,
        }
    }

    /// Fetched, unless that was just done.
    pub async fn refreshed(
        &mut self,
        openid: &OpenId,
        now: Instant,
    ) -> Result<Arc<DiscoveredProvider>, OpenIdError> {
        match &self.found {
            Some((at, found)) if now.saturating_duration_since(*at) < PAUSE => Ok(found.clone()),
            _ => self.fetched(openid, now).await,
        }
    }

    async fn fetched(
        &mut self,
        openid: &OpenId,
        now: Instant,
    ) -> Result<Arc<DiscoveredProvider>, OpenIdError> {
        let is_over = |it: Instant| now.saturating_duration_since(it) >= PAUSE;
        if self.failed.is_none_or(is_over) {
            match discover(openid).await {
                Ok(found) => {
                    let found = Arc::new(found);
                    *self = Self { found: Some((now, found.clone())), failed: None };
                    return Ok(found);
                }
                Err(why) => {
                    tracing::warn!(issuer = %openid.issuer, why,
                        "the identity provider cannot be used; passwords still sign in");
                    self.failed = Some(now);
                }
            }
        }
        let old = self.found.as_ref().filter(|it| now.saturating_duration_since(it.0) < USABLE);
        old.map(|it| it.1.clone()).ok_or(OpenIdError::Unavailable)
    }
}

/// Fetches metadata and keys. The error is for the log.
async fn discover(openid: &OpenId) -> Result<DiscoveredProvider, String> {
    let issuer = openid.settings.issuer.as_str();
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = fetch(&address, PATIENCE, LONGEST).await;
    let document = document.map_err(|error| format!("{address}: {error}"))?;
    let it: Metadata =
        serde_json::from_slice(&document).map_err(|error| format!("{address}: {error}"))?;
    // Else one provider could stand in for another.
    if it.issuer != issuer {
        let named: String = it.issuer.chars().take(200).collect();
        return Err(format!(
            "{address}: its issuer is {named:?}; configure exactly that, or another"
        ));
    }
    let endpoint = |url: &str| {
        // On loopback only if the issuer is there, too: a provider elsewhere must not make this
        // server ask its own machine.
        let fits = |it: &Url| {
            is_confidential(it) && (it.scheme() == "https" || openid.issuer.scheme() == "http")
        };
        let url = Url::parse(url).ok().filter(fits);
        url.ok_or_else(|| format!("{address}: an endpoint is not an https URL"))
    };
    let authorization_endpoint = endpoint(&it.authorization_endpoint)?;
    let (token_endpoint, jwks_uri) = (endpoint(&it.token_endpoint)?, endpoint(&it.jwks_uri)?);
    let keys = fetch(jwks_uri.as_str(), PATIENCE, LONGEST).await;
    let keys = keys.map_err(|error| format!("{jwks_uri}: {error}"))?;
    let keys = ProviderKeys::parse(&keys);
    let methods = it.token_endpoint_auth_methods_supported;
    Ok(DiscoveredProvider {
        keys: keys.ok_or_else(|| format!("{jwks_uri}: it is not a JWK set"))?,
        authorization_endpoint,
        token_endpoint,
        // It is the default.
        takes_basic: methods.is_none_or(|all| all.iter().any(|it| it == "client_secret_basic")),
        names_itself: it.authorization_response_iss_parameter_supported,
    })
}
