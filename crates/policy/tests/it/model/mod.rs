//! Random histories, held against a naive model.
//!
//! A history is what can happen to an authority with two replicas and two
//! followers: tokens issued, evicted, revoked one by one and by scope, at once
//! and later, folded and forgotten; channels suspended, secrets and keys rotated,
//! laws changed; clocks that step and jump; acts that overlap; followers that
//! lag; stores restored from a backup. After each act
//!
//! - every view says of a token what a list of all that happened says at that
//!   view's place in the log, and until when;
//! - what the law admits, ends and refuses is what counting in that list gives,
//!   caps hold, and nothing of another group ends;
//! - no replica accepts what an answer said has ended, and nobody accepts again
//!   what he once refused as over;
//! - a token handed out lives for everybody who has read everything.
//!
//! That these checks can fail is shown by planting faults: each must be found.
//!
//! `TEGATA_LONG` is the number of histories (default 150), `TEGATA_SEED` the
//! first one's seed.

mod act;
mod authority;
mod changes;
mod naive;
mod recovery;
mod world;

use act::{Act, history};
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Seen, World};

/// What the authority, or a follower, does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A stateless token takes the newest bulk serial, but was judged by an older
    /// snapshot of the channel.
    SerialReadLate,
    /// A floor also covers the serial at which it stands.
    AtMostForBelow,
    /// What lives is read when a request is judged, and folded when it is committed.
    FoldOutsideLock,
    /// What has expired is found by a wall clock that jumped ahead.
    ForgetsByTheWall,
    /// A delayed floor takes the place of an earlier one.
    DelayReplaces,
    /// To end what has ended is answered before everybody has heard of it.
    RepeatAnswersAtOnce,
    /// After a restore the serials begin where the backup left them.
    CounterRewinds,
    /// After a restore the serials are raised, but not the place of the last bulk
    /// ending, which stateless tokens carry.
    BulkSerialRewinds,
    /// A recovery bounds the keys first, and then replays a looser bound.
    BoundsBeforeReplay,
    /// A stored issue is committed as it was judged, whatever changed since.
    NotJudgedAgain,
}

/// How a history went wrong: after which of its acts, and in which way.
#[derive(Debug)]
struct Wrong {
    acts: usize,
    what: String,
}

fn run(acts: &[Act], fault: Fault) -> Result<Seen, Wrong> {
    let mut world = World::new(fault);
    for (done, act) in acts.iter().enumerate() {
        world.step(act).map_err(|what| Wrong { acts: done + 1, what })?;
    }
    world.end().map_err(|what| Wrong { acts: acts.len(), what })?;
    Ok(world.seen)
}

/// As [`run`]; a panic is as wrong as an answer.
fn run_or_panic(acts: &[Act], fault: Fault) -> Result<Seen, Wrong> {
    catch_unwind(AssertUnwindSafe(|| run(acts, fault)))
        .unwrap_or_else(|_| Err(Wrong { acts: acts.len(), what: "panicked, see above".into() }))
}

/// Leaves out of a history that goes wrong whatever it goes wrong without.
fn shrunk(mut acts: Vec<Act>, fault: Fault) -> (Vec<Act>, Wrong) {
    let mut wrong = run_or_panic(&acts, fault).unwrap_err();
    acts.truncate(wrong.acts);
    let mut chunk = acts.len();
    while chunk > 0 {
        let mut at = 0;
        while at < acts.len() {
            let mut fewer = acts.clone();
            fewer.drain(at..acts.len().min(at + chunk));
            match run_or_panic(&fewer, fault) {
                Err(still) => {
                    fewer.truncate(still.acts);
                    (acts, wrong) = (fewer, still);
                }
                Ok(_) => at += chunk,
            }
        }
        chunk /= 2;
    }
    (acts, wrong)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_history_ends_as_the_naive_model_says() {
    let first = number("TEGATA_SEED", 1);
    let mut seen = Seen::default();
    let histories = number("TEGATA_LONG", 150);
    for seed in first..first + histories {
        let acts = history(seed);
        match run_or_panic(&acts, Fault::None) {
            Ok(this) => {
                this.0.into_iter().for_each(|(what, n)| *seen.0.entry(what).or_default() += n)
            }
            Err(_) => {
                let (acts, wrong) = shrunk(acts, Fault::None);
                let said: Vec<String> = acts.iter().map(|act| format!("    {act:?}")).collect();
                panic!("seed {seed}: {}\nafter\n{}", wrong.what, said.join("\n"));
            }
        }
    }
    println!("{seen:#?}");
    for what in MUST_HAPPEN {
        assert!(histories < 100 || seen.0.contains_key(what), "in no history: {what}");
    }
}

/// What some history must come to, or the histories show nothing of it.
const MUST_HAPPEN: [&str; 17] = [
    "issued",
    "issued stateless",
    "denied when authorized",
    "denied when authorized again",
    "refused for being full",
    "evicted",
    "revoked",
    "revoked twice",
    "folded",
    "reissued with a delay",
    "scope ended at once",
    "scope ended later",
    "forgotten",
    "signing key rotated",
    "signing key bounded or removed",
    "restored with replay",
    "ending replayed",
];

/// A fault must be found by the same checks, within this many histories.
fn is_found(fault: Fault) {
    const HISTORIES: u64 = 1_000;
    let found = (1..=HISTORIES).find_map(|seed| Some((seed, run(&history(seed), fault).err()?)));
    let Some((seed, wrong)) = found else { panic!("{fault:?} was not found") };
    println!("{fault:?}: seed {seed}, {} acts: {}", wrong.acts, wrong.what);
}

#[test]
fn a_serial_read_after_judging_is_found() {
    is_found(Fault::SerialReadLate);
}

#[test]
fn a_floor_that_covers_its_own_serial_is_found() {
    is_found(Fault::AtMostForBelow);
}

#[test]
fn a_fold_computed_outside_the_lock_is_found() {
    is_found(Fault::FoldOutsideLock);
}

#[test]
fn forgetting_by_the_wall_clock_is_found() {
    is_found(Fault::ForgetsByTheWall);
}

#[test]
fn a_delayed_floor_that_replaces_an_earlier_one_is_found() {
    is_found(Fault::DelayReplaces);
}

#[test]
fn a_repeated_revoke_that_answers_at_once_is_found() {
    is_found(Fault::RepeatAnswersAtOnce);
}

#[test]
fn a_counter_that_rewinds_with_a_restore_is_found() {
    is_found(Fault::CounterRewinds);
}

#[test]
fn a_bulk_serial_that_rewinds_with_a_restore_is_found() {
    is_found(Fault::BulkSerialRewinds);
}

#[test]
fn a_bound_that_a_replay_loosens_is_found() {
    is_found(Fault::BoundsBeforeReplay);
}

#[test]
fn an_issue_that_is_not_judged_again_is_found() {
    is_found(Fault::NotJudgedAgain);
}
