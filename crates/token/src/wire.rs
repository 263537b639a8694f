//! The two wire forms of a token, behind one [`Claims`].
//!
//! v2.1 and stateless tokens are compact JWS (RFC 7515) with claims as in RFC 9068, which
//! any JWT library can read. Short-lived and long-lived tokens are a prefix that secret
//! scanners recognise (`tgs_`, `tgl_`) and the base64url of a binary layout with the same
//! facts: 172 characters without a group, the length that LINE's clients already store.
//!
//! Both have exactly one spelling. A string that differs in a single bit, even an unused
//! bit of the last character, is rejected.

use crate::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, SigningKeyId, TokenId},
    key::{SigningKey, VerifyingKey},
    kind::{Kind, WireForm},
    time::UnixTime,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Maximum length of a token or an assertion, in bytes.
pub const LONGEST: usize = 8 * 1024;

/// Version of the two layouts below. It is stored with each token, so that the token can
/// be written again byte for byte.
pub const VERSION: u8 = 1;

/// Writes the token with these `claims`, signed by `key`. The same claims, key and issuer
/// always give the same token. `issuer` is the authority's public address; opaque tokens
/// do not carry it.
///
/// `claims.key` must be the id of `key`.
#[must_use]
pub fn write(claims: &Claims, issuer: &str, key: &SigningKey) -> String {
    debug_assert_eq!(claims.key, key.public().id());
    match claims.kind.form() {
        WireForm::Jws => write_jws(claims, issuer, key),
        WireForm::Opaque(prefix) => write_opaque(claims, prefix, key),
    }
}

/// A token as it was received: well-formed, but not verified. Its claims cannot be read
/// before [`Unverified::verify`].
pub struct Unverified<'a> {
    key: SigningKeyId,
    message: Cow<'a, [u8]>,
    signature: [u8; 64],
    revocations: OpaqueClaims<'a>,
}

enum OpaqueClaims<'a> {
    Jws { payload: &'a [u8] },
    Opaque { kind: Kind, layout: Vec<u8> },
}

/// The string does not have the form of a token of this authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is neither a JWS nor an opaque token of this authority.
    #[error("not a token of this authority")]
    OtherShape,
    /// It has the shape of a JWS, but not the header of one of this authority.
    #[error("not a JWS of this authority")]
    Jws,
    /// It has the prefix of an opaque token, but not the layout.
    #[error("an opaque token that is cut off or changed")]
    Opaque,
}

/// The signature is not by the key that the token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is invalid")]
pub struct BadSignature;

impl<'a> Unverified<'a> {
    /// Parses a token of either form, without any cryptography.
    ///
    /// # Errors
    /// [`Malformed`], by the form that the string resembles most.
    pub fn parse(token: &'a [u8]) -> Result<Self, Malformed> {
        if token.len() > LONGEST {
            return Err(Malformed::OtherShape);
        }
        for kind in Kind::ALL {
            if let WireForm::Opaque(prefix) = kind.form()
                && let Some(body) = token.strip_prefix(prefix.as_bytes())
            {
                return parse_opaque(kind, prefix, body).ok_or(Malformed::Opaque);
            }
        }
        if token.iter().filter(|&&b| b == b'.').count() == 2 {
            return parse_jws(token).ok_or(Malformed::Jws);
        }
        Err(Malformed::OtherShape)
    }

    /// The kind, if the form alone determines it: only that of an opaque token does.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self.revocations {
            OpaqueClaims::Opaque { kind, .. } => Some(kind),
            OpaqueClaims::Jws { .. } => None,
        }
    }

    /// The key that the token claims to be signed by.
    #[must_use]
    pub fn key(&self) -> SigningKeyId {
        self.key
    }

    /// Checks the signature against `key` and returns the claims.
    ///
    /// # Errors
    /// The signature is invalid, or the token names another key than `key`.
    pub fn verify(&self, key: &VerifyingKey) -> Result<Claims, BadSignature> {
        if key.id() != self.key || !key.verifies(&self.message, &self.signature) {
            return Err(BadSignature);
        }
        // With a valid signature the claims are always readable, unless another program
        // signs with the same key.
        match &self.revocations {
            OpaqueClaims::Jws { payload } => read_jws_payload(payload, self.key),
            OpaqueClaims::Opaque { kind, layout } => read_layout(*kind, layout),
        }
        .ok_or(BadSignature)
    }
}

// ---- tokens within text

/// The strings that a token of this authority begins with, one per form.
#[must_use]
pub fn beginnings() -> Vec<String> {
    let opaque = Kind::all().filter_map(|kind| match kind.form() {
        WireForm::Opaque(prefix) => Some(prefix.to_owned()),
        WireForm::Jws => None,
    });
    // Only whole base64 quanta of the header: their characters do not depend on what
    // follows.
    let whole = HEADER.0.len() / 3 * 3;
    opaque.chain([URL_SAFE_NO_PAD.encode(&HEADER.0[..whole])]).collect()
}

