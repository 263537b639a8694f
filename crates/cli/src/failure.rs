//! The exit codes of the commands, and how an error is printed.
//!
//! A command fails with an `anyhow::Error`; two error types have an exit code of
//! their own.

use crate::terminal::note;
use std::{io, process::ExitCode};
use tegata_server::{authority::private_file, serve};
use tegata_system::{secret::UnusableSecret, variable::NotText};

/// A wrong command line, setting or input file: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// The authority could not be reached: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// The authority answered that it cannot do it now: exit code 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotNow(pub String);

/// Whether the same request may succeed later.
pub fn may_pass(error: &anyhow::Error) -> bool {
    error.is::<Unreachable>() || error.is::<NotNow>()
}

/// Whether an error is due to a command line, setting, variable or input file.
pub fn is_bad_usage(error: &anyhow::Error) -> bool {
    let is_unusable = |it: &(dyn std::error::Error + 'static)| {
        let private = it.downcast_ref::<private_file::Error>();
        it.is::<UnusableSecret>()
            || it.is::<NotText>()
            || matches!(private, Some(private_file::Error::Unusable(_)))
    };
    let serve = error.downcast_ref::<serve::Error>();
    error.is::<BadUsage>()
        || matches!(serve, Some(serve::Error::Certificate(_)))
        || error.chain().any(is_unusable)
}

/// Prints an error, if there is one, to stderr; returns the exit code.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // The program that reads the output may stop early, as `head` does. That needs no message,
    // but is no success either: not everything was printed, and not every secret was looked at.
    if error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::FAILURE;
    }
    note(&format!("error: {error:#}"));
    if is_bad_usage(&error) {
        ExitCode::from(2)
    } else if error.downcast_ref::<Unreachable>().is_some() {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}
