//! The JWT by which a channel authenticates (RFC 7523, section 2.2, as LINE narrows it:
//! "Issue channel access tokens v2.1").
//!
//! Nothing in the assertion controls how it is verified. The algorithm is RS256; the key
//! is one that was registered for the channel; headers that carry or refer to a key
//! (`jwk`, `jku`, `x5u`, `x5c`) are never read.

use crate::{
    jwk::AssertionKey,
    secret::sha256,
    strict_json::{self, Member},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{fmt, sync::Arc};
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

/// An assertion as it was received. Its claims are not trusted before [`verify`]. Cheap to
/// clone.
///
/// [`verify`]: UnverifiedAssertion::verify
#[derive(Clone)]
pub struct UnverifiedAssertion(Arc<Received>);

struct Received {
    channel: ChannelId,
    key: String,
    claims: AssertionClaims,
    signed: Signed,
}

/// What the rules need of the claims other than `iss`. A claim that is absent and one of
/// another type differ for `nbf` alone.
#[derive(Default)]
struct AssertionClaims {
    /// Whether `sub` is the same string as `iss`.
    is_own_subject: bool,
    audience: Option<String>,
    expires_at: Option<i64>,
    not_before: Option<Option<f64>>,
    token_lifetime: Option<i64>,
    jti: Option<String>,
}

impl AssertionClaims {
    /// Reads the claims, and the channel that `iss` names.
    fn parse(payload: &[u8]) -> Result<(ChannelId, Self), BadAssertion> {
        let (mut iss, mut sub) = (None, None);
        let mut claims = Self::default();
        strict_json::members(payload, |name, value| match (name, value) {
            ("iss", Member::Text(text)) => iss = Some(text),
            ("sub", Member::Text(text)) => sub = Some(text),
            ("aud", Member::Text(text)) => claims.audience = Some(text.into_owned()),
            ("jti", Member::Text(text)) => claims.jti = Some(text.into_owned()),
            ("exp", Member::Number(number)) => claims.expires_at = number.as_i64(),
            ("token_exp", Member::Number(number)) => claims.token_lifetime = number.as_i64(),
            ("nbf", Member::Number(number)) => claims.not_before = Some(number.as_f64()),
            ("nbf", _) => claims.not_before = Some(None),
            _ => {}
        })
        .map_err(|_| BadAssertion::Shape)?;
        claims.is_own_subject = sub == iss;
        let channel = iss.and_then(|iss| iss.parse().ok()).ok_or(BadAssertion::Issuer)?;
        Ok((channel, claims))
    }
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
        let Jws { is_jwt, kid, payload, signed } = Jws::parse(text)?;
        if !is_jwt {
            return Err(BadAssertion::Type);
        }
        let key = kid.ok_or(BadAssertion::KeyId)?;
        let (channel, claims) = AssertionClaims::parse(&payload)?;
        Ok(Self(Arc::new(Received { channel, key, claims, signed })))
    }

    /// The channel that it claims to be from (`iss`).
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.0.channel
    }

    /// The key that it claims to be signed with (`kid`); any string, as sent.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
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
        let Received { claims, signed, .. } = &*self.0;
        if !claims.is_own_subject {
            return Err(BadAssertion::Subject);
        }
        let aud = claims.audience.as_deref().ok_or(BadAssertion::Audience)?;
        if !audience.includes(aud, only_own_audience) {
            return Err(BadAssertion::Audience);
        }
        let expires_at = claims.expires_at.map(UnixTime).ok_or(BadAssertion::ExpiryType)?;
        if expires_at <= now {
            return Err(BadAssertion::Expired);
        }
        if expires_at > now.plus(LONGEST_LIFE + LEEWAY) {
            return Err(BadAssertion::ExpiryTooFar);
        }
        if let Some(nbf) = claims.not_before {
            let nbf = nbf.ok_or(BadAssertion::NotBefore)?;
            // Seconds of this era fit a double without loss.
            #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
            if nbf > now.plus(LEEWAY).0 as f64 {
                return Err(BadAssertion::NotBefore);
            }
        }
        if !signed.verify(key) {
            return Err(BadAssertion::Signature);
        }
        let fingerprint = match &claims.jti {
            Some(jti) => sha256(&[b"jti ", &id.0, jti.as_bytes()]),
            None => sha256(&[b"jws ", signed.message.as_bytes()]),
        };
        Ok(Assertion { key: id, expires_at, fingerprint })
    }

    /// The requested lifetime of a v2.1 token (`token_exp`), in seconds from 1 to
    /// `longest`. Only v2.1 issuing reads it.
    ///
    /// # Errors
    /// Absent, not a whole number, or out of range.
    pub fn token_lifetime(&self, longest: i64) -> Result<i64, BadAssertion> {
        let life = self.0.claims.token_lifetime;
        life.filter(|life| (1..=longest).contains(life)).ok_or(BadAssertion::TokenExpiry)
    }
}

impl fmt::Debug for UnverifiedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An assertion is a credential until it expires.
        write!(f, "UnverifiedAssertion(channel {})", self.0.channel)
    }
}

/// Returns the payload of a compact JWS (RFC 7515, section 7.1), if its header names
/// RS256 and the signature is by the only one of `keys` that has its `kid`. This is how
/// an assertion is verified up to its claims; test vectors whose payloads are not claims
/// can be run against it.
#[must_use]
pub fn verify_compact(jws: &str, keys: &[(&str, &AssertionKey)]) -> Option<Vec<u8>> {
    let jws = Jws::parse(jws).ok()?;
    let kid = jws.kid.as_deref()?;
    let mut named = keys.iter().filter(|(name, _)| *name == kid);
    let (Some((_, key)), None) = (named.next(), named.next()) else {
        return None;
    };
    jws.signed.verify(key).then_some(jws.payload)
}

/// A compact JWS (RFC 7515, section 7.1) whose header names RS256.
struct Jws {
    /// Whether `typ` is JWT.
    is_jwt: bool,
    kid: Option<String>,
    payload: Vec<u8>,
    signed: Signed,
}

/// What is signed, and its signature.
struct Signed {
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
        let header = decode(header)?;
        let (mut is_rs256, mut is_jwt, mut has_crit, mut kid) = (false, false, false, None);
        strict_json::members(&header, |name, value| match (name, value) {
            ("alg", Member::Text(alg)) => is_rs256 = alg == "RS256",
            ("typ", Member::Text(typ)) => is_jwt = typ == "JWT",
            ("kid", Member::Text(text)) => kid = Some(text.into_owned()),
            ("crit", _) => has_crit = true,
            _ => {}
        })
        .map_err(|_| BadAssertion::Shape)?;
        if !is_rs256 {
            return Err(BadAssertion::Algorithm);
        }
        if has_crit {
            return Err(BadAssertion::Critical);
        }
        let message = text[..text.len() - signature.len() - 1].to_owned();
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Ok(Self { is_jwt, kid, payload, signed: Signed { message, signature } })
    }
}

impl Signed {
    fn verify(&self, key: &AssertionKey) -> bool {
        key.verifies(self.message.as_bytes(), &self.signature)
    }
}
