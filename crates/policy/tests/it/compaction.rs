//! How revocations of single tokens are written: one by one up to a limit, and beyond
//! it compacted into a cutoff whose exceptions are the active tokens.

use crate::{
    channel::{NOW, live},
    revocations::{after, cutoff, is_active, kind, token, verified},
};
use tegata_policy::admit::{Live, MAX_SINGLE_REVOCATIONS, revoke_singly};
use tegata_token::{
    id::Serial,
    kind::Kind,
    time::{DAY, UnixTime},
    view::{ChannelChange, ChannelRevocations},
};

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
        assert!(!is_active(&revocations, &token(Kind::V21, serial, None)), "{serial}");
    }
    assert!(is_active(&revocations, &token(Kind::V21, 51, None)), "an exception");
    assert!(is_active(&revocations, &token(Kind::V21, 1_000, None)), "issued later");
}

#[test]
fn a_compaction_applies_to_its_kind_alone() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[]);
    for kind in [Kind::Stateless, Kind::ShortLived, Kind::LongLived] {
        assert!(is_active(&revocations, &token(kind, 5, None)));
    }
}

#[test]
fn a_token_that_a_compaction_spared_can_still_be_revoked() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[30, 31]);
    end(&mut revocations, Kind::V21, &[30], &[31]);
    assert!(!is_active(&revocations, &token(Kind::V21, 30, None)));
    assert!(is_active(&revocations, &token(Kind::V21, 31, None)));
}

#[test]
fn two_compactions_spare_what_both_spare() {
    let mut revocations = ChannelRevocations::default();
    let compacted: Vec<u64> = (1..=20).collect();
    end_before(35, &mut revocations, Kind::V21, &compacted, &[30, 31, 32]);
    end(&mut revocations, Kind::V21, &(40..=60).collect::<Vec<_>>(), &[31, 32, 70]);
    assert_eq!(revocations.cutoffs.len(), 1);
    let living: Vec<u64> =
        (1..=999).filter(|&it| is_active(&revocations, &token(Kind::V21, it, None))).collect();
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
    assert!(!is_active(&revocations, &token(Kind::LongLived, 3, None)), "below the plain cutoff");
    assert_eq!(verified(&revocations, &token(Kind::LongLived, 30, None), NOW), Ok(at));
    let of_50 = token(Kind::LongLived, 50, None);
    assert_eq!(verified(&revocations, &of_50, NOW), Ok(of_50.expires_at));
}

#[test]
fn a_compaction_is_kept_as_long_as_the_revocations_that_it_replaced() {
    let mut revocations = ChannelRevocations::default();
    end(&mut revocations, Kind::V21, &(1..=20).collect::<Vec<_>>(), &[]);
    revocations.apply(&ChannelChange::Forget { expired_by: NOW.plus(30 * DAY - 1) });
    assert!(!is_active(&revocations, &token(Kind::V21, 7, None)));
}
