//! Compiles every test binary of the workspace, then runs as many at once as there are
//! processors: most of them wait for programs and files half of the time.
//!
//! The output of a binary is collected and shown if it fails, so that outputs never
//! mix. Tests that compare times run alone, at the end. Files are in memory, where they need not
//! survive anything.

use crate::again::{self, Failed};
use crate::binary::{Binary, Counts, Elsewhere, End, finish};
use crate::cargo::cargo;
use crate::memory::Memory;
use crate::progress::{minutes, now};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Binaries whose tests compare real times, or exhaust a resource of the machine.
const ALONE: [&str; 2] = ["tegata/faults", "tegata/seeing"];

/// The binaries that take longest, longest first. They start in this order and before the
/// others, so that none of them runs alone at the end.
const LONGEST: [&str; 11] = [
    "tegata/browser",
    "tegata/agent",
    "client/month",
    "server/it",
    "policy/it",
    "tegata/bindings",
    "tegata/crash",
    "store/it",
    "tegata/cli",
    "tegata/hostile",
    "tegata/packages",
];

/// Binaries that test what is on a disk after a crash, or when it is full or broken.
const ON_DISK: [&str; 3] = ["faulty-vfs/sqlite", "tegata/crash", "tegata/faults"];

/// Where the servers of [`ON_POSTGRES`] have their stores then.
const ELSEWHERE: [Elsewhere; 2] = [
    Elsewhere { store: "postgres", name: "PostgreSQL", without: &ON_SQLITE_ONLY, long: false },
    Elsewhere {
        store: "compatible",
        name: "a compatible engine",
        without: &ON_SQLITE_ONLY,
        long: true,
    },
];

/// Binaries that run again with their servers on PostgreSQL.
const ON_POSTGRES: [&str; 4] = ["server/admin", "server/console", "server/feed", "server/it"];

/// Tests among them that break a SQLite file, hold its only writer or pretend to lose a lease.
const ON_SQLITE_ONLY: [&str; 24] = [
    "ext_authz::without_a_lease_the_client_gets_503",
    "following::a_verifier_that_has_stopped_very_many_instances_gets_no_new_one",
    "idle::a_report_that_the_store_cannot_take_was_not_received_and_counts_once_when_sent_again",
    "kept::a_page_is_kept_for_its_address_and_settings_until_the_store_changes",
    "lease::a_follower_gets_nothing_that_was_read_longer_ago_than_a_tenth_of_its_staleness",
    "lease::a_token_that_is_revoked_already_is_answered_when_it_is_revoked_everywhere",
    "lease::what_another_server_has_added_counts_at_once",
    "lease::what_is_unknown_or_suspended_is_503_if_the_server_cannot_catch_up",
    "lease::what_was_decided_before_the_lease_was_renewed_is_503_after_it",
    "lease::without_a_lease_every_answer_from_memory_is_503",
    "limits::a_client_that_disconnects_before_its_response_counts_for_the_surge_limit",
    "master_key::a_rotation_after_an_unfinished_one_loses_no_key",
    "master_key::a_signing_key_created_after_an_unfinished_rotation_opens_at_the_next_start",
    "master_key::the_file_holds_the_key_in_force_within_a_round_of_the_jobs",
    "operations::a_log_line_of_a_request_has_the_request_id_of_its_response",
    "operations::a_log_that_grew_fast_is_trimmed_after_a_day",
    "operations::a_long_history_is_swept_in_rounds_of_a_bounded_length",
    "operations::a_verbose_readiness_request_names_what_is_wrong",
    "operations::an_unknown_answer_is_503_and_verification_continues",
    "recent_uses::uses_are_dropped_after_a_week_and_bounded_before",
    // Only a server on SQLite has all metrics.
    "seeing::every_alert_uses_metrics_and_a_page_that_exist",
    "seeing::the_dashboard_uses_metrics_that_exist",
    "seeing::the_page_about_metrics_is_up_to_date",
    "start::tokens_stay_active_over_a_restart_and_the_master_key_must_be_the_same",
];

/// Begins a line of a test that passes without testing, since what it needs is not here. It is
/// repeated at the end, since the output of what passes is not shown.
const UNTESTED: &str = "NOT TESTED: ";

/// Interval at which the running binaries are listed.
const REPORT: Duration = Duration::from_secs(30);

