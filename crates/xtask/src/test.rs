//! `cargo xtask test`: everything that must hold, from a bare machine on.
//!
//! The steps run one after the other and the first that fails ends the run. What is
//! missing is installed, never skipped; that happens beside the compilation, which
//! does not need it.

use crate::cargo::cargo;
use crate::progress::{minutes, now};
use crate::suite::{self, Counts};
use crate::{fuzz, setup, tidy};
use anyhow::{Context, ensure};
use std::{thread, time::Instant};

/// Runs all checks and tests; `long` gives the tests that race, kill and guess
/// many more rounds.
pub fn run(long: bool) -> anyhow::Result<()> {
    let mut steps = Steps { done: 0, all: if long { 8 } else { 7 }, start: now() };
    steps.next("the rules of the house", tidy::run)?;
    steps.next("formatting", || run_cargo(&["fmt", "--all", "--check"]))?;
    let counts = thread::scope(|scope| {
        let parts = scope.spawn(setup::everything);
        let strict = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        steps.next("lints", || run_cargo(&strict))?;
        let binaries = steps.next("compile the tests", suite::compile)?;
        steps.next("what the tests need beside Rust", || match parts.join() {
            Ok(installed) => installed,
            Err(panic) => std::panic::resume_unwind(panic),
        })?;
        steps.next("tests", || suite::run(&binaries, long))
    })?;
    steps.next("the fuzzers compile", fuzz::check)?;
    if long {
        steps.next("fuzzing, three minutes each", || fuzz::run(&["--seconds", "180"]))?;
    }
    let Counts { passed, failed } = counts;
    println!("\nall of it holds ({})", minutes(steps.start.elapsed()));
    println!("{passed} passed, {failed} failed");
    Ok(())
}

/// Numbers the steps and prints how far the run has come.
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
