//! Memory of a server over time: idle, after a million issues, after a million
//! verifications of forged tokens, with ten thousand idle connections, and under a
//! mixed load for minutes.
//!
//! Memory is the resident set that the kernel reports (`VmRSS`). A figure is flat if
//! the work after its first tenth adds next to nothing. All bounded caches and tables
//! are filled before, so that memory that still grows has no bound.

mod idle;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::channel::Channel;
use super::report::{Aim, Report};
use super::wire::{HttpResponse, Wire, form, request};
use super::{Plan, spread, stopwatch};

/// Maximum memory of an idle server, in MiB.
const AT_REST: f64 = 60.0;
/// Maximum growth of memory after the first tenth of the work.
const FLAT: Aim = Aim::AtMost(1.1);
/// Number of concurrent clients.
const CALLERS: usize = 16;
/// More than the 100,000 entries of the signature cache.
const SIGNATURES: usize = 120_000;
/// Number of issues that touch more pages than SQLite's cache holds.
const PAGES: usize = 150_000;

/// Amount of work.
struct Size {
    channels: usize,
    issues: usize,
    verifications: usize,
    soak: Duration,
}

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let size = if plan.long {
        let soak = Duration::from_secs(300);
        Size { channels: 1_000, issues: 1_000_000, verifications: 1_000_000, soak }
    } else {
        let soak = Duration::from_secs(60);
        Size { channels: 200, issues: 40_000, verifications: 40_000, soak }
    };
    let authority = Authority::start(&plan.tegata, folder)?;
    let subject = Subject { authority: &authority, folder };
    subject.measure(&size, report).map_err(|why| authority.explain(&why))?;
    drop(authority);
    again(plan, folder, report)
}

/// Measures the next start after a kill, on the same store.
fn again(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let stored = std::fs::metadata(folder.join("tegata.db"))?.len() as f64 / f64::from(1 << 20);
    let began = stopwatch();
    let authority = Authority::start(&plan.tegata, folder)?;
    let ready = began.elapsed().as_secs_f64();
    let subject = Subject { authority: &authority, folder };
    let figures =
        [("s until ready", ready), ("MiB at rest", subject.settled()?), ("MiB of store", stored)];
    report.note("killed and started again", &figures);
    Ok(())
}

/// Resident memory of a process, in MiB.
pub(super) fn resident(id: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.trim().parse::<f64>()? / 1024.0)
}

/// The measured server.
struct Subject<'a> {
    authority: &'a Authority,
    folder: &'a Path,
}

