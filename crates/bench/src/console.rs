//! Pages of the console: on a store with 1,000 channels and 100,000 token rows against the
//! same pages on an empty store, and the page of tokens against a bare server that sends the
//! same bytes.
//!
//! A page that is kept in memory costs the same on every store. So each request of the first
//! comparison has an address of its own, for which no page is kept; and the second one is made
//! twice, with and without.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

use super::assertions::Signer;
use super::authority::{Asked, Authority, text};
use super::baseline::{Bare, Route};
use super::channel::Channel;
use super::process::Demand;
use super::report::{Aim, Report};
use super::wire::{Wire, request};
use super::wrk::{Load, write_requests};
use super::{Plan, median, now_unix, stopwatch};

/// A page on the full store takes at most this many times as long as on the empty one.
const OF_EMPTY: Aim = Aim::AtMost(3.0);
/// Requests a second of the page of tokens, as a share of the bare server's.
const OF_BARE: Aim = Aim::AtLeast(0.5);
const CHANNELS: usize = 1000;
/// More than are active at once: the others are rows of evicted tokens.
const PER_CHANNEL: usize = 100;
const CONNECTIONS: usize = 16;
/// Addresses of the page that is rendered for each request: more than are answered within the
/// second for which a page is kept.
const ADDRESSES: usize = 20_000;
/// Pages that are not compared: the same on every store, or made anew by each request.
const LEFT_OUT: [&str; 3] = ["/console/assets", "/console/audit/verify", "/signed"];
const PASSWORD: &str = "correct horse battery staple";

pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let empty = Console::start(plan, &folder.join("empty"), 1)?;
    let full = Console::start(plan, &folder.join("full"), CHANNELS)?;
    full.fill().map_err(|why| full.authority.explain(&why))?;
    compare(plan, report, &empty, &full).map_err(|why| full.authority.explain(&why))?;
    against_bare(plan, folder, report, &full)
}

/// An authority with a person who is signed in.
struct Console {
    authority: Authority,
    session: String,
    channels: Vec<Channel>,
}

impl Console {
    fn start(plan: &Plan, folder: &Path, channels: usize) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        // The rows are made faster than any program should issue.
        let authority = Authority::start_with(&plan.tegata, folder, &["--surge-limit", "0"])?;
        let session = sign_in(&authority).map_err(|why| authority.explain(&why))?;
        let channels = authority.channels(channels, &Signer::generate()?)?;
        Ok(Self { authority, session, channels })
    }

    /// Issues short-lived tokens by the channels in turn.
    fn fill(&self) -> anyhow::Result<()> {
        for _ in 0..PER_CHANNEL {
            let all: Vec<_> = self.channels.iter().cloned().map(Asked::ShortLived).collect();
            self.authority.tokens(&all)?;
        }
        Ok(())
    }

    fn page(&self, path: &str) -> Vec<u8> {
        page(self.authority.address, &self.session, path)
    }

    /// A path of this store, in which `*` is the first channel.
    fn path(&self, route: &str) -> String {
        route.replace('*', &self.channels[0].id)
    }

    /// The same page, at an address that no other request has.
    fn page_anew(&self, path: &str, number: usize) -> Vec<u8> {
        self.page(&format!("{path}?number={number}"))
    }

    /// The pages that links lead to, as routes: `*` is a channel.
    fn routes(&self) -> anyhow::Result<Vec<String>> {
        let mut wire = Wire::open(self.authority.address)?;
        let tokens = format!("/console/channels/{}/tokens", self.channels[0].id);
        let mut queue = VecDeque::from(["/console".to_owned(), tokens]);
        let mut found = BTreeMap::new();
        while let Some(path) = queue.pop_front() {
            let route = path.replace(&self.channels[0].id, "*");
            let other = route.bytes().any(|it| it.is_ascii_digit()) || route.contains('?');
            let left_out = LEFT_OUT.iter().any(|it| route.contains(it));
            if other || left_out || found.contains_key(&route) {
                continue;
            }
            let response = wire.send(&self.page(&path))?;
            if response.status == 200 {
                queue.extend(links(&response.body));
            }
            found.insert(route, response.status);
        }
        Ok(found.into_iter().filter(|(_, status)| *status == 200).map(|(route, _)| route).collect())
    }
}

fn page(to: SocketAddr, session: &str, path: &str) -> Vec<u8> {
    request(to, "GET", path, &[("Cookie", &format!("tegata-session={session}"))], "")
}

fn links(html: &str) -> Vec<String> {
    let after = html.split("href=\"").skip(1);
    let links = after.filter_map(|it| it.split(['"', '#']).next());
    links.filter(|it| it.starts_with("/console")).map(str::to_owned).collect()
}

