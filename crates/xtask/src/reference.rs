//! `cargo xtask reference`: generates the book's reference pages from the code.
//!
//! The tests that compare the pages with the program also write them, if
//! `TEGATA_WRITE_REFERENCE` is set, so that each page is described in one place.

use crate::cargo::cargo;
use anyhow::ensure;

/// Writes all pages.
pub fn run() -> anyhow::Result<()> {
    let tests = [
        ["-p", "tegata-server", "--test", "it", "up_to_date"],
        ["-p", "tegata", "--bin", "tegata", "up_to_date"],
    ];
    for words in tests {
        let mut command = cargo(&["test", "--quiet", "--locked"])?;
        command.args(words).env("TEGATA_WRITE_REFERENCE", "1");
        ensure!(command.status()?.success(), "a page could not be written; see the output above");
    }
    Ok(())
}
