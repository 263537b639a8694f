//! `cargo xtask timing`: what time tells of secrets, channels and tokens. The
//! measuring is in `crates/server/benches/timing.rs`, what it found in
//! `docs/timing.md`.

use crate::cargo::cargo;
use anyhow::{bail, ensure};

/// Measures each pair of classes `count` times; a million unless said otherwise.
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