/// Length in bytes of the token at the start of `text`, whatever follows it. The result
/// is a candidate: [`Unverified::parse`] decides whether it is a token.
#[must_use]
pub fn extent(text: &[u8]) -> Option<usize> {
    let text = &text[..text.len().min(LONGEST)];
    let prefix = Kind::all().find_map(|kind| match kind.form() {
        WireForm::Opaque(prefix) => text.starts_with(prefix.as_bytes()).then_some(prefix.len()),
        WireForm::Jws => None,
    });
    let length = match prefix {
        Some(prefix) => {
            let mut fixed = [0; FIXED.div_ceil(3) * 3];
            let letters = text.get(prefix..prefix + fixed.len() / 3 * 4)?;
            URL_SAFE_NO_PAD.decode_slice(letters, &mut fixed).ok()?;
            prefix + ((FIXED + usize::from(fixed[FIXED - 1]) + 64) * 4).div_ceil(3)
        }
        None => {
            // All headers have the same length, so a text full of beginnings is read quickly.
            let header = run(&text[..text.len().min(JWS_HEADER + 1)]);
            if header != JWS_HEADER {
                return None;
            }
            let payload = run(text.get(header + 1..)?);
            header + 1 + payload + 1 + SIGNATURE
        }
    };
    (length <= text.len()).then_some(length)
}

/// Whether `text` is the beginning of a token of this authority without its end, as
/// terminals and chat programs cut long lines.
#[must_use]
pub fn is_cut_short(text: &[u8]) -> bool {
    if text.len() > LONGEST {
        return false;
    }
    let begins = |start: &String| text.starts_with(start.as_bytes());
    let parts: Vec<&[u8]> = text.split(|it| *it == b'.').collect();
    let is_base64url = |part: &&[u8]| run(part) == part.len();
    if !beginnings().iter().any(begins) || !parts.iter().all(is_base64url) {
        return false;
    }
    match parts.as_slice() {
        [_] => extent(text).is_none(),
        [_, _] => true,
        [_, _, signature] => signature.len() < SIGNATURE,
        _ => false,
    }
}

/// Number of base64url characters at the start of `text`.
fn run(text: &[u8]) -> usize {
    let letter = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_');
    text.iter().position(|it| !letter(it)).unwrap_or(text.len())
}

/// Length in base64url of a signature of 64 bytes.
const SIGNATURE: usize = 86;

// ---- compact JWS

/// Claims as in RFC 9068, section 2.2, followed by the authority's own. The order of the
/// fields is their order on the wire, and part of the form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload<'a> {
    #[serde(borrow)]
    iss: Cow<'a, str>,
    sub: ChannelId,
    client_id: ChannelId,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    iat: UnixTime,
    exp: UnixTime,
    jti: TokenId,
    #[serde(borrow)]
    scope: Cow<'a, str>,
    kind: Kind,
    provider: ProviderId,
    serial: Serial,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Group>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ak: Option<AssertionKeyId>,
}

