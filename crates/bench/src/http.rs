//! Verifying a token over HTTP, against a bare axum server that receives and sends the
//! same bytes.
//!
//! The ratio shows what Tegata adds: parsing the token, verifying it, building the
//! response. It is measured with a thousand tokens in turn (the aim applies to this
//! one) and with one token.
//!
//! The figure is responses per second of wall-clock time, from rounds in which both
//! servers were busy throughout. If other work on the machine kept them waiting for
//! their load in most rounds, it is responses per second of their own processor time:
//! the same on a quiet machine, and the line says "disturbed".

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::baseline::{Bare, Route};
use super::process::Demand;
use super::report::{Aim, Report};
use super::wire::{HttpResponse, Wire, form, request};
use super::wrk::{Load, Outcome, write_requests};
use super::{Plan, median, spread};

const AIM: Aim = Aim::AtLeast(0.85);
const CONNECTIONS: usize = 16;
const TOKENS: usize = 1000;
/// The cap of the token rules, for each kind that has one.
const PER_CHANNEL: usize = 30;
/// Below this share the server waited for its load, so that wall-clock time measures
/// the load generator.
const BUSY: f64 = 0.9;
/// Below this share no figure is printed: a mostly idle server behaves differently.
const IDLE: f64 = 0.4;

/// One of the operations that verify a token.
struct Endpoint {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    ask: fn(SocketAddr, &str) -> Vec<u8>,
    tokens: Vec<String>,
}

/// A server under load: its address and process id.
#[derive(Clone, Copy)]
struct Side {
    address: SocketAddr,
    id: u32,
}

/// Measures Tegata against the baseline.
pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let side = Side { address: authority.address, id: authority.id() };
    tokens(&authority)
        .and_then(|(jws, opaque)| {
            compare(plan, folder, report, "", AIM, side, endpoints(&jws, &opaque))
        })
        .map_err(|why| authority.explain(&why))
}

/// Measures the baseline against itself, which shows the error of the harness.
pub(super) fn fairness(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let tokens: Vec<String> = (0..TOKENS).map(|n| format!("{n:0>600}")).collect();
    let endpoints = endpoints(&tokens, &tokens);
    let routes: Vec<Route> = endpoints
        .iter()
        .map(|endpoint| Route { method: endpoint.method, path: endpoint.path, response: sample() })
        .collect();
    let first = Bare::start(&routes, folder)?;
    let side = Side { address: first.address, id: first.id() };
    compare(plan, folder, report, "axum itself: ", Aim::None, side, endpoints)
}

fn endpoints(jws: &[String], opaque: &[String]) -> [Endpoint; 3] {
    [
        Endpoint {
            name: "GET /oauth2/v2.1/verify",
            method: "GET",
            path: "/oauth2/v2.1/verify",
            ask: |to, token| {
                request(to, "GET", &format!("/oauth2/v2.1/verify?access_token={token}"), &[], "")
            },
            tokens: jws.to_vec(),
        },
        Endpoint {
            name: "POST /v2/oauth/verify",
            method: "POST",
            path: "/v2/oauth/verify",
            ask: |to, token| form(to, "/v2/oauth/verify", &[("access_token", token)]),
            tokens: opaque.to_vec(),
        },
        Endpoint {
            name: "GET /gateway/verify",
            method: "GET",
            path: "/gateway/verify",
            ask: |to, token| {
                let bearer = format!("Bearer {token}");
                request(to, "GET", "/gateway/verify", &[("Authorization", &bearer)], "")
            },
            tokens: jws.to_vec(),
        },
    ]
}

/// A thousand active JWS tokens, v2.1 and stateless in turn, and a thousand opaque
/// ones.
fn tokens(authority: &Authority) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let signer = Signer::generate()?;
    let channels = authority.channels(TOKENS.div_ceil(PER_CHANNEL), &signer)?;
    let numbers: Vec<usize> = (0..TOKENS).collect();
    let jws = spread(
        2,
        &numbers,
        || Ok(()),
        |(), &number| {
            let channel = &channels[number % channels.len()];
            Ok(if number % 2 == 0 {
                Asked::ByAssertion(signer.assertion(channel, number)?)
            } else {
                Asked::Stateless(channel.clone())
            })
        },
    )?;
    let opaque: Vec<Asked> = numbers
        .iter()
        .map(|number| Asked::ShortLived(channels[number % channels.len()].clone()))
        .collect();
    Ok((authority.tokens(&jws)?, authority.tokens(&opaque)?))
}

