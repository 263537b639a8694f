//! `cargo xtask reference`: the book's pages that are made from the code.
//!
//! The tests that hold those pages against the program write them when they are
//! told to, so that there is one description of each page and not two.

use crate::cargo::cargo;
use anyhow::ensure;

/// Writes them all.
pub fn run() -> anyhow::Result<()> {
    let tests = [
        ["-p", "tegata-server", "--test", "it", "up_to_date"],
        ["-p", "tegata", "--bin", "tegata", "up_to_date"],
    ];
    for words in tests {
        let mut command = cargo(&["test", "--quiet", "--locked"])?;
        command.args(words).env("TEGATA_WRITE_REFERENCE", "1");
        ensure!(command.status()?.success(), "a page could not be written; see above");
    }
    Ok(())
}
