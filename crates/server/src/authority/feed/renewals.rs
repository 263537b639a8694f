//! The rows of instances that are due for renewal. They say nothing new, so no request waits for
//! the disk: those that are due within a second are renewed together.

use super::instances::{Instances, Name};
use crate::authority::Authority;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};
use tegata_store::Result;
use tegata_token::time::UnixTime;

/// Maximum number of rows that are renewed in one transaction.
const AT_ONCE: usize = 1_000;

/// The names of the rows that are due. Each is here once until it was renewed.
#[derive(Default)]
pub(super) struct DueRows(Mutex<Vec<Name>>);

impl DueRows {
    /// Adds one.
    pub fn add(&self, name: Name) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    fn take(&self) -> Vec<Name> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Instances {
    /// Notes that rows were renewed, or that they could not be: then they are due again.
    fn renewed(&self, names: &[Name], at: Option<(Instant, UnixTime)>) {
        let mut all = self.change();
        for name in names {
            let Some(known) = all.get_mut(name) else { continue };
            known.due = false;
            if let Some((at, time)) = at {
                known.renewed = at;
                known.row.renewed_at = known.row.renewed_at.max(time);
            }
        }
    }
}

impl Authority {
    /// Renews the rows that are due; those that cannot be renewed are due again with the next
    /// request.
    pub(super) async fn renew_instances(&self) -> Result<()> {
        let (feed, mut done) = (self.feed(), Ok(()));
        for names in feed.due.take().chunks(AT_ONCE) {
            let (at, time) = (self.clock().steady(), self.now());
            let renewed = self.store().renew_instances(names.to_vec(), time).await;
            feed.instances.renewed(names, renewed.is_ok().then_some((at, time)));
            done = done.and(renewed);
        }
        done
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a moment to count from, never compared with the clock"
)]
mod tests {
    use super::super::instances::{Standing, Standing::Registered};
    use super::*;
    use std::{sync::Arc, time::Duration};
    use tegata_policy::acts::{Instance, TokenHash};
    use tegata_store::VerifierRow;
    use tegata_token::{
        feed::{FeedQuery, InstanceId, OnStale},
        id::VerifierId,
    };

    fn verifier() -> Arc<VerifierRow> {
        Arc::new(VerifierRow {
            id: VerifierId::from_number(1).unwrap(),
            name: "v".to_owned(),
            provider: None,
            max_staleness: 200_000,
            allow: false,
            token: TokenHash([0; 32]),
            created_at: UnixTime(0),
        })
    }

    fn query(staleness: u32) -> FeedQuery {
        FeedQuery {
            instance: InstanceId::from_random([7; 16]),
            staleness: Duration::from_millis(staleness.into()),
            on_stale: OnStale::Deny,
            seq: None,
        }
    }

    fn register(all: &Instances, staleness: u32, now: Instant) {
        let row = Instance {
            verifier: verifier().id,
            instance: query(staleness).instance,
            staleness,
            on_stale: OnStale::Deny,
            registered_at: UnixTime(0),
            renewed_at: UnixTime(0),
            stopped: false,
            address: None,
        };
        assert!(all.registered(row, verifier(), now, all.removals()));
    }

    fn asks(all: &Instances, staleness: u32, now: Instant, time: i64) -> Standing {
        all.standing(&verifier(), &query(staleness), now, UnixTime(time))
    }

    #[test]
    fn a_row_is_due_once_after_a_minute_or_its_staleness_until_it_was_renewed() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        for (staleness, period) in [(2_000, 60), (90_000, 90)] {
            let all = Instances::default();
            let name = [(verifier().id, query(staleness).instance)];
            let at_time = |now| asks(&all, staleness, now, 0);
            assert!(matches!(at_time(at(0)), Standing::New));
            register(&all, staleness, at(0));
            assert!(matches!(at_time(at(period)), Registered(_, false)));
            assert!(matches!(at_time(at(period + 1)), Registered(_, true)));
            assert!(matches!(at_time(at(period + 1)), Registered(_, false)), "it is being renewed");
            all.renewed(&name, None);
            assert!(matches!(at_time(at(period + 2)), Registered(_, true)), "it was not renewed");
            all.renewed(&name, Some((at(period + 3), UnixTime(0))));
            assert!(matches!(at_time(at(2 * period + 3)), Registered(_, false)));
            assert!(matches!(at_time(at(2 * period + 4)), Registered(_, true)));
            let more = asks(&all, staleness + 1, at(1), 0);
            assert!(matches!(more, Standing::SaysLess));
        }
    }

    #[test]
    fn an_answer_counts_for_the_instance_that_was_registered_again_meanwhile() {
        let began = Instant::now();
        let all = Instances::default();
        let name = (verifier().id, query(1_000).instance);
        register(&all, 1_000, began);
        let Registered(seen, _) = asks(&all, 1_000, began, 0) else { panic!("it is registered") };
        let lease = |now| all.listed(None, now)[0].lease;
        let later = began + Duration::from_secs(20);
        let whole = lease(began);
        all.answered(&name, &seen, later);
        assert_eq!(lease(later), whole, "it may use that answer");
        all.remove(std::slice::from_ref(&name));
        register(&all, 1_000, began);
        all.answered(&name, &seen, later);
        assert_eq!(lease(later), whole);
    }

    /// A row that was not renewed for so long may be dropped while its instance asks.
    const LONG: u64 = 3_600 + 2 + 1;

    #[test]
    fn an_instance_whose_row_may_be_dropped_is_registered_again_before_its_answer() {
        let began = Instant::now();
        let late = began + Duration::from_secs(LONG);
        let all = Instances::default();
        register(&all, 1_000, began);
        assert!(matches!(asks(&all, 1_000, late, 0), Standing::SaysLess));
        // It has asked, so it is not silent any more, but may have no row.
        assert!(matches!(asks(&all, 1_000, late, 0), Standing::SaysLess));
        register(&all, 1_000, late);
        assert!(matches!(asks(&all, 1_000, late, 0), Registered(_, false)));
        // Another server may have known it for longer than this one runs.
        let time = i64::try_from(LONG).unwrap();
        assert!(matches!(asks(&all, 1_000, late, time), Standing::SaysLess));
        let name = (verifier().id, query(1_000).instance);
        all.renewed(&[name], Some((late, UnixTime(time))));
        assert!(matches!(asks(&all, 1_000, late, time), Registered(..)));
    }

    #[test]
    fn a_row_that_was_removed_while_it_was_written_is_not_known() {
        let (now, all) = (Instant::now(), Instances::default());
        register(&all, 1_000, now);
        let before = all.removals();
        let row = all.listed(None, now)[0].row.clone();
        all.remove(&[(verifier().id, query(1_000).instance)]);
        assert!(!all.registered(row.clone(), verifier(), now, before));
        assert!(matches!(asks(&all, 1_000, now, 0), Standing::New));
        assert!(all.registered(row, verifier(), now, all.removals()));
        assert!(matches!(asks(&all, 1_000, now, 0), Registered(..)));
    }
}
