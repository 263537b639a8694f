//! Counts and times of issues, by kind.

use super::shown::Durations;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use std::time::Duration;
use tegata_policy::rules::RULES;
use tegata_store::figures::DISK_TIMES;

/// The results of issues of one kind.
pub struct Issues {
    /// A new token was issued.
    pub issued: Counter,
    again: Counter,
    /// A rule denied it.
    pub denied: Counter,
    limited: Counter,
    unavailable: Counter,
    evicted: Counter,
    seconds: Durations,
}

/// What is counted for a token that was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IssuedToken {
    /// Whether it was issued before, under the same `Idempotency-Key`.
    pub again: bool,
    /// The number of tokens evicted for it.
    pub evicted: usize,
}

/// Why no token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotIssued {
    /// A rule denied it.
    Denied,
    /// A rate or surge limit was exceeded.
    Limited,
    /// The store was unavailable.
    Unavailable,
}

impl Issues {
    /// Counts an issue that took so long.
    pub fn count(&self, issued: Result<IssuedToken, NotIssued>, took: Duration) {
        match issued {
            Ok(IssuedToken { again: true, .. }) => self.again.inc(),
            Ok(IssuedToken { evicted, .. }) => {
                self.seconds.observe(took);
                self.evicted.inc_by(evicted as u64);
                self.issued.inc()
            }
            Err(NotIssued::Denied) => self.denied.inc(),
            Err(NotIssued::Limited) => self.limited.inc(),
            Err(NotIssued::Unavailable) => self.unavailable.inc(),
        };
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct IssueLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// The counters of each kind, registered.
pub(super) fn register(registry: &mut Registry) -> [Issues; RULES.len()] {
    let counts = Family::<IssueLabels, Counter>::default();
    let help = "Requests for a token, including those of administrators, by kind and result";
    registry.register("issues", help, counts.clone());
    let evictions = Family::<KindLabel, Counter>::default();
    let help = "Tokens evicted by a newer one, by kind";
    registry.register("evictions", help, evictions.clone());
    let seconds = Family::<KindLabel, Durations, _>::new_with_constructor(
        (|| Durations::new(DISK_TIMES)) as fn() -> Durations,
    );
    let help = "Time to issue a token, from the request read to the token ready";
    registry.register_with_unit("issue", help, Unit::Seconds, seconds.clone());
    RULES.map(|rule| {
        let kind = rule.name;
        let count = |result| counts.get_or_create_owned(&IssueLabels { kind, result });
        Issues {
            issued: count("issued"),
            again: count("again"),
            denied: count("denied"),
            limited: count("limited"),
            unavailable: count("unavailable"),
            evicted: evictions.get_or_create_owned(&KindLabel { kind }),
            seconds: seconds.get_or_create_owned(&KindLabel { kind }),
        }
    })
}
