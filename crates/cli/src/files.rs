//! Secrets in files and on stdin. A secret's file is readable by its owner only and
//! replaces no other file; no secret is a command-line argument.

use crate::failure::BadUsage;
use anyhow::Context;
use std::{fs::File, io::Read, path::Path};
use tegata_store::file::{Owner, create};
use tegata_system::file::read_argument;

/// The longest file with a secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Creates a file that only its owner can read (0600). The owner is the user, or the
/// folder's owner if root runs this. Fails if the file exists.
pub fn create_private(path: &Path) -> anyhow::Result<File> {
    let made = Owner::of(path).and_then(|owner| create(path, owner));
    made.with_context(|| {
        format!("cannot create {}; an existing file is not overwritten", path.display())
    })
}

/// Reads the secret in a file: its only line, without the line break.
pub fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = read_argument(path, LONGEST)
        .map_err(|error| BadUsage(format!("cannot read {}: {error}", path.display())))?;
    one_line(&text).map_err(|wrong| BadUsage(format!("{}: {wrong}", path.display())).into())
}

/// Returns the administrator's token for the command line: from the file that a flag names, else
/// from TEGATA_ADMIN_TOKEN, else from the file that TEGATA_ADMIN_TOKEN_FILE names.
pub fn admin_token(flag: Option<&Path>) -> anyhow::Result<Option<String>> {
    if let Some(file) = flag {
        return read_secret(file).map(Some);
    }
    if let Some(token) = admin_token_variable()? {
        return Ok(Some(token));
    }
    let file = std::env::var_os("TEGATA_ADMIN_TOKEN_FILE").filter(|value| !value.is_empty());
    file.map(|file| read_secret(Path::new(&file))).transpose()
}

/// Returns the value of TEGATA_ADMIN_TOKEN, if it is not empty.
pub fn admin_token_variable() -> anyhow::Result<Option<String>> {
    let token = std::env::var_os("TEGATA_ADMIN_TOKEN").filter(|value| !value.is_empty());
    let text = token.map(std::ffi::OsString::into_string).transpose();
    Ok(text.map_err(|_| BadUsage("TEGATA_ADMIN_TOKEN is not UTF-8".to_owned()))?)
}

/// Returns the argument, or the line on stdin if the argument is `-`.
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
