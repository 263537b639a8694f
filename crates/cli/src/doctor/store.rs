//! Checks the store, its keys, its audit, and the clock that they depend on.

use super::{Findings, files};
use rustix::fs::statvfs;
use std::{fs, os::unix::fs::MetadataExt, path::Path};
use tegata_policy::text::counted;
use tegata_server::{
    authority::{
        audit::{OfflineError, begins_anew, verify_offline},
        master_key::MasterKey,
    },
    config::Settings,
};
use tegata_store::{
    Instance, SigningKeyRow, VerifierRow,
    sqlite::{Look, LookError, Looked, OpenError},
};
use tegata_token::{
    feed::OnStale,
    key::{KeyState, SigningKey},
    time::{DAY, UnixTime},
};

const CHECK: &str = "store";

pub fn look(found: &mut Findings, settings: &Settings, running: bool) {
    let path = &settings.place.store;
    room(found, settings.place.on_disk());
    if settings.place.database.is_some() {
        let what = "a PostgreSQL database, which this does not examine; `/readyz?verbose` of a \
                    running server does";
        return found.ok(CHECK, what);
    }
    if !path.exists() {
        return;
    }
    let holder = holder(path);
    match holder {
        Some(process) => found.ok(CHECK, format!("in use by process {process}")),
        None if running => {
            let what = "the authority at this address uses another store";
            found.warning(CHECK, what, "use the settings that it was started with");
        }
        None => found.ok(CHECK, "not in use"),
    }
    let (looked, is_newest) = match examine(found, settings) {
        Ok(Some(looked)) => looked,
        Ok(None) => return,
        Err(error) => {
            let what = format!("{} cannot be read as a store: {error}", path.display());
            found.wrong(CHECK, what, "restore a backup; keep this file for an investigation");
            return;
        }
    };
    if looked.dev != settings.dev {
        let (is, next_step) = match looked.dev {
            true => ("made with --dev", "start with --dev, or use another --store"),
            false => ("not made with --dev", "start without --dev, or use another --store"),
        };
        found.wrong(CHECK, format!("{} was {is}", path.display()), next_step);
    }
    let now = UnixTime(jiff::Timestamp::now().as_second() + looked.clock_offset);
    clock(found, now, looked.written_at);
    keys(found, settings, &looked.signing_keys, now, holder.is_some());
    audit(found, settings, is_newest);
    if holder.is_some() {
        verifiers(found, &looked.instances, now);
    }
}

/// Reports instances of verifiers that do not follow any more.
pub fn verifiers(found: &mut Findings, all: &[(VerifierRow, Vec<Instance>)], now: UnixTime) {
    const CHECK: &str = "verifiers";
    let mut following = 0;
    for (verifier, instances) in all {
        for it in instances.iter().filter(|it| !it.stopped) {
            let silent = now.since(it.renewed_at);
            // A row is renewed when it is older than this, or with the next request.
            let due = i64::from(it.staleness / 1_000).max(60);
            if silent <= 2 * due + 60 {
                following += 1;
                continue;
            }
            let what = format!("{} of {} has not asked for {silent} s", it.instance, verifier.name);
            match it.on_stale {
                OnStale::Allow => found.wrong(
                    CHECK,
                    what + " and may still accept revoked tokens",
                    "see docs/book/src/runbooks/verifier-gone.md",
                ),
                OnStale::Deny | OnStale::Ask => {
                    found.warning(CHECK, what, "see docs/book/src/runbooks/verifier-behind.md")
                }
            }
        }
    }
    if following > 0 {
        found.ok(CHECK, counted(following, "instance follows", "instances follow") + " the feed");
    }
}

