//! Passwords, codes and invitations that a person types: without an echo on a terminal, or
//! one line each from stdin.

use anyhow::{Context, bail};
use std::io::{IsTerminal, stdin};
use tegata_policy::secret::PlainSecret;
use zeroize::Zeroizing;

/// Asks for a secret; from a program, reads the next line of stdin.
pub fn ask(what: &str) -> anyhow::Result<PlainSecret> {
    let mut line = Zeroizing::new(String::new());
    if stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("{what}: "));
        line = Zeroizing::new(typed.with_context(|| format!("{what} was not read"))?);
    } else {
        stdin().read_line(&mut line).with_context(|| format!("{what} was not read"))?;
    }
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("{what} is missing: type it, or give it as the next line of stdin");
    }
    Ok(PlainSecret::from_caller(text.to_owned()))
}

/// Asks for a new password, on a terminal twice.
pub fn ask_new_password() -> anyhow::Result<PlainSecret> {
    let password = ask("new password (at least 12 characters)")?;
    if stdin().is_terminal() && ask("the same again")?.reveal() != password.reveal() {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(password)
}
