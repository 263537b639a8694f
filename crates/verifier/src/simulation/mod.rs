//! Random schedules of faults against a follower: responses that are late, lost, repeated
//! or out of order, processes that stand still, clocks that are set, also the authority's,
//! restores, a log that is cut at the asked position, restarts.
//!
//! The invariants: no follower accepts a revoked token once its receipt is complete, nor
//! later than its staleness after the revocation; none rejects an active token; what was
//! invalid stays so; after the faults every follower is fresh again.

mod authority;
mod check;
mod clock;
mod random;
mod subject;
mod world;

pub use subject::{Answer, OwnFollower, SentRequest, SimulatedResponse, TestedFollower};

/// A fault of the authority that a test plants, to prove that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// None.
    Nothing,
    /// A request after a position of the future, or of another epoch, is held.
    HeldFuture,
    /// A change is deleted at the asked position, and the follower is not sent a 410.
    DeletedAtPosition,
    /// A response has one change at the most, and the age of the newest view.
    Parts,
    /// The lease of an instance with `allow` runs out like that of any other.
    LenientExpire,
}

/// What a schedule contained.
#[derive(Debug, Default, Clone, Copy)]
pub struct ScheduleFigures {
    /// Verifications.
    pub verified: usize,
    /// Those that found the token active.
    pub active: usize,
    /// Those that found it invalid.
    pub invalid: usize,
    /// Those that did not know.
    pub unknown: usize,
    /// Receipts that became complete.
    pub receipts: usize,
    /// Faults.
    pub faults: usize,
}

/// Runs the schedule of a seed against followers that `subject` makes, one per host.
///
/// # Errors
/// The first invariant that was broken, with the last events.
pub fn run<S: TestedFollower>(
    seed: u64,
    planted: Planted,
    subject: impl FnMut() -> Result<S, String>,
) -> Result<ScheduleFigures, String> {
    world::World::new(seed, planted, subject)?.run()
}
