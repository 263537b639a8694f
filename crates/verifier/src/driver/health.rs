//! How a verifier is: what it follows, and what keeps it from that.

use super::{TokenVerifier, clock, lock};
use crate::standing::{Stale, Use, Withdrawn};
use std::time::Duration;
use tegata_token::{feed::InstanceId, id::Position};

/// Why a request has no response that can be used. Names no instance, whose id
/// is as confidential as the verifier's token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// There is no response.
    #[error("no response from {authority}: {why}")]
    NoResponse {
        /// The authority's scheme, host and port.
        authority: String,
        /// The error with its causes.
        why: String,
    },
    /// The response has another status than one that brings a view.
    #[error("the response has the status {0}")]
    Status(u16),
}

/// The health of a verifier.
#[derive(Debug, Clone)]
pub struct VerifierHealth {
    /// The age of the view; `None` without one.
    pub age: Option<Duration>,
    /// Why the verifier's own use cannot rely on the view at this moment.
    pub stale: Option<Stale>,
    /// Why the authority rejects the requests.
    pub rejected: Option<Withdrawn>,
    /// Why the last request for the view has no response that can be used.
    pub failure: Option<RequestFailure>,
    /// Why the last report of uses was not accepted.
    pub usage_failure: Option<RequestFailure>,
    /// Why it cannot apply what it received.
    pub cannot: Option<String>,
    /// The position of the authority's last snapshot, if it is before the view's and so was
    /// discarded.
    pub authority_behind: Option<Position>,
    /// Why the view is not on disk, although it should be.
    pub copy_problem: Option<String>,
    /// The position of the view.
    pub position: Option<Position>,
    /// Number of signing keys.
    pub keys: usize,
    /// Number of channels that are suspended or deleted or have revocations.
    pub channels: usize,
    /// Number of revocations.
    pub revocations: usize,
    /// Wall clock minus the authority's time, in milliseconds.
    pub clock_difference_ms: Option<i64>,
    /// The values in force.
    pub in_force: Use,
    /// The instance.
    pub instance: InstanceId,
}

impl TokenVerifier {
    /// The health at this moment.
    #[must_use]
    pub fn health(&self) -> VerifierHealth {
        let clocks = clock::now();
        let standing = self.0.current.load_full();
        let view = standing.view();
        let difference = |time_ms: u64| {
            let wall = i128::from(clocks.wall) / 1_000_000 - i128::from(time_ms);
            wall.try_into().unwrap_or_default()
        };
        let (cannot, authority_behind) = {
            let follower = lock(&self.0.follower);
            (follower.cannot().map(str::to_owned), follower.authority_behind())
        };
        VerifierHealth {
            age: standing.age(clocks.steady),
            stale: standing.trouble(clocks, self.0.own_use),
            rejected: standing.withdrawn.clone(),
            failure: lock(&self.0.failure).clone(),
            usage_failure: lock(&self.0.usage_failure).clone(),
            cannot,
            authority_behind,
            copy_problem: lock(&self.0.copy_problem).clone(),
            position: view.map(|it| it.position()),
            keys: view.map_or(0, |it| it.keys().len()),
            channels: view.map_or(0, |it| it.channels()),
            revocations: view.map_or(0, |it| it.revocations()),
            clock_difference_ms: standing.time_ms(clocks.steady).map(difference),
            in_force: standing.in_force(self.0.own_use),
            instance: self.0.instance.clone(),
        }
    }
}
