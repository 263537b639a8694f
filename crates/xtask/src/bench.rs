//! `cargo xtask bench`: builds the shipped program and the benchmarks, and runs them.

use crate::{cargo::cargo, dist};
use anyhow::ensure;

const HELP: &str = "\
usage: cargo xtask bench [--long] [--tegata FILE] [SECTION…]

  http      verification over HTTP against a bare axum server
  proxy     verify-proxy at a Unix socket against an echo server on the same stack
  issue     durable v2.1 issuing against the processor and against SQLite
  journal   issues that evict a token, with and without a revocation journal
  verify    verification in process against one Ed25519 signature check
  agent     memory of the agent with a hundred tokens
  soak      memory of a server: idle, over issues, forged tokens, connections and time
  console   pages with 1,000 channels against an empty store, and a bare server
  feed      from a revocation to the last acknowledgement, against NATS and bare sockets
  herd      2,000 verifiers when the authority is killed and started again
  snapshots memory for 1,000 snapshots of 100,000 facts at once
  load      issues and verifications with 2,000 followers and a revocation a second
  layer     a service with the verifier's tower layer against one without
  bindings  a warm verification from Python and from Node.js, against introspection
  idle      what 2,000 idle followers cost
  postgres-issues  issues of 1 and 3 servers on PostgreSQL against the same rows by pgbench
  postgres-full    issues that evict, at 3 servers on PostgreSQL, against plain ones
  postgres-revoke  revocations at 3 servers on PostgreSQL against bare commits
  scale     what a channel and a token row cost in the store, in memory and at a start
  fairness  the bare axum server against itself: the error of `http`

Without a section: http, proxy, issue, verify and agent.

  --long         longer and more rounds
  --tegata FILE  measure this binary instead of a fresh build of the profile `dist`";

/// Builds with the profile `dist`, then runs the benchmarks, built with the same.
pub fn run(args: &[&str]) -> anyhow::Result<()> {
    if args.contains(&"--help") {
        println!("{HELP}");
        return Ok(());
    }
    if !args.contains(&"--tegata") {
        // A build of this package alone, so that it has the features that are shipped.
        dist::build()?;
    }
    if args.contains(&"bindings") {
        let modules = ["--package", "tegata-node", "--package", "tegata-python"];
        let build = cargo(&["build", "--locked", "--profile", "dist"])?.args(modules).status()?;
        ensure!(build.success(), "the native modules do not build");
    }
    let measure = ["run", "--locked", "--profile", "dist", "--package", "tegata-bench", "--"];
    let measured = cargo(&measure)?.args(args).status()?;
    // The benchmarks print their errors themselves.
    std::process::exit(measured.code().unwrap_or(1))
}
