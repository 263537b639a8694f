//! For programs that verify channel access tokens on another machine than the authority's.
//!
//! A follower keeps a view of the signing keys and the revocations up to date over the
//! feed, so that a verification reads memory alone. `docs/feed.md` has the rules.
//!
//! - [`follower`] is the follower as a pure state machine: clocks, responses and random
//!   numbers are its arguments.
//! - [`standing`] decides about one token: by the view, its age and what the use allows.
//! - [`TokenVerifier`] sends the follower's requests, and verifies.
//! - `BlockingVerifier` and `gate`, with the feature `blocking`, are for programs without a
//!   Tokio runtime, and for other languages.
//! - `layer`, with the feature `tower`, verifies the bearer token of each request.
//! - `simulation`, with the feature of that name, tests any follower.

pub mod clocks;
mod driver;
pub mod follower;
#[cfg(any(feature = "blocking", feature = "tower"))]
pub mod gate;
#[cfg(feature = "tower")]
pub mod layer;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod standing;
pub mod usage;

#[cfg(feature = "blocking")]
pub use driver::BlockingVerifier;
pub use driver::{
    FollowSettings, NotAccepted, RequestFailure, TokenVerifier, VerifiedToken, VerifierHealth,
    VerifierStartError,
};
