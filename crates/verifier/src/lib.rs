//! For programs that verify channel access tokens on another machine than the authority's.
//!
//! A follower keeps a view of the signing keys and the revocations up to date over the
//! feed, so that a verification reads memory alone. `docs/feed.md` has the rules.
//!
//! - [`follower`] is the follower as a pure state machine: clocks, responses and random
//!   numbers are its arguments.
//! - [`standing`] decides about one token: by the view, its age and what the use allows.

pub mod clocks;
pub mod follower;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod standing;
