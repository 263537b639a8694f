//! The JWT by which a channel authenticates (RFC 7523, section 2.2, as LINE narrows it:
//! "Issue channel access tokens v2.1").
//!
//! Nothing in the assertion controls how it is verified. The algorithm is RS256; the key
//! is one that was registered for the channel; headers that carry or refer to a key
//! (`jwk`, `jku`, `x5u`, `x5c`) are never read.

use crate::{jwk::AssertionKey, secret::sha256, strict_json};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use std::fmt;
use tegata_token::{
    id::{AssertionKeyId, ChannelId},
    time::UnixTime,
    wire::LONGEST,
};

/// The rule that an assertion breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAssertion {
    /// Not a compact JWS of JSON header and JSON claims.
    #[error(
        "client_assertion is not a JWT: three parts of base64url, header and claims being JSON objects without repeated members"
    )]
    Shape,
    /// Longer than the maximum.
    #[error("client_assertion is longer than 8192 bytes")]
    TooLong,
    /// `alg`.
    #[error("Invalid alg: must be RS256")]
    Algorithm,
    /// `typ`.
    #[error("Invalid typ: must be JWT")]
    Type,
    /// `crit`.
    #[error("Invalid crit: critical header parameters are not supported")]
    Critical,
    /// `kid` is absent or not a string.
    #[error("Invalid kid: must be the id of the assertion signing key, a string")]
    KeyId,
    /// `iss`.
    #[error("Invalid iss: must be the channel ID, a string")]
    Issuer,
    /// `sub`.
    #[error("Invalid sub: must be the channel ID, the same as iss")]
    Subject,
    /// `aud`.
    #[error("Invalid aud: must be one string, https://api.line.me/ or this server's address")]
    Audience,
    /// `exp` is in the past. LINE's own words.
    #[error("Invalid exp")]
    Expired,
    /// `exp` is not a whole number.
    #[error("Invalid exp: must be a whole number, seconds since 1970")]
    ExpiryType,
    /// `exp` is too far ahead.
    #[error("Invalid exp: must be at most 30 minutes ahead")]
    ExpiryTooFar,
    /// `nbf`.
    #[error("Invalid nbf: must be a number, not in the future")]
    NotBefore,
    /// `token_exp`.
    #[error("Invalid token_exp: must be a whole number of seconds from 1 to 2592000")]
    TokenExpiry,
    /// The signature is not by the registered key.
    #[error("Invalid signature: it does not verify with the registered key")]
    Signature,
}

/// Maximum time from now to `exp`, in seconds.
const LONGEST_LIFE: i64 = 30 * 60;
/// Leeway for a client whose clock is fast, in seconds.
const LEEWAY: i64 = 60;
/// The `aud` of LINE's samples, and so of a client that uses LINE's SDK with this server.
const LINE_AUDIENCE: &str = "https://api.line.me/";

/// An assertion as it was received. Its claims are not trusted before [`verify`].
///
/// [`verify`]: UnverifiedAssertion::verify
#[derive(Clone)]
pub struct UnverifiedAssertion {
    channel: ChannelId,
    key: String,
    claims: Map<String, Value>,
    jws: Jws,
}

/// An assertion whose signature and claims are valid.
#[derive(Debug, Clone, Copy)]
pub struct Assertion {
    /// The registered key that signed it.
    pub key: AssertionKeyId,
    /// Its `exp`.
    pub expires_at: UnixTime,
    /// Identifies the assertion, for channels that accept each one once: the SHA-256 of
    /// its key and its `jti`, or of its signed part if it has no `jti`. The key is
    /// included, since the key of another group may use the same `jti`.
    pub fingerprint: [u8; 32],
}

/// The accepted `aud` values.
#[derive(Debug, Clone)]
pub struct Audience {
    public_url: String,
}

impl Audience {
    /// The audience of the server whose public address is `public_url`.
    #[must_use]
    pub fn of(public_url: &str) -> Self {
        Self { public_url: public_url.trim_end_matches('/').to_owned() }
    }

    fn includes(&self, aud: &str, only_own: bool) -> bool {
        aud.strip_suffix('/').unwrap_or(aud) == self.public_url
            || (!only_own && aud == LINE_AUDIENCE)
    }
}

impl UnverifiedAssertion {
    /// Parses the assertion, including the `iss` and `kid` that select the key to verify
    /// it with.
    ///
    /// # Errors
    /// The first rule of form that it violates.
    pub fn parse(text: &str) -> Result<Self, BadAssertion> {
        let jws = Jws::parse(text)?;
        if jws.header.get("typ").is_none_or(|typ| typ != "JWT") {
            return Err(BadAssertion::Type);
        }
        let key = jws.kid().ok_or(BadAssertion::KeyId)?.to_owned();
        let claims = strict_json::object(&jws.payload).map_err(|_| BadAssertion::Shape)?;
        let channel = claims.get("iss").and_then(Value::as_str);
        let channel = channel.and_then(|iss| iss.parse().ok()).ok_or(BadAssertion::Issuer)?;
        Ok(Self { channel, key, claims, jws })
    }

