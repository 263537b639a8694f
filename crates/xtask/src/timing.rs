//! `cargo xtask timing`: measures whether response times reveal secrets, channels or
//! tokens. The measurement is `crates/server/benches/timing.rs`, its results are in
//! `docs/timing.md`.

use crate::cargo::cargo;
use anyhow::{bail, ensure};

/// Measures each pair of classes, a million times by default.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let count = match options {
        [] => "1000000",
        [count] if count.parse::<u32>().is_ok() => count,
        _ => bail!("usage: cargo xtask timing [MEASUREMENTS]"),
    };
    let words = ["bench", "--locked", "--package", "tegata-server", "--bench", "timing", "--"];
    let status = cargo(&words)?.arg(count).status()?;
    ensure!(status.success(), "cargo bench failed");
    Ok(())
}
