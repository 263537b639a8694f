//! Sign-ins by OpenID Connect: the ID token of an identity provider, and how it is verified
//! (OpenID Connect Core 1.0, section 3.1.3.7).
//!
//! Nothing in the token controls how it is verified: the keys are those that the provider
//! publishes, the algorithms are listed here, and headers that carry or refer to a key are
//! never read. `jsonwebtoken` verifies the signature; the claims are compared here, by the
//! server's clock.

use crate::{strict_json, text::is_plain};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, jwk::Jwk};
use serde_json::{Map, Value};
use std::fmt;
use subtle::ConstantTimeEq;
use tegata_token::time::UnixTime;

/// The algorithms that are accepted: each with a public key, none of them broken.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The longest ID token, in bytes. Some providers list all groups of a person in it.
pub const LONGEST_ID_TOKEN: usize = 32_768;
/// Leeway for a provider whose clock differs, in seconds.
const LEEWAY: i64 = 60;
/// The longest `sub`, in ASCII characters (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;
/// The longest name of an account that is shown.
const LONGEST_LABEL: usize = 100;

/// The rule that an ID token violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadIdToken {
    /// Not a compact JWS of JSON header and JSON claims, or too long.
    #[error("the ID token is not a JWT of at most 32768 bytes without repeated members")]
    Shape,
    /// `alg` is none of those that are accepted.
    #[error("the ID token's `alg` is none of RS256, PS256, ES256, ES384 and EdDSA")]
    Algorithm,
    /// `crit`.
    #[error("the ID token has critical header parameters")]
    Critical,
    /// The provider publishes no such key.
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The signature is not by the published key.
    #[error("the ID token's signature is invalid")]
    Signature,
    /// `iss`.
    #[error("the ID token's `iss` is not the configured issuer")]
    Issuer,
    /// `aud` or `azp`.
    #[error("the ID token is for another client: `aud` or `azp` is not the configured client id")]
    Audience,
    /// `exp` is absent or in the past.
    #[error("the ID token is expired; compare the clocks of both servers")]
    Expired,
    /// `iat` is absent or in the future.
    #[error("the ID token is from the future; compare the clocks of both servers")]
    IssuedAt,
    /// `nonce`.
    #[error("the ID token is from another sign-in: its `nonce` is not the one that was sent")]
    Nonce,
    /// `sub`.
    #[error("the ID token's `sub` is not a text of 1 to 255 ASCII characters")]
    Subject,
}

/// What an ID token must be for.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedIdToken<'a> {
    /// The configured provider.
    pub issuer: &'a str,
    /// The id of this client at the provider.
    pub client_id: &'a str,
    /// The random text that was sent with this sign-in.
    pub nonce: &'a str,
}

/// What a verified ID token states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdTokenFacts {
    /// The account at the provider.
    pub subject: String,
    /// How the provider names the account, to be shown; it identifies nothing.
    pub label: Option<String>,
}

/// The keys that a provider publishes, those that this server can verify with.
#[derive(Clone)]
pub struct ProviderKeys(Vec<ProviderKey>);

#[derive(Clone)]
struct ProviderKey {
    kid: Option<String>,
    alg: Option<String>,
    key: DecodingKey,
}

