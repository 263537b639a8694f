//! How a command ends: the exit codes, and the words on the way out.
//!
//! Everything that fails is an `anyhow::Error`; two kinds of it carry a mark
//! that gives them an exit code of their own.

use std::{fmt, io, process::ExitCode};

/// The command line, a setting or an input file is not as it must be: exit code 2.
#[derive(Debug)]
pub struct BadUsage(pub String);

/// The authority did not answer at all: exit code 3.
#[derive(Debug)]
pub struct Unreachable(pub String);

impl fmt::Display for BadUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for BadUsage {}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Unreachable {}

/// Says on stderr what went wrong, if anything did, and gives the exit code.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Whoever reads our output may stop early, as `head` does.
    if error.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    if error.downcast_ref::<BadUsage>().is_some() {
        ExitCode::from(2)
    } else if error.downcast_ref::<Unreachable>().is_some() {
        ExitCode::from(3)
    } else {
        ExitCode::FAILURE
    }
}
