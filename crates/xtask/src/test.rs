//! `cargo xtask test`: all checks and tests of the project, on a bare machine too.
//!
//! The steps run one after the other, and the first that fails stops the run. Missing
//! parts are installed during the compilation, never skipped.

use crate::binary::Counts;
use crate::cargo::cargo;
use crate::progress::{minutes, now};
use crate::{features, fuzz, setup, suite, tidy};
use anyhow::{Context, ensure};
use std::{thread, time::Instant};

/// Runs all checks and tests; `long` gives the random tests many more rounds.
pub fn run(long: bool) -> anyhow::Result<()> {
    let mut steps = Steps { done: 0, all: if long { 9 } else { 8 }, start: now() };
    steps.next("the project's rules", tidy::run)?;
    steps.next("formatting", || run_cargo(&["fmt", "--all", "--check"]))?;
    let counts = thread::scope(|scope| {
        let parts = scope.spawn(move || setup::everything(long));
        let strict = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        steps.next("lints", || run_cargo(&strict))?;
        let binaries = steps.next("compile the tests", suite::compile)?;
        steps.next("the parts that the tests need besides Rust", || match parts.join() {
            Ok(installed) => installed,
            Err(panic) => std::panic::resume_unwind(panic),
        })?;
        steps.next("tests", || suite::run(binaries, long))
    })?;
    steps.next("compile the fuzzers", fuzz::check)?;
    steps.next("each combination of features", || features::check(long))?;
    if long {
        steps.next("fuzzing, three minutes each", || fuzz::run(&["--seconds", "180"]))?;
    }
    let Counts { passed, failed } = counts;
    println!("\nall checks passed ({})", minutes(steps.start.elapsed()));
    println!("{passed} passed, {failed} failed");
    Ok(())
}

/// Numbers the steps and prints the progress.
struct Steps {
    done: u32,
    all: u32,
    start: Instant,
}

impl Steps {
    fn next<T>(
        &mut self,
        name: &str,
        run: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.done += 1;
        let elapsed = minutes(self.start.elapsed());
        println!("\n── {} of {}, after {elapsed}: {name}", self.done, self.all);
        run().with_context(|| name.to_owned())
    }
}

fn run_cargo(words: &[&str]) -> anyhow::Result<()> {
    let status = cargo(words)?.status()?;
    ensure!(status.success(), "cargo {} failed", words.join(" "));
    Ok(())
}
