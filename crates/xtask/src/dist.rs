//! `cargo xtask dist`: writes the shipped program to `target/dist/shipped`, without debug
//! information, which goes to a separate file next to it, where debuggers look for it.

use crate::cargo::{cargo, target_folder};
use anyhow::{Context, ensure};
use std::process::Command;

/// Builds the program with what is shipped: see decisions 12 and 15.
pub fn build() -> anyhow::Result<()> {
    let words = ["build", "--locked", "--profile", "dist", "--package", "tegata"];
    let status = cargo(&words)?.args(["--features", "jemalloc"]).status()?;
    ensure!(status.success(), "the program does not build");
    Ok(())
}

/// Builds the program and moves its debug information to a separate file.
pub fn run() -> anyhow::Result<()> {
    build()?;
    let folder = target_folder()?.join("dist");
    // Not Rust's `split-debuginfo`: it leaves the line table in the program, and
    // stripping that would remove what backtraces need.
    std::fs::create_dir_all(folder.join("shipped"))?;
    for words in [
        ["--only-keep-debug", "tegata", "tegata.debug"].as_slice(),
        &["--strip-debug", "--strip-unneeded", "tegata", "shipped/tegata"],
        &["--add-gnu-debuglink=tegata.debug", "shipped/tegata"],
    ] {
        let status = Command::new("objcopy").args(words).current_dir(&folder).status();
        let status = status.context("objcopy is missing: it comes with the C compiler")?;
        ensure!(status.success(), "objcopy {} failed", words.join(" "));
    }
    std::fs::rename(folder.join("tegata.debug"), folder.join("shipped/tegata.debug"))?;
    for file in ["tegata", "tegata.debug"] {
        let path = folder.join("shipped").join(file);
        let size = std::fs::metadata(&path)?.len() / 1_048_576;
        println!("{} ({size} MiB)", path.display());
    }
    Ok(())
}
