//! The JWT by which a channel authenticates (RFC 7523, section 2.2) or which is its grant
//! (section 2.1). On LINE's operations it follows LINE's page ("Issue channel access tokens
//! v2.1"), which narrows the standard; [`AssertionRules`] has the differences.
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
use serde_json::Number;
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
        "the assertion is not a JWT: three parts of base64url, header and claims being JSON objects without repeated members"
    )]
    Shape,
    /// Longer than the maximum.
    #[error("the assertion is longer than 8192 bytes")]
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
    /// `kid` is absent where it is required, or not a string.
    #[error("Invalid kid: must be the id of the assertion signing key, a string")]
    KeyId,
    /// `iss`.
    #[error("Invalid iss: must be the channel ID, a string")]
    Issuer,
    /// `sub`.
    #[error("Invalid sub: must be the channel ID, the same as iss")]
    Subject,
    /// `aud`.
    #[error("Invalid aud: must be {}", .0.audiences())]
    Audience(AssertionRules),
    /// `exp` is in the past. LINE's own words.
    #[error("Invalid exp")]
    Expired,
    /// `exp` is not a whole number.
    #[error("Invalid exp: must be a whole number, seconds since 1970")]
    ExpiryType,
    /// `exp` is too far ahead.
    #[error("Invalid exp: must be at most {} minutes ahead", .0.longest_life() / 60)]
    ExpiryTooFar(AssertionRules),
    /// `nbf`.
    #[error("Invalid nbf: must be a number, not in the future")]
    NotBefore,
    /// `token_exp`.
    #[error("Invalid token_exp: must be a whole number of seconds from 1 to 2592000")]
    TokenExpiry,
    /// The `token_exp` of the assertion is not that of the request.
    #[error("Invalid token_exp: that of the assertion and that of the form differ; leave one out")]
    TokenExpiriesDiffer,
    /// The signature is not by the registered key.
    #[error("Invalid signature: it does not verify with the registered key")]
    Signature,
}

/// The rules by which an assertion is verified, where LINE's page and RFC 7523 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionRules {
    /// LINE's page: `typ` and `kid` are required, `aud` is one string, `exp` a whole number at
    /// most 30 minutes ahead.
    Line,
    /// RFC 7523: `typ` and `kid` can be absent, `aud` can be an array and names this server or
    /// one of its [`OAUTH_PATHS`], `exp` can have a fraction and be 60 minutes ahead.
    OAuth,
    /// The same with LINE's `aud` too: of operations that issue no token, on which the
    /// assertions of LINE's clients and those of OAuth's are accepted.
    OAuthOrLine,
}

/// The paths whose addresses an assertion can name as `aud` (RFC 7523, section 3): the
/// endpoints at which an OAuth client authenticates.
pub const OAUTH_PATHS: [&str; 3] = ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"];

impl AssertionRules {
    /// Maximum time from now to `exp`, in seconds.
    const fn longest_life(self) -> i64 {
        match self {
            Self::Line => 30 * 60,
            Self::OAuth | Self::OAuthOrLine => 60 * 60,
        }
    }

    /// What `aud` must be, for the error.
    const fn audiences(self) -> &'static str {
        match self {
            Self::Line => "one string, https://api.line.me/ or this server's address",
            Self::OAuth | Self::OAuthOrLine => {
                "this server's issuer or the URL of the endpoint, or an array with one of them"
            }
        }
    }

    fn is_line(self) -> bool {
        self == Self::Line
    }
}

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
    rules: AssertionRules,
    channel: ChannelId,
    key: Option<String>,
    claims: AssertionClaims,
    signed: Signed,
}

/// What the rules need of the claims other than `iss`. A claim that is absent and one of
/// another type differ for `nbf` and `token_exp` alone.
#[derive(Default)]
struct AssertionClaims {
    /// Whether `sub` is the same string as `iss`.
    is_own_subject: bool,
    audience: Option<ClaimedAudience>,
    expires_at: Option<Number>,
    not_before: Option<Option<f64>>,
    token_lifetime: Option<Option<i64>>,
    jti: Option<String>,
}

/// The `aud` of an assertion: an array of one string is not the same as a string.
enum ClaimedAudience {
    One(String),
    Many(Vec<String>),
}

impl AssertionClaims {
    /// Reads the claims, and the channel that `iss` names.
    fn parse(payload: &[u8]) -> Result<(ChannelId, Self), BadAssertion> {
        let (mut iss, mut sub) = (None, None);
        let mut claims = Self::default();
        strict_json::members(payload, |name, value| match (name, value) {
            ("iss", Member::Text(text)) => iss = Some(text),
            ("sub", Member::Text(text)) => sub = Some(text),
            ("aud", Member::Text(text)) => {
                claims.audience = Some(ClaimedAudience::One(text.into_owned()));
            }
            ("aud", Member::Texts(texts)) => claims.audience = Some(ClaimedAudience::Many(texts)),
            ("jti", Member::Text(text)) => claims.jti = Some(text.into_owned()),
            ("exp", Member::Number(number)) => claims.expires_at = Some(number),
            ("token_exp", Member::Number(number)) => {
                claims.token_lifetime = Some(number.as_i64());
            }
            ("token_exp", _) => claims.token_lifetime = Some(None),
            ("nbf", Member::Number(number)) => claims.not_before = Some(number.as_f64()),
            ("nbf", _) => claims.not_before = Some(None),
            _ => {}
        })
        .map_err(|_| BadAssertion::Shape)?;
        claims.is_own_subject = sub == iss;
        let channel = iss.and_then(|iss| iss.parse().ok()).ok_or(BadAssertion::Issuer)?;
        Ok((channel, claims))
    }

