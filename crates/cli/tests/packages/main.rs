//! What is shipped: the Debian package in a fresh root of Debian, and the files for containers.

#[path = "../machine/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod machine;

mod containers;
mod debian;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The folder of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project")
}

/// A program or folder that `cargo xtask test` installs.
fn part(path: &str) -> PathBuf {
    let part = root().join("target/test-parts").join(path);
    let missing = "is missing: run `cargo xtask test`, which installs it";
    assert!(part.exists(), "{} {missing}", part.display());
    part
}

/// The output of a command that succeeds.
#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let done: Output = command.output().expect("it starts");
    assert!(done.status.success(), "{command:?}: {}", machine::words(&done));
    String::from_utf8(done.stdout).expect("text")
}
