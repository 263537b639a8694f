//! Tokens of one channel, and views that hold its revocations: for the tests of this crate
//! and of the policy.

use crate::channel::{NOW, group, id};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey, VerifyingKey},
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, verify_claims},
    view::{ChannelChange, ChannelRevocations, Cutoff, Providers, Scope, View, ViewKey},
};

/// The key that signed the tokens.
fn key() -> VerifyingKey {
    SigningKey::from_seed(&[1; 32]).unwrap().public().clone()
}

/// A token of this kind and serial; v2.1 ones are of the assertion key of nines.
pub fn token(kind: Kind, serial: u64, of: Option<&str>) -> Claims {
    Claims {
        id: TokenId([serial as u8; 16]),
        kind,
        provider: ProviderId::from_number(77).unwrap(),
        channel: id(),
        group: of.map(group),
        assertion_key: (kind == Kind::V21).then_some(AssertionKeyId([9; 16])),
        serial: Serial(serial),
        issued_at: NOW,
        expires_at: NOW.plus(30 * DAY),
        key: key().id(),
    }
}

/// The view of a verifier that knows only these revocations.
pub fn view_of(revocations: &ChannelRevocations) -> View {
    let keys = vec![ViewKey { key: key(), state: KeyState::Active }];
    let channel = (ProviderId::from_number(77).unwrap(), id(), revocations.clone());
    View::from_state(Providers::All, Position::default(), keys, [channel])
}

/// What a verifier with these revocations finds about a token.
pub fn verified(
    revocations: &ChannelRevocations,
    token: &Claims,
    now: UnixTime,
) -> Result<UnixTime, Invalid> {
    verify_claims(token, now, &view_of(revocations))
}

/// Whether a verifier with these revocations accepts a token at [`NOW`].
pub fn is_active(revocations: &ChannelRevocations, token: &Claims) -> bool {
    verified(revocations, token, NOW).is_ok()
}

/// The revocations after these changes.
pub fn after(changes: impl IntoIterator<Item = ChannelChange>) -> ChannelRevocations {
    let mut revocations = ChannelRevocations::default();
    changes.into_iter().for_each(|change| revocations.apply(&change));
    revocations
}

/// A cutoff that was set at [`NOW`].
pub fn cutoff(scope: Scope, below: u64, from: Option<UnixTime>) -> ChannelChange {
    ChannelChange::Cutoff { cutoffs: vec![Cutoff::set(scope, Serial(below), from, NOW)] }
}

/// All tokens of a kind.
pub fn kind(kind: Kind) -> Scope {
    Scope::Kind { kind }
}
