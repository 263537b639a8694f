//! File descriptors: the process takes as many as it may have, and lets in no more
//! connections than leave enough for the store, its mark, and certificates. A process
//! that has run out of them can neither commit nor say so.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// So many are kept back: for the store and its readers, for files that are written
/// anew beside the old ones, for the runtime, and for those who are turned away.
const KEPT_BACK: u64 = 96;

/// How many connections each of `doors` listeners may take in, of the `wanted` ones.
/// Raises the process's limit as far as its owner may, which is far where a service
/// manager left only the first limit low.
pub fn places(wanted: usize, doors: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let places = places_within(limit, wanted, doors);
    if places < wanted {
        tracing::warn!(
            descriptors = limit,
            wanted,
            places,
            "too few file descriptors for so many connections; raise the limit (LimitNOFILE= in \
             a systemd unit) or lower --max-connections"
        );
    }
    places
}

fn places_within(limit: Option<u64>, wanted: usize, doors: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let left = usize::try_from(limit.saturating_sub(KEPT_BACK)).unwrap_or(usize::MAX);
    wanted.min(left / doors.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_enough_for_the_rest() {
        assert_eq!(places_within(None, 10_000, 1), 10_000);
        assert_eq!(places_within(Some(20_000), 10_000, 1), 10_000);
        assert_eq!(places_within(Some(1_096), 10_000, 1), 1_000);
        assert_eq!(places_within(Some(1_096), 10_000, 2), 500);
        // Somebody must be let in, were it only to be told.
        assert_eq!(places_within(Some(64), 10_000, 3), 1);
    }
}
