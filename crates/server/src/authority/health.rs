//! Whether the server is of use: what `/readyz` answers.
//!
//! A balancer may ask as often as it likes: the answer is found anew at most once
//! a second, by one look at a time, and a look that hangs is not begun again. That
//! the process stops is said at once.

use crate::{
    authority::{Authority, Result, audit},
    metrics::StoreSizes,
};
use std::{
    fs::metadata,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tegata_token::time::UnixTime;
use tokio::{sync::Mutex as AsyncMutex, task::JoinHandle, time::timeout};

/// What `/readyz` looks at.
pub struct Health {
    store: PathBuf,
    least_free: u64,
    /// For how many seconds a signing key should sign at the most.
    key_age: i64,
    /// Since when the active signing key has been signing; 0 is not known yet.
    key_since: AtomicI64,
    draining: AtomicBool,
    jobs_seen: Mutex<Instant>,
    last: AsyncMutex<Last>,
}

/// What is known of the last look.
#[derive(Default)]
struct Last {
    at: Option<Instant>,
    report: Arc<HealthReport>,
    /// A trial that was begun and has not come to its end.
    writing: Option<JoinHandle<Trial>>,
}

/// Whether a commit came to its end, and whether an ending could be logged.
type Trial = (Result<()>, Result<bool>);

/// What a look found.
#[derive(Debug, Default)]
pub struct HealthReport {
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// How much room the store takes and has, where that could be read.
    pub sizes: Option<StoreSizes>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, which is also a label.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub holds: bool,
    /// What was found, for people.
    pub found: String,
}

impl HealthReport {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }

    /// The names of what is not.
    pub fn failing(&self) -> impl Iterator<Item = &'static str> {
        self.checks.iter().filter(|check| !check.holds).map(|check| check.name)
    }
}

/// An answer holds for this long.
const FRESH: Duration = Duration::from_secs(1);
/// A store that does not commit within this is not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// The jobs come round every minute; so long without them is not for want of time.
const JOBS: Duration = Duration::from_secs(5 * 60);

impl Health {
    /// Of a server that starts `now`, on the store in that file; it wants at least
    /// `least_free` bytes of disk, and a new signing key every `key_age` seconds.
    #[must_use]
    pub fn new(store: PathBuf, least_free: u64, key_age: i64, now: Instant) -> Self {
        Self {
            store,
            least_free,
            key_age,
            key_since: AtomicI64::new(0),
            draining: AtomicBool::new(false),
            jobs_seen: Mutex::new(now),
            last: AsyncMutex::default(),
        }
    }

    /// From now on the server is not ready: it stops.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// The jobs are alive.
    pub fn jobs_are_at(&self, now: Instant) {
        *self.jobs_seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// The active signing key has been signing since then.
    pub fn key_signs_since(&self, time: UnixTime) {
        self.key_since.store(time.0, Relaxed);
    }

    /// Seconds until the active signing key should be replaced; negative once it
    /// is overdue.
    #[must_use]
    pub fn rotation_due(&self, now: UnixTime) -> i64 {
        match self.key_since.load(Relaxed) {
            0 => self.key_age,
            since => since + self.key_age - now.0,
        }
    }

    /// What there is to say at `now`.
    pub async fn look(&self, authority: &Arc<Authority>, now: Instant) -> Arc<HealthReport> {
        let report = self.report(authority, now).await;
        if !self.draining.load(Relaxed) {
            return report;
        }
        let stops = Check { name: "running", holds: false, found: "the server stops".to_owned() };
        let mut checks = report.checks.clone();
        checks.retain(|check| check.name != stops.name);
        checks.insert(0, stops);
        Arc::new(HealthReport { checks, sizes: report.sizes })
    }

    async fn report(&self, authority: &Arc<Authority>, now: Instant) -> Arc<HealthReport> {
        let mut last = self.last.lock().await;
        // A look that was begun by somebody else while this one waited is as good.
        if last.at.is_some_and(|at| now.saturating_duration_since(at) < FRESH) {
            return last.report.clone();
        }
        let (writes, logs) = self.writes(&mut last, authority).await;
        let sizes = self.sizes().await;
        let mut checks = vec![
            Check { name: "running", holds: true, found: "it serves".to_owned() },
            writes,
            self.disk(sizes),
            signs(authority),
            checkpoints(authority).await,
            self.jobs(now),
        ];
        checks.extend(logs);
        let report = Arc::new(HealthReport { checks, sizes });
        tell(&last.report, &report);
        last.report = report.clone();
        // By the clock of whoever asks next.
        last.at = Some(authority.clock().steady());
        report
    }

    /// Whether the store commits, and, where it keeps a log of endings, whether that
    /// can be written. What hangs is waited for again, not begun again: questions must
    /// not fill the queue that they ask about.
    async fn writes(&self, last: &mut Last, authority: &Arc<Authority>) -> (Check, Option<Check>) {
        let mut writing = last.writing.take().unwrap_or_else(|| {
            let authority = authority.clone();
            tokio::spawn(async move {
                let store = authority.store();
                (store.is_writable().await, store.has_journal().await)
            })
        });
        let store = |holds, found: &str| Check { name: "store", holds, found: found.to_owned() };
        match timeout(PATIENCE, &mut writing).await {
            Ok(Ok((Ok(()), logs))) => (store(true, "it commits"), has_journal(logs)),
            Ok(Ok((Err(error), _))) => {
                tracing::debug!(%error, "a commit for /readyz failed");
                (store(false, "it does not commit; the log says why"), None)
            }
            Ok(Err(_)) => (store(false, "asking it met a bug; the log has it"), None),
            Err(_) => {
                last.writing = Some(writing);
                (store(false, "it does not answer"), None)
            }
        }
    }

    /// On a thread that may hang with the disk.
    async fn sizes(&self) -> Option<StoreSizes> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || sizes_of(&store));
        timeout(PATIENCE, read).await.ok()?.ok()?
    }

    fn disk(&self, sizes: Option<StoreSizes>) -> Check {
        let (holds, found) = match sizes {
            None => (false, "its disk does not say how full it is".to_owned()),
            Some(sizes) => {
                let (free, least) = (sizes.free >> 20, self.least_free >> 20);
                let words = format!("{free} MiB free on the store's disk, at least {least} wanted");
                (sizes.free >= self.least_free, words)
            }
        };
        Check { name: "disk", holds, found }
    }

    fn jobs(&self, now: Instant) -> Check {
        let seen = *self.jobs_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = now.saturating_duration_since(seen);
        let found = format!("they came round {} s ago", ago.as_secs());
        Check { name: "jobs", holds: ago < JOBS, found }
    }
}

