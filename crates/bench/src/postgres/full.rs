//! Issues into full channels against plain ones, with 64 clients at three servers. An issue
//! into a full channel evicts a token, so its response waits until every other server has
//! applied that.

use std::path::Path;

use super::issues::plain;
use super::{CAP, Measured, Site, Size, Spent, issue};
use crate::channel::Channel;
use crate::report::{Aim, Report};
use crate::{Plan, median};

const SERVERS: usize = 3;
const CLIENTS: usize = 64;
/// Issues a second into full channels, per plain issue a second.
const OF_PLAIN: Aim = Aim::AtLeast(0.5);
/// Number of full channels.
const FULL: usize = 256;
/// Issues a second before any was measured.
const FIRST_RATE: f64 = 4_000.0;

pub(crate) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let mut site = Site::start(plan, folder)?;
    let size = Size::of(plan);
    let measured = site.grow_to(SERVERS).and_then(|()| measure(&site, &size, report));
    measured.map_err(|why| site.explain(why))
}

struct Pair {
    plain: Measured,
    full: Measured,
}

fn measure(site: &Site, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let channels = site.first().channels_by_secret(FULL)?;
    // Not limited by time: each channel gets its thirty tokens.
    issue(site, CLIENTS, &channels, FULL * CAP, size.load * 60)?;
    let mut rate = plain(site, CLIENTS, FIRST_RATE, size)?.load.rate();
    full(site, &channels, size)?;
    let mut pairs = Vec::new();
    for round in 0..size.rounds {
        let pair = if round.is_multiple_of(2) {
            let plain = plain(site, CLIENTS, rate, size)?;
            Pair { plain, full: full(site, &channels, size)? }
        } else {
            let full = full(site, &channels, size)?;
            Pair { full, plain: plain(site, CLIENTS, rate, size)? }
        };
        rate = rate.max(pair.plain.load.rate());
        pairs.push(pair);
    }
    tell(report, &pairs);
    Ok(())
}

fn full(site: &Site, channels: &[Channel], size: &Size) -> anyhow::Result<Measured> {
    site.checkpoint()?;
    issue(site, CLIENTS, channels, usize::MAX, size.load)
}

fn tell(report: &mut Report, pairs: &[Pair]) {
    let all = |figure: &dyn Fn(&Pair) -> f64| pairs.iter().map(figure).collect::<Vec<_>>();
    let middle = |figure: &dyn Fn(&Pair) -> f64| median(&all(figure));
    report.ratio(
        "3 servers, 64 clients: issues that evict / plain issues",
        &all(&|it| it.full.load.rate() / it.plain.load.rate()),
        OF_PLAIN,
        &[
            ("evict/s", middle(&|it| it.full.load.rate())),
            ("plain/s", middle(&|it| it.plain.load.rate())),
            ("evict p50 ms", middle(&|it| it.full.load.percentile(50))),
            ("p99", middle(&|it| it.full.load.percentile(99))),
            ("plain p50", middle(&|it| it.plain.load.percentile(50))),
            ("p99", middle(&|it| it.plain.load.percentile(99))),
        ],
    );
    type Of = fn(&Pair) -> &Measured;
    let parts: [(&str, Of); 2] =
        [("an issue that evicts", |it| &it.full), ("a plain issue", |it| &it.plain)];
    for (name, of) in parts {
        report.note(
            &format!("  processor µs of {name}"),
            &[
                ("servers", middle(&|it| of(it).each(|it| it.servers))),
                ("database", middle(&|it| of(it).each(|it| it.postgres))),
                ("clients", middle(&|it| of(it).each(|it| it.clients))),
                ("busy cores", middle(&|it| of(it).cores(|it| it.machine))),
                ("of them others'", middle(&|it| of(it).cores(Spent::others))),
                ("bytes of log", middle(&|it| of(it).logged / of(it).load.answered as f64)),
            ],
        );
    }
}
