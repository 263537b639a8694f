//! Kills of a server with a journal, most of them where it matters: the journal has the
//! line, and the store does not have the commit. `strace` holds the writer there.

use std::path::Path;
use std::process::Command;

use crate::check::{Unknown, Which, check};
use crate::disk::traced;
use crate::ledger::{Ledger, Trouble};
use crate::load::Load;
use crate::process::{Server, serve};
use crate::{
    CHANNELS, CLIENTS, FailureContext, PAGE, announced_rng, assert_store_is_sound, pause, say,
    signals, tell,
};

/// The latest kill after the start of the load, in milliseconds.
const LATEST_KILL: usize = 250;
/// How long the writer is held after each line, in microseconds.
const HELD: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_the_journal_and_the_commit_leaves_a_store_that_serves_what_it_issues() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 2_000 } else { 40 };
    let mut rng = announced_rng("kills with a journal");
    let home = tempfile::tempdir().expect("a temporary folder");
    // The journal must exist before strace can name it.
    let mut server = Server::start(with_journal(home.path())).await;
    signals::stop(&mut server).await;
    server = Server::start(held(home.path())).await;
    let mut ledger = Ledger::open(&server).await;
    ledger.journal = true;
    for round in 0..rounds {
        if round % PAGE == 0 {
            ledger.turn_the_page(&server, CHANNELS).await;
        }
        let instant = rng.below(LATEST_KILL);
        let context = FailureContext(format!("round {round}, killed after {instant} ms of load"));
        let load = Load::start(server.address(), ledger, CLIENTS, &mut rng);
        pause(instant).await;
        load.with(|ledger| (ledger.over, ledger.trouble) = (true, Trouble::Revoked));
        server.process.kill().expect("killed");
        ledger = load.join().await;
        drop(server);
        server = Server::start(held(home.path())).await;
        (ledger.over, ledger.trouble) = (false, Trouble::None);
        check(&server, &mut ledger, Which::Touched, Unknown::Open, &mut rng).await;
        drop(context);
    }
    check(&server, &mut ledger, Which::All, Unknown::Open, &mut rng).await;
    signals::stop(&mut server).await;
    assert_store_is_sound(home.path());

    tell("kills with a journal", rounds, &ledger);
    let redone = redone(home.path());
    say(&format!("{redone} of {rounds} kills came between the journal's line and the commit"));
    assert!(redone >= rounds / 5, "{redone} are too few to tell");
}

fn with_journal(home: &Path) -> Command {
    serve(home, &["--store", "sqlite:tegata.db", "--revocation-journal", "journal"])
}

/// The same, held after each line of the journal.
fn held(home: &Path) -> Command {
    let journal = format!("--trace-path={}", home.join("journal").display());
    let inject = format!("--inject=fdatasync:delay_exit={HELD}");
    traced(&with_journal(home), home, &[&journal, "--trace=fdatasync", &inject])
}

/// How many commits were done again by a start.
fn redone(home: &Path) -> usize {
    let store = rusqlite::Connection::open(home.join("tegata.db")).expect("the store");
    let sql = "SELECT count(*) FROM audit WHERE act = 'store.redo'";
    store.query_row(sql, [], |row| row.get(0)).expect("a number")
}
