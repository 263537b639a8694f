//! When a token is idle.

use tegata_policy::idle::{Idle, IdleUnknown, KnownUses, LastUse, REPORTS_WITHIN, idle};
use tegata_token::time::UnixTime;

/// All times are in minutes after the first issue.
const AFTER: i64 = 15;

fn at(minute: i64) -> UnixTime {
    UnixTime(1_790_000_400 + minute * 60)
}

fn used(minute: impl Into<Option<i64>>) -> LastUse {
    LastUse { issued_at: at(0), last_used_at: minute.into().map(at) }
}

fn decide(token: LastUse, newer: &[LastUse], known: KnownUses, now: i64) -> Idle {
    idle(token, newer, known, AFTER * 60, at(now))
}

#[test]
fn a_token_is_idle_once_it_was_not_used_for_the_time_while_a_newer_one_was() {
    let none: &[LastUse] = &[];
    for (why, token, newer, now, expected) in [
        ("no newer token", used(10), none, 100, Idle::No),
        ("newer one never used", used(10), &[used(None)], 100, Idle::No),
        ("newer one used before alone", used(10), &[used(9)], 100, Idle::No),
        ("in one minute there is no order", used(10), &[used(10)], 100, Idle::No),
        ("used lately", used(10), &[used(20)], 24, Idle::No),
        ("at the time exactly", used(10), &[used(20)], 25, Idle::Since(at(10))),
        ("newer one used long ago, but later", used(10), &[used(11)], 900, Idle::Since(at(10))),
        ("never used: since its issue", used(None), &[used(5)], 15, Idle::Since(at(0))),
        ("never used, not for long", used(None), &[used(5)], 14, Idle::No),
        ("one of several is used", used(10), &[used(None), used(12)], 30, Idle::Since(at(10))),
    ] {
        let known = KnownUses::all(at(now));
        assert_eq!(decide(token, newer, known, now), expected, "{why}");
    }
}

#[test]
fn it_is_not_known_while_reports_are_missing_old_or_incomplete() {
    let unknown = Idle::Unknown;
    let (old, newer) = (used(10), [used(20)]);
    let all = KnownUses::all(at(100));
    let within = REPORTS_WITHIN / 60;
    for (why, known, expected) in [
        ("complete", all, Idle::Since(at(10))),
        ("missing", KnownUses { is_missing: true, ..all }, unknown(IdleUnknown::ReportsMissing)),
        ("just in time", KnownUses { through: at(100 - within), ..all }, Idle::Since(at(10))),
        (
            "too old",
            KnownUses { through: at(99 - within), ..all },
            unknown(IdleUnknown::ReportsTooOld),
        ),
        (
            "left out lately",
            KnownUses { left_out: Some(at(90)), ..all },
            unknown(IdleUnknown::UsesLeftOut),
        ),
        (
            "left out before its last use",
            KnownUses { left_out: Some(at(9)), ..all },
            Idle::Since(at(10)),
        ),
    ] {
        assert_eq!(decide(old, &newer, known, 100), expected, "{why}");
    }
    // Uses that were left out long ago can only have been later uses of the token.
    let left_out = KnownUses { left_out: Some(at(30)), ..all };
    assert_eq!(decide(old, &newer, left_out, 100), Idle::No, "the newer one not used since");
    assert_eq!(decide(old, &[used(40)], left_out, 100), Idle::Since(at(30)));
    // What is in use or not replaced is so, whatever is missing.
    let missing = KnownUses { is_missing: true, ..all };
    assert_eq!(decide(used(90), &newer, missing, 100), Idle::No);
    assert_eq!(decide(old, &[], missing, 100), Idle::No);
}

#[test]
fn the_reports_of_all_sources_count() {
    let one = KnownUses { is_missing: false, through: at(5), left_out: Some(at(1)) };
    let other = KnownUses { is_missing: true, through: at(4), left_out: None };
    let both = KnownUses { is_missing: true, through: at(4), left_out: Some(at(1)) };
    assert_eq!((one.and(other), other.and(one)), (both, both));
}
