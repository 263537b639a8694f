//! `cargo xtask reference`: the book's pages that are made from the code.
//!
//! The tests that hold those pages against the program write them when they are
//! told to, so that there is one description of each page and not two.

use crate::setup;
use anyhow::ensure;
use std::process::Command;

/// Writes them all.
pub fn run() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tests = [
        ["-p", "tegata-server", "--test", "it", "up_to_date"],
        ["-p", "tegata", "--bin", "tegata", "up_to_date"],
    ];
    for words in tests {
        let mut command = Command::new(&cargo);
        command.args(["test", "--quiet", "--locked"]).args(words);
        command.current_dir(setup::workspace()?).env("TEGATA_WRITE_REFERENCE", "1");
        ensure!(command.status()?.success(), "a page could not be written; see above");
    }
    Ok(())
}
