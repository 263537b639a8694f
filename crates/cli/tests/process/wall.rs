//! The wall clock of a process, which a test can set. Its monotonic clock is unchanged.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A wall clock, which `libfaketime` reads from a file.
pub(crate) struct Wall(PathBuf);

impl Wall {
    /// The clock of the process that this command starts; its file is in `home`.
    pub(crate) fn of(command: &mut Command, home: &Path, moment: &str) -> Self {
        let wall = Self(home.join("wall-clock"));
        wall.set(moment);
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &wall.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("TZ", "UTC");
        wall
    }

    /// `moment` in libfaketime's syntax: `+0`, `-600`, `@2038-01-19 03:13:00`.
    pub(crate) fn set(&self, moment: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, moment).expect("written");
        fs::rename(new, &self.0).expect("in force");
    }
}

fn library() -> PathBuf {
    let packed = Command::new("dpkg").args(["-L", "libfaketime"]).output().expect("dpkg");
    let files = String::from_utf8_lossy(&packed.stdout).into_owned();
    let library = files.lines().find(|line| line.ends_with("/libfaketimeMT.so.1"));
    library.expect("libfaketime is missing: run `cargo xtask test`, which installs it").into()
}