/// Checks the audit against its checkpoints and its anchor, which an older copy of the store
/// cannot match.
fn audit(found: &mut Findings, settings: &Settings, is_newest: bool) {
    const CHECK: &str = "audit";
    let next_step = "see docs/book/src/runbooks/audit-broken.md";
    match verify_offline(&settings.place, false) {
        Ok((report, _)) if report.ok => found.ok(CHECK, "matches its checkpoints and its anchor"),
        Ok(_) if !is_newest && verify_offline(&settings.place, true).is_ok_and(|it| it.0.ok) => {
            let what = "matches its checkpoints, and ends before its anchor, since this is an older \
                        state of the store";
            found.warning(CHECK, what, "`tegata recover` accepts this end");
        }
        Ok((report, _)) => {
            let first = report.problems.first().map_or("", |it| &it.what);
            found.wrong(
                CHECK,
                format!("does not match its checkpoints or its anchor: {first}"),
                next_step,
            );
        }
        Err(OfflineError::Nothing(_)) if begins_anew(&settings.place) => {
            let what = "begins anew: a recovery with another master key dropped its key, and the \
                        next start makes a new one";
            found.ok(CHECK, what);
        }
        // `keys` reports this.
        Err(OfflineError::MasterKey(_) | OfflineError::Foreign(_)) => {}
        // `newest` reports this.
        Err(OfflineError::Log(OpenError::ForeignLog(_))) if !is_newest => {}
        Err(error) => found.wrong(CHECK, error.to_string(), next_step),
    }
}

/// Reads the store, and whether it is the newest state that is known. The schema comes first:
/// nothing can be read in an unknown one.
fn examine(found: &mut Findings, settings: &Settings) -> Result<Option<(Looked, bool)>, LookError> {
    let path = &settings.place.store;
    let look = Look::at(path)?;
    let (version, known) = look.schema()?;
    if version > known {
        let what = format!(
            "its schema is version {version}; this program supports versions up to {known}"
        );
        found.wrong(CHECK, what, "use the newer program that wrote it");
        return Ok(None);
    }
    if version < known {
        let what = format!("its schema is version {version} of {known}");
        found.warning(CHECK, what, "back it up; the next start updates it");
    }
    let damage = look.damage()?;
    if damage.is_empty() {
        found.ok(CHECK, format!("whole, schema version {version}"));
    } else {
        let what = format!("damaged: {}", damage.join("; "));
        found.wrong(CHECK, what, "restore a backup, and check its disk");
    }
    let is_newest = version != known || newest(found, settings, &look);
    look.standing().map(|looked| Some((looked, is_newest)))
}

/// Checks with the rollback guard that the store is not an older copy; `false`: it is one.
fn newest(found: &mut Findings, settings: &Settings, look: &Look) -> bool {
    match look.goes_on(&settings.place.store, &settings.place.guard()) {
        Ok(()) => found.ok(CHECK, "no older than its rollback guard"),
        Err(OpenError::WentBack { why, .. }) => {
            let what = format!("not the newest state of this store: {why}");
            let next_step = "put the newest file back; if there is no newer one, see \
                        `tegata recover --help`";
            found.wrong(CHECK, what, next_step);
            return false;
        }
        Err(error @ OpenError::ForeignLog(_)) => {
            let next_step = "see \"Restore a backup\" in docs/book/src/runbooks/restore.md";
            found.wrong(CHECK, error.to_string(), next_step);
            return false;
        }
        Err(OpenError::Moved(_)) => {
            let what = "it was moved to a PostgreSQL database, or is being moved";
            let next_step = "name that database with --store; see `tegata move --help`";
            found.wrong(CHECK, what, next_step);
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            found.wrong(CHECK, format!("{error:#}"), "repair or restore that file");
        }
    }
    true
}

/// Bytes that must be free for a server to go on: twice the size of a full log.
const ENOUGH: u64 = 256 << 20;

/// SQLite moves its log into the database at 64 MiB, unless a reader prevents it.
const LONG_LOG: u64 = 512 << 20;

fn room(found: &mut Findings, path: &Path) {
    let size = |file: &Path| fs::metadata(file).map_or(0, |it| it.len());
    let (store, log) = (size(path), size(&files::beside(path, "-wal")));
    if log > LONG_LOG {
        let what = format!("its write-ahead log has grown to {} MiB", log >> 20);
        let next_step = "a process keeps reading the store, such as a backup that hangs: fuser -v";
        found.warning(CHECK, what, format!("{next_step} {}", path.display()));
    }
    let Ok(disk) = statvfs(files::folder_of(path)) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!(
        "{} MiB, its log {} MiB; {} MiB are free on its disk",
        store >> 20,
        log >> 20,
        free >> 20
    );
    match free {
        free if free < ENOUGH / 16 => found.wrong(CHECK, what, "free space on its disk now"),
        free if free < ENOUGH => found.warning(CHECK, what, "free space on its disk"),
        _ => found.ok(CHECK, what),
    }
}