impl Subject<'_> {
    fn measure(&self, size: &Size, report: &mut Report) -> anyhow::Result<()> {
        // The work of the start is done after a moment.
        std::thread::sleep(Duration::from_secs(2));
        let rest = self.resident()?;
        report.ratio("at rest / 60 MiB", &[rest / AT_REST], Aim::AtMost(1.0), &[("MiB", rest)]);
        let channels = self.authority.channels(size.channels, &Signer::generate()?)?;
        idle::connections(self, &channels, report)?;
        self.fill(&channels, report)?;
        self.issues(size, &channels, report)?;
        self.forged_tokens(size, &channels, report)?;
        self.mixed(size, &channels, report)
    }

    /// Resident memory, in MiB.
    fn resident(&self) -> anyhow::Result<f64> {
        resident(self.authority.id())
    }

    fn descriptors(&self) -> anyhow::Result<f64> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.authority.id()))?;
        Ok(open.count() as f64)
    }

    /// Size of the write-ahead log, in MiB.
    fn log(&self) -> f64 {
        let log = std::fs::metadata(self.folder.join("tegata.db-wal"));
        log.map_or(0.0, |log| log.len() as f64) / f64::from(1 << 20)
    }

    /// Resident memory once it no longer shrinks, in MiB: the allocator returns free
    /// memory to the kernel over ten seconds.
    fn settled(&self) -> anyhow::Result<f64> {
        let (mut least, mut still) = (self.resident()?, 0);
        for _ in 0..40 {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.resident()?;
            still = if now < least - 0.2 { 0 } else { still + 1 };
            least = least.min(now);
            if still == 5 {
                break;
            }
        }
        self.resident()
    }

    /// Fills the bounded caches, so that memory that grows afterwards has no bound: the
    /// signature cache and SQLite's page cache.
    fn fill(&self, channels: &[Channel], report: &mut Report) -> anyhow::Result<()> {
        let to = self.authority.address;
        let each =
            |count: usize, work: &(dyn Fn(&mut Wire, &Channel) -> anyhow::Result<()> + Sync)| {
                let numbers: Vec<usize> = (0..count).collect();
                let one = |wire: &mut Wire, &number: &usize| {
                    work(wire, &channels[number % channels.len()])
                };
                spread(CALLERS, &numbers, || Wire::open(to), one).map(drop)
            };
        let before = self.settled()?;
        each(SIGNATURES, &|wire, channel| {
            let issued = wire.send(&Asked::Stateless(channel.clone()).request(to))?;
            let verified = wire.send(&verify(to, &token(issued)?))?;
            ensure!(verified.status == 200, "{verified:?}");
            Ok(())
        })?;
        let signatures = self.settled()?;
        each(PAGES, &|wire, channel| short_lived(wire, to, channel))?;
        let full = self.settled()?;
        let figures = [
            ("MiB before", before),
            ("with a full signature cache", signatures),
            ("bytes for each of 100,000", (signatures - before) * f64::from(1 << 20) / 1e5),
            ("with SQLite's pages", full),
        ];
        report.note("bounded caches, full", &figures);
        Ok(())
    }

    /// Runs `work` in tenths, and compares memory at the end with that after the first.
    fn in_tenths(
        &self,
        name: &str,
        count: usize,
        report: &mut Report,
        work: impl Fn(&[usize]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let numbers: Vec<usize> = (0..count).collect();
        let (began, mut held) = (stopwatch(), Vec::new());
        for tenth in numbers.chunks(count.div_ceil(10)) {
            work(tenth)?;
            held.push(self.resident()?);
        }
        let (first, last) = (held[0], held[held.len() - 1]);
        let rate = count as f64 / began.elapsed().as_secs_f64();
        let figures = [
            ("MiB after a tenth", first),
            ("MiB after all", last),
            ("of them", count as f64),
            ("a second", rate),
        ];
        report.ratio(name, &[last / first], FLAT, &figures);
        Ok(())
    }

    fn issues(&self, size: &Size, channels: &[Channel], report: &mut Report) -> anyhow::Result<()> {
        self.in_tenths("memory over short-lived issues", size.issues, report, |numbers| {
            let to = self.authority.address;
            spread(
                CALLERS,
                numbers,
                || Wire::open(to),
                |wire, &number| short_lived(wire, to, &channels[number % channels.len()]),
            )
            .map(drop)
        })
    }

    fn forged_tokens(
        &self,
        size: &Size,
        channels: &[Channel],
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let asked = [Asked::ShortLived(channels[0].clone()), Asked::Stateless(channels[0].clone())];
        let real = self.authority.tokens(&asked)?;
        self.in_tenths(
            "memory over verifications of forged tokens",
            size.verifications,
            report,
            |numbers| {
                let to = self.authority.address;
                spread(
                    CALLERS,
                    numbers,
                    || Wire::open(to),
                    |wire, &number| {
                        let response = wire.send(&verify(to, &forged(&real, number)))?;
                        ensure!(response.status == 400, "{response:?}");
                        Ok(())
                    },
                )
                .map(drop)
            },
        )
    }

    /// Runs a mixed load for `size.soak`.
    fn mixed(&self, size: &Size, channels: &[Channel], report: &mut Report) -> anyhow::Result<()> {
        let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut samples = Vec::new();
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| {
                    let (over, done) = (&over, &done);
                    scope.spawn(move || {
                        let mut wire = Wire::open(self.authority.address)?;
                        for round in 0.. {
                            if over.load(Relaxed) {
                                break;
                            }
                            let channel = &channels[(caller * 61 + round) % channels.len()];
                            done.fetch_add(
                                token_cycle(&mut wire, self.authority.address, channel)?,
                                Relaxed,
                            );
                        }
                        anyhow::Ok(())
                    })
                })
                .collect();
            let began = stopwatch();
            let mut looked = Ok(());
            while began.elapsed() < size.soak && looked.is_ok() {
                std::thread::sleep(Duration::from_secs(1));
                looked = (|| {
                    let at = began.elapsed().as_secs_f64();
                    samples.push((at, self.resident()?, self.descriptors()?, self.log()));
                    anyhow::Ok(())
                })();
            }
            over.store(true, Relaxed);
            for caller in callers {
                caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??;
            }
            looked
        })?;
        // Times of last use are flushed each minute, so at least once in each quarter of
        // five minutes. The first quarter is not compared.
        let quarter = samples.len() / 4;
        let highest =
            |part: &[(f64, f64, f64, f64)]| part.iter().map(|sample| sample.1).fold(0.0, f64::max);
        let (second, last) =
            (highest(&samples[quarter..2 * quarter]), highest(&samples[3 * quarter..]));
        let slope = slope(samples[quarter..].iter().map(|sample| (sample.0, sample.1)));
        let most =
            |part: fn(&(f64, f64, f64, f64)) -> f64| samples.iter().map(part).fold(0.0, f64::max);
        let figures = [
            ("seconds", size.soak.as_secs_f64()),
            ("requests", done.load(Relaxed) as f64),
            ("MiB at most in the second quarter", second),
            ("in the last", last),
            ("KiB a second", slope * 1024.0),
            ("descriptors at most", most(|sample| sample.2)),
            ("MiB of log at most", most(|sample| sample.3)),
        ];
        report.ratio("memory over a mixed load", &[last / second], FLAT, &figures);
        Ok(())
    }
}

