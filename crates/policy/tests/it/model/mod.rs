//! Random histories, compared with a naive model.
//!
//! A history is a list of acts on an authority with two replicas and two followers:
//! tokens are issued, evicted, revoked one by one and by scope, at once and later;
//! revocations are compacted and forgotten; channels are suspended, secrets and keys
//! rotated, token rules changed; clocks are stepped; acts overlap; followers lag;
//! stores are restored from a backup. After each act
//!
//! - every view gives the answer and the expiry that follow from a list of all events
//!   up to the view's position;
//! - the token rules admit, evict and deny as counting in that list does, caps hold,
//!   and no token of another group is revoked;
//! - no replica accepts a token whose revocation was answered, and no verifier accepts
//!   a token that it once rejected as expired or revoked;
//! - an issued token is active for every verifier that has read the whole log.
//!
//! Planted faults show that these checks can fail: each fault must be found.
//!
//! With `TEGATA_LONG=1` there are twenty times as many; `TEGATA_SEED` is the seed of the first.

mod act;
mod authority;
mod changes;
mod naive;
mod recovery;
mod world;

use act::{Act, history};
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Seen, World};

/// An error of the authority, or of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A stateless token takes the newest bulk serial, but was authorized with an older
    /// snapshot of the channel.
    SerialReadLate,
    /// A cutoff also covers its own serial.
    AtMostForBelow,
    /// The active tokens are read when a request is authorized, and compacted at commit.
    CompactOutsideLock,
    /// Expired tokens are found by a wall clock that jumped ahead.
    ForgetsByWallClock,
    /// A delayed cutoff replaces an earlier one.
    DelayReplaces,
    /// A repeated revocation is answered before every replica has read the first one.
    RepeatAnswersAtOnce,
    /// After a restore the serials continue from the backup's.
    CounterRewinds,
    /// After a restore the serials are raised, but not the serial of the last bulk
    /// revocation, which stateless tokens carry.
    BulkSerialRewinds,
    /// A recovery limits the keys first, and then replays a looser limit.
    BoundsBeforeReplay,
    /// A stored issue is committed as it was authorized, whatever changed since.
    NotAuthorizedAgain,
}

/// A failed history: after which of its acts, and in which way.
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
    world.finish().map_err(|what| Wrong { acts: acts.len(), what })?;
    Ok(world.seen)
}

/// As [`run`]; a panic counts as a failure.
fn run_or_panic(acts: &[Act], fault: Fault) -> Result<Seen, Wrong> {
    catch_unwind(AssertUnwindSafe(|| run(acts, fault)))
        .unwrap_or_else(|_| Err(Wrong { acts: acts.len(), what: "panicked, see above".into() }))
}

/// Removes from a failing history every act without which it still fails.
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

#[test]
fn every_history_agrees_with_the_naive_model() {
    let first: u64 = std::env::var("TEGATA_SEED").map_or(1, |it| it.parse().unwrap());
    let mut seen = Seen::default();
    let histories = if std::env::var_os("TEGATA_LONG").is_some() { 3_000 } else { 150 };
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
        assert!(seen.0.contains_key(what), "in no history: {what}");
    }
}

/// Events that must occur in some history, or the histories do not test them.
const MUST_HAPPEN: [&str; 17] = [
    "issued",
    "issued stateless",
    "denied when authorized",
    "denied when authorized again",
    "denied for being full",
    "evicted",
    "revoked",
    "revoked twice",
    "compacted",
    "reissued with a delay",
    "scope revoked at once",
    "scope revoked later",
    "forgotten",
    "signing key rotated",
    "signing key limited or revoked",
    "restored with replay",
    "revocation replayed",
];

/// Asserts that the same checks find a fault within this many histories.
fn is_found(fault: Fault) {
    const HISTORIES: u64 = 1_000;
    let found = (1..=HISTORIES).find_map(|seed| Some((seed, run(&history(seed), fault).err()?)));
    let Some((seed, wrong)) = found else { panic!("{fault:?} was not found") };
    println!("{fault:?}: seed {seed}, {} acts: {}", wrong.acts, wrong.what);
}

#[test]
fn a_serial_read_after_authorizing_is_found() {
    is_found(Fault::SerialReadLate);
}

#[test]
fn a_cutoff_that_covers_its_own_serial_is_found() {
    is_found(Fault::AtMostForBelow);
}

#[test]
fn a_compaction_computed_outside_the_lock_is_found() {
    is_found(Fault::CompactOutsideLock);
}

#[test]
fn forgetting_by_the_wall_clock_is_found() {
    is_found(Fault::ForgetsByWallClock);
}

#[test]
fn a_delayed_cutoff_that_replaces_an_earlier_one_is_found() {
    is_found(Fault::DelayReplaces);
}

#[test]
fn a_repeated_revocation_that_is_answered_at_once_is_found() {
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
fn a_limit_of_a_key_that_a_replay_loosens_is_found() {
    is_found(Fault::BoundsBeforeReplay);
}

#[test]
fn an_issue_that_is_not_authorized_again_is_found() {
    is_found(Fault::NotAuthorizedAgain);
}
