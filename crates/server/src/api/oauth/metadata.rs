//! `/.well-known/oauth-authorization-server` (RFC 8414): what a client needs to know of the
//! server, so that it is configured with one address.

use super::{INTROSPECT, REVOKE, TOKEN, token::JWT_BEARER_GRANT};
use crate::{
    api::reply::{self, Reply},
    authority::signing_keys::JWKS_CACHE,
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

pub(super) const PATH: &str = "/.well-known/oauth-authorization-server";

/// Whether the metadata of this issuer is asked for at [`PATH`] and `/` and this text: it stands
/// between the host and the path of an issuer that has one (RFC 8414, section 3.1).
pub(super) fn is_path_of(issuer: &str, path: &str) -> bool {
    let host = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    host.split_once('/').is_some_and(|(_, own)| own == path)
}

/// How channels authenticate.
const METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// The algorithms of assertions.
const ASSERTIONS: [&str; 1] = ["RS256"];

/// The metadata of the server with this issuer.
pub fn metadata(issuer: &str) -> Reply {
    let at = |path: &str| format!("{issuer}{path}");
    let [basic, post, assertion] = METHODS;
    let body = json!({
        "issuer": issuer,
        "token_endpoint": at(TOKEN),
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTIONS,
        "grant_types_supported": ["client_credentials", JWT_BEARER_GRANT],
        // Required, and a list must not be empty, although there is no authorization endpoint.
        "response_types_supported": ["none"],
        "jwks_uri": at("/.well-known/jwks.json"),
        "introspection_endpoint": at(INTROSPECT),
        // The last is a verifier's token.
        "introspection_endpoint_auth_methods_supported": [basic, post, assertion, "Bearer"],
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTIONS,
        "introspection_signing_alg_values_supported": ["EdDSA"],
        "revocation_endpoint": at(REVOKE),
        "revocation_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTIONS,
    });
    let mut reply = reply::json(StatusCode::OK, body.to_string());
    let cache = format!("public, max-age={}", JWKS_CACHE.as_secs());
    if let Ok(cache) = HeaderValue::from_str(&cache) {
        reply.headers_mut().insert(header::CACHE_CONTROL, cache);
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::is_path_of;

    #[test]
    fn the_metadata_of_an_issuer_with_a_path_is_found_under_that_path_alone() {
        let issuer = "https://tokens.example.com/line/beta";
        assert!(is_path_of(issuer, "line/beta"));
        for other in ["", "line", "beta", "line/beta/"] {
            assert!(!is_path_of(issuer, other), "{other}");
        }
        assert!(!is_path_of("https://tokens.example.com", ""));
    }
}
