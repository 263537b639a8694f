//! The load generator: Debian's wrk with one thread, pinned to its core.
//!
//! `load.lua` replays requests that the harness wrote beforehand, so that wrk spends
//! no time on building them. A run with a status other than 2xx, or with a failed
//! connection, is an error.

use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::LOAD_CORE;
use super::process::{Demand, Running, on_core};

/// What to send, and for how long at most.
pub(super) struct Load<'a> {
    pub(super) to: SocketAddr,
    pub(super) connections: usize,
    pub(super) seconds: u64,
    /// A file written by [`write_requests`].
    pub(super) requests: &'a Path,
    /// Whether each request is sent a single time, rather than in turn for ever.
    pub(super) once: bool,
}

/// Result of a run.
pub(super) struct Outcome {
    /// Responses, all of them 2xx.
    pub(super) answered: u64,
    /// Requests sent; those in flight at the end were not answered.
    pub(super) sent: u64,
    /// Seconds of load.
    pub(super) seconds: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Share of the time in which the load generator was busy (see [`Demand::share`]).
    pub(super) demand: f64,
}

impl Outcome {
    /// Responses a second.
    pub(super) fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }
}

/// Writes the file that [`Load::requests`] names.
pub(super) fn write_requests(
    file: &Path,
    requests: impl IntoIterator<Item = Vec<u8>>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for request in requests {
        writeln!(out, "{:06}", request.len())?;
        out.write_all(&request)?;
    }
    Ok(out.flush()?)
}

impl Load<'_> {
    pub(super) fn run(&self) -> anyhow::Result<Outcome> {
        // The folder of the requests is this run's own.
        let script = self.requests.with_file_name("load.lua");
        std::fs::write(&script, include_str!("load.lua"))?;
        let mut wrk = Running::start(
            on_core(LOAD_CORE, "wrk")
                .args(["-t1", "--latency", "-c", &self.connections.to_string()])
                .args(["-d", &format!("{}s", self.seconds)])
                .arg("-s")
                .arg(&script)
                .arg(format!("http://{}/", self.to))
                .arg("--")
                .arg(self.requests)
                .arg(if self.once { "once" } else { "cycle" })
                .stdout(Stdio::piped()),
        )?;
        let demand = Demand::of(wrk.id());
        let mut busy = 0.0_f64;
        while wrk.child().try_wait()?.is_none() {
            // Not during its start, and not after its one thread has exited.
            if demand.seconds() > self.seconds as f64 / 2.0 {
                busy = busy.max(demand.share());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut text = String::new();
        if let Some(out) = wrk.child().stdout.as_mut() {
            std::io::Read::read_to_string(out, &mut text)?;
        }
        outcome(&text, busy).with_context(|| format!("output of wrk: {text}"))
    }
}

fn outcome(text: &str, demand: f64) -> anyhow::Result<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let said: Value = serde_json::from_str(line.context("wrk printed no result")?)?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name}"));
    ensure!(number("rejected")? == 0.0, "responses other than 2xx: {}", said["rejected"]);
    ensure!(number("failed")? == 0.0, "connections that failed: {}", said["failed"]);
    ensure!(number("answered")? > 0.0, "no response at all");
    Ok(Outcome {
        answered: number("answered")? as u64,
        sent: number("sent")? as u64,
        seconds: number("seconds")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
        demand,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"Running
RESULT {"answered":10,"sent":12,"seconds":2.0,"exhausted":false,"rejected":0,"failed":0,"p50_us":5,"p99_us":9}"#;

    #[test]
    fn failed_or_missing_responses_are_an_error() {
        assert_eq!(outcome(GOOD, 0.5).unwrap().rate(), 5.0);
        for (from, to) in [
            ("rejected\":0", "rejected\":1"),
            ("failed\":0", "failed\":1"),
            ("answered\":10", "answered\":0"),
            ("RESULT", ""),
        ] {
            assert!(outcome(&GOOD.replace(from, to), 0.5).is_err(), "{to}");
        }
    }
}
