//! `cargo xtask test`: everything that must hold, from a bare machine on.
//!
//! The steps run one after the other and the first that fails ends the run. What
//! is missing is installed, never skipped.

use crate::{fuzz, setup, tidy};
use anyhow::{Context, ensure};
use std::{process::Command, time::Instant};

/// Runs all checks and tests; `long` gives the tests that race, kill and guess
/// many more rounds.
pub fn run(long: bool) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "how long people really wait")]
    let start = Instant::now();
    step("the rules of the house", tidy::run)?;
    step("what the tests need beside Rust", setup::everything)?;
    step("formatting", || cargo(&["fmt", "--all", "--check"], long))?;
    step("lints", || {
        let strict = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        cargo(&strict, long)
    })?;
    // The tests that start the program start this one.
    step("the program", || cargo(&["build", "--locked", "--package", "tegata"], long))?;
    step("tests", || cargo(&["test", "--workspace", "--locked", "--no-fail-fast"], long))?;
    if long {
        step("fuzzing, three minutes each", || fuzz::run(&["--seconds", "180"]))?;
    }
    println!("\nall of it holds ({} s)", start.elapsed().as_secs());
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    println!("\n── {name}");
    run().with_context(|| name.to_owned())
}

fn cargo(words: &[&str], long: bool) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(setup::workspace()?);
    if long {
        command.env("TEGATA_LONG", "1");
    }
    let status = command.status()?;
    ensure!(status.success(), "cargo {} failed", words.join(" "));
    Ok(())
}
