//! Benchmarks of the shipped program. `cargo xtask bench` builds and starts this
//! program; it is a crate of its own so that compiling xtask does not wait for it.
//!
//! Absolute figures of a shared machine mean little a day later, so this program
//! prints **ratios**: the shipped binary against a baseline (a bare axum server
//! that sends the same response bytes, the processor's own cryptography, SQLite's
//! own commits). Both are measured in the same run, in alternating rounds, so that
//! noise affects both. The server has one core, the load generator the other.
//!
//! A ratio that misses its aim is printed as MISSED and is not a failure. These are
//! failures, since the figure cannot be trusted: a status other than 2xx, a load
//! generator that could not keep the server busy, an acknowledged token that is not
//! stored.

mod agent;
mod assertions;
mod authority;
mod baseline;
mod bindings;
mod channel;
mod console;
mod feed;
mod followers;
mod http;
mod issue;
mod journal;
mod postgres;
mod process;
mod proxy;
mod report;
mod scale;
mod soak;
mod verify;
mod wire;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};

use report::Report;

/// The core of the measured process, and the core of the load generator.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// Prefix of the name of a run's folder.
const RUN: &str = "run-";

/// What a run measures, and with which program and folder.
struct Plan {
    /// Longer and more rounds.
    long: bool,
    /// The program under test.
    tegata: PathBuf,
    /// Folder of stores and request files: on a real disk, removed at the end.
    folder: tempfile::TempDir,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // Started by the benchmarks themselves, in a process that can be pinned to a core.
        ["baseline", ref options @ ..] => baseline::run(options),
        ["followers", ref options @ ..] => followers::run(options),
        ["verify-in-process", rounds] => {
            println!("{}", verify::measure(rounds.parse()?)?);
            Ok(())
        }
        ["unix-load", socket, tokens, seconds] => proxy::generate(socket, tokens, seconds),
        ref options => measure(options),
    }
}

fn measure(args: &[&str]) -> anyhow::Result<()> {
    let mut long = false;
    let mut tegata = program_folder()?.join("tegata");
    let mut sections = Vec::new();
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        match arg {
            "--long" => long = true,
            "--tegata" => {
                let file = args.next().context("--tegata needs a file")?;
                tegata = std::fs::canonicalize(file).context("--tegata needs a file")?;
            }
            "http" | "proxy" | "issue" | "journal" | "verify" | "agent" | "soak" | "fairness"
            | "console" | "feed" | "herd" | "snapshots" | "idle" | "load" | "layer"
            | "bindings" | "postgres-issues" | "postgres-full" | "postgres-revoke" | "scale" => {
                sections.push(arg)
            }
            other => bail!("unknown argument {other}; see: cargo xtask bench --help"),
        }
    }
    if sections.is_empty() {
        sections = vec!["http", "proxy", "issue", "verify", "agent"];
    }

    let out = program_folder()?.join("../bench");
    std::fs::create_dir_all(&out)?;
    require_machine(&out)?;
    sweep(&out)?;
    let folder = tempfile::Builder::new().prefix(RUN).tempdir_in(&out)?;
    let plan = Plan { long, tegata, folder };
    let began = stopwatch();
    let mut report = Report::new(long);
    for section in sections {
        println!("\n{section}");
        let folder = plan.folder.path().join(section);
        std::fs::create_dir(&folder)?;
        let done = match section {
            "http" => http::run(&plan, &folder, &mut report),
            "proxy" => proxy::run(&plan, &folder, &mut report),
            "issue" => issue::run(&plan, &folder, &mut report),
            "journal" => journal::run(&plan, &folder, &mut report),
            "verify" => verify::run(&plan, &mut report),
            "agent" => agent::run(&plan, &folder, &mut report),
            "soak" => soak::run(&plan, &folder, &mut report),
            "console" => console::run(&plan, &folder, &mut report),
            "feed" => feed::run(&plan, &folder, &mut report),
            "herd" => feed::herd::run(&plan, &folder, &mut report),
            "snapshots" => feed::snapshots::run(&plan, &folder, &mut report),
            "layer" => feed::layer::run(&plan, &folder, &mut report),
            "load" => feed::load::run(&plan, &folder, &mut report),
            "idle" => feed::idle::run(&plan, &folder, &mut report),
            "postgres-issues" => postgres::issues::run(&plan, &folder, &mut report),
            "postgres-full" => postgres::full::run(&plan, &folder, &mut report),
            "postgres-revoke" => postgres::revoke::run(&plan, &folder, &mut report),
            "bindings" => bindings::run(&plan, &folder, &mut report),
            "scale" => scale::run(&plan, &folder, &mut report),
            _ => http::fairness(&plan, &folder, &mut report),
        };
        // One broken section does not stop the others.
        if let Err(why) = done {
            report.broken(section, &why);
        }
    }
    let latest = out.join("latest.json");
    report.finish(began.elapsed(), &latest)
}

/// Removes the folders that killed runs left behind.
fn sweep(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(RUN) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Fails on a machine on which the ratios would mean nothing.
fn require_machine(folder: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(
        cores >= 2,
        "the server and the load generator need one core each, but this machine has {cores}"
    );
    require_disk(folder)?;
    if Command::new("wrk").arg("--version").output().is_err() {
        println!("installing wrk");
        let done = Command::new("apt-get").args(["install", "--yes", "--quiet", "wrk"]).status();
        ensure!(
            done.is_ok_and(|status| status.success()),
            "wrk is needed, and `apt-get install wrk` failed"
        );
    }
    Ok(())
}

/// Fails if the folder is on a file system in memory.
fn require_disk(folder: &Path) -> anyhow::Result<()> {
    let kind = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(folder)
        .output()
        .context("asking stat for the kind of file system")?;
    let kind = String::from_utf8_lossy(&kind.stdout);
    ensure!(
        !kind.contains("tmpfs"),
        "{} is on a file system in memory, where a commit is not durable",
        folder.display()
    );
    Ok(())
}

/// The folder of this program, which also holds the program under test.
fn program_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program has no parent folder")?.to_owned())
}

/// The steady clock of the machine.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for assertions that a real server verifies.
#[expect(clippy::disallowed_methods, reason = "the server under test runs on real time")]
fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The median of the figures (the lower one of two); 0 if there are none.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// Runs `act` on each item, on `threads` threads that each `open` one resource.
/// Returns the results in the order of the items.
fn spread<T: Sync, C, R: Send>(
    threads: usize,
    items: &[T],
    open: impl Fn() -> anyhow::Result<C> + Sync,
    act: impl Fn(&mut C, &T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let share = items.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(share)
            .map(|items| {
                scope.spawn(|| {
                    let mut own = open()?;
                    items.iter().map(|item| act(&mut own, item)).collect::<anyhow::Result<Vec<R>>>()
                })
            })
            .collect();
        let mut responses = Vec::with_capacity(items.len());
        for worker in workers {
            let Ok(part) = worker.join() else { bail!("a worker panicked") };
            responses.extend(part?);
        }
        Ok(responses)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_one_wild_round() {
        assert_eq!(median(&[1.0, 900.0, 2.0]), 2.0);
        assert_eq!(median(&[2.0, 1.0]), 1.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn spread_keeps_the_order_and_hands_on_errors() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = spread(7, &items, || Ok(()), |(), n| Ok(n * 2)).unwrap();
        assert!(doubled.iter().enumerate().all(|(i, n)| *n as usize == 2 * i));
        let failed = spread(
            7,
            &items,
            || Ok(()),
            |(), n| {
                ensure!(*n != 500, "no");
                Ok(())
            },
        );
        assert!(failed.is_err());
    }
}
