//! Tokens of both wire forms.

use super::Input;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::sync::{Arc, LazyLock};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::{Kind, WireForm},
    time::UnixTime,
    verify::{Signatures, VerifiedClaims, verify},
    view::{FeedChange, Providers, View, ViewKey},
    wire::{self, Unverified},
};

const ISSUER: &str = "https://tegata.example";

/// The authority's key in all targets, and a key that signed nothing.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(7));
static OTHER: LazyLock<SigningKey> = LazyLock::new(|| key(8));

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).expect("a key")
}

/// Untrusted input is parsed without a panic. If its signature is right, it is exactly the
/// string that the authority writes for its claims.
pub fn any(data: &[u8]) {
    let Ok(unverified) = Unverified::parse(data) else { return };
    assert!(unverified.verify(OTHER.public()).is_err(), "verified by a key that signed nothing");
    let Ok(claims) = unverified.verify(KEY.public()) else { return };
    assert_eq!(wire::write(&claims, ISSUER, &KEY).as_bytes(), data);
}

/// Any content with a right signature is parsed without a panic, and all content of an
/// opaque token is in its claims.
pub fn signed(data: &[u8]) {
    let Some((first, content)) = data.split_first() else { return };
    let kid = KEY.public().id();
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let token = match kind.form() {
        WireForm::Jws => {
            let header = format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#);
            let message =
                format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(content));
            let signature = KEY.sign(message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
        WireForm::Opaque(prefix) => {
            // Version and key are set, so that the rest is reached.
            let layout = [&[wire::VERSION], &kid.0[..], content].concat();
            let signature = KEY.sign(&[prefix.as_bytes(), &layout].concat());
            format!("{prefix}{}", URL_SAFE_NO_PAD.encode([&layout[..], &signature].concat()))
        }
    };
    let Ok(unverified) = Unverified::parse(token.as_bytes()) else { return };
    let Ok(claims) = unverified.verify(KEY.public()) else { return };
    let again = wire::write(&claims, ISSUER, &KEY);
    if matches!(kind.form(), WireForm::Opaque(_)) {
        assert_eq!(again, token);
    }
    assert_eq!(read(&again).expect("a written token parses"), claims);
}

/// A written token reads back unchanged, and no other string does: with one bit flipped,
/// or a character removed or inserted, it is invalid.
pub fn written(data: &[u8]) {
    let mut input = Input(data);
    let [kind, place, bit, what, group] = input.bytes();
    let claims = claims(kind, group, &mut input);
    let token = wire::write(&claims, ISSUER, &KEY);
    assert_eq!(read(&token).expect("a written token parses"), claims);
    assert!(token.is_ascii() && token.len() <= wire::LONGEST);

    let mut changed = token.clone().into_bytes();
    let at = usize::from(u16::from_be_bytes([place, what])) % token.len();
    match what % 4 {
        0 => changed[at] ^= 1 << (bit % 8),
        1 => drop(changed.remove(at)),
        2 => changed.insert(at, bit),
        _ => changed.truncate(at),
    }
    let read = Unverified::parse(&changed).map(|it| it.verify(KEY.public()));
    assert!(!matches!(read, Ok(Ok(_))), "{token} and {changed:?} are both accepted");
}

/// The claims of a token that is active.
pub fn active() -> Arc<VerifiedClaims> {
    let claims = Claims { expires_at: UnixTime(1), ..claims(0, 0, &mut Input(&[])) };
    let key = ViewKey { key: KEY.public().clone(), state: KeyState::Active };
    let position = Position { epoch: 1, number: 1 };
    let view = View::new(Providers::All).after(&[FeedChange::SigningKey(key)], position);
    let token = wire::write(&claims, ISSUER, &KEY);
    let active = verify(token.as_bytes(), UnixTime(0), &view, &Signatures::new(1));
    active.expect("an active token").claims
}

fn read(token: &str) -> Option<Claims> {
    Unverified::parse(token.as_bytes()).ok()?.verify(KEY.public()).ok()
}

fn claims(kind: u8, group: u8, input: &mut Input<'_>) -> Claims {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const TEN_DIGITS: u64 = 10_000_000_000;
    /// Times have six bytes on the wire.
    const LATEST: u64 = 1 << 47;
    let of = Kind::ALL[usize::from(kind) % Kind::ALL.len()];
    let jws = of.form() == WireForm::Jws;
    let mut time = || UnixTime(i64::try_from(input.number() % LATEST).unwrap_or(0));
    let (issued_at, expires_at) = (time(), time());
    let group: String = (0..group % 65)
        .map(|_| char::from(LETTERS[usize::from(input.bytes::<1>()[0]) % LETTERS.len()]))
        .collect();
    let assertion_key = (jws && kind >= 0x80).then(|| AssertionKeyId::from_random(input.bytes()));
    Claims {
        id: TokenId(input.bytes()),
        kind: of,
        provider: ProviderId::from_number(input.number() % TEN_DIGITS).expect("ten digits"),
        channel: ChannelId::from_number(input.number() % TEN_DIGITS).expect("ten digits"),
        group: (!group.is_empty()).then(|| group.parse::<Group>().expect("a group's name")),
        assertion_key,
        serial: Serial(input.number()),
        issued_at,
        expires_at,
        key: KEY.public().id(),
    }
}
