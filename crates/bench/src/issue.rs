//! Issuing: v2.1 tokens to 64 and to 256 clients at once, each request with an assertion
//! that the server has never seen, each response durable.
//!
//! The measure is the server's processor time per issue against the sum of the three parts
//! that no issue can do without: one RS256 verification, one Ed25519 signature, one bare
//! request. The throughput is printed against the processor's bound (one core that does
//! only these parts) and against SQLite's single-row commits on the same disk. Then every
//! acknowledged token must be found in the store. Issuing by secret is printed for
//! information.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::baseline::{Bare, Route, ask};
use super::channel::Channel;
use super::process::Demand;
use super::report::{Aim, Report};
use super::wire::{HttpResponse, Wire};
use super::wrk::{Load, Outcome, write_requests};
use super::{Plan, median, spread};

const OF_PARTS: Aim = Aim::AtMost(2.0);
const OF_BOUND: Aim = Aim::AtLeast(0.5);
const OF_COMMITS: Aim = Aim::AtLeast(1.5);
const CLIENTS: [usize; 2] = [64, 256];
/// The cap of the token rules for v2.1: the number of assertions per channel.
const PER_CHANNEL: usize = 30;
/// Channels of the warm-up, whose rate says how many assertions the rounds need.
const WARM_UP: usize = 200;
/// Factor on the warm-up's rate: a warm store can be faster.
const SURPLUS: f64 = 1.4;
/// From this demand on, the load generator was the limit.
const OVERLOADED: f64 = 0.95;

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let bench = Bench { plan, folder, authority: &authority, signer: Signer::generate()? };
    bench.all(report).map_err(|why| authority.explain(&why))
}

struct Bench<'a> {
    plan: &'a Plan,
    folder: &'a Path,
    authority: &'a Authority,
    signer: Signer,
}

/// Assertions of one round, in the order in which they are sent.
struct Batch {
    file: PathBuf,
    /// The number of the first; number n asks for channel n modulo their count.
    first: usize,
    count: usize,
}

/// A load, and the processor time that the server spent on it.
struct Measured {
    load: Outcome,
    /// Seconds of processor time per answered request.
    each: f64,
}

impl Measured {
    /// Runs a load against the server whose process has this id.
    fn of(server: u32, load: &Load<'_>) -> anyhow::Result<Self> {
        let demand = Demand::of(server);
        let load = load.run()?;
        Ok(Self { each: demand.ran() / load.answered as f64, load })
    }
}

/// What was measured with one number of clients in a round.
struct Pair {
    issue: Measured,
    bare: Measured,
}

/// What was measured in one round, in requests or seconds.
struct Round {
    /// In the order of [`CLIENTS`].
    pairs: Vec<Pair>,
    verify: f64,
    sign: f64,
    commits: f64,
}

impl Round {
    fn rate(&self, clients: usize) -> f64 {
        self.pairs[clients].issue.load.rate()
    }

    /// Tokens a second of a core that does only what no issue can do without.
    fn bound(&self, clients: usize) -> f64 {
        1.0 / (self.verify + self.sign + 1.0 / self.pairs[clients].bare.load.rate())
    }

    /// Processor time per issue, as a multiple of the sum of its three parts.
    fn of_parts(&self, clients: usize) -> f64 {
        let Pair { issue, bare } = &self.pairs[clients];
        issue.each / (self.verify + self.sign + bare.each)
    }
}

