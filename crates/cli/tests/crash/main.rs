//! Everything acknowledged holds, whatever happens to the process: killed at any moment
//! under load, stopped by a signal, frozen, started twice, or with a failing disk. Runs
//! the real program, over HTTP.
//!
//! `TEGATA_LONG=1` kills ten times as often; `TEGATA_SEED` repeats the choices
//! of a run (not the scheduling of the machine).

mod check;
mod disk;
mod journal;
mod ledger;
#[path = "../process/line.rs"]
mod line;
mod load;
#[path = "../process/mod.rs"]
mod process;
mod random;
mod second;
mod signals;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use check::{Unknown, Which, check};
use ledger::{Ledger, Trouble};
use load::Load;
use process::{Server, serve};
use random::Rng;

/// The number of concurrent clients.
const CLIENTS: usize = 12;
/// The number of channels that they share.
const CHANNELS: usize = 10;
/// The number of kills after which they use new channels.
const PAGE: usize = 10;
/// The latest kill after the start of the load, in milliseconds.
const LATEST_KILL: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_nothing_acknowledged_and_undoes_no_revocation() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 1_000 } else { 100 };
    let mut rng = announced_rng("kills");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    let mut ledger = Ledger::open(&server).await;
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
        server = Server::start(serve(home.path(), &[])).await;
        (ledger.over, ledger.trouble) = (false, Trouble::None);
        check(&server, &mut ledger, Which::Touched, Unknown::Open, &mut rng).await;
        drop(context);
    }
    check(&server, &mut ledger, Which::All, Unknown::Open, &mut rng).await;
    signals::stop(&mut server).await;
    assert_store_is_sound(home.path());

    let [acknowledged, in_flight] = tell("kills", rounds, &ledger);
    assert!(acknowledged >= 10 * rounds, "{acknowledged} acts acknowledged are too few to tell");
    assert!(in_flight >= rounds, "{in_flight} acts in flight are too few to tell");
}

/// Checks the store that the server left with SQLite's own checks.
fn assert_store_is_sound(home: &Path) {
    let store = rusqlite::Connection::open(home.join("tegata.db")).expect("the store");
    let ask = |pragma: &str| -> Vec<String> {
        let mut query = store.prepare(&format!("PRAGMA {pragma}")).expect("a question");
        let rows = query.query_map([], |row| row.get::<_, rusqlite::types::Value>(0));
        rows.expect("a response").map(|row| format!("{:?}", row.expect("a row"))).collect()
    };
    assert_eq!(ask("integrity_check"), [r#"Text("ok")"#]);
    assert!(ask("foreign_key_check").is_empty());
}

/// A stream of choices, whose seed is printed at once.
fn announced_rng(name: &str) -> Rng {
    let seed = Rng::seed();
    say(&format!("{name}: TEGATA_SEED={seed}"));
    Rng::new(seed)
}

/// Prints the figures; returns how many requests were acknowledged and in flight.
fn tell(name: &str, rounds: usize, ledger: &Ledger) -> [usize; 2] {
    let figures = &ledger.figures;
    let sums = [&figures.acknowledged, &figures.in_flight].map(|acts| acts.values().sum::<usize>());
    let [acknowledged, in_flight] = sums;
    say(&format!(
        "{name}: {rounds} rounds, {acknowledged} acts acknowledged, {in_flight} in flight at the \
         end of a round, of which {} issues turned out to have happened unseen, {} refused; {} \
         checks of tokens\n  acknowledged: {:?}\n  in flight: {:?}",
        figures.happened, figures.refused, figures.checks, figures.acknowledged, figures.in_flight,
    ));
    sums
}

/// Prints past the capture, since seeds and figures of a passing test count, too.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

async fn pause(milliseconds: usize) {
    tokio::time::sleep(Duration::from_millis(milliseconds as u64)).await;
}

/// Printed if the test fails.
struct FailureContext(String);

impl Drop for FailureContext {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&self.0);
        }
    }
}
