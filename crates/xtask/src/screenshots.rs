//! `cargo xtask screenshots DIR`: pictures of every page of the console, at the widths of a
//! phone, a tablet and a desk, light and dark, in both languages.
//!
//! The test that visits every page takes them: see `crates/cli/tests/browser/pages.rs`.

use crate::{cargo::cargo, setup};
use anyhow::ensure;
use std::{fs, path::Path};

/// Writes the pictures into a folder, which is created if it is missing.
pub fn run(folder: &str) -> anyhow::Result<()> {
    setup::browser()?;
    fs::create_dir_all(folder)?;
    let folder = Path::new(folder).canonicalize()?;
    let words = ["test", "--locked", "--package", "tegata", "--test", "browser", "every_page"];
    let status = cargo(&words)?.env("TEGATA_SCREENSHOTS", &folder).status()?;
    let pictures = fs::read_dir(&folder)?.count();
    println!("{pictures} pictures in {}", folder.display());
    ensure!(status.success(), "a page has findings, which are listed above");
    Ok(())
}