fn short_lived(wire: &mut Wire, to: SocketAddr, channel: &Channel) -> anyhow::Result<()> {
    let response = wire.send(&Asked::ShortLived(channel.clone()).request(to))?;
    ensure!(response.status == 200, "{response:?}");
    Ok(())
}

/// Issues, verifies and revokes a short-lived token, verifies that it is invalid, and
/// issues and verifies a stateless one. Returns the number of requests.
fn token_cycle(wire: &mut Wire, to: SocketAddr, channel: &Channel) -> anyhow::Result<u64> {
    let token = token(wire.send(&Asked::ShortLived(channel.clone()).request(to))?)?;
    // Another client's issue in this channel may have evicted it already.
    let verified = wire.send(&verify(to, &token))?;
    ensure!(verified.status == 200 || verified.status == 400, "{verified:?}");
    let revoked = wire.send(&form(to, "/v2/oauth/revoke", &[("access_token", &token)]))?;
    ensure!(revoked.status == 200, "{revoked:?}");
    let invalid = wire.send(&verify(to, &token))?;
    ensure!(invalid.status == 400, "a revoked token got {invalid:?}");
    let stateless = self::token(wire.send(&Asked::Stateless(channel.clone()).request(to))?)?;
    let bearer = format!("Bearer {stateless}");
    let gateway = request(to, "GET", "/gateway/verify", &[("Authorization", &bearer)], "");
    let passed = wire.send(&gateway)?;
    ensure!(passed.status == 200, "{passed:?}");
    Ok(6)
}

fn token(response: HttpResponse) -> anyhow::Result<String> {
    let response = response.json()?;
    Ok(response["access_token"].as_str().context("no token")?.to_owned())
}

/// The verification request for the token's wire form.
fn verify(to: SocketAddr, token: &str) -> Vec<u8> {
    if token.starts_with("ey") {
        request(to, "GET", &format!("/oauth2/v2.1/verify?access_token={token}"), &[], "")
    } else {
        form(to, "/v2/oauth/verify", &[("access_token", token)])
    }
}

/// A token that no authority issued, different for each number: a real one with
/// another signature, in both wire forms, or random text.
fn forged(real: &[String], number: usize) -> String {
    let Some(real) = real.get(number % 3) else { return format!("forged-{number}") };
    // Of 64 bytes in 86 characters; the last ones stay, since they hold spare bits.
    let signature = real.len() - 86;
    let digits = format!("{number:0>20}");
    format!("{}{digits}{}", &real[..signature], &real[signature + digits.len()..])
}

/// How much `y` grows for each `x`, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let points: Vec<(f64, f64)> = points.collect();
    let sum = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>();
    let (count, x, y) = (points.len() as f64, sum(|it| it.0), sum(|it| it.1));
    let spread = count * sum(|it| it.0 * it.0) - x * x;
    if spread == 0.0 { 0.0 } else { (count * sum(|it| it.0 * it.1) - x * y) / spread }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_the_growth_of_each_step() {
        let line = slope((0..10).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))));
        assert!((line - 2.0).abs() < 1e-9, "{line}");
        let flat = slope((0..10).map(|x| (f64::from(x), 5.0)));
        assert!(flat.abs() < 1e-9, "{flat}");
    }

    #[test]
    fn forged_tokens_differ_and_keep_the_form_of_a_real_one() {
        let real = [format!("tgs_{}", "A".repeat(160)), format!("ey{}", "B".repeat(300))];
        let all: Vec<String> = (0..300).map(|number| forged(&real, number)).collect();
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!((all[0].len(), all[1].len()), (real[0].len(), real[1].len()));
    }
}
