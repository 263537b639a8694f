//! Secrets in files and on stdin: written for the owner's eyes only, never over
//! something that is there, and never taken from the command line.

use crate::failure::BadUsage;
use anyhow::Context;
use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A new file that only its owner can read (0600). Fails if there is one.
pub fn create_private(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(|| {
        format!("cannot create {}; nothing is written over a file", path.display())
    })
}

/// The secret in a file: all of it but the line's end.
pub fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadUsage(format!("cannot read {}: {error}", path.display())))?;
    one_line(&text).map_err(|wrong| BadUsage(format!("{}: {wrong}", path.display())).into())
}

/// The administrator's token: from the file that a flag names, else from
/// TEGATA_ADMIN_TOKEN, else from the file that TEGATA_ADMIN_TOKEN_FILE names.
pub fn admin_token(flag: Option<&Path>) -> anyhow::Result<Option<String>> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(file) = flag {
        return read_secret(file).map(Some);
    }
    if let Some(token) = set("TEGATA_ADMIN_TOKEN") {
        let text = token.into_string();
        let text = text.map_err(|_| BadUsage("TEGATA_ADMIN_TOKEN is not UTF-8".to_owned()))?;
        return Ok(Some(text));
    }
    set("TEGATA_ADMIN_TOKEN_FILE").map(|file| read_secret(Path::new(&file))).transpose()
}

/// The file that [`admin_token`] reads the token from, if it is a file.
pub fn file_of_admin_token(flag: Option<&Path>) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = || match set("TEGATA_ADMIN_TOKEN") {
        Some(_) => None,
        None => set("TEGATA_ADMIN_TOKEN_FILE").map(PathBuf::from),
    };
    flag.map(Path::to_owned).or_else(named)
}

/// What stands on the command line, or for `-` what comes in on stdin.
pub fn or_stdin(argument: String) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    one_line(&text).map_err(|wrong| BadUsage(format!("stdin: {wrong}")).into())
}

fn one_line(text: &str) -> Result<String, &'static str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line {
        "" => Err("it is empty"),
        line if line.contains('\n') => Err("it holds more than one line"),
        line => Ok(line.to_owned()),
    }
}
