//! A folder in memory for what tests write: most of their stores are kept for seconds, and a
//! disk takes half of the tests' time to make them durable.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The file system in memory that Linux has.
const PLACE: &str = "/dev/shm";

/// How the names of folders begin; the id of the process follows.
const PREFIX: &str = "tegata-";

/// What must be free, in bytes.
const ENOUGH: u64 = 4 << 30;

/// A folder in memory, which is deleted at the end.
pub struct Memory(PathBuf);

impl Memory {
    /// A new one; `None`: there is no such file system, it is small, or runs no programs.
    pub fn new() -> Option<Self> {
        let place = Path::new(PLACE);
        sweep(place);
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let is_usable = runs_programs(&mounts) && free()? >= ENOUGH;
        is_usable.then(|| Self::within(place)).and_then(Result::ok)
    }

    fn within(place: &Path) -> io::Result<Self> {
        // Short, since the paths of sockets are.
        let path = place.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Deletes the folders of runs that were interrupted, and so could not: what is in them takes
/// memory until the machine starts again.
fn sweep(place: &Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|it| it.strip_prefix(PREFIX)?.parse::<u32>().ok());
        let is_left = process.is_some_and(|it| {
            // One of this process's id is of an earlier process that had the same.
            it == std::process::id() || !Path::new("/proc").join(it.to_string()).exists()
        });
        if is_left {
            // One of another user's stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // The next run deletes what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether programs in it can be started, as some tests do.
fn runs_programs(mounts: &str) -> bool {
    let options = |line: &str| {
        let mut words = line.split(' ').skip(1);
        (words.next() == Some(PLACE)).then(|| words.nth(1).map(str::to_owned)).flatten()
    };
    let found = mounts.lines().rev().find_map(options);
    found.is_some_and(|it| !it.split(',').any(|option| ["noexec", "ro"].contains(&option)))
}

fn free() -> Option<u64> {
    let df = Command::new("df").args(["--output=avail", "--block-size=1", PLACE]).output().ok()?;
    String::from_utf8(df.stdout).ok()?.lines().nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_runs_no_programs_is_not_used() {
        let of = |options| {
            format!("proc /proc proc rw 0 0\nshm /dev/shm tmpfs {options} 0 0\nx /y z rw 0 0\n")
        };
        assert!(runs_programs(&of("rw,relatime,size=24684092k")));
        assert!(!runs_programs(&of("rw,nosuid,nodev,noexec,relatime,size=65536k")));
        assert!(!runs_programs(&of("ro,relatime")));
        assert!(!runs_programs("proc /proc proc rw 0 0\n"));
    }

    #[test]
    fn the_folder_is_gone_at_the_end() {
        let Some(memory) = Memory::new() else { return };
        let path = memory.path().to_owned();
        fs::write(path.join("a store"), "x").unwrap();
        drop(memory);
        assert!(!path.exists());
    }

    #[test]
    fn what_interrupted_runs_have_left_is_deleted_and_what_others_use_is_not() {
        let place = std::env::temp_dir().join(format!("xtask-memory-{}", std::process::id()));
        let of = |process: u32| place.join(format!("{PREFIX}{process}"));
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let mut running = Command::new("sleep").arg("600").spawn().unwrap();
        let left = [of(gone.id()), of(std::process::id())];
        let kept = [of(running.id()), place.join("tegata-x"), place.join("another-1")];
        for folder in left.iter().chain(&kept) {
            fs::create_dir_all(folder.join("a store")).unwrap();
        }
        sweep(&place);
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(left.iter().all(|it| !it.exists()) && kept.iter().all(|it| it.exists()));
        let memory = Memory::within(&place).unwrap();
        assert!(Memory::within(&place).is_err(), "what is there is never used as a new one");
        drop(memory);
        fs::remove_dir_all(place).unwrap();
    }
}
