//! Secrets in files and on stdin: written for the owner's eyes only, never over
//! something that is there, and never taken from the command line.

use crate::failure::BadUsage;
use anyhow::Context;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A new file that only its owner can read (0600). Fails if there is one.
pub fn create_private(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Writes `text` to a new private file and waits until it is on the disk.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The secret in a file: all of it but the line's end.
pub fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| BadUsage(format!("cannot read {}: {error}", path.display())))?;
    one_line(&text).map_err(|wrong| BadUsage(format!("{}: {wrong}", path.display())).into())
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
