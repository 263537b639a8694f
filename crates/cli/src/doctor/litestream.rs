//! Checks how far Litestream has copied the store, if it copies it. Litestream can stop to
//! copy without an error that anyone sees, and the store works on: only the age tells.

use super::Findings;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const CHECK: &str = "backup";

/// How much later than its newest copy the store may have been written. Litestream copies
/// every second unless its configuration says otherwise.
const BEHIND: Duration = Duration::from_secs(60);

pub fn look(found: &mut Findings, store: &Path) {
    let folder = folder(store);
    if !folder.exists() {
        return;
    }
    let next_step = "look at Litestream's log, run `litestream status`, and see \
                     docs/book/src/operate.md, \"Copy it all the time\"";
    match (newest_copy(&folder), last_write(store)) {
        (Ok(Some(copied)), Ok(written)) => match behind(written, copied) {
            None => found.ok(CHECK, "Litestream has copied the store's last change"),
            Some(behind) => {
                let seconds = behind.as_secs();
                let what =
                    format!("the store was written {seconds} s after Litestream's last copy");
                found.warning(CHECK, what, next_step);
            }
        },
        (Ok(None), _) => found.warning(CHECK, "Litestream has copied nothing yet", next_step),
        (Err(error), _) | (_, Err(error)) => {
            let what = format!("{} cannot be read: {error}", folder.display());
            found.warning(CHECK, what, "run this command as the user who runs Litestream");
        }
    }
}

/// How long after its newest copy the store was written, if that is too long.
fn behind(written: SystemTime, copied: SystemTime) -> Option<Duration> {
    written.duration_since(copied).ok().filter(|it| *it > BEHIND)
}

/// Where Litestream 0.5 keeps what it has copied lately of the store.
fn folder(store: &Path) -> PathBuf {
    let name = store.file_name().unwrap_or_default().to_string_lossy();
    store.with_file_name(format!(".{name}-litestream"))
}

/// When the newest file of changes was written: those of level 0 are the first.
fn newest_copy(folder: &Path) -> io::Result<Option<SystemTime>> {
    let files = match fs::read_dir(folder.join("ltx/0")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        files => files?,
    };
    let mut newest = None;
    for file in files {
        newest = newest.max(Some(file?.metadata()?.modified()?));
    }
    Ok(newest)
}

/// When the store was written last, to its log or to its file.
fn last_write(store: &Path) -> io::Result<SystemTime> {
    let file = store.metadata()?.modified()?;
    let mut log = store.as_os_str().to_owned();
    log.push("-wal");
    let log = Path::new(&log).metadata().and_then(|it| it.modified());
    Ok(log.map_or(file, |log| log.max(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn a_copy_may_be_a_minute_older_than_the_store() {
        assert_eq!(behind(AT + BEHIND, AT), None);
        assert_eq!(behind(AT, AT + BEHIND), None, "the copy is newer");
        let late = BEHIND + Duration::from_secs(1);
        assert_eq!(behind(AT + late, AT), Some(late));
    }

    #[test]
    fn the_folder_is_named_after_the_store() {
        assert_eq!(folder(Path::new("/srv/tegata.db")), Path::new("/srv/.tegata.db-litestream"));
    }
}
