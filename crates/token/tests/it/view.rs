//! The view after each sort of change: cutoffs, with and without exceptions, single
//! revocations, and what may be forgotten. The random histories test that changes
//! combine; these cases test how.

use crate::{
    channel::{NOW, group, id},
    revocations::{after, cutoff, is_active, kind, token, verified, view_of},
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tegata_token::{
    claims::Claims,
    id::{AssertionKeyId, Position, ProviderId, Serial, TokenId},
    kind::Kind,
    time::{DAY, UnixTime},
    verify::{Invalid, verify_claims},
    view::{
        ChannelChange, ChannelRevocations, ChannelState, Cutoff, FeedChange, Providers, RevokedBy,
        RevokedToken, Scope, SingleRevocation, View,
    },
};

// ---- cutoffs

#[test]
fn a_cutoff_revokes_serials_below_it_and_not_its_own() {
    let revocations = after([cutoff(Scope::Channel, 10, None)]);
    for kind in Kind::all() {
        let revoked = Err(Invalid::Revoked(RevokedBy::Cutoff));
        assert_eq!(verified(&revocations, &token(kind, 9, None), NOW), revoked);
        assert!(is_active(&revocations, &token(kind, 10, None)));
    }
}

#[test]
fn each_scope_covers_its_own_tokens_and_no_others() {
    let key = AssertionKeyId([9; 16]);
    let of_a = Some("a");
    // In this order: v2.1 of "a", v2.1 of "b", v2.1 without a group, short-lived of "a".
    for (scope, covered) in [
        (Scope::Channel, [true, true, true, true]),
        (kind(Kind::V21), [true, true, true, false]),
        (Scope::KindGroup { kind: Kind::V21, group: of_a.map(group) }, [true, false, false, false]),
        (Scope::KindGroup { kind: Kind::V21, group: None }, [false, false, true, false]),
        (Scope::Group { group: group("a") }, [true, false, false, true]),
        (Scope::AssertionKey { key }, [true, true, true, false]),
        (Scope::AssertionKey { key: AssertionKeyId([8; 16]) }, [false; 4]),
        (Scope::Secret, [false, false, false, true]),
    ] {
        let revocations = after([cutoff(scope.clone(), 10, None)]);
        let tokens = [
            token(Kind::V21, 1, of_a),
            token(Kind::V21, 2, Some("b")),
            token(Kind::V21, 3, None),
            token(Kind::ShortLived, 4, of_a),
        ];
        assert_eq!(tokens.map(|it| !is_active(&revocations, &it)), covered, "{scope:?}");
    }
}

#[test]
fn a_delayed_cutoff_revokes_at_its_time_and_shortens_until_before() {
    let at = NOW.plus(60);
    let revocations = after([cutoff(kind(Kind::LongLived), 10, Some(at))]);
    let token = token(Kind::LongLived, 9, None);
    assert_eq!(verified(&revocations, &token, NOW), Ok(at));
    assert_eq!(verified(&revocations, &token, at.plus(-1)), Ok(at));
    assert_eq!(verified(&revocations, &token, at), Err(Invalid::Revoked(RevokedBy::Cutoff)));
}

#[test]
fn of_several_delayed_cutoffs_the_earliest_applies_in_any_order() {
    let (early, late) = (NOW.plus(60), NOW.plus(3_600));
    let [early_cutoff, late_cutoff] =
        [(8, early), (10, late)].map(|(below, from)| cutoff(Scope::Channel, below, Some(from)));
    for changes in [[early_cutoff.clone(), late_cutoff.clone()], [late_cutoff, early_cutoff]] {
        let revocations = after(changes);
        assert_eq!(verified(&revocations, &token(Kind::V21, 7, None), NOW), Ok(early));
        assert_eq!(verified(&revocations, &token(Kind::V21, 9, None), NOW), Ok(late));
    }
}

#[test]
fn a_cutoff_that_revokes_no_more_changes_nothing() {
    let revocations = after([cutoff(Scope::Channel, 10, None)]);
    let less = [cutoff(Scope::Channel, 9, None), cutoff(Scope::Channel, 10, None)];
    for change in less {
        let mut again = revocations.clone();
        again.apply(&change);
        assert_eq!(again, revocations);
    }
}

// ---- stateless tokens, states

#[test]
fn a_stateless_token_is_revoked_by_its_id_and_no_other_with_it() {
    let (revoked, other) = (token(Kind::Stateless, 7, None), token(Kind::Stateless, 7, None));
    let other = Claims { id: TokenId([0xEE; 16]), ..other };
    let token = RevokedToken::Stateless { id: revoked.id };
    let revocations = after([ChannelChange::Revoked {
        tokens: vec![SingleRevocation { token, until: revoked.expires_at }],
    }]);
    assert_eq!(
        verified(&revocations, &revoked, NOW),
        Err(Invalid::Revoked(RevokedBy::SingleRevocation))
    );
    assert!(is_active(&revocations, &other));
    assert!(
        is_active(&revocations, &Claims { kind: Kind::V21, ..revoked }),
        "the id of a token of another kind is another token"
    );
}

#[test]
fn a_channel_can_be_resumed_unless_it_is_deleted() {
    let state = |state| ChannelChange::State { state };
    let token = token(Kind::V21, 1, None);
    let mut revocations = after([state(ChannelState::Suspended)]);
    assert_eq!(verified(&revocations, &token, NOW), Err(Invalid::Suspended));
    revocations.apply(&state(ChannelState::Active));
    assert!(is_active(&revocations, &token) && revocations.is_empty());
    revocations.apply(&state(ChannelState::Deleted));
    for later in [ChannelState::Active, ChannelState::Suspended] {
        revocations.apply(&state(later));
        assert_eq!(verified(&revocations, &token, NOW), Err(Invalid::Revoked(RevokedBy::Channel)));
    }
}

#[test]
fn a_revoked_token_of_a_suspended_channel_is_revoked() {
    let state = ChannelState::Suspended;
    let revocations = after([cutoff(Scope::Channel, 10, None), ChannelChange::State { state }]);
    assert_eq!(
        verified(&revocations, &token(Kind::V21, 1, None), NOW),
        Err(Invalid::Revoked(RevokedBy::Cutoff))
    );
    assert_eq!(verified(&revocations, &token(Kind::V21, 10, None), NOW), Err(Invalid::Suspended));
}

// ---- forgetting

#[test]
fn a_revocation_is_kept_until_the_last_token_that_it_covers_has_expired() {
    let stateless = RevokedToken::Stateless { id: TokenId([7; 16]) };
    let mut revocations = after([
        ChannelChange::Revoked {
            tokens: vec![SingleRevocation { token: stateless, until: NOW.plus(900) }],
        },
        cutoff(Scope::Group { group: group("a") }, 10, None),
        cutoff(kind(Kind::LongLived), 10, None),
    ]);
    let stored = RevokedToken::Stored { kind: Kind::ShortLived, serial: Serial(4) };
    let single = SingleRevocation { token: stored, until: NOW.plus(30 * DAY) };
    revocations.apply(&ChannelChange::Revoked { tokens: vec![single] });
    let held = |at: i64| {
        let mut revocations = revocations.clone();
        revocations.apply(&ChannelChange::Forget { expired_by: NOW.plus(at) });
        revocations.cutoffs.len() + revocations.singles.len() + revocations.stateless.len()
    };
    assert_eq!(revocations.first_until(), Some(NOW.plus(900)));
    assert_eq!([held(899), held(900)], [4, 3]);
    // The cutoff of the group, since v2.1 and short-lived tokens are valid for 30 days;
    // and the single revocation.
    assert_eq!([held(30 * DAY - 1), held(30 * DAY)], [3, 1]);
    assert_eq!([held(36_525 * DAY - 1), held(36_525 * DAY)], [1, 0]);
}

#[test]
fn merged_cutoffs_are_kept_as_long_as_the_longest_kept() {
    let until = |below, from, until| {
        let cutoff = Cutoff::set(Scope::Channel, Serial(below), from, NOW);
        ChannelChange::Cutoff { cutoffs: vec![Cutoff { until: NOW.plus(until), ..cutoff }] }
    };
    for [first, second] in [
        [until(10, None, 100), until(20, None, 50)],
        [until(20, None, 50), until(10, None, 100)],
        [until(10, Some(NOW.plus(9)), 100), until(20, None, 50)],
    ] {
        let revocations = after([first, second]);
        assert_eq!(
            (revocations.cutoffs.len(), revocations.first_until()),
            (1, Some(NOW.plus(100)))
        );
    }
}

#[test]
fn a_channel_without_revocations_leaves_the_view() {
    let view = View::new(Providers::All);
    let provider = ProviderId::from_number(77).unwrap();
    let entry = |change| FeedChange::Channel { provider, channel: id(), change };
    let ended = view.after(&[entry(cutoff(Scope::Channel, 10, None))], Position::default());
    assert_eq!((ended.channels(), ended.revocations()), (1, 1));
    let forget = entry(ChannelChange::Forget { expired_by: UnixTime(i64::MAX) });
    let forgotten = ended.after(&[forget], Position::default());
    assert_eq!((forgotten.channels(), forgotten.revocations()), (0, 0));
    assert_eq!(ended.channels(), 1, "a view that others read does not change");
}

#[test]
fn revocations_are_counted_as_they_change_and_when_they_are_read_from_the_store() {
    let single = |serial| {
        let token = RevokedToken::Stored { kind: Kind::ShortLived, serial: Serial(serial) };
        ChannelChange::Revoked { tokens: vec![SingleRevocation { token, until: NOW.plus(9) }] }
    };
    let provider = ProviderId::from_number(77).unwrap();
    let entry = |change| FeedChange::Channel { provider, channel: id(), change };
    let view = View::new(Providers::All)
        .after(&[entry(single(3)), entry(single(4)), entry(single(4))], Position::default());
    assert_eq!(view.revocations(), 2);
    let cutoff = entry(cutoff(Scope::Kind { kind: Kind::ShortLived }, 10, None));
    let compacted = view.after(&[cutoff], Position::default());
    assert_eq!(compacted.revocations(), 1, "the cutoff covers the single revocations");
    let revocations = compacted.channel(id()).unwrap().clone();
    let keys = compacted.keys().to_vec();
    let anew = View::from_state(
        Providers::All,
        Position::default(),
        keys,
        [(provider, id(), revocations)],
    );
    assert_eq!(anew.revocations(), 1);
}

// ---- changes as a whole

fn any_scope() -> impl Strategy<Value = Scope> {
    let of = || proptest::option::of("[ab]").prop_map(|it| it.map(|it| group(&it)));
    let kinds = || proptest::sample::select(Kind::all().collect::<Vec<_>>());
    prop_oneof![
        Just(Scope::Channel),
        kinds().prop_map(|kind| Scope::Kind { kind }),
        (kinds(), of()).prop_map(|(kind, group)| Scope::KindGroup { kind, group }),
        "[ab]".prop_map(|it| Scope::Group { group: group(&it) }),
        Just(Scope::AssertionKey { key: AssertionKeyId([9; 16]) }),
        Just(Scope::Secret),
    ]
}

prop_compose! {
    fn any_cutoff()(
        scope in any_scope(),
        below in 0..40_u64,
        from in proptest::option::of(-50..50_i64),
        until in 1..100_i64,
    ) -> Cutoff {
        let from = from.map(|it| NOW.plus(it));
        Cutoff { scope, below: Serial(below), from, except: BTreeSet::new(), until: NOW.plus(until) }
    }
}

prop_compose! {
    /// As `revoke_singly` writes them.
fn any_compacted()(
        kind in proptest::sample::select(vec![Kind::V21, Kind::ShortLived, Kind::LongLived]),
        below in 0..40_u64,
        except in proptest::collection::btree_set((0..40_u64).prop_map(Serial), 0..20),
        until in 1..100_i64,
    ) -> Cutoff {
        let below = Serial(below);
        let except = except.into_iter().filter(|it| *it < below).collect();
        Cutoff { scope: Scope::Kind { kind }, below, from: None, except, until: NOW.plus(until) }
    }
}

/// The stored kinds share one sequence of serials, so a serial identifies a token.
fn kind_of(serial: u64) -> Kind {
    [Kind::V21, Kind::ShortLived, Kind::LongLived][(serial % 3) as usize]
}

fn any_change() -> impl Strategy<Value = ChannelChange> {
    let stored =
        (0..40_u64).prop_map(|it| RevokedToken::Stored { kind: kind_of(it), serial: Serial(it) });
    let stateless = (0..40_u8).prop_map(|it| RevokedToken::Stateless { id: TokenId([it; 16]) });
    let one = prop_oneof![stored, stateless]
        .prop_map(|token| SingleRevocation { token, until: NOW.plus(100) });
    prop_oneof![
        proptest::collection::vec(one, 1..4).prop_map(|tokens| ChannelChange::Revoked { tokens }),
        proptest::collection::vec(prop_oneof![any_cutoff(), any_compacted()], 1..4)
            .prop_map(|cutoffs| ChannelChange::Cutoff { cutoffs }),
    ]
}

/// The naive reading of the changes: a token is revoked by any of them that covers it,
/// from the earliest time that any of them sets.
fn naively(changes: &[ChannelChange], token: &Claims, now: UnixTime) -> Option<UnixTime> {
    let mut until = token.expires_at;
    for change in changes {
        match change {
            ChannelChange::Revoked { tokens } => {
                let named = match token.kind {
                    Kind::Stateless => RevokedToken::Stateless { id: token.id },
                    kind => RevokedToken::Stored { kind, serial: token.serial },
                };
                if tokens.iter().any(|it| it.token == named) {
                    return None;
                }
            }
            ChannelChange::Cutoff { cutoffs } => {
                for cutoff in cutoffs {
                    let of = token.group.as_ref();
                    if cutoff.scope.covers(token.kind, of, token.assertion_key)
                        && token.serial < cutoff.below
                        && !cutoff.except.contains(&token.serial)
                    {
                        until = until.min(cutoff.from.unwrap_or(UnixTime(i64::MIN)));
                    }
                }
            }
            _ => {}
        }
    }
    (now < until).then_some(until)
}

proptest! {
    #[test]
    fn changes_combine_whatever_is_merged_and_however_often_they_are_applied(
        changes in proptest::collection::vec(any_change(), 0..12),
        moment in -60..60_i64,
    ) {
        let now = NOW.plus(moment);
        let once = after(changes.clone());
        let twice = after(changes.iter().flat_map(|it| [it.clone(), it.clone()]));
        let again = after(changes.iter().chain(&changes).cloned());
        let views = [once, twice, again].map(|revocations| view_of(&revocations));
        for (serial, of) in (0..40).zip([None, Some("a"), Some("b"), None].into_iter().cycle()) {
            for kind in [kind_of(serial), Kind::Stateless] {
                let token = token(kind, serial, of);
                let expected = naively(&changes, &token, now);
                for view in &views {
                    prop_assert_eq!(verify_claims(&token, now, view).ok(), expected, "{:?}", token);
                }
            }
        }
    }

    #[test]
    fn changes_and_revocations_round_trip_through_json(
        changes in proptest::collection::vec(any_change(), 0..12),
        forget: i32,
    ) {
        let forget = ChannelChange::Forget { expired_by: UnixTime(forget.into()) };
        let state = ChannelChange::State { state: ChannelState::Suspended };
        for change in changes.iter().chain([&forget, &state]) {
            let text = serde_json::to_string(change).unwrap();
            prop_assert_eq!(&serde_json::from_str::<ChannelChange>(&text).unwrap(), change);
        }
        let revocations = after(changes);
        let text = serde_json::to_string(&revocations).unwrap();
        prop_assert_eq!(serde_json::from_str::<ChannelRevocations>(&text).unwrap(), revocations);
    }
}
