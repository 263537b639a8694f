//! Calls of cargo in the workspace.

use crate::setup::workspace;
use anyhow::{Context, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// What changes between two whole runs is most of the sources, or nothing: keeping parts of the
/// compilation of each crate costs more than it saves. Tests that call cargo need it as well, or
/// they compile all again.
pub const NOT_INCREMENTAL: (&str, &str) = ("CARGO_INCREMENTAL", "0");

/// A command for the cargo that started this program, with `words`, in the workspace.
pub fn cargo(words: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(workspace()?);
    command.env(NOT_INCREMENTAL.0, NOT_INCREMENTAL.1);
    Ok(command)
}

/// All packages of the lock file for this machine, as `cargo metadata` describes them, with
/// `more` words for cargo.
pub fn metadata(more: &[&str]) -> anyhow::Result<Value> {
    let triple = host();
    let words = ["metadata", "--format-version=1", "--locked", "--filter-platform", &triple];
    let all = [&words[..], more].concat();
    serde_json::from_slice(&output(&all)?).context("cargo metadata printed no JSON")
}

/// The packages that a build of the workspace compiles: `serde 1.0.0`.
pub fn built() -> anyhow::Result<BTreeSet<String>> {
    let edges = "normal,build,dev";
    let words = ["tree", "--workspace", "--locked", "--edges", edges, "--prefix", "none"];
    packages(cargo(&words)?)
}

/// The kinds of dependencies that are compiled for a program.
pub const COMPILED: &str = "normal,build";
/// Those among them that are linked into it.
pub const LINKED: &str = "normal,no-proc-macro";

/// The packages that a program compiles or links (`edges`) for this package of ours with one
/// of its features, and for no other.
pub fn needed_by(package: &str, feature: &str, edges: &str) -> anyhow::Result<BTreeSet<String>> {
    let words = ["tree", "--package", package, "--features", feature, "--locked"];
    let mut tree = cargo(&[&words[..], &["--edges", edges, "--prefix", "none"]].concat())?;
    // It would add the features that other crates of the workspace ask for.
    tree.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION");
    packages(tree)
}

/// The packages that `cargo tree` lists, each once.
fn packages(tree: Command) -> anyhow::Result<BTreeSet<String>> {
    let tree = String::from_utf8(run(tree)?)?;
    let package = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some(format!("{name} {}", rest.split(' ').next()?))
    };
    Ok(tree.lines().filter_map(package).collect())
}

fn output(words: &[&str]) -> anyhow::Result<Vec<u8>> {
    run(cargo(words)?).with_context(|| format!("cargo {}", words[0]))
}

fn run(mut command: Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output()?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {why}");
    Ok(output.stdout)
}

/// The folder that cargo builds into.
pub fn target_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    Ok(folder.context("this program is not in a target folder")?.to_owned())
}

/// The target triple of this machine.
pub fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}
