//! Followers: `tegata feed conform`, which a follower in Python passes, and one with a fault
//! does not; and the follower of `tegata-verifier` against a real server.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

#[path = "../process/line.rs"]
#[expect(dead_code, reason = "shared with tests that need all of it")]
mod line;
#[path = "../process/mod.rs"]
mod process;
mod real;

use std::process::{Command, Output};

const FOLLOWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conform/follower.py");

fn conform(arguments: &[&str], schedules: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
    command.args(["feed", "conform", "--exec", "python3", "--schedules", schedules, "--"]);
    command.arg(FOLLOWER).args(arguments).output().unwrap()
}

#[test]
fn a_follower_in_two_hundred_lines_of_python_conforms() {
    let lines = std::fs::read_to_string(FOLLOWER).unwrap().lines().count();
    assert!(lines <= 200, "{lines} lines");
    let schedules = if std::env::var_os("TEGATA_LONG").is_some() { "200" } else { "8" };
    let output = conform(&[], schedules);
    let (out, error) = (output.stdout, output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&error));
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("vectors") && out.contains(schedules), "{out}");
}

#[test]
fn a_follower_with_a_fault_does_not_conform() {
    for (fault, shows) in [
        ("no-age-check", "accepts"),
        ("merged-snapshot", "suspended"),
        ("skips-unknown", "unknown type"),
    ] {
        let output = conform(&[fault], "50");
        assert_eq!(output.status.code(), Some(1), "{fault}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(shows), "{fault}: {error}");
    }
}

#[test]
fn a_program_that_cannot_be_started_or_talks_nonsense_is_reported() {
    let run = |program: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tegata"));
        command.args(["feed", "conform", "--exec", program]).output().unwrap()
    };
    let missing = run("/nonexistent/follower");
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot be started"));
    let silent = run("true");
    assert_eq!(silent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&silent.stderr).contains("fails at `view`"));
}
