//! `cargo xtask tidy`: rules of the house that no compiler checks. Each is an
//! absence that ARCHITECTURE.md promises.

use crate::setup::workspace;
use anyhow::{Context, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What must not be named where, and why.
const ABSENT: [(&str, &[&str], &str); 8] = [
    (
        "crates/token/src",
        &["async fn", "tokio", "SystemTime", "std::fs", "std::net"],
        "the token crate is pure: time, chance and bytes are its arguments",
    ),
    (
        "crates/token/src",
        &["rusqlite", "axum", "hyper"],
        "the token crate knows neither store nor protocol",
    ),
    ("crates/store/src", &["axum", "hyper", "http::"], "the store knows no protocol"),
    (
        "crates/server/src",
        &["rusqlite", "SELECT "],
        "the server speaks to the store in the words of the domain",
    ),
    (
        "crates/server/src/authority",
        &["axum", "hyper", "api::", "http::", "crate::config", "crate::serve"],
        "the authority knows no protocol: arrows run http, api, authority, store",
    ),
    (
        "crates/server/src/api",
        &["crate::http", "crate::config", "crate::serve"],
        "a protocol knows no connection: arrows run http, api, authority, store",
    ),
    (
        "crates/server/src/metrics",
        &["authority::", "api::", "crate::http"],
        "the metrics are below all that counts in them",
    ),
    ("crates/cli/src", &["rusqlite"], "the command line goes through the server or the store"),
];

/// Checks them all; says every place, not just the first.
pub fn run() -> anyhow::Result<()> {
    let root = workspace()?;
    let mut wrong = Vec::new();
    for (folder, words, why) in ABSENT {
        for file in rust_files(&root.join(folder))? {
            let text = fs::read_to_string(&file)?;
            for (number, line) in text.lines().enumerate() {
                let code = line.trim_start();
                if code.starts_with("//") {
                    continue;
                }
                for word in words.iter().filter(|word| code.contains(**word)) {
                    let place = place(&root, &file);
                    wrong.push(format!("{place}:{}: `{word}`: {why}", number + 1));
                }
            }
        }
    }
    for file in rust_files(&root.join("crates"))? {
        let text = fs::read_to_string(&file)?;
        if !text.starts_with("//!") && !text.starts_with("#!") {
            wrong.push(format!("{}: opens without `//!`", place(&root, &file)));
        }
    }
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md"))
        .context("ARCHITECTURE.md must be there")?;
    for named in architecture.split('`').skip(1).step_by(2) {
        let is_path = named.starts_with("crates/") || named.starts_with("docs/");
        if is_path && !root.join(named).exists() {
            wrong.push(format!("ARCHITECTURE.md names `{named}`, which is not there"));
        }
    }
    let migrations = root.join("crates/store/migrations");
    let mut names: Vec<Vec<_>> = Vec::new();
    for engine in fs::read_dir(&migrations)? {
        let mut files: Vec<_> = fs::read_dir(engine?.path())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<_, _>>()?;
        files.sort();
        names.push(files);
    }
    if names.windows(2).any(|pair| pair[0] != pair[1]) {
        wrong.push("crates/store/migrations: the engines' migrations differ in name".into());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
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
