//! Asks before an act that cannot be undone.

use anyhow::bail;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
};

/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64;

/// Asks the person at the terminal; an error unless the answer is yes. Without a terminal,
/// or with `--yes`, nothing is asked. Stdin may be the text that the command reads, so the
/// answer comes from the terminal itself.
pub fn ask(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes || !io::stderr().is_terminal() {
        return Ok(());
    }
    let Ok(terminal) = File::open("/dev/tty") else { return Ok(()) };
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    BufReader::new(terminal.take(LONGEST)).read_line(&mut answer)?;
    match matches!(answer.trim(), "y" | "Y" | "yes") {
        true => Ok(()),
        false => bail!("nothing was changed"),
    }
}
