//! Followers of a feed in a process of their own: the hidden subcommand `followers`.
//!
//! `light ADDRESS TOKEN STALENESS COUNT` runs the follower's state machine over bare
//! connections, `real …` the whole verifier with its HTTP client, and `bare …` only
//! acknowledges; `nats ADDRESS COUNT` and `sockets ADDRESS COUNT` reply to each message. Questions come in over standard input, a
//! line each, and each gets one line in response.

mod bare;
pub(super) mod echo;
mod light;
mod real;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use tegata_verifier::clocks::{Clocks, Steady};

use super::process::{Running, on_core};
use super::stopwatch;

/// Runs followers in this process until its input is closed.
pub(super) fn run(args: &[&str]) -> anyhow::Result<()> {
    match *args {
        ["light", address, token, staleness, count] => {
            let staleness = Duration::from_millis(staleness.parse()?);
            light::run(address.parse()?, token, staleness, count.parse()?)
        }
        ["real", address, token, staleness, count] => {
            let staleness = Duration::from_millis(staleness.parse()?);
            real::run(address.parse()?, token, staleness, count.parse()?)
        }
        ["bare", address, token, staleness, count] => {
            bare::run(address.parse()?, token, staleness, count.parse()?)
        }
        ["nats", address, count] => echo::run(address.parse()?, count.parse()?, echo::Kind::Nats),
        ["sockets", address, count] => {
            echo::run(address.parse()?, count.parse()?, echo::Kind::Sockets)
        }
        _ => bail!("there are no followers {args:?}"),
    }
}

/// Answers the lines of the standard input until it is closed.
fn answer(mut respond: impl FnMut(&[&str]) -> String) -> anyhow::Result<()> {
    for line in std::io::stdin().lines() {
        let line = line?;
        println!("{}", respond(&line.split(' ').collect::<Vec<_>>()));
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Both clocks. The machine is not suspended in a benchmark.
fn clocks() -> Clocks {
    use std::sync::LazyLock;
    static BEGAN: LazyLock<std::time::Instant> = LazyLock::new(stopwatch);
    #[expect(clippy::disallowed_methods, reason = "the followers run on real time")]
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanos = |it: Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
    Clocks { steady: Steady(nanos(BEGAN.elapsed())), wall: nanos(wall) }
}

/// Followers in another process, which exits with this value.
pub(super) struct Followers {
    _process: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(super) count: usize,
}

impl Followers {
    /// Starts them on a core; `words` are those of the subcommand but for the count.
    pub(super) fn start(core: usize, words: &[&str], count: usize) -> anyhow::Result<Self> {
        let mut command = on_core(core, std::env::current_exe()?);
        command.arg("followers").args(words).arg(count.to_string());
        let mut process = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let input = process.child().stdin.take().context("no input")?;
        let output = BufReader::new(process.child().stdout.take().context("no output")?);
        Ok(Self { _process: process, input, output, count })
    }

    /// Followers of an authority, of this kind.
    pub(super) fn of(
        kind: &str,
        core: usize,
        at: SocketAddr,
        token: &str,
        staleness: u32,
        count: usize,
    ) -> anyhow::Result<Self> {
        Self::start(core, &[kind, &at.to_string(), token, &staleness.to_string()], count)
    }

    pub(super) fn ask(&mut self, question: &str) -> anyhow::Result<Vec<f64>> {
        writeln!(self.input, "{question}")?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "the followers have exited");
        line.split_whitespace().map(|it| it.parse().context("not a number")).collect()
    }

    /// Waits until all have a view that is at most so old, in milliseconds.
    pub(super) fn until_fresh(&mut self, limit: Duration) -> anyhow::Result<()> {
        let began = stopwatch();
        loop {
            let fresh = self.ask("younger 100000000")?;
            if fresh.first().is_some_and(|it| *it as usize == self.count) {
                return Ok(());
            }
            ensure!(began.elapsed() < limit, "{fresh:?} of {} are fresh", self.count);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
