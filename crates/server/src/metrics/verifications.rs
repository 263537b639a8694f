//! Counts and times of verifications, by API.

use super::shown::Durations;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::{Registry, Unit},
};
use std::{cell::Cell, time::Instant};
use tegata_store::figures::doubling;
use tegata_token::verify::{Active, Invalid};

/// The results of verifications.
pub struct Verifications {
    /// Active tokens.
    pub active: Counter,
    invalid: [Counter; REASONS.len()],
    /// Valid tokens that the gateway's own conditions did not let through.
    pub denied: Counter,
    seconds: Durations,
}

/// Why a token is not valid, in a word each.
// In the order of `index_of`.
pub const REASONS: [&str; 7] =
    ["malformed", "bad_signature", "unknown_key", "foreign", "expired", "revoked", "suspended"];

fn index_of(invalid: Invalid) -> usize {
    match invalid {
        Invalid::Malformed(_) => 0,
        Invalid::BadSignature => 1,
        Invalid::UnknownKey => 2,
        Invalid::Foreign => 3,
        Invalid::Expired => 4,
        Invalid::Revoked(_) => 5,
        Invalid::Suspended => 6,
    }
}

/// Why a token is not valid, in a word.
#[must_use]
pub fn reason(invalid: Invalid) -> &'static str {
    REASONS[index_of(invalid)]
}

/// One in this many verifications is timed: reading the clock twice would cost a good
/// part of one.
const SAMPLE: u8 = 16;

impl Verifications {
    /// Counts a verification.
    pub fn count(&self, verified: &Result<Active, Invalid>) {
        match verified {
            Ok(_) => {
                self.active.inc();
            }
            Err(invalid) => self.count_invalid(*invalid),
        }
    }

    /// Counts a token that is not active.
    pub fn count_invalid(&self, invalid: Invalid) {
        self.invalid[index_of(invalid)].inc();
    }

    /// How many found an active token, and how many did not.
    pub(super) fn sums(&self) -> (u64, u64) {
        (self.active.get(), self.invalid.iter().map(Counter::get).sum())
    }

    /// Runs a verification, and times one in sixteen of them by `clock`.
    pub async fn timed<T>(
        &self,
        clock: impl Fn() -> Instant,
        verify: impl Future<Output = T>,
    ) -> T {
        thread_local! {
            static TURN: Cell<u8> = const { Cell::new(0) };
        }
        let turn = TURN.get();
        TURN.set((turn + 1) % SAMPLE);
        if turn != 0 {
            return verify.await;
        }
        let began = clock();
        let verified = verify.await;
        self.seconds.observe(clock().duration_since(began));
        verified
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerificationLabels {
    api: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

/// From a quarter of a microsecond to eight milliseconds, in nanoseconds.
const TIMES: &[u64] = &doubling::<16>(250);

/// The counters of each API, registered.
pub(super) fn register(registry: &mut Registry) -> [Verifications; 4] {
    let counts = Family::<VerificationLabels, Counter>::default();
    registry.register("verifications", "Tokens verified, by API and result", counts.clone());
    let seconds = Family::<ApiLabel, Durations, _>::new_with_constructor(
        (|| Durations::new(TIMES)) as fn() -> Durations,
    );
    registry.register_with_unit(
        "verification",
        "Time to verify a token, without reading the request and writing the response; one in sixteen is timed",
        Unit::Seconds,
        seconds.clone(),
    );
    ["line-v2.1", "line-v2", "gateway", "ext_authz"].map(|api| {
        let count = |result| counts.get_or_create_owned(&VerificationLabels { api, result });
        Verifications {
            active: count("active"),
            invalid: REASONS.map(count),
            denied: if matches!(api, "gateway" | "ext_authz") {
                count("denied")
            } else {
                Counter::default()
            },
            seconds: seconds.get_or_create_owned(&ApiLabel { api }),
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;
    use prometheus_client::encoding::text::encode;
    use std::{sync::Arc, time::Instant};

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a base for moments that the test chooses")]
    async fn one_verification_in_sixteen_is_timed() {
        let metrics = Metrics::new(Arc::default());
        let moment = Instant::now();
        for _ in 0..33 {
            metrics.verifications_gateway.timed(|| moment, async {}).await;
        }
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        assert!(text.contains("tegata_verification_seconds_count{api=\"gateway\"} 3"), "{text}");
    }
}