    /// The channel that it claims to be from (`iss`).
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// The key that it claims to be signed with (`kid`); any string, as sent.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Verifies claims and signature. `key` was looked up by the channel and `kid` that
    /// the assertion names.
    ///
    /// # Errors
    /// The first rule that it violates. The cheap rules come first, so that an invalid
    /// assertion costs no cryptography.
    pub fn verify(
        &self,
        id: AssertionKeyId,
        key: &AssertionKey,
        audience: &Audience,
        only_own_audience: bool,
        now: UnixTime,
    ) -> Result<Assertion, BadAssertion> {
        let claim = |name| self.claims.get(name);
        if claim("sub").and_then(Value::as_str) != claim("iss").and_then(Value::as_str) {
            return Err(BadAssertion::Subject);
        }
        let aud = claim("aud").and_then(Value::as_str).ok_or(BadAssertion::Audience)?;
        if !audience.includes(aud, only_own_audience) {
            return Err(BadAssertion::Audience);
        }
        let expires_at = claim("exp").and_then(Value::as_i64).map(UnixTime);
        let expires_at = expires_at.ok_or(BadAssertion::ExpiryType)?;
        if expires_at <= now {
            return Err(BadAssertion::Expired);
        }
        if expires_at > now.plus(LONGEST_LIFE + LEEWAY) {
            return Err(BadAssertion::ExpiryTooFar);
        }
        if let Some(nbf) = claim("nbf") {
            let nbf = nbf.as_f64().ok_or(BadAssertion::NotBefore)?;
            // Seconds of this era fit a double without loss.
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            if nbf > now.plus(LEEWAY).0 as f64 {
                return Err(BadAssertion::NotBefore);
            }
        }
        if !self.jws.verify(key) {
            return Err(BadAssertion::Signature);
        }
        let fingerprint = match claim("jti") {
            Some(Value::String(jti)) => sha256(&[b"jti ", &id.0, jti.as_bytes()]),
            _ => sha256(&[b"jws ", self.jws.message.as_bytes()]),
        };
        Ok(Assertion { key: id, expires_at, fingerprint })
    }

    /// The requested lifetime of a v2.1 token (`token_exp`), in seconds from 1 to
    /// `longest`. Only v2.1 issuing reads it.
    ///
    /// # Errors
    /// Absent, not a whole number, or out of range.
    pub fn token_lifetime(&self, longest: i64) -> Result<i64, BadAssertion> {
        let life = self.claims.get("token_exp").and_then(Value::as_i64);
        life.filter(|life| (1..=longest).contains(life)).ok_or(BadAssertion::TokenExpiry)
    }
}

impl fmt::Debug for UnverifiedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An assertion is a credential until it expires.
        write!(f, "UnverifiedAssertion(channel {})", self.channel)
    }
}

/// Returns the payload of a compact JWS (RFC 7515, section 7.1), if its header names
/// RS256 and the signature is by the only one of `keys` that has its `kid`. This is how
/// an assertion is verified up to its claims; test vectors whose payloads are not claims
/// can be run against it.
#[must_use]
pub fn verify_compact(jws: &str, keys: &[(&str, &AssertionKey)]) -> Option<Vec<u8>> {
    let jws = Jws::parse(jws).ok()?;
    let kid = jws.kid()?;
    let mut named = keys.iter().filter(|(name, _)| *name == kid);
    let (Some((_, key)), None) = (named.next(), named.next()) else {
        return None;
    };
    jws.verify(key).then_some(jws.payload)
}

/// A compact JWS (RFC 7515, section 7.1) whose header names RS256.
#[derive(Clone)]
struct Jws {
    header: Map<String, Value>,
    payload: Vec<u8>,
    message: String,
    signature: Vec<u8>,
}

impl Jws {
    fn parse(text: &str) -> Result<Self, BadAssertion> {
        if text.len() > LONGEST {
            return Err(BadAssertion::TooLong);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadAssertion::Shape);
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadAssertion::Shape);
        let header = strict_json::object(&decode(header)?).map_err(|_| BadAssertion::Shape)?;
        if header.get("alg").is_none_or(|alg| alg != "RS256") {
            return Err(BadAssertion::Algorithm);
        }
        if header.contains_key("crit") {
            return Err(BadAssertion::Critical);
        }
        let message = text[..text.len() - signature.len() - 1].to_owned();
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Ok(Self { header, payload, message, signature })
    }

    fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    fn verify(&self, key: &AssertionKey) -> bool {
        key.verifies(self.message.as_bytes(), &self.signature)
    }
}
