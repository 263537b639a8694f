//! How revocations of single tokens are written: one by one up to a limit, and beyond
//! it compacted into a cutoff whose exceptions are the active tokens.

use crate::channel::{NOW, group, id, live};
use tegata_policy::admit::{Live, MAX_SINGLE_REVOCATIONS, revoke_singly};
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey, VerifyingKey},
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, verify_claims},
    view::{ChannelChange, ChannelRevocations, Cutoff, Providers, Scope, View, ViewKey},
};

fn key() -> VerifyingKey {
    SigningKey::from_seed(&[1; 32]).unwrap().public().clone()
}

fn token(kind: Kind, serial: u64, of: Option<&str>) -> Claims {
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

fn view_of(revocations: &ChannelRevocations) -> View {
    let keys = vec![ViewKey { key: key(), state: KeyState::Active }];
    View::from_state(Providers::All, Position::default(), keys, [(id(), revocations.clone())])
}

fn said(
    revocations: &ChannelRevocations,
    token: &Claims,
    now: UnixTime,
) -> Result<UnixTime, Invalid> {
    verify_claims(token, now, &view_of(revocations))
}

fn lives(revocations: &ChannelRevocations, token: &Claims) -> bool {
    said(revocations, token, NOW).is_ok()
}

fn after(changes: impl IntoIterator<Item = ChannelChange>) -> ChannelRevocations {
    let mut revocations = ChannelRevocations::default();
    changes.into_iter().for_each(|change| revocations.apply(&change));
    revocations
}

fn cutoff(scope: Scope, below: u64, from: Option<UnixTime>) -> ChannelChange {
    ChannelChange::Cutoff { cutoffs: vec![Cutoff::set(scope, Serial(below), from, NOW)] }
}

fn kind(kind: Kind) -> Scope {
    Scope::Kind { kind }
}

fn single(kind: Kind, serial: u64) -> (Kind, Serial, UnixTime) {
    (kind, Serial(serial), NOW.plus(30 * DAY))
}

/// Revokes the tokens with these serials by the entry that the revocations choose, while
/// those in `living` are active and serial 1,000 is the next to be issued.
fn end(
    revocations: &mut ChannelRevocations,
    kind: Kind,
    serials: &[u64],
    living: &[u64],
) -> ChannelChange {
    end_before(1_000, revocations, kind, serials, living)
}

fn end_before(
    next: u64,
    revocations: &mut ChannelRevocations,
    kind: Kind,
    serials: &[u64],
    living: &[u64],
) -> ChannelChange {
    let ends: Vec<_> = serials.iter().map(|&serial| single(kind, serial)).collect();
    let living: Vec<Live> = living.iter().map(|&serial| live(kind, serial, None)).collect();
    let change = revoke_singly(revocations, &ends, &living, Serial(next), NOW);
    revocations.apply(&change);
    change
}

#[test]
fn revocations_are_single_up_to_the_limit_and_then_compacted() {
    let few: Vec<u64> = (1..=MAX_SINGLE_REVOCATIONS as u64).collect();
    let mut revocations = ChannelRevocations::default();
    let change = end(&mut revocations, Kind::V21, &few, &[50, 51]);
    assert!(matches!(change, ChannelChange::Revoked { .. }));
    assert_eq!(revocations.singles.len(), MAX_SINGLE_REVOCATIONS);
    let change = end(&mut revocations, Kind::V21, &[50], &[51]);
    assert!(matches!(change, ChannelChange::Cutoff { .. }));
    assert_eq!((revocations.singles.len(), revocations.cutoffs.len()), (0, 1));
    for serial in (1..=50).chain(52..1_000) {
        assert!(!lives(&revocations, &token(Kind::V21, serial, None)), "{serial}");
    }
    assert!(lives(&revocations, &token(Kind::V21, 51, None)), "an exception");
    assert!(lives(&revocations, &token(Kind::V21, 1_000, None)), "issued later");
}

#[test]
fn a_compaction_applies_to_its_kind_alone() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[]);
    for kind in [Kind::Stateless, Kind::ShortLived, Kind::LongLived] {
        assert!(lives(&revocations, &token(kind, 5, None)));
    }
}

#[test]
fn a_token_that_a_compaction_spared_can_still_be_revoked() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[30, 31]);
    end(&mut revocations, Kind::V21, &[30], &[31]);
    assert!(!lives(&revocations, &token(Kind::V21, 30, None)));
    assert!(lives(&revocations, &token(Kind::V21, 31, None)));
}

#[test]
fn two_compactions_spare_what_both_spare() {
    let mut revocations = ChannelRevocations::default();
    let compacted: Vec<u64> = (1..=20).collect();
    end_before(35, &mut revocations, Kind::V21, &compacted, &[30, 31, 32]);
    end(&mut revocations, Kind::V21, &(40..=60).collect::<Vec<_>>(), &[31, 32, 70]);
    assert_eq!(revocations.cutoffs.len(), 1);
    let living: Vec<u64> =
        (1..=999).filter(|&it| lives(&revocations, &token(Kind::V21, it, None))).collect();
    assert_eq!(living, [31, 32, 70]);
}

#[test]
fn a_compaction_keeps_delayed_and_plain_cutoffs() {
    let at = NOW.plus(60);
    let mut revocations = after([
        cutoff(kind(Kind::LongLived), 5, None),
        cutoff(kind(Kind::LongLived), 40, Some(at)),
    ]);
    let living: Vec<Live> = [3, 30, 50].iter().map(|&it| live(Kind::LongLived, it, None)).collect();
    let ends: Vec<_> = (6..=20).map(|it| single(Kind::LongLived, it)).collect();
    revocations.apply(&revoke_singly(&revocations, &ends, &living, Serial(1_000), NOW));
    assert!(!lives(&revocations, &token(Kind::LongLived, 3, None)), "below the plain cutoff");
    assert_eq!(said(&revocations, &token(Kind::LongLived, 30, None), NOW), Ok(at));
    let of_50 = token(Kind::LongLived, 50, None);
    assert_eq!(said(&revocations, &of_50, NOW), Ok(of_50.expires_at));
}

#[test]
fn a_compaction_is_kept_as_long_as_the_revocations_that_it_replaced() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[]);
    revocations.apply(&ChannelChange::Forget { expired_by: NOW.plus(30 * DAY - 1) });
    assert!(!lives(&revocations, &token(Kind::V21, 7, None)));
}