fn signs(authority: &Authority) -> Check {
    let holds = authority.can_sign();
    let found = if holds { "it is at hand" } else { "no signing key is active and opened" };
    Check { name: "signing_key", holds, found: found.to_owned() }
}

fn has_journal(logs: Result<bool>) -> Option<Check> {
    let (holds, found) = match logs {
        Ok(false) => return None,
        Ok(true) => (true, "it has room, and is where it belongs".to_owned()),
        Err(error) => (false, format!("nothing can be ended: {error}")),
    };
    Some(Check { name: "revocation_journal", holds, found })
}

/// Whether what was done is as it was sealed, and whether what is done is sealed soon
/// after: an audit that nobody seals could be changed unseen.
async fn checkpoints(authority: &Authority) -> Check {
    if authority.audit().is_broken() {
        let found = "it is not what was sealed, or its end cannot be confirmed; run `tegata audit \
                     verify`";
        let found = found.to_owned();
        return Check { name: "audit", holds: false, found };
    }
    let (holds, found) = match timeout(PATIENCE, authority.store().audit_head()).await {
        Ok(Ok(head)) => {
            let found = format!("{} events wait to be sealed", head.pending);
            (!audit::lags(&head, authority.now()), found)
        }
        _ => (false, "how far it is sealed cannot be read".to_owned()),
    };
    Check { name: "audit", holds, found }
}

fn sizes_of(store: &Path) -> Option<StoreSizes> {
    let mut wal = store.as_os_str().to_owned();
    wal.push("-wal");
    let disk = rustix::fs::statvfs(store).ok()?;
    Some(StoreSizes {
        file: metadata(store).ok()?.len(),
        // Gone while nobody has the store open.
        wal: metadata(wal).map_or(0, |it| it.len()),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

/// Says in the log what changed, and nothing while nothing does.
fn tell(before: &HealthReport, now: &HealthReport) {
    let was = |name: &str| before.checks.iter().find(|check| check.name == name).map(|it| it.holds);
    for Check { name, holds, found } in &now.checks {
        match (was(name), holds) {
            (Some(true) | None, false) => tracing::warn!(check = name, found, "not ready"),
            (Some(false), true) => tracing::info!(check = name, found, "ready again"),
            _ => {}
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a base for moments that the tests choose")]
mod tests {
    use super::*;

    fn health(now: Instant) -> Health {
        Health::new("/".into(), 10 << 20, 90 * 86_400, now)
    }

    #[test]
    fn jobs_that_have_not_come_round_for_minutes_are_missed() {
        let started = Instant::now();
        let health = health(started);
        let after = |seconds| health.jobs(started + Duration::from_secs(seconds)).holds;
        assert!(after(299) && !after(300));
        health.jobs_are_at(started + Duration::from_secs(200));
        assert!(after(499) && !after(500));
    }

    #[test]
    fn a_disk_below_its_floor_is_too_full() {
        let health = health(Instant::now());
        let free = |free| health.disk(Some(StoreSizes { free, ..Default::default() })).holds;
        assert!(free(10 << 20) && !free((10 << 20) - 1));
        assert!(!health.disk(None).holds);
    }

    #[test]
    fn a_key_is_due_for_rotation_when_it_has_signed_long_enough() {
        let health = health(Instant::now());
        assert_eq!(health.rotation_due(UnixTime(5)), 90 * 86_400, "not known yet");
        health.key_signs_since(UnixTime(1_000));
        assert_eq!(health.rotation_due(UnixTime(1_000 + 90 * 86_400)), 0);
        assert_eq!(health.rotation_due(UnixTime(1_001 + 90 * 86_400)), -1);
    }
}