/// The process that holds the store's lock, as the kernel lists it. Taking the lock to
/// test it would keep a server from starting at that moment.
fn holder(path: &Path) -> Option<u32> {
    let path = path.canonicalize().ok()?;
    // The store's own file is locked, too, in case the one beside it was removed.
    let both = [files::beside(&path, ".lock"), path];
    let inodes = both.iter().filter_map(|it| Some(fs::metadata(it).ok()?.ino().to_string()));
    let inodes: Vec<String> = inodes.collect();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // 1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF
    locks.lines().filter(|line| line.contains("FLOCK")).find_map(|line| {
        let mut words = line.split_whitespace().skip(4);
        let (process, file) = (words.next()?, words.next()?);
        let inode = file.rsplit(':').next()?;
        inodes.iter().any(|it| it == inode).then(|| process.parse().ok())?
    })
}

/// How far the clock may be behind before a problem is reported, in seconds.
const SLACK: i64 = 2;

fn clock(found: &mut Findings, now: UnixTime, written_at: UnixTime) {
    let behind = written_at.since(now);
    if behind > SLACK {
        let what =
            format!("this machine's clock is {behind} s behind the newest time in the store");
        let next_step = "set it, and keep it synchronised (chrony, systemd-timesyncd); until it catches up, \
                    the authority's time stands still, so tokens expire that much later. If the \
                    clock is right and was wrong earlier, see docs/book/src/runbooks/clock-jumped.md";
        found.wrong("clock", what, next_step);
    } else {
        found.ok("clock", "not behind the newest time in the store");
    }
}

/// A key that is older than this should be replaced, in seconds.
const OLD: i64 = 90 * DAY;

pub fn keys(
    found: &mut Findings,
    settings: &Settings,
    rows: &[SigningKeyRow],
    now: UnixTime,
    served: bool,
) {
    const CHECK: &str = "keys";
    let file = settings.place.master_key();
    let master = match MasterKey::load(&file, false) {
        Ok(master) => master,
        // `files` reports this.
        Err(_) if !file.exists() => return,
        Err(error) => {
            let error = anyhow::Error::from(error);
            found.wrong(CHECK, format!("{error:#}"), "mend the file, or bring it back");
            return;
        }
    };
    let decrypts = |row: &&SigningKeyRow| {
        let seed = master.open(row.id, &row.wrapped);
        let key = seed.and_then(|seed| SigningKey::from_seed(&seed).ok());
        key.is_some_and(|key| key.public().to_bytes() == row.public)
    };
    let good: Vec<_> = rows.iter().filter(|row| row.state != KeyState::Revoked).collect();
    // A recovery with another master key drops the private halves of the old keys, which
    // sign no more.
    let kept = |row: &&SigningKeyRow| {
        !(row.wrapped.0.is_empty() && matches!(row.state, KeyState::Retired { .. }))
    };
    let private: Vec<_> = good.iter().copied().filter(kept).collect();
    if let Some(row) = private.iter().copied().find(|row| !decrypts(row)) {
        let what = format!("{} does not decrypt the signing key {}", file.display(), row.id);
        let next_step = "restore the master key that encrypted this store's keys, or name it with \
                    --master-key-file";
        found.wrong(CHECK, what, next_step);
        return;
    }
    let without = match good.len() - private.len() {
        0 => String::new(),
        count => {
            let those = counted(count, "retired one has", "retired ones have");
            format!("; {those} no private half and can only verify")
        }
    };
    let what = format!("the master key decrypts every signing key ({}){without}", private.len());
    found.ok(CHECK, what);
    let delay = i64::try_from(settings.key_promotion_delay.as_secs()).unwrap_or(i64::MAX);
    for row in good {
        match row.state {
            KeyState::Active if now.since(row.changed_at) > OLD => {
                let days = now.since(row.changed_at) / DAY;
                let what = format!("{} has signed for {days} days", row.id);
                found.warning(CHECK, what, "rotate: tegata signing-key rotate");
            }
            // One hour is added for a server that was down at that moment.
            KeyState::Pending if now.since(row.created_at) > delay.saturating_add(3_600) => {
                let what =
                    format!("{} is still pending, although its promotion delay has passed", row.id);
                let next_step = match served {
                    true => {
                        "see `tegata verifier list` for one that has not acknowledged it, and the server's log"
                    }
                    false => "it becomes active soon after the next start",
                };
                found.warning(CHECK, what, next_step);
            }
            _ => {}
        }
    }
}
