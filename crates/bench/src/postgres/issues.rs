//! Plain issues of short-lived tokens with 1, 8 and 64 clients at 1 and at 3 servers, against
//! the same rows written by pgbench with as many clients.

use std::path::Path;

use anyhow::ensure;

use super::pgbench::{Pgbench, Sent};
use super::{Measured, Site, Size, Spent, issue, room_for};
use crate::report::{Aim, Report};
use crate::{Plan, median};

const SERVERS: [usize; 2] = [1, 3];
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Issues a second per transaction of pgbench a second, with the most clients.
const OF_PGBENCH: Aim = Aim::AtLeast(0.8);
/// Issues a second before any was measured.
const FIRST_RATE: f64 = 4_000.0;

pub(crate) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut site = Site::start(plan, folder)?;
    for servers in SERVERS {
        let sized = Size::of(plan);
        let measured = site.grow_to(servers).and_then(|()| measure(&site, folder, &sized, report));
        measured.map_err(|why| site.explain(why))?;
    }
    Ok(())
}

/// What was measured with one number of clients in a round.
struct Pair {
    tegata: Measured,
    in_turn: f64,
    together: f64,
    /// What the parts used per transaction of pgbench, in turn.
    transaction: Spent,
}

fn measure(site: &Site, folder: &Path, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let mut pgbench = Pgbench::new(site, folder.to_owned())?;
    let mut rates = [FIRST_RATE; CLIENTS.len()];
    // The caches of servers and database are filled, and the rates are known afterwards.
    for (rate, clients) in rates.iter_mut().zip(CLIENTS) {
        *rate = plain(site, clients, *rate, size)?.load.rate();
        pgbench.run(clients, Sent::InTurn, size.load / 2)?;
    }
    let stored = stored(site)?;
    let mut acknowledged = 0;
    let mut done = [const { Vec::new() }; CLIENTS.len()];
    for round in 0..size.rounds {
        for (at, clients) in CLIENTS.into_iter().enumerate() {
            let pair = pair(site, &mut pgbench, clients, rates[at], round, size)?;
            rates[at] = rates[at].max(pair.tegata.load.rate());
            acknowledged += pair.tegata.load.answered;
            done[at].push(pair);
        }
    }
    let servers = site.servers().len();
    for (clients, pairs) in CLIENTS.into_iter().zip(&done) {
        tell(report, servers, clients, pairs);
    }
    let stored = self::stored(site)? - stored;
    ensure!(stored == acknowledged, "{acknowledged} were acknowledged, {stored} are stored");
    let rows = [("stored", stored as f64), ("by pgbench", pgbench.rows()?)];
    report.note(&format!("{servers} servers: acknowledged tokens"), &rows);
    Ok(())
}

fn stored(site: &Site) -> anyhow::Result<usize> {
    Ok(site.figure("SELECT count(*) FROM token WHERE NOT past")? as usize)
}

/// Issues that evict no token, in channels of their own.
pub(super) fn plain(
    site: &Site,
    clients: usize,
    rate: f64,
    size: &Size,
) -> anyhow::Result<Measured> {
    let channels = room_for(site, rate, size.load)?;
    site.checkpoint()?;
    issue(site, clients, &channels, channels.len() * super::CAP, size.load)
}

fn pair(
    site: &Site,
    pgbench: &mut Pgbench<'_>,
    clients: usize,
    rate: f64,
    round: usize,
    size: &Size,
) -> anyhow::Result<Pair> {
    let mut tegata = None;
    if round.is_multiple_of(2) {
        tegata = Some(plain(site, clients, rate, size)?);
    }
    site.checkpoint()?;
    let before = site.spent()?;
    let in_turn = pgbench.run(clients, Sent::InTurn, size.load)?;
    let transactions = in_turn * size.load.as_secs_f64();
    let transaction = site.spent()?.since(before).per(transactions);
    site.checkpoint()?;
    let together = pgbench.run(clients, Sent::Together, size.load)?;
    let tegata = match tegata {
        Some(tegata) => tegata,
        None => plain(site, clients, rate, size)?,
    };
    Ok(Pair { tegata, in_turn, together, transaction })
}

fn tell(report: &mut Report, servers: usize, clients: usize, pairs: &[Pair]) {
    let all = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Vec<_>>();
    let middle = |figure: &dyn Fn(&Pair) -> f64| median(&all(figure));
    let most = CLIENTS.iter().all(|&it| it <= clients);
    let aim = if most { OF_PGBENCH } else { Aim::None };
    let name = format!("{servers} servers, {clients} clients: issues / pgbench");
    report.ratio(
        &name,
        &all(&|it| it.tegata.load.rate() / it.in_turn),
        aim,
        &[
            ("issues/s", middle(&|it| it.tegata.load.rate())),
            ("pgbench/s", middle(&|it| it.in_turn)),
            ("p50 ms", middle(&|it| it.tegata.load.percentile(50))),
            ("p99 ms", middle(&|it| it.tegata.load.percentile(99))),
        ],
    );
    report.ratio(
        &format!("{name} in one round trip"),
        &all(&|it| it.tegata.load.rate() / it.together),
        Aim::None,
        &[("pgbench/s", middle(&|it| it.together))],
    );
    report.note(
        "  processor µs per issue",
        &[
            ("servers", middle(&|it| it.tegata.each(|it| it.servers))),
            ("database", middle(&|it| it.tegata.each(|it| it.postgres))),
            ("clients", middle(&|it| it.tegata.each(|it| it.clients))),
            ("busy cores", middle(&|it| it.tegata.cores(|it| it.machine))),
            ("of them others'", middle(&|it| it.tegata.cores(Spent::others))),
        ],
    );
    report.note(
        "  processor µs per transaction of pgbench",
        &[
            ("database", middle(&|it| it.transaction.postgres * 1e6)),
            ("clients", middle(&|it| it.transaction.clients * 1e6)),
        ],
    );
}
