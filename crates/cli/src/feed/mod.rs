//! `tegata feed`: tests of programs that follow the feed.

mod program;
mod vectors;

use crate::{failure::BadUsage, output::Output};
use clap::{Args, Subcommand};
use program::Program;
use serde_json::json;
use std::path::PathBuf;
use tegata_verifier::simulation::{Planted, run};

#[derive(Subcommand)]
pub enum Verb {
    /// Test a follower: the vectors, and random schedules of faults.
    Conform(Conform),
}

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Conform {
    /// The program, which speaks the protocol of `docs/feed.md` over its standard input and
    /// output. It is started once for the vectors and once for each host of a schedule.
    #[arg(long, value_name = "PROGRAM")]
    exec: PathBuf,
    /// Number of random schedules.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    schedules: u64,
    /// Seed of the first schedule.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Arguments of the program.
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

const EXAMPLES: &str = "\
Repeat the one schedule that failed:
  tegata feed conform --exec ./follower --schedules 1 --seed 17";

/// Runs the tests; an error names the vector or the schedule that failed.
pub fn conform(out: &Output, args: Conform) -> anyhow::Result<()> {
    let Conform { exec, schedules, seed, arguments } = args;
    let start = || Program::start(&exec, &arguments);
    let mut program = start().map_err(|error| BadUsage(format!("{error:#}")))?;
    let vectors = vectors::run(&mut program)?;
    drop(program);
    let (mut verified, mut active) = (0, 0);
    for seed in seed..seed.saturating_add(schedules) {
        let subject = || start().map_err(|error| format!("{error:#}"));
        let figures = run(seed, Planted::Nothing, subject)
            .map_err(|problem| anyhow::anyhow!("schedule {seed}: {problem}"))?;
        verified += figures.verified;
        active += figures.active;
    }
    let figures = json!({
        "vectors": vectors, "schedules": schedules, "verifications": verified, "active": active,
    });
    out.thing(&figures, &["vectors", "schedules", "verifications", "active"])
}
