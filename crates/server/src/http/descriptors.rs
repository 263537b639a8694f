//! File descriptors: the process raises its limit as far as it may, and accepts no more
//! connections than leave enough descriptors for the store, its rollback guard, and
//! certificates. A process without free descriptors can neither commit nor log that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are reserved: for the store and its readers, for files that are
/// replaced, for the runtime, and for connections that are closed at once.
const KEPT_BACK: u64 = 96;

/// The number of connections that each of `listeners` listeners may accept, at most
/// `wanted`. Raises the process's soft limit to its hard limit, which service managers
/// often leave far apart.
pub fn per_listener(wanted: usize, listeners: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let connections = within(limit, wanted, listeners);
    if connections < wanted {
        tracing::warn!(
            descriptors = limit,
            wanted,
            connections,
            "too few file descriptors for so many connections on each listener; raise the limit \
             (LimitNOFILE= in a systemd unit, or `ulimit -n`)"
        );
    }
    connections
}

fn within(limit: Option<u64>, wanted: usize, listeners: usize) -> usize {
    let Some(limit) = limit else { return wanted };
    let left = usize::try_from(limit.saturating_sub(KEPT_BACK)).unwrap_or(usize::MAX);
    wanted.min(left / listeners.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_enough_descriptors() {
        assert_eq!(within(None, 10_000, 1), 10_000);
        assert_eq!(within(Some(20_000), 10_000, 1), 10_000);
        assert_eq!(within(Some(1_096), 10_000, 1), 1_000);
        assert_eq!(within(Some(1_096), 10_000, 2), 500);
        // At least one connection must be accepted, if only to return an error.
        assert_eq!(within(Some(64), 10_000, 3), 1);
    }
}