    /// `exp` in whole seconds; by RFC 7519 (section 2, "NumericDate") it can have a fraction.
    fn expires_at(&self, rules: AssertionRules) -> Option<UnixTime> {
        let number = self.expires_at.as_ref()?;
        let exact = number.as_f64().filter(|it| !rules.is_line() && it.abs() < 1e15);
        #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 10^15 fit")]
        let whole = exact.map(|it| it.floor() as i64);
        number.as_i64().or(whole).map(UnixTime)
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

    /// Whether an assertion with this `aud` is meant for this server.
    fn includes(&self, aud: &ClaimedAudience, rules: AssertionRules, only_own: bool) -> bool {
        let is_this = |aud: &String| {
            let own = aud.strip_suffix('/').unwrap_or(aud);
            let path = aud.strip_prefix(&self.public_url).filter(|_| !rules.is_line());
            own == self.public_url || path.is_some_and(|it| OAUTH_PATHS.contains(&it))
        };
        let line_too = rules != AssertionRules::OAuth && !only_own;
        match aud {
            ClaimedAudience::One(one) => is_this(one) || (line_too && one == LINE_AUDIENCE),
            ClaimedAudience::Many(all) => !rules.is_line() && all.iter().any(is_this),
        }
    }
}

impl UnverifiedAssertion {
    /// Parses the assertion, including the `iss` and `kid` that select the key to verify
    /// it with. It will be verified by `rules`.
    ///
    /// # Errors
    /// The first rule of form that it violates.
    pub fn parse(text: &str, rules: AssertionRules) -> Result<Self, BadAssertion> {
        let Jws { typ, kid, payload, signed } = Jws::parse(text)?;
        match typ {
            Some(Some(typ)) if typ == "JWT" => {}
            None if !rules.is_line() => {}
            _ => return Err(BadAssertion::Type),
        }
        let key = kid.map(|kid| kid.ok_or(BadAssertion::KeyId)).transpose()?;
        if key.is_none() && rules.is_line() {
            return Err(BadAssertion::KeyId);
        }
        let (channel, claims) = AssertionClaims::parse(&payload)?;
        Ok(Self(Arc::new(Received { rules, channel, key, claims, signed })))
    }

    /// The channel that it claims to be from (`iss`).
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.0.channel
    }

    /// The key that it claims to be signed with (`kid`): any string, as sent. `None`: it names
    /// none, and a key of the channel at large must have signed it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Verifies claims and signature. `key` was looked up by the channel and `kid` that
    /// the assertion names; without a `kid` it is one of those that may have signed it.
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
        let Received { rules, claims, signed, .. } = &*self.0;
        let rules = *rules;
        if !claims.is_own_subject {
            return Err(BadAssertion::Subject);
        }
        let includes = |aud| audience.includes(aud, rules, only_own_audience);
        if !claims.audience.as_ref().is_some_and(includes) {
            return Err(BadAssertion::Audience(rules));
        }
        let expires_at = claims.expires_at(rules).ok_or(BadAssertion::ExpiryType)?;
        if expires_at <= now {
            return Err(BadAssertion::Expired);
        }
        if expires_at > now.plus(rules.longest_life() + LEEWAY) {
            return Err(BadAssertion::ExpiryTooFar(rules));
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
    /// `longest`: the assertion's, or the one `requested` otherwise. Only v2.1
    /// issuing reads it.
    ///
    /// # Errors
    /// Absent, not a whole number, out of range, or two that differ.
    pub fn token_lifetime(
        &self,
        requested: Option<i64>,
        longest: i64,
    ) -> Result<i64, BadAssertion> {
        let life = match (self.0.claims.token_lifetime, requested) {
            (Some(Some(own)), Some(other)) if own != other => {
                return Err(BadAssertion::TokenExpiriesDiffer);
            }
            (Some(own), _) => own,
            (None, requested) => requested,
        };
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
    let kid = jws.kid.as_ref()?.as_deref()?;
    let mut named = keys.iter().filter(|(name, _)| *name == kid);
    let (Some((_, key)), None) = (named.next(), named.next()) else {
        return None;
    };
    jws.signed.verify(key).then_some(jws.payload)
}

/// A compact JWS (RFC 7515, section 7.1) whose header names RS256.
struct Jws {
    /// `typ`, if there is one; `Some(None)`: it is not a string.
    typ: Option<Option<String>>,
    /// `kid`, in the same way.
    kid: Option<Option<String>>,
    payload: Vec<u8>,
    signed: Signed,
}

/// What is signed, and its signature.
struct Signed {
    message: String,
    signature: Vec<u8>,
}

impl Jws {
    fn parse(jws: &str) -> Result<Self, BadAssertion> {
        if jws.len() > LONGEST {
            return Err(BadAssertion::TooLong);
        }
        let mut parts = jws.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadAssertion::Shape);
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| BadAssertion::Shape);
        let header = decode(header)?;
        let (mut is_rs256, mut has_crit, mut typ, mut kid) = (false, false, None, None);
        let text = |value: Member<'_>| match value {
            Member::Text(text) => Some(text.into_owned()),
            _ => None,
        };
        strict_json::members(&header, |name, value| match (name, value) {
            ("alg", Member::Text(alg)) => is_rs256 = alg == "RS256",
            ("typ", value) => typ = Some(text(value)),
            ("kid", value) => kid = Some(text(value)),
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
        let message = jws[..jws.len() - signature.len() - 1].to_owned();
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Ok(Self { typ, kid, payload, signed: Signed { message, signature } })
    }
}

impl Signed {
    fn verify(&self, key: &AssertionKey) -> bool {
        key.verifies(self.message.as_bytes(), &self.signature)
    }
}
