//! The exchange of an authorization code for an ID token (OpenID Connect Core 1.0, section
//! 3.1.3).

use super::{OpenId, OpenIdError, PATIENCE, discovery::DiscoveredProvider};
use base64::{Engine, engine::general_purpose::STANDARD};
use form_urlencoded::byte_serialize;
use reqwest::{
    Response,
    header::{self, HeaderValue},
};
use serde::Deserialize;

/// The longest response that is read, in bytes: it holds an access token, too.
const LONGEST: usize = 131_072;

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl OpenId {
    /// Exchanges a code. A provider accepts each code once.
    pub(super) async fn exchange(
        &self,
        provider: &DiscoveredProvider,
        code: &str,
        verifier: &str,
    ) -> Result<String, OpenIdError> {
        let unavailable = |why: String| {
            tracing::warn!(why, "the identity provider exchanges no code; passwords still sign in");
            OpenIdError::Unavailable
        };
        let to = &provider.token_endpoint;
        let http = tegata_system::http::client_for(to).timeout(PATIENCE).build();
        let http = http.map_err(|error| unavailable(error.to_string()))?;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let mut request = http.post(to.clone()).header(header::ACCEPT, "application/json");
        match &self.settings.client_secret {
            Some(secret) if provider.takes_basic => {
                request = request.header(header::AUTHORIZATION, self.basic(secret.reveal()));
            }
            Some(secret) => fields.extend([
                ("client_id", self.settings.client_id.as_str()),
                ("client_secret", secret.reveal()),
            ]),
            None => fields.push(("client_id", self.settings.client_id.as_str())),
        }
        let response = request.form(&fields).send().await;
        let response = response.map_err(|error| unavailable(error.without_url().to_string()))?;
        let status = response.status();
        let body = read(response).await.map_err(unavailable)?;
        if status.is_success() {
            let tokens: Result<Tokens, _> = serde_json::from_slice(&body);
            return tokens
                .map(|it| it.id_token)
                .map_err(|_| unavailable("its response has no ID token".to_owned()));
        }
        let error = serde_json::from_slice(&body).map(|it: Refused| it.error);
        // Of a code that was used, is expired or is from another flow.
        if error.as_deref().is_ok_and(|it| it == "invalid_grant") {
            tracing::warn!("the identity provider does not accept the code of a sign-in");
            return Err(OpenIdError::NotBegun);
        }
        let error: String = error.unwrap_or_default().chars().take(100).collect();
        Err(unavailable(format!("it answered {status}, error {error:?}")))
    }

    /// The client's credentials, each encoded first (RFC 6749, section 2.3.1).
    fn basic(&self, secret: &str) -> HeaderValue {
        let encoded = |it: &str| byte_serialize(it.as_bytes()).collect::<String>();
        let both = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret));
        let text = format!("Basic {}", STANDARD.encode(both));
        // Base64 is always a header's value.
        let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

/// The body of a response, unless it is too long.
async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let part = response.chunk().await.map_err(|error| error.without_url().to_string())?;
        let Some(part) = part else { return Ok(body) };
        if body.len() + part.len() > LONGEST {
            return Err(format!("its response is longer than {LONGEST} bytes"));
        }
        body.extend_from_slice(&part);
    }
}
