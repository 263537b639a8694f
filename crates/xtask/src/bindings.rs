//! `cargo xtask bindings`: builds the packages for Python and Node.js, as they are shipped.

use crate::{
    cargo::{cargo, target_folder},
    dist, package, setup,
};
use anyhow::ensure;
use std::{fs, path::Path, process::Command};

/// Builds the wheel and the archive, and prints where they are.
pub fn run() -> anyhow::Result<()> {
    dist::run(&[])?;
    let root = setup::workspace()?;
    let target = target_folder()?;
    let to = target.join("bindings");
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    let program = target.join("dist/shipped/tegata");
    let maturin = Command::new(setup::bindings()?.join("bin/maturin"));
    let wheel = package::wheel(&root, &program, &to.join("python"), maturin, &["--locked"])?;
    println!("{}", wheel.display());
    let library = library(&target)?;
    let archive = package::archive(&root, &program, &library, &to.join("node"))?;
    println!("{}", archive.display());
    Ok(())
}

/// Builds the native module for Node.js, without debug information.
fn library(target: &Path) -> anyhow::Result<std::path::PathBuf> {
    let words = ["build", "--locked", "--profile", "dist", "--package", "tegata-node"];
    ensure!(cargo(&words)?.status()?.success(), "the module for Node.js does not build");
    let (built, stripped) =
        (target.join("dist/libtegata_node.so"), target.join("bindings/tegata.node"));
    let strip = Command::new("objcopy").arg("--strip-all").args([&built, &stripped]).status()?;
    ensure!(strip.success(), "objcopy cannot strip {}", built.display());
    Ok(stripped)
}
