//! How near Tegata comes to what the machine allows. `cargo xtask bench` builds and
//! starts this program; it is a crate of its own so that xtask need not wait for it.
//!
//! Absolute figures of a shared machine mean little a day later, so this
//! prints **ratios**: the shipped binary against a bare floor (an axum server
//! that answers the same bytes, the processor's own cryptography, SQLite's own
//! commits), both taken in the same run, in rounds that alternate, so that
//! noise falls on both. The server has one core, the load generator the other.
//!
//! A ratio that misses its aim is printed as MISSED and is no failure. A
//! measurement that cannot be trusted is: an answer other than 2xx, a load
//! generator that could not keep the server busy, an acknowledged token that
//! is not stored.

mod agent;
mod assertions;
mod authority;
mod checks;
mod decide;
mod floor;
mod issue;
mod journal;
mod process;
mod report;
mod soak;
mod wire;
mod wrk;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};

use report::Report;

/// The core of whatever is measured, and the core of the load.
const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// How the folder of a run is called.
const RUN: &str = "run-";

/// How long and how often, and what everything is measured with.
struct Plan {
    long: bool,
    /// The program under test.
    tegata: PathBuf,
    /// Where stores and request files live: on a real disk, gone at the end.
    folder: tempfile::TempDir,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        // What a measurement starts beside the authority; of no use to people.
        ["floor", ref options @ ..] => floor::run(options),
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
            "checks" | "issue" | "endings" | "decide" | "agent" | "soak" | "fairness" => {
                sections.push(arg)
            }
            other => bail!("unknown argument {other}; see: cargo xtask bench --help"),
        }
    }
    if sections.is_empty() {
        sections = vec!["checks", "issue", "decide", "agent"];
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
            "checks" => checks::run(&plan, &folder, &mut report),
            "issue" => issue::run(&plan, &folder, &mut report),
            "endings" => journal::run(&plan, &folder, &mut report),
            "decide" => decide::run(&plan, &mut report),
            "agent" => agent::run(&plan, &folder, &mut report),
            "soak" => soak::run(&plan, &folder, &mut report),
            _ => checks::fairness(&plan, &folder, &mut report),
        };
        // One broken section does not take the figures of the others along.
        if let Err(why) = done {
            report.broken(section, &why);
        }
    }
    let latest = out.join("latest.json");
    report.finish(began.elapsed(), &latest)
}

/// Removes what a run left behind that was killed.
fn sweep(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(RUN) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Refuses a machine on which the ratios would mean nothing.
fn require_machine(folder: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "the server and the load need a core each, and there is {cores}");
    let kind = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(folder)
        .output()
        .context("asking stat for the kind of file system")?;
    let kind = String::from_utf8_lossy(&kind.stdout);
    ensure!(
        !kind.contains("tmpfs"),
        "{} is in memory: a commit there is not durable",
        folder.display()
    );
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

/// The folder of this program, where the program under test was built to as well.
fn program_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("this program is in no folder")?.to_owned())
}

/// Real, steady time: what a benchmark is about.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for assertions that a real server will judge.
#[expect(clippy::disallowed_methods, reason = "the server under test runs on real time")]
fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The middle of the figures (the lower one of two); 0 without any.
fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// `act` on each item, on `threads` threads with one `open`ed thing each; the
/// answers in the order of the items.
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
        let mut answers = Vec::with_capacity(items.len());
        for worker in workers {
            let Ok(part) = worker.join() else { bail!("a worker panicked") };
            answers.extend(part?);
        }
        Ok(answers)
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
