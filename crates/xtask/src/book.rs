//! `cargo xtask book`: the book as a website, in `target/book`.
//!
//! The suite does not build it: mdbook comes by compiling alone, for more than three
//! minutes on two cores, and what can be wrong with the pages (links, headings, what
//! their blocks do) the tests look at without it.

use crate::setup;
use anyhow::{Context, ensure};
use std::process::Command;

/// Builds it with the machine's mdbook.
pub fn run() -> anyhow::Result<()> {
    let book = setup::workspace()?.join("docs/book");
    let status = Command::new("mdbook").arg("build").arg(book).status();
    let status = status.context("mdbook is not there: cargo install mdbook --locked")?;
    ensure!(status.success(), "mdbook could not build it");
    Ok(())
}
