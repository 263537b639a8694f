//! `cargo xtask timing`: what time tells of secrets, channels and tokens. The
//! measuring is in `crates/server/benches/timing.rs`, what it found in
//! `docs/timing.md`.

use crate::setup::workspace;
use anyhow::{bail, ensure};
use std::process::Command;

/// Measures each pair of classes `count` times; a million unless said otherwise.
pub fn run(options: &[&str]) -> anyhow::Result<()> {
    let count = match options {
        [] => "1000000",
        [count] if count.parse::<u32>().is_ok() => count,
        _ => bail!("usage: cargo xtask timing [MEASUREMENTS]"),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["bench", "--locked", "--package", "tegata-server", "--bench", "timing", "--"])
        .arg(count)
        .current_dir(workspace()?)
        .status()?;
    ensure!(status.success(), "cargo bench failed");
    Ok(())
}
