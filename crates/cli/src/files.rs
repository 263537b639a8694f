//! Secrets in files and on stdin. A secret's file is readable by its owner only and
//! replaces no other file; no secret is a command-line argument.

use crate::failure::BadUsage;
use anyhow::{Context, anyhow};
use std::{fs::File, io::ErrorKind, path::Path};
use tegata_policy::{jwk::is_private_text, secret::PlainSecret};
use tegata_store::file::{Owner, create};
use tegata_system::{
    secret::{self, Form},
    variable,
};
use tegata_token::wire;
use zeroize::Zeroizing;

/// Creates a file that only its owner can read (0600). The owner is the user, or the
/// folder's owner if root runs this. Fails if the file exists.
pub fn create_private(path: &Path) -> anyhow::Result<File> {
    let made = Owner::of(path).and_then(|owner| create(path, owner));
    made.map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AlreadyExists => "; an existing file is not overwritten",
            ErrorKind::NotFound => "; its folder is not there",
            _ => "",
        };
        anyhow::Error::from(error).context(format!("cannot create {}{advice}", path.display()))
    })
}

/// Reads the secret in a file.
pub fn read_secret(path: &Path) -> anyhow::Result<PlainSecret> {
    Ok(plain(secret::in_argument(path, Form::Line)?))
}

/// Returns the administrator's token for the command line: from the file that a flag names, else
/// from TEGATA_ADMIN_TOKEN, else from the file that TEGATA_ADMIN_TOKEN_FILE names.
pub fn admin_token(flag: Option<&Path>) -> anyhow::Result<Option<PlainSecret>> {
    if let Some(file) = flag {
        return read_secret(file).map(Some);
    }
    if let Some(token) = secret_variable("TEGATA_ADMIN_TOKEN")? {
        return Ok(Some(token));
    }
    let file = variable::text("TEGATA_ADMIN_TOKEN_FILE")?;
    let read = |file: String| {
        read_secret(Path::new(&file)).context("the variable TEGATA_ADMIN_TOKEN_FILE")
    };
    file.map(read).transpose()
}

/// Returns the secret in a variable, if it is not empty.
pub fn secret_variable(name: &str) -> anyhow::Result<Option<PlainSecret>> {
    Ok(secret::in_variable(name, Form::Line)?.map(plain))
}

/// Returns the token that a user copied into the argument, or to stdin if the argument is `-`.
fn pasted(argument: String) -> anyhow::Result<PlainSecret> {
    let text = match argument == "-" {
        true => secret::on_stdin(Form::Pasted)?,
        false => secret::as_argument(argument, Form::Pasted, "the token")?,
    };
    Ok(plain(text))
}

/// Refuses a private key, which must not be sent to the authority.
pub fn no_private_key(text: PlainSecret) -> anyhow::Result<PlainSecret> {
    if is_private_text(text.reveal()) {
        let advice = "this is a private key; nothing was sent. Name a key's file with --key FILE";
        return Err(BadUsage(advice.to_owned()).into());
    }
    Ok(text)
}

/// Returns the token that a user names. Part of one is refused: the authority could only
/// answer that it does not know it.
pub fn pasted_token(argument: String) -> anyhow::Result<PlainSecret> {
    if argument != "-" && Path::new(&argument).is_file() {
        let advice = format!(
            "a token is expected, and {argument} is a file: name `-` and pass the file on stdin if it \
             holds one token and nothing else; otherwise `tegata token explain {argument}` finds the \
             tokens in it, and revokes them with --revoke"
        );
        return Err(BadUsage(advice).into());
    }
    let token = no_private_key(pasted(argument)?)?;
    match wire::is_cut_short(token.reveal().as_bytes()) {
        true => Err(anyhow!(
            "the token is cut short: it begins like a token of this authority, but its end is \
             missing after {} characters; copy all of it",
            token.reveal().len()
        )),
        false => Ok(token),
    }
}

fn plain(text: Zeroizing<String>) -> PlainSecret {
    PlainSecret::from_caller(text.to_string())
}
