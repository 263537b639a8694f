//! A file system that is soon full.

use crate::{Problem, folder::finish};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// A small file system, unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

/// The file that fills it.
const FILLER: &str = "filler";

impl SmallDisk {
    /// Mounts one with so many MiB.
    pub fn mount(mebibytes: u32) -> Result<Self, Problem> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let options = format!("size={mebibytes}m,mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path());
        finish(&mut mount).map_err(|why| {
            format!(
                "{why}\nthis test mounts a small file system: run it as root, or with \
                 `unshare --user --map-current-user --mount --keep-caps`"
            )
        })?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    pub fn fill(&self) -> Result<(), Problem> {
        let fill = || {
            let rest = statvfs(self.path())?;
            let file =
                File::create(self.path().join(FILLER)).map_err(|_| rustix::io::Errno::NOSPC)?;
            fallocate(&file, FallocateFlags::empty(), 0, rest.f_bavail * rest.f_frsize)
        };
        fill().map_err(|error| format!("the disk is not filled: {error}"))
    }

    /// Gives the room back.
    pub fn make_room(&self) -> Result<(), Problem> {
        fs::remove_file(self.path().join(FILLER)).map_err(|error| error.to_string())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It stays mounted until the last process closes its files.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
