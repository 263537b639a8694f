//! What other servers know of instances, in the memory of this one.

use super::instances::{Instances, Known, Name};
use std::{collections::HashSet, sync::Arc, time::Instant};
use tegata_policy::acts::Instance;
use tegata_store::{Acknowledged, VerifierRow};

impl Instances {
    /// Learns all stored instances, which were read after `began`: those that another server
    /// has registered or renewed, and which are there no more. `removals` is from before the
    /// reading; `false`: some were removed since, perhaps of those that were read.
    pub(super) fn merge(
        &self,
        all: Vec<(VerifierRow, Vec<Instance>)>,
        began: Instant,
        now: Instant,
        removals: u64,
    ) -> bool {
        let mut known = self.change();
        if self.removals() != removals {
            return false;
        }
        let mut there = HashSet::new();
        for (verifier, rows) in all {
            let verifier = Arc::new(verifier);
            for row in rows {
                let name = (row.verifier, row.instance.clone());
                match known.get_mut(&name) {
                    Some(it) => it.learn_row(row, now),
                    None => {
                        let mut new = Known::new(row, verifier.clone(), now);
                        new.elsewhere = Some(now);
                        known.insert(name.clone(), new);
                    }
                }
                there.insert(name);
            }
        }
        // One that was registered here since is not among those that were read.
        known.retain(|name, it| it.renewed >= began || there.contains(name));
        true
    }

    /// Learns what instances have acknowledged to other servers.
    pub(super) fn learn(&self, all: Vec<Acknowledged>) {
        let mut known = self.change();
        for theirs in all {
            let Some(it) = known.get_mut(&(theirs.verifier, theirs.instance)) else { continue };
            if let Some((position, at)) = theirs.position
                && it.acknowledged.is_none_or(|(before, _)| before < position)
            {
                it.acknowledge(position, at);
                it.cannot = None;
            }
            let has = |head| it.acknowledged.is_some_and(|(position, _)| position >= head);
            if let Some((head, reason)) = theirs.cannot
                && !has(head)
            {
                it.cannot = Some((head, reason));
            }
        }
    }

    /// What other servers have not learned yet.
    pub(super) fn unwritten(&self) -> Vec<Acknowledged> {
        let mut known = self.lock();
        let new = known.iter_mut().filter(|(_, it)| it.unwritten);
        let written = new.map(|((verifier, instance), it)| {
            it.unwritten = false;
            Acknowledged {
                verifier: *verifier,
                instance: instance.clone(),
                position: it.acknowledged,
                cannot: it.cannot.clone(),
            }
        });
        written.collect()
    }

    /// Notes that these were not written.
    pub(super) fn write_again(&self, all: &[Acknowledged]) {
        let mut known = self.lock();
        let name = |it: &Acknowledged| -> Name { (it.verifier, it.instance.clone()) };
        all.iter().for_each(|it| {
            if let Some(it) = known.get_mut(&name(it)) {
                it.unwritten = true;
            }
        });
    }
}

impl Known {
    /// Learns the row as another server may have written it.
    fn learn_row(&mut self, row: Instance, now: Instant) {
        if row.renewed_at > self.row.renewed_at {
            self.elsewhere = Some(now);
        }
        let (staleness, on_stale) =
            (row.staleness.max(self.row.staleness), row.on_stale.max(self.row.on_stale));
        let stopped = row.stopped || self.row.stopped;
        let renewed_at = row.renewed_at.max(self.row.renewed_at);
        self.row = Instance { staleness, on_stale, stopped, renewed_at, ..row };
    }
}