impl ProviderKeys {
    /// Reads a JWK set (RFC 7517, section 5); keys of other kinds and purposes are left out.
    /// `None` if it is not a JWK set.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let mut set = strict_json::object(json).ok()?;
        let Some(Value::Array(keys)) = set.remove("keys") else { return None };
        Some(Self(keys.into_iter().filter_map(ProviderKey::read).collect()))
    }

    /// Verifies an ID token.
    ///
    /// # Errors
    /// The first rule that it violates. At [`BadIdToken::UnknownKey`] the provider may have
    /// begun to sign with a new key.
    pub fn verify(
        &self,
        token: &str,
        expected: ExpectedIdToken<'_>,
        now: UnixTime,
    ) -> Result<IdTokenFacts, BadIdToken> {
        if token.len() > LONGEST_ID_TOKEN {
            return Err(BadIdToken::Shape);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(BadIdToken::Shape)?;
        let (header, claims) = message.split_once('.').ok_or(BadIdToken::Shape)?;
        let object = |part: &str| {
            let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| BadIdToken::Shape)?;
            strict_json::object(&json).map_err(|_| BadIdToken::Shape)
        };
        let (header, claims) = (object(header)?, object(claims)?);
        let named = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let (_, algorithm) =
            ALGORITHMS.into_iter().find(|it| it.0 == named).ok_or(BadIdToken::Algorithm)?;
        if header.contains_key("crit") {
            return Err(BadIdToken::Critical);
        }
        let key = self.find(header.get("kid"), named, algorithm).ok_or(BadIdToken::UnknownKey)?;
        let is_signed = crypto::verify(signature, message.as_bytes(), key, algorithm);
        if !is_signed.unwrap_or(false) {
            return Err(BadIdToken::Signature);
        }
        compare(&claims, expected, now)
    }

    /// The key that a header names; without a name, the only one of its kind.
    fn find(&self, kid: Option<&Value>, alg: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fits = |it: &&ProviderKey| {
            it.key.family().algorithms().contains(&algorithm)
                && it.alg.as_ref().is_none_or(|own| own == alg)
        };
        let mut fitting = self.0.iter().filter(fits);
        match kid {
            Some(kid) => {
                let kid = kid.as_str()?;
                fitting.find(|it| it.kid.as_deref() == Some(kid)).map(|it| &it.key)
            }
            None => match (fitting.next(), fitting.next()) {
                (Some(only), None) => Some(&only.key),
                _ => None,
            },
        }
    }
}

impl ProviderKey {
    fn read(key: Value) -> Option<Self> {
        let Value::Object(mut members) = key else { return None };
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let (kid, alg) = (text("kid"), text("alg"));
        if text("use").is_some_and(|it| it != "sig") || text("kty").is_some_and(|it| it == "oct") {
            return None;
        }
        // Others are ignored, whatever their form.
        members.retain(|name, _| ["kty", "crv", "n", "e", "x", "y"].contains(&&**name));
        let jwk: Jwk = serde_json::from_value(members.into()).ok()?;
        Some(Self { kid, alg, key: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// Compares the claims of a token whose signature is valid.
fn compare(
    claims: &Map<String, Value>,
    expected: ExpectedIdToken<'_>,
    now: UnixTime,
) -> Result<IdTokenFacts, BadIdToken> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(BadIdToken::Issuer);
    }
    let (is_for_us, others) = match claims.get("aud") {
        Some(Value::String(aud)) => (aud == expected.client_id, false),
        Some(Value::Array(all)) => (all.iter().any(|it| it == expected.client_id), all.len() > 1),
        _ => (false, false),
    };
    // With other audiences it must say that it was made for this one.
    let is_ours = match claims.get("azp") {
        Some(azp) => azp == expected.client_id,
        None => !others,
    };
    if !is_for_us || !is_ours {
        return Err(BadIdToken::Audience);
    }
    let time = |name: &str| claims.get(name).and_then(seconds);
    if time("exp").is_none_or(|exp| exp <= now.plus(-LEEWAY).0) {
        return Err(BadIdToken::Expired);
    }
    if time("iat").is_none_or(|iat| iat > now.plus(LEEWAY).0) {
        return Err(BadIdToken::IssuedAt);
    }
    let nonce = text("nonce").ok_or(BadIdToken::Nonce)?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(BadIdToken::Nonce);
    }
    let is_subject = |it: &&str| {
        (1..=LONGEST_SUBJECT).contains(&it.len())
            && it.bytes().all(|letter| letter.is_ascii_graphic() || letter == b' ')
    };
    let subject = text("sub").filter(is_subject).ok_or(BadIdToken::Subject)?;
    let label = ["preferred_username", "email", "name"].into_iter().find_map(text);
    let label = label.map(|it| it.chars().filter(|it| is_plain(*it)).take(LONGEST_LABEL).collect());
    Ok(IdTokenFacts { subject: subject.to_owned(), label })
}

/// A time of a JWT, which may have a fraction (RFC 7519, section 2).
fn seconds(time: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates; a fraction is left out")]
    time.as_i64().or_else(|| time.as_f64().map(|it| it as i64))
}
