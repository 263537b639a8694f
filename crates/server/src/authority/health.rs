//! Readiness: the checks of `/readyz`.
//!
//! A load balancer may ask at any rate: the checks run at most once a second, one run at
//! a time, and a check that hangs is not started again. Draining is reported at once.

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
use tegata_policy::text::counted;
use tegata_token::time::UnixTime;
use tokio::{sync::Mutex as AsyncMutex, task::JoinHandle, time::timeout};

/// The readiness checks and their state.
pub struct Health {
    store: PathBuf,
    min_free: u64,
    /// Maximum age of the active signing key, in seconds.
    key_age: i64,
    /// When the active signing key began to sign; 0: not known yet.
    key_since: AtomicI64,
    draining: AtomicBool,
    /// Why this server's administrator's token is not the one in force for all servers.
    token_differs: Mutex<Option<String>>,
    jobs_seen: Mutex<Instant>,
    last: AsyncMutex<Last>,
}

/// The result of the last run.
#[derive(Default)]
struct Last {
    at: Option<Instant>,
    report: Arc<HealthReport>,
    /// A trial commit that was started and has not completed.
    writing: Option<JoinHandle<Trial>>,
}

/// Whether a commit succeeded, and whether the revocation journal can be written.
type Trial = (Result<()>, Result<bool>);

/// The result of a run.
#[derive(Debug, Default)]
pub struct HealthReport {
    /// Each check.
    pub checks: Vec<Check>,
    /// The store's size and free space, where they could be read.
    pub sizes: Option<StoreSizes>,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, which is also a metric's label.
    pub name: &'static str,
    /// Whether it passed.
    pub holds: bool,
    /// What was found, for people.
    pub found: String,
}

/// Checks that make no server unready, since it answers every request as well as before. An audit
/// that does not match, and a replaced master key, are found by all servers that share a store, or
/// by all but one: a load balancer would have none left. And of a single server nothing would be
/// left. Metrics, the log and `tegata doctor` report them.
const REPORTED_ONLY: [&str; 2] = ["audit", "master_key"];

impl Check {
    /// Whether the server is not ready if it fails.
    fn is_required(&self) -> bool {
        !REPORTED_ONLY.contains(&self.name)
    }
}

impl HealthReport {
    /// Whether all checks passed that are required for readiness.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| check.holds || !check.is_required())
    }

    /// The names of the failed checks.
    pub fn failing(&self) -> impl Iterator<Item = &'static str> {
        self.checks.iter().filter(|check| !check.holds).map(|check| check.name)
    }
}

/// How long a result is reused.
const FRESH: Duration = Duration::from_secs(1);
/// A store that does not commit within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// The jobs run every minute; after this long without a run they have failed.
const JOBS: Duration = Duration::from_secs(5 * 60);

impl Health {
    /// Readiness of a server that starts `now`, on the store in that file. It requires at
    /// least `min_free` bytes of free disk, and a new signing key every `key_age`
    /// seconds.
    #[must_use]
    pub fn new(store: PathBuf, min_free: u64, key_age: i64, now: Instant) -> Self {
        Self {
            store,
            min_free,
            key_age,
            key_since: AtomicI64::new(0),
            draining: AtomicBool::new(false),
            token_differs: Mutex::default(),
            jobs_seen: Mutex::new(now),
            last: AsyncMutex::default(),
        }
    }

    /// Makes the server not ready, since it stops.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Records that the jobs run.
    pub fn jobs_are_at(&self, now: Instant) {
        *self.jobs_seen.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Records when the active signing key began to sign.
    pub fn key_signs_since(&self, time: UnixTime) {
        self.key_since.store(time.0, Relaxed);
    }

    /// Records why this server's administrator's token is not the one in force, if it is not.
    pub fn token_differs(&self, why: Option<String>) {
        *self.token_differs.lock().unwrap_or_else(PoisonError::into_inner) = why;
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

    /// The readiness report at `now`.
    pub async fn report(&self, authority: &Arc<Authority>, now: Instant) -> Arc<HealthReport> {
        let report = self.cached_report(authority, now).await;
        if !self.draining.load(Relaxed) {
            return report;
        }
        let stops =
            Check { name: "running", holds: false, found: "the server is stopping".to_owned() };
        let mut checks = report.checks.clone();
        checks.retain(|check| check.name != stops.name);
        checks.insert(0, stops);
        Arc::new(HealthReport { checks, sizes: report.sizes })
    }

    async fn cached_report(&self, authority: &Arc<Authority>, now: Instant) -> Arc<HealthReport> {
        let mut last = self.last.lock().await;
        // A run that completed while this one waited is as good.
        if last.at.is_some_and(|at| now.saturating_duration_since(at) < FRESH) {
            return last.report.clone();
        }
        let (writes, logs) = self.writes(&mut last, authority).await;
        let sizes = self.sizes().await;
        let mut checks = vec![
            Check { name: "running", holds: true, found: "the server is running".to_owned() },
            writes,
            self.disk(sizes),
            signs(authority),
        ];
        // What the audit holds is not known while the store does not answer.
        if checks.iter().all(|check| check.name != "store" || check.holds) {
            checks.push(checkpoints(authority).await);
        }
        checks.push(self.jobs(now));
        checks.extend(logs);
        checks.extend(shared(authority));
        checks.extend(self.admin_token(authority));
        let report = Arc::new(HealthReport { checks, sizes });
        log_changes(&last.report, &report);
        last.report = report.clone();
        // The current time, since the run may have taken long.
        last.at = Some(authority.clock().steady());
        report
    }

    /// Whether the store commits, and whether the revocation journal, if there is one,
    /// can be written. A trial that hangs is awaited again, not repeated: probes must not
    /// fill the queue that they check.
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
            Ok(Ok((Ok(()), logs))) => (store(true, "the store commits"), has_journal(logs)),
            Ok(Ok((Err(error), _))) => {
                tracing::debug!(%error, "a commit for /readyz failed");
                match authority.store().is_shared() {
                    // The text of a database's error holds no value of a row.
                    true => (store(false, &format!("the store does not commit: {error}")), None),
                    false => {
                        (store(false, "the store does not commit; see the server's log"), None)
                    }
                }
            }
            Ok(Err(_)) => (
                store(false, "the check failed with an internal error; see the server's log"),
                None,
            ),
            Err(_) => {
                last.writing = Some(writing);
                (store(false, "the store does not respond"), None)
            }
        }
    }

