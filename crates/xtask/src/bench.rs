//! `cargo xtask bench`: builds what is shipped and the program that measures it, and
//! starts that one.

use crate::cargo::cargo;
use anyhow::ensure;

const HELP: &str = "\
usage: cargo xtask bench [--long] [--tegata FILE] [SECTION…]

  checks    checking over HTTP against a bare axum server
  issue     durable v2.1 issuing against the processor and against SQLite
  endings   what the endings log costs: issues that end an older token, with and without
  decide    the pure decision against one Ed25519 verification
  agent     memory of the agent with a hundred tokens
  soak      memory at rest, over issues, made-up tokens, idle connections and time
  fairness  the bare axum server against itself: what `checks` says of equals

Without a section: checks, issue, decide and agent.

  --long         longer and more rounds
  --tegata FILE  measure this binary instead of a fresh build of the shipped profile";

/// Builds with the shipped profile, then measures with a program of that profile.
pub fn run(args: &[&str]) -> anyhow::Result<()> {
    if args.contains(&"--help") {
        println!("{HELP}");
        return Ok(());
    }
    if !args.contains(&"--tegata") {
        // Alone, so that it has the features that it is shipped with.
        let build = ["build", "--locked", "--profile", "dist", "--package", "tegata"];
        ensure!(cargo(&build)?.status()?.success(), "the program does not build");
    }
    let measure = ["run", "--locked", "--profile", "dist", "--package", "tegata-bench", "--"];
    let measured = cargo(&measure)?.args(args).status()?;
    // It has printed everything itself.
    std::process::exit(measured.code().unwrap_or(1))
}
