//! Builds the scenes of the in-process benchmark from the token crate.
//!
//! This is the only module of the benchmarks that uses `tegata_token`; all others use
//! HTTP, files and times.

use super::{Scene, Spec};
use anyhow::Context as _;
use std::sync::Arc;
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    verify::{Signatures, verify},
    view::{
        ChannelChange, ChannelRevocations, Cutoff, Providers, RevokedToken, Scope,
        SingleRevocation, View, ViewKey,
    },
    wire,
};

const ISSUER: &str = "https://tokens.example.com";
const NOW: UnixTime = UnixTime(1_764_000_000);
const ISSUED_AT: UnixTime = UnixTime(NOW.0 - 3_600);

/// The scene of the spec.
pub(super) fn build(spec: &Spec) -> anyhow::Result<Scene> {
    let key = SigningKey::from_seed(&[7; 32])?;
    let per_channel = spec.issued / spec.channels;
    let token = |n: u64| {
        let channel = n % spec.channels;
        let claims = Claims {
            id: TokenId(u128::from(n).to_be_bytes()),
            kind: Kind::V21,
            provider: ProviderId::from_number(1_000_000_000).context("ten digits")?,
            channel: id(channel)?,
            group: None,
            assertion_key: Some(AssertionKeyId([9; 16])),
            // Above the revoked serials of its channel, as far apart as they were issued.
            serial: Serial(REVOKED_SERIALS + per_channel + n / spec.channels),
            issued_at: ISSUED_AT,
            expires_at: ISSUED_AT.plus(86_400),
            key: key.public().id(),
        };
        Ok(wire::write(&claims, ISSUER, &key).into_bytes())
    };
    let stride = spec.issued / spec.in_use as u64;
    let tokens = (0..spec.in_use as u64)
        .map(|n| token(n * stride.max(1) + n % spec.channels))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let signed = tokens[0].iter().rposition(|&byte| byte == b'.').context("a JWS")?;

    let revocations = channel_revocations(spec.revoked / spec.channels)?;
    let channels = if spec.revoked == 0 { 0 } else { spec.channels };
    let provider = ProviderId::from_number(1_000_000_000).context("ten digits")?;
    let said = (0..channels).map(|n| Ok((provider, id(n)?, revocations.clone())));
    let keys = vec![ViewKey { key: key.public().clone(), state: KeyState::Active }];
    let said = said.collect::<anyhow::Result<Vec<_>>>()?;
    let view = View::from_state(Providers::All, Position::default(), keys, said);
    let view = Arc::new(view);

    let kept = Signatures::new(2 * spec.in_use);
    let warm_view = view.clone();
    let warm = move |token: &[u8]| verify(token, NOW, &warm_view, &kept).is_ok();
    let cold = move |token: &[u8]| {
        // Room for one: the tokens come in turn, so each finds another one's entry.
        thread_local! { static NONE: Signatures = Signatures::new(1); }
        NONE.with(|none| verify(token, NOW, &view, none).is_ok())
    };
    Ok(Scene { tokens, signed, warm: Box::new(warm), cold: Box::new(cold) })
}

fn id(n: u64) -> anyhow::Result<ChannelId> {
    // Spread over the ten digits, as random ids are.
    ChannelId::from_number(n * 89_989 % 10_000_000_000).context("ten digits")
}

/// The revocations of a channel concern serials below this one; the tokens to verify
/// have higher ones.
const REVOKED_SERIALS: u64 = 64;

/// `count` revocations as a busy channel has them: single tokens of both kinds, a
/// cutoff of a group, and one of an assertion key.
fn channel_revocations(count: u64) -> anyhow::Result<ChannelRevocations> {
    let mut revocations = ChannelRevocations::default();
    let until = NOW.plus(86_400);
    let cutoffs = [
        Scope::Group { group: "blue".parse::<Group>()? },
        Scope::AssertionKey { key: AssertionKeyId([8; 16]) },
    ];
    let cutoffs: Vec<Cutoff> = cutoffs
        .into_iter()
        .take(usize::try_from(count)?)
        .map(|scope| Cutoff::set(scope, Serial(REVOKED_SERIALS), None, ISSUED_AT))
        .collect();
    let singles = (cutoffs.len() as u64..count).map(|n| {
        let kind = if n % 2 == 0 { Kind::V21 } else { Kind::ShortLived };
        SingleRevocation { token: RevokedToken::Stored { kind, serial: Serial(1 + n) }, until }
    });
    revocations.apply(&ChannelChange::Revoked { tokens: singles.collect() });
    if !cutoffs.is_empty() {
        revocations.apply(&ChannelChange::Cutoff { cutoffs });
    }
    Ok(revocations)
}
