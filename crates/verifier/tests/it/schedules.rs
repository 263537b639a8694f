//! Random schedules of faults. `TEGATA_LONG` runs five times as many; `TEGATA_SEED` is the
//! first seed.

use crate::planted::{Fault, Faulty};
use std::env;
use tegata_verifier::simulation::{OwnFollower, Planted, ScheduleFigures, run};

/// Schedules in which a planted fault must show.
const WITHIN: u64 = 50;

fn first_seed() -> u64 {
    env::var("TEGATA_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1)
}

#[test]
fn no_schedule_of_faults_breaks_an_invariant() {
    let count = if env::var_os("TEGATA_LONG").is_some() { 1_000 } else { 200 };
    let mut all = ScheduleFigures::default();
    for seed in first_seed()..first_seed() + count {
        match run(seed, Planted::Nothing, || Ok(OwnFollower::default())) {
            Ok(it) => {
                all.verified += it.verified;
                all.active += it.active;
                all.invalid += it.invalid;
                all.unknown += it.unknown;
                all.receipts += it.receipts;
                all.faults += it.faults;
            }
            Err(problem) => panic!("seed {seed}: {problem}"),
        }
    }
    println!("{count} schedules: {all:?}");
    // The schedules must contain what they are for.
    let enough = [all.active, all.invalid, all.unknown].iter().all(|it| *it > all.verified / 10);
    assert!(enough && all.receipts > 5 * count as usize, "{all:?}");
}

/// The first schedule in which a fault shows, and what it breaks.
fn shows(planted: Planted, fault: Fault) -> (u64, String) {
    let found = (1..=WITHIN).find_map(|seed| {
        let subject = || Ok(Faulty::new(fault, OwnFollower::default()));
        run(seed, planted, subject).err().map(|problem| (seed, problem))
    });
    let found = found.unwrap_or_else(|| panic!("{planted:?} {fault:?} shows in no schedule"));
    println!("{planted:?} {fault:?}: seed {}: {}", found.0, found.1.lines().next().unwrap());
    found
}

#[test]
fn a_follower_that_does_not_check_the_age_is_found() {
    assert!(shows(Planted::Nothing, Fault::NoAgeCheck).1.contains("accepts"));
}

#[test]
fn a_follower_that_acknowledges_before_the_view_is_in_force_is_found() {
    assert!(shows(Planted::Nothing, Fault::EarlyAcknowledgement).1.contains("receipt"));
}

#[test]
fn a_follower_that_merges_snapshots_is_found() {
    assert!(shows(Planted::Nothing, Fault::MergedSnapshot).1.contains("host"));
}

#[test]
fn a_follower_that_counts_the_age_from_a_responses_arrival_is_found() {
    assert!(shows(Planted::Nothing, Fault::AgeFromArrival).1.contains("accepts"));
}

#[test]
fn an_authority_that_holds_a_position_of_the_future_is_found() {
    shows(Planted::HeldFuture, Fault::Nothing);
}

#[test]
fn an_authority_that_deletes_a_change_at_the_asked_position_is_found() {
    shows(Planted::DeletedAtPosition, Fault::Nothing);
}

#[test]
fn an_authority_that_sends_changes_in_parts_is_found() {
    shows(Planted::Parts, Fault::Nothing);
}

#[test]
fn an_authority_that_waits_for_a_lenient_instance_no_longer_than_for_others_is_found() {
    assert!(shows(Planted::LenientExpire, Fault::Nothing).1.contains("receipt"));
}