/// Records the real responses of `side`, has a bare server send the same ones, and
/// loads both.
fn compare(
    plan: &Plan,
    folder: &Path,
    report: &mut Report,
    prefix: &str,
    aim: Aim,
    side: Side,
    endpoints: [Endpoint; 3],
) -> anyhow::Result<()> {
    let mut routes = Vec::new();
    for endpoint in &endpoints {
        let response = first_response(endpoint, side.address)?;
        ensure!(
            response.status == 200,
            "{} answered {} {}",
            endpoint.name,
            response.status,
            response.body
        );
        routes.push(Route { method: endpoint.method, path: endpoint.path, response });
    }
    let bare = Bare::start(&routes, folder)?;
    for (endpoint, route) in endpoints.iter().zip(&routes) {
        require_equal(&route.response, &first_response(endpoint, bare.address)?)
            .with_context(|| format!("the bare server on {}", endpoint.name))?;
    }
    let sides = [side, Side { address: bare.address, id: bare.id() }];

    let mut contests = Vec::new();
    for endpoint in &endpoints {
        contests.push(Contest::new(plan, folder, endpoint, TOKENS, &sides)?);
        contests.push(Contest::new(plan, folder, endpoint, 1, &sides)?);
    }
    for round in 0..contests.iter().map(|contest| contest.rounds).max().unwrap_or(0) {
        for contest in contests.iter_mut().filter(|contest| round < contest.rounds) {
            contest.round(round, &sides)?;
        }
    }
    for contest in contests {
        let aim = if contest.has_aim { aim } else { Aim::None };
        contest.tell(report, prefix, aim)?;
    }
    Ok(())
}

/// One endpoint with a number of tokens, measured on both sides in turn.
struct Contest {
    name: String,
    /// Whether the aim applies to it.
    has_aim: bool,
    rounds: usize,
    seconds: u64,
    /// Request files for the measured server and for the bare one.
    requests: [PathBuf; 2],
    outcomes: [Vec<Kept>; 2],
}

/// A round's outcome, and what the server spent on it.
struct Kept {
    load: Outcome,
    /// See [`Demand::share`].
    busy: f64,
    /// Seconds of processor time.
    ran: f64,
}

impl Kept {
    fn per_processor_second(&self) -> f64 {
        self.load.answered as f64 / self.ran
    }
}

impl Contest {
    fn new(
        plan: &Plan,
        folder: &Path,
        endpoint: &Endpoint,
        tokens: usize,
        sides: &[Side; 2],
    ) -> anyhow::Result<Self> {
        let has_aim = tokens > 1;
        let write = |side: &Side| {
            let name = format!("{}-{tokens}-{}.requests", endpoint.path.replace('/', "-"), side.id);
            let file = folder.join(name);
            let requests =
                endpoint.tokens[..tokens].iter().map(|t| (endpoint.ask)(side.address, t));
            write_requests(&file, requests)?;
            anyhow::Ok(file)
        };
        Ok(Self {
            name: format!("{}, {tokens} token{}", endpoint.name, if has_aim { "s" } else { "" }),
            has_aim,
            rounds: match (plan.long, has_aim) {
                (false, false) => 3,
                (false, true) | (true, false) => 5,
                (true, true) => 9,
            },
            seconds: if plan.long { 4 } else { 2 },
            requests: [write(&sides[0])?, write(&sides[1])?],
            outcomes: [Vec::new(), Vec::new()],
        })
    }

