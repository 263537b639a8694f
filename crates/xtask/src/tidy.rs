//! `cargo xtask tidy`: the project's rules that the compiler does not check.

mod absences;
mod dependencies;
mod modules;
mod names;
mod picture;
mod profiles;
mod sizes;
mod verifier;
mod words;

use crate::setup::workspace;
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Checks all rules, and reports every violation.
pub fn run() -> anyhow::Result<()> {
    let root = workspace()?;
    let mut wrong = Vec::new();
    let rules = [
        absences::check,
        modules::check,
        dependencies::check,
        introductions,
        named_paths,
        migrations,
        decisions,
        names::check,
        sizes::check,
        picture::check,
        profiles::check,
        verifier::check,
        words::check,
    ];
    for rule in rules {
        wrong.extend(rule(&root)?);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

/// Redraws the picture of the modules.
pub fn write() -> anyhow::Result<()> {
    picture::write(&workspace()?)
}

/// Reports source files that do not begin with a module comment.
fn introductions(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut files = rust_files(&root.join("crates"))?;
    files.extend(rust_files(&root.join("bindings"))?);
    for file in files {
        let text = fs::read_to_string(&file)?;
        if !text.starts_with("//!") && !text.starts_with("#!") {
            wrong.push(format!("{}: does not begin with `//!`", place(root, &file)));
        }
    }
    Ok(wrong)
}

/// Reports paths in ARCHITECTURE.md that do not exist.
fn named_paths(root: &Path) -> anyhow::Result<Vec<String>> {
    let architecture =
        fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md must exist")?;
    let named = architecture.split('`').skip(1).step_by(2);
    let is_path = |named: &&str| {
        ["bindings/", "crates/", "docs/"].iter().any(|folder| named.starts_with(folder))
    };
    Ok(named
        .filter(|named| is_path(named) && !root.join(named).exists())
        .map(|named| format!("ARCHITECTURE.md names `{named}`, which does not exist"))
        .collect())
}

/// Reports engines whose migrations have different names.
fn migrations(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<Vec<_>> = Vec::new();
    for engine in fs::read_dir(root.join("crates/store/migrations"))? {
        let mut files: Vec<_> = fs::read_dir(engine?.path())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        files.sort();
        names.push(files);
    }
    let differ = names.windows(2).any(|pair| pair[0] != pair[1]);
    let wrong = "crates/store/migrations: the engines' migrations differ in name".to_owned();
    Ok(differ.then_some(wrong).into_iter().collect())
}

/// Reports decisions that the index does not list.
fn decisions(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("docs/decisions");
    let index = fs::read_to_string(folder.join("README.md"))?;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" && !index.contains(&format!("]({name})")) {
            wrong.push(format!("docs/decisions/README.md does not list {name}"));
        }
    }
    wrong.sort();
    Ok(wrong)
}

/// The folders of the workspace's crates.
fn crate_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for parent in ["bindings", "crates"] {
        for entry in fs::read_dir(root.join(parent))? {
            folders.push(entry?.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn place(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
