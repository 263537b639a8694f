//! Issuing: 64 clients request v2.1 tokens at once, each with an assertion that the
//! server has not received before. Each response is durable.
//!
//! The rate is compared with the processor's bound (one core that only verified,
//! signed and responded) and with SQLite's single-row commits on the same disk. Then
//! every acknowledged token must be in the store. Issuing by secret is printed for
//! information.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::baseline::{Bare, Route, ask};
use super::channel::Channel;
use super::report::{Aim, Report};
use super::wire::{Answer, Wire};
use super::wrk::{Load, Outcome, write_requests};
use super::{Plan, median, spread};

const OF_BOUND: Aim = Aim::AtLeast(0.5);
const OF_COMMITS: Aim = Aim::AtLeast(1.5);
const CLIENTS: usize = 64;
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

/// Figures of one round, in requests or seconds.
#[derive(Default)]
struct Round {
    issued: Option<Outcome>,
    hello: f64,
    verify: f64,
    sign: f64,
    commits: f64,
}

impl Round {
    fn rate(&self) -> f64 {
        self.issued.as_ref().map_or(0.0, Outcome::rate)
    }

    /// Tokens per second of a core that only does the unavoidable work.
    fn bound(&self) -> f64 {
        1.0 / (self.verify + self.sign + 1.0 / self.hello)
    }
}

impl Bench<'_> {
    fn all(&self, report: &mut Report) -> anyhow::Result<()> {
        let channels = self.by_assertion(report)?;
        self.by_secret(report, "stateless, by secret", &channels, Asked::Stateless)?;
        self.by_secret(report, "short-lived, by secret", &channels, Asked::ShortLived)
    }

    fn by_assertion(&self, report: &mut Report) -> anyhow::Result<Vec<Channel>> {
        let (rounds, seconds) = if self.plan.long { (9, 5) } else { (5, 2) };

        let warm = self.authority.channels(WARM_UP, &self.signer)?;
        let batch = self.batch("warm-up", &warm, 0, WARM_UP * PER_CHANNEL)?;
        let rate = self.load(&batch, 1)?.rate();
        let (bare, hello) = self.hello(&warm)?;

        let per_round = (rate * seconds as f64 * SURPLUS) as usize;
        let count = (per_round * rounds).div_ceil(PER_CHANNEL);
        println!(
            "  warm-up: {rate:.0} per second; signing {} assertions of {count} channels",
            per_round * rounds
        );
        let channels = self.authority.channels(count, &self.signer)?;
        let batches = (0..rounds)
            .map(|r| self.batch(&format!("round-{r}"), &channels, r * per_round, per_round))
            .collect::<anyhow::Result<Vec<_>>>()?;

        let mut done = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            done.push(self.round(number, batch, seconds, bare.address, &hello)?);
            // The files have hundreds of megabytes together, and each is read once.
            std::fs::remove_file(&batch.file)?;
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

    fn load(&self, batch: &Batch, seconds: u64) -> anyhow::Result<Outcome> {
        let load = Load {
            to: self.authority.address,
            connections: CLIENTS,
            seconds,
            requests: &batch.file,
            once: true,
        };
        let outcome = load.run()?;
        ensure!(
            outcome.demand < OVERLOADED,
            "the load generator was the limit: {:.2}",
            outcome.demand
        );
        Ok(outcome)
    }

    /// A bare server on the issuing path, and requests of the issuing's size.
    fn hello(&self, channels: &[Channel]) -> anyhow::Result<(Bare, PathBuf)> {
        let headers = [("content-type", "text/plain"), ("content-length", "5")];
        let answer = Answer {
            status: 200,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: "hello".into(),
        };
        let route = Route { method: "POST", path: "/oauth2/v2.1/token", answer };
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
        batch: &Batch,
        seconds: u64,
        bare: SocketAddr,
        hello: &Path,
    ) -> anyhow::Result<Round> {
        let folder = self.folder.to_str().context("a folder that is not UTF-8")?;
        let mut round = Round::default();
        let mut steps = [0, 1, 2, 3];
        if number % 2 == 1 {
            steps.reverse();
        }
        for step in steps {
            match step {
                0 => round.issued = Some(self.load(batch, seconds)?),
                1 => {
                    let load = Load {
                        to: bare,
                        connections: CLIENTS,
                        seconds,
                        requests: hello,
                        once: false,
                    };
                    round.hello = load.run()?.rate();
                }
                2 => {
                    let said = ask(&["baseline", "crypto", "1"])?;
                    round.verify = figure(&said, "rs256_verify")?;
                    round.sign = figure(&said, "ed25519_sign")?;
                }
                _ => {
                    round.commits =
                        figure(&ask(&["baseline", "commits", folder, "1"])?, "commits_per_second")?
                }
            }
        }
        Ok(round)
    }

    fn tell(&self, report: &mut Report, rounds: &[Round]) {
        let all = |figure: fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<_>>();
        let middle = |figure| median(&all(figure));
        report.ratio(
            "v2.1, 64 clients / the processor's bound",
            &all(|r| r.rate() / r.bound()),
            OF_BOUND,
            &[
                ("per second", middle(Round::rate)),
                ("bound", middle(Round::bound)),
                ("verify µs", middle(|r| r.verify * 1e6)),
                ("sign µs", middle(|r| r.sign * 1e6)),
                ("hello/s", middle(|r| r.hello)),
            ],
        );
        report.ratio(
            "v2.1, 64 clients / SQLite's single-row commits",
            &all(|r| r.rate() / r.commits),
            OF_COMMITS,
            &[
                ("per second", middle(Round::rate)),
                ("commits/s", middle(|r| r.commits)),
                ("p50 µs", middle(|r| r.issued.as_ref().map_or(0.0, |o| o.p50_us))),
                ("p99 µs", middle(|r| r.issued.as_ref().map_or(0.0, |o| o.p99_us))),
            ],
        );
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
        for (batch, outcome) in batches.iter().zip(rounds.iter().filter_map(|r| r.issued.as_ref()))
        {
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
        let load = Load { to, connections: CLIENTS, seconds: 2, requests: &file, once: false };
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