/// Invites an administrator, who accepts and signs in; the session.
fn sign_in(authority: &Authority) -> anyhow::Result<String> {
    let mut wire = Wire::open(authority.address)?;
    let mut post = |path: &str, body: Value| authority.admin(&mut wire, "POST", path, &body);
    let person = json!({"login": "mika", "name": "mika", "operator": "administrator"});
    let invitation = text(&post("/people/invitations", person)?, "invitation")?;
    let opened = post("/invitations/open", json!({"invitation": invitation}))?;
    let secret = text(&opened, "totp_secret")?;
    // A code works once, and that of the step before is accepted.
    let accepted = json!({
        "invitation": invitation, "password": PASSWORD, "totp_secret": secret,
        "code": code(&secret, now_unix() / 30 - 1)?,
    });
    post("/invitations/accept", accepted)?;
    let code = code(&secret, now_unix() / 30)?;
    let session = post("/sessions", json!({"login": "mika", "password": PASSWORD, "code": code}))?;
    text(&session, "session_token")
}

/// A one-time code by RFC 6238.
fn code(secret: &str, step: u64) -> anyhow::Result<String> {
    let secret = BASE32_NOPAD.decode(secret.as_bytes())?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag.last().context("an empty tag")? & 15);
    let four = tag[at..].first_chunk::<4>().context("a short tag")?;
    Ok(format!("{:06}", (u32::from_be_bytes(*four) & 0x7fff_ffff) % 1_000_000))
}

/// Measures each page on both stores in turn.
fn compare(
    plan: &Plan,
    report: &mut Report,
    empty: &Console,
    full: &Console,
) -> anyhow::Result<()> {
    let on_empty = empty.routes()?;
    let (rounds, requests) = if plan.long { (9, 200) } else { (3, 50) };
    let mut number = 0;
    for route in full.routes()?.iter().filter(|it| on_empty.contains(it)) {
        let mut wires = [empty, full].map(|it| Wire::open(it.authority.address));
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for turn in [round % 2, (round + 1) % 2] {
                let console = [empty, full][turn];
                let path = console.path(route);
                let wire = wires[turn].as_mut().ok().context("no connection")?;
                let mut each = Vec::new();
                for _ in 0..requests {
                    number += 1;
                    let ask = console.page_anew(&path, number);
                    let began = stopwatch();
                    let status = wire.send(&ask)?.status;
                    each.push(began.elapsed().as_secs_f64());
                    ensure!(status == 200, "{route} answered {status}");
                }
                times[turn].push(median(&each));
            }
        }
        let ratios: Vec<f64> =
            times[1].iter().zip(&times[0]).map(|(full, empty)| full / empty).collect();
        report.ratio(
            &format!("{route}: {CHANNELS} channels / none"),
            &ratios,
            OF_EMPTY,
            &[("µs", median(&times[1]) * 1e6), ("empty µs", median(&times[0]) * 1e6)],
        );
    }
    Ok(())
}

/// Measures the page of tokens against a bare server that sends the same bytes.
fn against_bare(
    plan: &Plan,
    folder: &Path,
    report: &mut Report,
    full: &Console,
) -> anyhow::Result<()> {
    const BARE: &str = "/console/tokens";
    let path = full.path("/console/channels/*/tokens");
    let ask = full.page(&path);
    let response = Wire::open(full.authority.address)?.send(&ask)?;
    ensure!(response.status == 200, "the page of tokens answered {}", response.status);
    let bytes = response.body.len() as f64;
    let bare = Bare::start(&[Route { method: "GET", path: BARE, response }], folder)?;
    let anew = (0..ADDRESSES).map(|number| full.page_anew(&path, number)).collect();
    let (ours, of_bare) =
        ((full.authority.address, full.authority.id()), (bare.address, bare.id()));
    let sides = [
        (ours, vec![ask], "kept"),
        (ours, anew, "anew"),
        (of_bare, vec![page(bare.address, &full.session, BARE)], "bare"),
    ];
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    let mut by_time = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..if plan.long { 9 } else { 3 } {
        for turn in (0..sides.len()).map(|turn| (round + turn) % sides.len()) {
            let ((to, id), asks, name) = &sides[turn];
            let file = folder.join(format!("{name}.requests"));
            write_requests(&file, asks.clone())?;
            let load = Load {
                to: *to,
                connections: CONNECTIONS,
                seconds: 2,
                requests: &file,
                once: false,
            };
            let demand = Demand::of(*id);
            let load = load.run()?;
            by_time[turn].push(load.answered as f64 / demand.ran());
            rates[turn].push(load.rate());
        }
    }
    for (side, name, aim) in [
        (0, "the page of tokens / a bare server", OF_BARE),
        (1, "the page of tokens, rendered for each request / a bare server", Aim::None),
    ] {
        let ratios = |all: &[Vec<f64>; 3]| -> Vec<f64> {
            all[side].iter().zip(&all[2]).map(|(ours, bare)| ours / bare).collect()
        };
        report.ratio(
            name,
            &ratios(&rates),
            aim,
            &[
                ("per second", median(&rates[side])),
                ("bare", median(&rates[2])),
                ("by processor time", median(&ratios(&by_time))),
                ("bytes", bytes),
            ],
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_that_of_the_standard() {
        let secret = BASE32_NOPAD.encode(b"12345678901234567890");
        assert_eq!(code(&secret, 59 / 30).unwrap(), "287082");
    }

    #[test]
    fn links_lead_to_pages_of_the_console() {
        let html =
            r##"<a href="/console/a#b">x</a><a href="/other"><a href="#c"><a href="/console">"##;
        assert_eq!(links(html), ["/console/a", "/console"]);
    }
}
