//! `cargo xtask book`: the book as a website, in `target/book`.
//!
//! `cargo xtask test` does not build it: mdbook has to be compiled, which takes more than
//! three minutes on two cores. The tests check links, headings and code blocks of the
//! pages without it.

use crate::setup;
use anyhow::{Context, ensure};
use std::process::Command;

/// Builds the book with the installed mdbook.
pub fn run() -> anyhow::Result<()> {
    let book = setup::workspace()?.join("docs/book");
    let status = Command::new("mdbook").arg("build").arg(book).status();
    let status = status.context("mdbook is not installed: run `cargo install mdbook --locked`")?;
    ensure!(status.success(), "mdbook could not build the book");
    Ok(())
}