    /// On a thread of its own, since the disk may hang.
    async fn sizes(&self) -> Option<StoreSizes> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || sizes_of(&store));
        timeout(PATIENCE, read).await.ok()?.ok()?
    }

    fn disk(&self, sizes: Option<StoreSizes>) -> Check {
        let (holds, found) = match sizes {
            None => (false, "the free space of the store's disk cannot be read".to_owned()),
            Some(sizes) => {
                let (free, least) = (sizes.free >> 20, self.min_free >> 20);
                let words =
                    format!("{free} MiB free on the store's disk, at least {least} MiB required");
                (sizes.free >= self.min_free, words)
            }
        };
        Check { name: "disk", holds, found }
    }

    /// Where servers share the store: whether this server has the administrator's token that is
    /// in force. The check holds either way, since the server answers as the others do.
    fn admin_token(&self, authority: &Authority) -> Option<Check> {
        authority.root_token()?;
        let differs = self.token_differs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = differs.unwrap_or_else(|| "it is the one in force for all servers".to_owned());
        Some(Check { name: "admin_token", holds: true, found })
    }

    fn jobs(&self, now: Instant) -> Check {
        let seen = *self.jobs_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = now.saturating_duration_since(seen);
        let found = format!("the jobs last ran {} s ago", ago.as_secs());
        Check { name: "jobs", holds: ago < JOBS, found }
    }
}

fn signs(authority: &Authority) -> Check {
    let holds = authority.can_sign();
    let found = if holds {
        "the active signing key is loaded"
    } else {
        "no signing key is active and loaded"
    };
    Check { name: "signing_key", holds, found: found.to_owned() }
}

/// Where servers share the store: whether answers from memory may be given, and whether the
/// master key is the one that is in force.
fn shared(authority: &Authority) -> Vec<Check> {
    let Some(age) = authority.lease_age() else { return Vec::new() };
    let found = format!("the lease was renewed {} ms ago, and lasts 2,000 ms", age.as_millis());
    let lease = Check { name: "lease", holds: authority.is_current(authority.mark()), found };
    let (holds, found) = match authority.master() {
        Ok(_) => (true, "the master key is the one in force".to_owned()),
        Err(error) => (false, error.to_string()),
    };
    vec![lease, Check { name: "master_key", holds, found }]
}

fn has_journal(logs: Result<bool>) -> Option<Check> {
    let (holds, found) = match logs {
        Ok(false) => return None,
        Ok(true) => (true, "the journal is in place and has space".to_owned()),
        Err(error) => (false, format!("no token can be revoked: {error}")),
    };
    Some(Check { name: "revocation_journal", holds, found })
}

/// Whether the audit matches its checkpoints, and whether new events get a checkpoint
/// soon: until then they could be changed without detection.
async fn checkpoints(authority: &Authority) -> Check {
    if authority.audit().is_broken() {
        let found = "the audit does not match its checkpoints, or its end cannot be confirmed; run `tegata audit \
                     verify`";
        let found = found.to_owned();
        return Check { name: "audit", holds: false, found };
    }
    let (holds, found) = match timeout(PATIENCE, authority.store().audit_head()).await {
        Ok(Ok(head)) => {
            let found = counted(head.pending, "event waits", "events wait") + " for a checkpoint";
            (!audit::lags(&head, authority.now()), found)
        }
        _ => (false, "the audit's newest checkpoint cannot be read".to_owned()),
    };
    Check { name: "audit", holds, found }
}

fn sizes_of(store: &Path) -> Option<StoreSizes> {
    let mut wal = store.as_os_str().to_owned();
    wal.push("-wal");
    let disk = rustix::fs::statvfs(store).ok()?;
    let file = metadata(store).ok()?;
    Some(StoreSizes {
        // With a database it is the folder of this server's own files.
        file: if file.is_dir() { 0 } else { file.len() },
        // It does not exist while no process has the store open.
        wal: metadata(wal).map_or(0, |it| it.len()),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
    })
}

/// Logs changes between two reports.
fn log_changes(before: &HealthReport, now: &HealthReport) {
    let was = |name: &str| before.checks.iter().find(|check| check.name == name).map(|it| it.holds);
    for check in &now.checks {
        let Check { name, holds, found } = check;
        match (was(name), holds) {
            (Some(true) | None, false) if !check.is_required() => {
                tracing::warn!(check = name, found, "a check fails; the server stays ready");
            }
            (Some(true) | None, false) => tracing::warn!(check = name, found, "not ready"),
            (Some(false), true) => tracing::info!(check = name, found, "the check passes again"),
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
    fn jobs_that_have_not_run_for_minutes_fail_the_check() {
        let started = Instant::now();
        let health = health(started);
        let after = |seconds| health.jobs(started + Duration::from_secs(seconds)).holds;
        assert!(after(299) && !after(300));
        health.jobs_are_at(started + Duration::from_secs(200));
        assert!(after(499) && !after(500));
    }

    #[test]
    fn a_disk_below_its_minimum_is_too_full() {
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