impl Bench<'_> {
    fn all(&self, report: &mut Report) -> anyhow::Result<()> {
        let channels = self.by_assertion(report)?;
        self.by_secret(report, "stateless, by secret", &channels, Asked::Stateless)?;
        self.by_secret(report, "short-lived, by secret", &channels, Asked::ShortLived)
    }

    fn by_assertion(&self, report: &mut Report) -> anyhow::Result<Vec<Channel>> {
        let (rounds, seconds) = if self.plan.long { (9, 5) } else { (3, 2) };
        let loads = rounds * CLIENTS.len();

        let warm = self.authority.channels(WARM_UP, &self.signer)?;
        let batch = self.batch("warm-up", &warm, 0, WARM_UP * PER_CHANNEL)?;
        let rate = self.load(&batch, CLIENTS[0], 1)?.load.rate();
        let (bare, hello) = self.hello(&warm)?;

        let per_round = (rate * seconds as f64 * SURPLUS) as usize;
        let count = (per_round * loads).div_ceil(PER_CHANNEL);
        println!(
            "  {rate:.0} a second to warm up: signing {} assertions of {count} channels",
            per_round * loads
        );
        let channels = self.authority.channels(count, &self.signer)?;
        let batches = (0..loads)
            .map(|r| self.batch(&format!("round-{r}"), &channels, r * per_round, per_round))
            .collect::<anyhow::Result<Vec<_>>>()?;

        let mut done = Vec::new();
        for (number, batches) in batches.chunks(CLIENTS.len()).enumerate() {
            done.push(self.round(number, batches, seconds, &bare, &hello)?);
            // Hundreds of megabytes in all; each is read once.
            batches.iter().try_for_each(|batch| std::fs::remove_file(&batch.file))?;
        }
        self.tell(report, &done);
        self.require_stored(report, &channels, &batches, &done)?;
        Ok(channels)
    }

    /// Signs `count` assertions from number `first` on, for the channels in
    /// turn, on both cores.
    fn batch(
        &self,
        name: &str,
        channels: &[Channel],
        first: usize,
        count: usize,
    ) -> anyhow::Result<Batch> {
        let numbers: Vec<usize> = (first..first + count).collect();
        let requests = spread(
            2,
            &numbers,
            || Ok(()),
            |(), &number| {
                let assertion =
                    self.signer.assertion(&channels[number % channels.len()], number)?;
                Ok(Asked::ByAssertion(assertion).request(self.authority.address))
            },
        )?;
        let file = self.folder.join(format!("{name}.requests"));
        write_requests(&file, requests)?;
        Ok(Batch { file, first, count })
    }

    fn load(&self, batch: &Batch, clients: usize, seconds: u64) -> anyhow::Result<Measured> {
        let load = Load {
            to: self.authority.address,
            connections: clients,
            seconds,
            requests: &batch.file,
            once: true,
        };
        let measured = Measured::of(self.authority.id(), &load)?;
        ensure!(
            measured.load.demand < OVERLOADED,
            "the load generator was the limit: {:.2}",
            measured.load.demand
        );
        Ok(measured)
    }

    /// A bare server on the issuing path, and requests of the issuing's size.
    fn hello(&self, channels: &[Channel]) -> anyhow::Result<(Bare, PathBuf)> {
        let headers = [("content-type", "text/plain"), ("content-length", "5")];
        let response = HttpResponse {
            status: 200,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: "hello".into(),
        };
        let route = Route { method: "POST", path: "/oauth2/v2.1/token", response };
        let bare = Bare::start(&[route], self.folder)?;
        let requests = channels
            .iter()
            .map(|channel| {
                let assertion = self.signer.assertion(channel, 0)?;
                Ok(Asked::ByAssertion(assertion).request(bare.address))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let file = self.folder.join("hello.requests");
        write_requests(&file, requests)?;
        Ok((bare, file))
    }

    fn round(
        &self,
        number: usize,
        batches: &[Batch],
        seconds: u64,
        bare: &Bare,
        hello: &Path,
    ) -> anyhow::Result<Round> {
        let folder = self.folder.to_str().context("a folder that is not UTF-8")?;
        let pair = |(&clients, batch): (&usize, &Batch)| {
            let issue = || self.load(batch, clients, seconds);
            let to = bare.address;
            let load = Load { to, connections: clients, seconds, requests: hello, once: false };
            let bare = || Measured::of(bare.id(), &load);
            anyhow::Ok(if number.is_multiple_of(2) {
                Pair { issue: issue()?, bare: bare()? }
            } else {
                Pair { bare: bare()?, issue: issue()? }
            })
        };
        let pairs = CLIENTS.iter().zip(batches).map(pair).collect::<anyhow::Result<Vec<_>>>()?;
        let said = ask(&["baseline", "crypto", "1"])?;
        Ok(Round {
            pairs,
            verify: figure(&said, "rs256_verify")?,
            sign: figure(&said, "ed25519_sign")?,
            commits: figure(&ask(&["baseline", "commits", folder, "1"])?, "commits_per_second")?,
        })
    }

    fn tell(&self, report: &mut Report, rounds: &[Round]) {
        for (n, clients) in CLIENTS.into_iter().enumerate() {
            let all =
                |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
            let middle = |figure: &dyn Fn(&Round) -> f64| median(&all(figure));
            let rate = ("per second", middle(&|r| r.rate(n)));
            report.ratio(
                &format!("v2.1, {clients} clients: processor time / its three parts"),
                &all(&|r| r.of_parts(n)),
                OF_PARTS,
                &[
                    ("issue µs", middle(&|r| r.pairs[n].issue.each * 1e6)),
                    ("verify µs", middle(&|r| r.verify * 1e6)),
                    ("sign µs", middle(&|r| r.sign * 1e6)),
                    ("request µs", middle(&|r| r.pairs[n].bare.each * 1e6)),
                    rate,
                ],
            );
            report.ratio(
                &format!("v2.1, {clients} clients / the processor's bound"),
                &all(&|r| r.rate(n) / r.bound(n)),
                OF_BOUND,
                &[
                    rate,
                    ("bound", middle(&|r| r.bound(n))),
                    ("hello/s", middle(&|r| r.pairs[n].bare.load.rate())),
                ],
            );
            report.ratio(
                &format!("v2.1, {clients} clients / SQLite's single-row commits"),
                &all(&|r| r.rate(n) / r.commits),
                OF_COMMITS,
                &[
                    rate,
                    ("commits/s", middle(&|r| r.commits)),
                    ("p50 µs", middle(&|r| r.pairs[n].issue.load.p50_us)),
                    ("p99 µs", middle(&|r| r.pairs[n].issue.load.p99_us)),
                ],
            );
        }
    }

    /// Fails unless every acknowledged token is stored, and no token that was not
    /// requested. The token of a request in flight at the end of a round can be either.
    fn require_stored(
        &self,
        report: &mut Report,
        channels: &[Channel],
        batches: &[Batch],
        rounds: &[Round],
    ) -> anyhow::Result<()> {
        let mut sent_to = vec![0; channels.len()];
        let (mut answered, mut sent, mut seconds) = (0, 0, 0.0);
        let outcomes = rounds.iter().flat_map(|r| r.pairs.iter().map(|pair| &pair.issue.load));
        for (batch, outcome) in batches.iter().zip(outcomes) {
            let count = usize::try_from(outcome.sent)?;
            ensure!(count <= batch.count, "more was sent than signed");
            (batch.first..batch.first + count).for_each(|n| sent_to[n % channels.len()] += 1);
            answered += usize::try_from(outcome.answered)?;
            sent += count;
            seconds += outcome.seconds;
        }
        let stored = self.authority.stored(channels)?;
        for ((channel, stored), sent) in channels.iter().zip(&stored).zip(&sent_to) {
            ensure!(
                stored <= sent,
                "channel {} has {stored} tokens of {sent} asked for",
                channel.id
            );
        }
        let stored = stored.iter().sum::<usize>();
        if stored < answered {
            bail!("{answered} tokens were acknowledged, but {stored} are stored");
        }
        ensure!(stored <= sent, "{sent} tokens were requested, but {stored} are stored");
        report.note(
            "all channels listed by the admin API",
            &[
                ("seconds of load", seconds),
                ("acknowledged", answered as f64),
                ("stored", stored as f64),
                ("sent", sent as f64),
            ],
        );
        Ok(())
    }

    /// Measures issuing by secret, for information: `asked` for a thousand channels in turn.
    fn by_secret(
        &self,
        report: &mut Report,
        name: &str,
        channels: &[Channel],
        asked: impl Fn(Channel) -> Asked,
    ) -> anyhow::Result<()> {
        let to = self.authority.address;
        let some = &channels[..channels.len().min(1000)];
        let requests: Vec<_> = some.iter().map(|c| asked(c.clone()).request(to)).collect();
        let first = requests.first().context("no channel")?;
        Wire::open(to)?.send(first)?.json().with_context(|| name.to_owned())?;
        let file = self.folder.join("by-secret.requests");
        write_requests(&file, requests)?;
        let load = Load { to, connections: CLIENTS[0], seconds: 2, requests: &file, once: false };
        let outcomes = [load.run()?, load.run()?, load.run()?];
        let middle = |figure: fn(&Outcome) -> f64| median(&outcomes.each_ref().map(figure));
        report.note(
            name,
            &[
                ("per second", middle(Outcome::rate)),
                ("p50 µs", middle(|o| o.p50_us)),
                ("p99 µs", middle(|o| o.p99_us)),
                ("load", middle(|o| o.demand)),
            ],
        );
        Ok(())
    }
}

fn figure(said: &Value, name: &str) -> anyhow::Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name} in {said}"))
}
