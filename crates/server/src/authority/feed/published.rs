//! Whether the verifiers know a signing key that was published, so that it may sign.
//!
//! A token that a key signed before an instance knew the key would be answered 503 there.

use super::{
    instances::Instances,
    judge::{Line, settles},
};
use crate::authority::Authority;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};
use tegata_token::{
    id::{Position, SigningKeyId},
    key::KeyState,
};

/// The published key that does not sign yet, and the instances that may not know it.
#[derive(Default)]
pub struct Published(Mutex<Option<Wait>>);

struct Wait {
    key: SigningKeyId,
    /// A position at which the log holds the key.
    position: Position,
    /// When this process had learned of the key. An earlier process' wait is not known.
    since: Instant,
    lines: Vec<Line>,
}

impl Published {
    /// Whether each instance has acknowledged the log up to a position at which it holds
    /// `key`, or can no longer use a view from before that. `head` is such a position.
    fn is_known(
        &self,
        key: SigningKeyId,
        head: Position,
        instances: &Instances,
        now: Instant,
    ) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = match &mut *held {
            Some(wait) if wait.key == key && wait.position.epoch == head.epoch => wait,
            other => {
                let lines = instances.lines(None);
                other.insert(Wait { key, position: head, since: now, lines })
            }
        };
        instances.update(&mut wait.lines, wait.position);
        let since = now.saturating_duration_since(wait.since);
        // An instance that uses a stale view answers 503 for a key that it does not know:
        // it can be late, and accepts nothing wrong.
        wait.lines.retain(|it| since < it.lease() && !settles(it.state(since)));
        wait.lines.is_empty()
    }
}

impl Authority {
    /// The pending signing key, if each instance of each verifier has acknowledged it, or
    /// can no longer be fresh without it. It must be asked once the key is published: the
    /// leases count from the first question.
    #[must_use]
    pub fn known_pending_key(&self) -> Option<SigningKeyId> {
        let (view, feed) = (self.view(), self.feed());
        let pending = view.keys().iter().find(|it| it.state == KeyState::Pending)?.key.id();
        let now = self.clock().steady();
        feed.published.is_known(pending, view.position(), &feed.instances, now).then_some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};
    use tegata_policy::acts::{Instance, TokenHash};
    use tegata_store::VerifierRow;
    use tegata_token::{
        feed::{InstanceId, OnStale},
        id::VerifierId,
        time::UnixTime,
    };

    const KEY: u8 = 7;

    fn key(byte: u8) -> SigningKeyId {
        SigningKeyId([byte; 8])
    }

    fn at(number: u64) -> Position {
        Position { epoch: 3, number }
    }

    fn instance(letter: &str) -> InstanceId {
        letter.repeat(22).parse().unwrap()
    }

    /// Registers an instance whose lease is 2,300 ms.
    fn register(instances: &Instances, letter: &str, on_stale: OnStale, now: Instant) {
        let id = VerifierId::from_number(1).unwrap();
        let verifier = Arc::new(VerifierRow {
            id,
            name: "gateway".to_owned(),
            provider: None,
            max_staleness: 2_000,
            allow: true,
            token: TokenHash([0; 32]),
            created_at: UnixTime(5),
        });
        let row = Instance {
            verifier: id,
            instance: instance(letter),
            staleness: 2_000,
            on_stale,
            stopped: false,
            registered_at: UnixTime(5),
            renewed_at: UnixTime(5),
        };
        instances.registered(row, verifier, now);
    }

    fn acknowledge(instances: &Instances, letter: &str, number: u64) {
        let name = (VerifierId::from_number(1).unwrap(), instance(letter));
        instances.acknowledge(&name, at(number), UnixTime(6));
    }

    #[test]
    fn a_key_is_known_at_once_without_instances() {
        let (published, instances) = (Published::default(), Instances::default());
        assert!(published.is_known(key(KEY), at(10), &instances, Instant::now()));
    }

    #[test]
    fn a_key_is_known_once_every_instance_has_acknowledged_it() {
        let (published, instances, now) =
            (Published::default(), Instances::default(), Instant::now());
        register(&instances, "a", OnStale::Deny, now);
        register(&instances, "b", OnStale::Allow, now);
        let known = |head| published.is_known(key(KEY), at(head), &instances, now);
        assert!(!known(10));
        acknowledge(&instances, "a", 10);
        acknowledge(&instances, "b", 9);
        assert!(!known(12), "the second one lacks the key");
        acknowledge(&instances, "b", 10);
        assert!(known(12), "the position of the first question counts");
    }

    #[test]
    fn a_key_is_known_once_the_lease_of_each_silent_instance_has_run_out() {
        let (published, instances, now) =
            (Published::default(), Instances::default(), Instant::now());
        register(&instances, "a", OnStale::Deny, now);
        register(&instances, "b", OnStale::Allow, now);
        let known =
            |ms| published.is_known(key(KEY), at(10), &instances, now + Duration::from_millis(ms));
        assert!(!known(0) && !known(2_299));
        assert!(known(2_300));
    }

    #[test]
    fn each_key_and_each_epoch_is_waited_for_anew() {
        let (published, instances, now) =
            (Published::default(), Instances::default(), Instant::now());
        register(&instances, "a", OnStale::Deny, now);
        acknowledge(&instances, "a", 10);
        assert!(published.is_known(key(KEY), at(10), &instances, now));
        assert!(!published.is_known(key(8), at(11), &instances, now));
        acknowledge(&instances, "a", 11);
        assert!(published.is_known(key(8), at(11), &instances, now));
        let later = Position { epoch: 4, number: 11 };
        assert!(!published.is_known(key(8), later, &instances, now));
    }
}
