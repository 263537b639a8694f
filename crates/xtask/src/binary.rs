//! One test binary: its command, and the result of a run.

use crate::cargo::NOT_INCREMENTAL;
use crate::processes::{Ended, run};
use crate::progress::{minutes, now};
use std::{path::PathBuf, process::Command, time::Duration};

/// How long a binary may take: a test that hangs fails, and the others are run. The longest takes
/// some minutes, and an hour with many more rounds.
const LIMIT: Duration = Duration::from_secs(30 * 60);
const LONG_LIMIT: Duration = Duration::from_secs(6 * 60 * 60);

/// A compiled test binary.
pub struct Binary {
    /// Its package and target: `tegata/crash`.
    pub name: String,
    /// Its file.
    pub program: PathBuf,
    /// Working directory, as cargo sets it.
    pub folder: PathBuf,
    /// If its servers have their stores elsewhere than in SQLite files: where.
    pub elsewhere: Option<Elsewhere>,
    /// Where its tests make their folders, if not where the machine has such.
    pub folders: Option<PathBuf>,
}

impl Binary {
    /// The command that runs its tests.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command.env(NOT_INCREMENTAL.0, NOT_INCREMENTAL.1);
        if let Some(folders) = &self.folders {
            command.env("TMPDIR", folders);
        }
        if let Some(it) = self.elsewhere {
            command.env("TEGATA_TEST_STORE", it.store);
            command.args(it.without.iter().flat_map(|test| ["--skip", test]));
        }
        command
    }

    /// A binary for a test of the runner.
    #[cfg(test)]
    pub fn named(name: &str, program: &str) -> Self {
        let (name, program) = (name.to_owned(), program.into());
        Self { name, program, folder: "/".into(), elsewhere: None, folders: None }
    }

    /// The same, with its servers elsewhere.
    pub fn at(&self, elsewhere: Elsewhere) -> Self {
        let name = format!("{} on {}", self.name, elsewhere.name);
        let (program, folder) = (self.program.clone(), self.folder.clone());
        Self { name, program, folder, elsewhere: Some(elsewhere), folders: None }
    }
}

/// Where the servers of tests have their stores.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The value of `TEGATA_TEST_STORE`.
    pub store: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The tests that cannot.
    pub without: &'static [&'static str],
    /// Whether it is for the long mode only.
    pub long: bool,
}

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
}

/// Result of one binary.
pub struct End {
    /// The binary.
    pub name: String,
    /// Its tests.
    pub counts: Counts,
    /// What it printed.
    pub output: String,
    /// How long it took.
    pub time: Duration,
}

/// Runs one test command and counts its results.
pub fn finish(name: &str, command: &mut Command, long: bool) -> End {
    let start = now();
    if long {
        command.env("TEGATA_LONG", "1");
    }
    let limit = if long { LONG_LIMIT } else { LIMIT };
    let (succeeded, output) = match run(command, limit) {
        Ok((ended, mut output)) => {
            if ended == Ended::Killed {
                let after = minutes(limit);
                output += &format!("\nkilled: {name} had not finished after {after}\n");
            }
            (ended == Ended::Successfully, output)
        }
        Err(error) => (false, format!("{command:?} does not start: {error}")),
    };
    let mut counts = count(&output);
    if !succeeded {
        // A binary that crashed has printed no counts.
        counts.failed = counts.failed.max(1);
    }
    End { name: name.to_owned(), counts, output, time: start.elapsed() }
}

/// Adds up the lines `test result: ok. 12 passed; 0 failed; …`.
fn count(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().filter(|line| line.starts_with("test result: ")) {
        let number = |what: &str| -> u64 {
            let words: Vec<_> = line.split([' ', ';']).collect();
            let place = words.iter().position(|word| *word == what);
            place.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
        };
        counts.passed += number("passed");
        counts.failed += number("failed");
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_results_are_added_up() {
        let output = "running 14 tests\n\
            test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; finished in 0.01s\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count(output), Counts { passed: 15, failed: 4 });
        assert_eq!(count("Segmentation fault"), Counts::default());
    }

    #[test]
    fn a_binary_that_crashes_or_is_missing_has_failed() {
        let crashed = finish("it", Command::new("false").arg("x"), false);
        assert_eq!(crashed.counts, Counts { passed: 0, failed: 1 });
        let missing = finish("it", &mut Command::new("/nowhere/at/all"), false);
        assert_eq!(missing.counts, Counts { passed: 0, failed: 1 });
        assert!(missing.output.contains("/nowhere/at/all"), "{}", missing.output);
    }
}