/// The header of every JWS of this authority, before and after the `kid`. It is compared,
/// not interpreted, so a sender cannot choose an algorithm.
const HEADER: (&str, &str) = (r#"{"alg":"EdDSA","typ":"at+jwt","kid":""#, r#""}"#);

/// Length of that header in base64url: its `kid` has 11 characters.
const JWS_HEADER: usize = ((HEADER.0.len() + 11 + HEADER.1.len()) * 4).div_ceil(3);

fn write_jws(claims: &Claims, issuer: &str, key: &SigningKey) -> String {
    let header = format!("{}{}{}", HEADER.0, claims.key, HEADER.1);
    let payload = Payload {
        iss: issuer.into(),
        sub: claims.channel,
        client_id: claims.channel,
        aud: issuer.into(),
        iat: claims.issued_at,
        exp: claims.expires_at,
        jti: claims.id,
        scope: claims.kind.scope().into(),
        kind: claims.kind,
        provider: claims.provider,
        serial: claims.serial,
        group: claims.group.clone(),
        ak: claims.assertion_key,
    };
    let payload = serde_json::to_vec(&payload).unwrap_or_default();
    let mut token = String::with_capacity(640);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

fn parse_jws(token: &[u8]) -> Option<Unverified<'_>> {
    let dot = token.iter().position(|&b| b == b'.')?;
    let last = token.iter().rposition(|&b| b == b'.')?;
    let mut header = [0; 80];
    let length = URL_SAFE_NO_PAD.decode_slice(&token[..dot], &mut header).ok()?;
    let kid = std::str::from_utf8(&header[..length]).ok()?;
    let key = kid.strip_prefix(HEADER.0)?.strip_suffix(HEADER.1)?.parse().ok()?;
    Some(Unverified {
        key,
        message: Cow::Borrowed(&token[..last]),
        signature: exactly_64(&token[last + 1..])?,
        revocations: OpaqueClaims::Jws { payload: &token[dot + 1..last] },
    })
}

fn exactly_64(text: &[u8]) -> Option<[u8; 64]> {
    let mut signature = [0; 64];
    // 64 bytes are 86 characters; the decoder needs space for whole quanta.
    let mut room = [0; 66];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    (length == 64).then(|| signature.copy_from_slice(&room[..64]))?;
    Some(signature)
}

fn read_jws_payload(payload: &[u8], key: SigningKeyId) -> Option<Claims> {
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: Payload<'_> = serde_json::from_slice(&payload).ok()?;
    (payload.kind.form() == WireForm::Jws).then_some(Claims {
        id: payload.jti,
        kind: payload.kind,
        provider: payload.provider,
        channel: payload.sub,
        group: payload.group,
        assertion_key: payload.ak,
        serial: payload.serial,
        issued_at: payload.iat,
        expires_at: payload.exp,
        key,
    })
}

// ---- opaque

/// Length of the fixed part of the layout: version 1, key 8, provider 8, channel 8,
/// serial 8, issued 6, expires 6, id 16, and the length of the group that follows, 1.
/// Numbers are big-endian. The signature, 64 bytes, covers the prefix and the layout.
const FIXED: usize = 1 + 8 + 8 + 8 + 8 + 6 + 6 + 16 + 1;

fn write_opaque(claims: &Claims, prefix: &str, key: &SigningKey) -> String {
    let group = claims.group.as_ref().map_or("", Group::as_str).as_bytes();
    let mut message = Vec::with_capacity(prefix.len() + FIXED + group.len() + 64);
    message.extend_from_slice(prefix.as_bytes());
    message.push(VERSION);
    message.extend_from_slice(&claims.key.0);
    message.extend_from_slice(&claims.provider.number().to_be_bytes());
    message.extend_from_slice(&claims.channel.number().to_be_bytes());
    message.extend_from_slice(&claims.serial.0.to_be_bytes());
    message.extend_from_slice(&claims.issued_at.0.to_be_bytes()[2..]);
    message.extend_from_slice(&claims.expires_at.0.to_be_bytes()[2..]);
    message.extend_from_slice(&claims.id.0);
    // A group has at most 64 bytes, so its length fits.
    message.push(u8::try_from(group.len()).unwrap_or(0));
    message.extend_from_slice(group);
    let signature = key.sign(&message);
    message.extend_from_slice(&signature);
    let mut token = String::with_capacity(prefix.len() + message.len() * 4 / 3);
    token.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(&message[prefix.len()..], &mut token);
    token
}

fn parse_opaque<'a>(kind: Kind, prefix: &str, body: &[u8]) -> Option<Unverified<'a>> {
    let mut layout = URL_SAFE_NO_PAD.decode(body).ok()?;
    let signature = layout.split_off(layout.len().checked_sub(64)?).try_into().ok()?;
    let group = usize::from(*layout.get(FIXED - 1)?);
    if layout[0] != VERSION || layout.len() != FIXED + group {
        return None;
    }
    let message = [prefix.as_bytes(), &layout].concat();
    let key = SigningKeyId(layout[1..9].try_into().ok()?);
    let revocations = OpaqueClaims::Opaque { kind, layout };
    Some(Unverified { key, message: Cow::Owned(message), signature, revocations })
}

fn read_layout(kind: Kind, layout: &[u8]) -> Option<Claims> {
    let (fixed, group) = layout.split_at_checked(FIXED)?;
    let mut rest = &fixed[1..];
    let mut take = |length: usize| -> &[u8] {
        let (head, tail) = rest.split_at(length);
        rest = tail;
        head
    };
    let key = SigningKeyId(take(8).try_into().ok()?);
    let mut number = |length: usize| take(length).iter().fold(0, |n, &b| n << 8 | u64::from(b));
    let provider = ProviderId::from_number(number(8))?;
    let channel = ChannelId::from_number(number(8))?;
    let serial = Serial(number(8));
    let issued_at = UnixTime(i64::try_from(number(6)).ok()?);
    let expires_at = UnixTime(i64::try_from(number(6)).ok()?);
    let id = TokenId(take(16).try_into().ok()?);
    let group = match group {
        [] => None,
        name => Some(std::str::from_utf8(name).ok()?.parse().ok()?),
    };
    let assertion_key = None;
    #[rustfmt::skip]
    let claims = Claims {
        id, kind, provider, channel, group, assertion_key, serial, issued_at, expires_at, key,
    };
    Some(claims)
}