/// Compiles all test binaries, and the programs that some of them start.
pub fn compile() -> anyhow::Result<Vec<Binary>> {
    next_version()?;
    let words = ["test", "--workspace", "--locked", "--no-run"];
    let mut command = cargo(&words)?;
    // The messages on stdout name the binaries; cargo's progress goes to the terminal.
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the tests do not compile");
    let mut binaries = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message = serde_json::from_str(line).context("cargo printed no JSON")?;
        binaries.extend(test_binary(&message)?);
    }
    ensure!(!binaries.is_empty(), "cargo named no test binary");
    for name in LONGEST.iter().chain(&ON_DISK) {
        let is_there = binaries.iter().any(|it| it.name == *name);
        ensure!(is_there, "there is no test binary {name}; correct the lists of binaries");
    }
    for name in ON_POSTGRES {
        let found = binaries.iter().find(|it| it.name == name);
        let found = found.with_context(|| format!("there is no test binary {name}"))?;
        let again = ELSEWHERE.map(|it| found.at(it));
        binaries.extend(again);
    }
    binaries.sort_by_key(|it| order(&it.name));
    Ok(binaries)
}

/// Compiles a second program, of the version after this one, as `tegata-next`: the test of
/// upgrades replaces servers of one by servers of the other. The compilation of the tests then
/// puts this version's program back at its place.
fn next_version() -> anyhow::Result<()> {
    // The example only because cargo then takes the libraries' features of the tests, and compiles
    // none of them again.
    let words = ["build", "--workspace", "--bin", "tegata", "--example", "messaging_api"];
    let mut command = cargo(&[&words[..], &["--features", "tegata/next-version"]].concat())?;
    command.arg("--locked");
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the next version does not compile");
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line).context("cargo printed no JSON")?;
        if message["target"]["name"] == "tegata"
            && let Some(program) = message["executable"].as_str()
        {
            let program = Path::new(program);
            std::fs::copy(program, program.with_file_name("tegata-next"))?;
            return Ok(());
        }
    }
    bail!("cargo named no program of the next version")
}

/// The place of a binary in the order in which they start.
fn order(name: &str) -> (usize, String) {
    let place = LONGEST.iter().position(|it| *it == name).unwrap_or(LONGEST.len());
    (place, name.to_owned())
}

/// The test binary that one of cargo's messages describes, if any.
fn test_binary(message: &Value) -> anyhow::Result<Option<Binary>> {
    let Some(program) = message["executable"].as_str() else { return Ok(None) };
    if message["profile"]["test"] != true {
        return Ok(None);
    }
    let manifest = message["manifest_path"].as_str().context("an artifact without a package")?;
    let folder = Path::new(manifest).parent().context("a manifest without a folder")?;
    let target = message["target"]["name"].as_str().context("an artifact without a target")?;
    let package = folder.file_name().context("a package without a folder")?.to_string_lossy();
    let package = if package == "cli" { "tegata".into() } else { package };
    let kind = if message["target"]["kind"][0] == "test" { "" } else { "src of " };
    let name = format!("{package}/{kind}{target}");
    let (program, folder) = (program.into(), folder.into());
    Ok(Some(Binary { name, program, folder, elsewhere: None, folders: None }))
}

/// Runs all binaries and the examples in the documentation; `long` means more rounds.
///
/// Fails after the last one if any test failed, and a test that failed while others ran
/// failed again alone.
pub fn run(mut binaries: Vec<Binary>, long: bool) -> anyhow::Result<Counts> {
    binaries.retain(|it| long || it.elsewhere.is_none_or(|it| !it.long));
    let memory = Memory::new();
    for binary in binaries.iter_mut().filter(|it| !ON_DISK.contains(&it.name.as_str())) {
        binary.folders = memory.as_ref().map(|it| it.path().to_owned());
    }
    let (alone, shared): (Vec<_>, Vec<_>) =
        binaries.iter().partition(|it| ALONE.contains(&it.name.as_str()));
    let processors = thread::available_parallelism()?.get();
    let mut summary = Summary { all: binaries.len() + 1, ..Summary::default() };
    side_by_side(&shared, processors, long, &mut summary)?;
    side_by_side(&alone, 1, long, &mut summary)?;

    let examples = "examples in the documentation";
    let mut command = cargo(&["test", "--workspace", "--locked", "--doc"])?;
    summary.add(finish(examples, &mut command, long));

    let failed = |end: &End| {
        let binary = binaries.iter().find(|it| it.name == end.name)?;
        Failed::of(binary, end)
    };
    let again: Vec<_> = summary.wrong.iter().filter_map(failed).collect();
    let alone = again::run(&again, long);
    summary.counts.passed += alone;
    summary.counts.failed -= alone;
    for line in &summary.untested {
        println!("{line}");
    }
    let Counts { passed, failed } = summary.counts;
    if failed > 0 {
        let wrong: Vec<_> = summary.wrong.iter().map(|it| &*it.name).collect();
        bail!("{passed} passed, {failed} failed, in {}", wrong.join(", "));
    }
    Ok(summary.counts)
}