    fn round(&mut self, round: usize, sides: &[Side; 2]) -> anyhow::Result<()> {
        // The first server of a round alternates.
        for turn in [round % 2, (round + 1) % 2] {
            let load = Load {
                to: sides[turn].address,
                connections: CONNECTIONS,
                seconds: self.seconds,
                requests: &self.requests[turn],
                once: false,
            };
            let demand = Demand::of(sides[turn].id);
            let load = load.run().with_context(|| self.name.clone())?;
            self.outcomes[turn].push(Kept { load, busy: demand.share(), ran: demand.ran() });
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report, prefix: &str, aim: Aim) -> anyhow::Result<()> {
        let [ours, bare] = &self.outcomes;
        let middle = |of: &[Kept], figure: fn(&Kept) -> f64| {
            median(&of.iter().map(figure).collect::<Vec<_>>())
        };
        let busy = [middle(ours, |k| k.busy), middle(bare, |k| k.busy)];
        ensure!(
            busy.iter().all(|busy| *busy >= IDLE),
            "{}: the servers waited for the load generator: busy {:.2} and {:.2}",
            self.name,
            busy[0],
            busy[1]
        );
        let rounds = || ours.iter().zip(bare);
        let by_clock: Vec<f64> = rounds()
            .filter(|(ours, bare)| ours.busy.min(bare.busy) >= BUSY)
            .map(|(ours, bare)| ours.load.rate() / bare.load.rate())
            .collect();
        let by_time: Vec<f64> = rounds()
            .map(|(ours, bare)| ours.per_processor_second() / bare.per_processor_second())
            .collect();
        let (ratios, how) = if by_clock.len() * 2 > self.rounds {
            (&by_clock, "")
        } else {
            (&by_time, " (disturbed)")
        };
        report.ratio(
            &format!("{prefix}{}{how}", self.name),
            ratios,
            aim,
            &[
                ("per second", middle(ours, |k| k.load.rate())),
                ("axum's", middle(bare, |k| k.load.rate())),
                ("by processor time", median(&by_time)),
                ("p99 µs", middle(ours, |k| k.load.p99_us)),
                ("axum's p99 µs", middle(bare, |k| k.load.p99_us)),
                ("busy", busy[0]),
                ("axum busy", busy[1]),
            ],
        );
        Ok(())
    }
}

fn first_response(endpoint: &Endpoint, to: SocketAddr) -> anyhow::Result<HttpResponse> {
    let token = endpoint.tokens.first().context("no token")?;
    Wire::open(to)?.send(&(endpoint.ask)(to, token)).with_context(|| endpoint.name)
}

/// Fails unless the responses are equal on the wire except for the date and the
/// request id, which have a fixed length.
pub(super) fn require_equal(wanted: &HttpResponse, got: &HttpResponse) -> anyhow::Result<()> {
    let comparable = |response: &HttpResponse| {
        let headers = response.headers.iter().map(|(name, value)| {
            let changes = name == "date" || name == "x-line-request-id";
            (name.clone(), if changes { value.len().to_string() } else { value.clone() })
        });
        (response.status, headers.collect::<Vec<_>>(), response.body.clone())
    };
    ensure!(comparable(wanted) == comparable(got), "responds {got:?} instead of {wanted:?}");
    Ok(())
}

/// A response like that of an authority.
fn sample() -> HttpResponse {
    let body =
        r#"{"client_id":"1573163733","expires_in":2591659,"scope":"profile chat_message.write"}"#;
    let length = body.len().to_string();
    let headers = [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-line-request-id", "123e4567-e89b-12d3-a456-426655440001"),
        ("content-length", &length),
        ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    HttpResponse { status: 200, headers, body: body.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_moment_and_the_request_id_may_differ() {
        let mut other = sample();
        other.headers[2].1 = "00000000-0000-0000-0000-000000000000".into();
        other.headers[4].1 = "Mon, 23 Nov 2026 12:00:00 GMT".into();
        require_equal(&sample(), &other).unwrap();
        other.headers.swap(0, 1);
        assert!(require_equal(&sample(), &other).is_err());
        let mut other = sample();
        other.body.push(' ');
        assert!(require_equal(&sample(), &other).is_err());
    }
}