/// Results so far.
#[derive(Default)]
struct Summary {
    all: usize,
    done: usize,
    counts: Counts,
    /// The binaries with failures.
    wrong: Vec<End>,
    /// What tests said that they did not test.
    untested: BTreeSet<String>,
}

impl Summary {
    fn add(&mut self, end: End) {
        self.done += 1;
        let Counts { passed, failed } = end.counts;
        self.counts.passed += passed;
        self.counts.failed += failed;
        if failed > 0 {
            println!("{}", end.output);
        }
        let (done, all, name) = (self.done, self.all, &end.name);
        println!("[{done}/{all}] {name}: {passed} passed, {failed} failed ({})", minutes(end.time));
        self.untested
            .extend(end.output.lines().filter(|it| it.starts_with(UNTESTED)).map(str::to_owned));
        if failed > 0 {
            self.wrong.push(end);
        }
    }
}

/// Runs `binaries` in their order, up to `width` at a time.
fn side_by_side(
    binaries: &[&Binary],
    width: usize,
    long: bool,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let queue = Mutex::new(binaries.iter());
    let running: Mutex<Vec<(&str, Instant)>> = Mutex::default();
    let (send, ends) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..width {
            let send = send.clone();
            let (queue, running) = (&queue, &running);
            scope.spawn(move || {
                loop {
                    let Some(binary) = queue.lock().ok().and_then(|mut queue| queue.next()) else {
                        return;
                    };
                    note(running, |all| all.push((&binary.name, now())));
                    let end = finish(&binary.name, &mut binary.command(), long);
                    note(running, |all| all.retain(|(name, _)| *name != binary.name));
                    if send.send(end).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        loop {
            match ends.recv_timeout(REPORT) {
                Ok(end) => summary.add(end),
                Err(mpsc::RecvTimeoutError::Timeout) => note(&running, |all| {
                    let line = |(name, since): &(&str, Instant)| {
                        format!("{name} for {}", minutes(since.elapsed()))
                    };
                    let all: Vec<_> = all.iter().map(line).collect();
                    println!("        … {}", all.join(", "));
                }),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
}

fn note<'a>(
    running: &Mutex<Vec<(&'a str, Instant)>>,
    change: impl FnOnce(&mut Vec<(&'a str, Instant)>),
) {
    if let Ok(mut running) = running.lock() {
        change(&mut running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_binaries_start_first() {
        let mut names = ["bench/src of it", "client/month", "tegata/race", "tegata/agent"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["tegata/agent", "client/month", "bench/src of it", "tegata/race"]);
    }

    #[test]
    fn only_test_binaries_are_run() {
        let mut message = json!({
            "reason": "compiler-artifact", "executable": "/t/crash-1", "profile": { "test": true },
            "manifest_path": "/w/crates/cli/Cargo.toml",
            "target": { "name": "crash", "kind": ["test"] },
        });
        let found = test_binary(&message).unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), found.folder.as_path()),
            ("tegata/crash", Path::new("/w/crates/cli"))
        );
        message["profile"]["test"] = false.into();
        assert!(test_binary(&message).unwrap().is_none(), "the program itself");
        assert!(test_binary(&json!({ "reason": "build-finished" })).unwrap().is_none());
    }

    #[test]
    fn what_a_passing_test_did_not_test_is_said_at_the_end() {
        let mut summary = Summary::default();
        let output = "a\nNOT TESTED: there are no vectors\nb\n".to_owned();
        let counts = Counts { passed: 1, failed: 0 };
        let end = |output: &String| End {
            name: "it".into(),
            counts,
            output: output.clone(),
            time: Duration::ZERO,
        };
        summary.add(end(&output));
        summary.add(end(&output));
        assert_eq!(Vec::from_iter(&summary.untested), ["NOT TESTED: there are no vectors"]);
    }

    #[test]
    fn every_binary_is_run_and_a_failure_is_counted() {
        let all = [("a", "true"), ("b", "false"), ("c", "true")].map(|(a, b)| Binary::named(a, b));
        let mut summary = Summary::default();
        side_by_side(&all.iter().collect::<Vec<_>>(), 2, false, &mut summary).unwrap();
        assert_eq!((summary.done, summary.counts.failed), (3, 1));
        assert_eq!(summary.wrong.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["b"]);
    }
}
