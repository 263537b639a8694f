//! What the `tower` layer of the verifier costs a service: a bare axum handler, without the
//! layer and with it, in one process and over a thousand tokens in turn.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use axum::routing::get;
use tegata_verifier::{FollowSettings, TokenVerifier, layer::VerifyLayer};

use super::super::assertions::Signer;
use super::super::authority::{Asked, Authority};
use super::super::process::{Demand, Running, on_core};
use super::super::report::{Aim, Report};
use super::super::wire::{Wire, request};
use super::super::wrk::{Load, write_requests};
use super::super::{Plan, SERVER_CORE, stopwatch};
use super::{PATIENCE, verifier};

const TOKENS: usize = 1_000;
const AIM: Aim = Aim::AtLeast(0.9);
const BARE: &str = "/bare/v2/bot/info";
/// With a layer that does nothing: what the router itself costs.
const EMPTY: &str = "/empty/v2/bot/info";
const LAYERED: &str = "/held/v2/bot/info";

pub(in super::super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let token = verifier(&authority, 60_000)?;
    let channels = authority.channels(TOKENS, &Signer::generate()?)?;
    let asked: Vec<_> = channels.into_iter().map(Asked::ShortLived).collect();
    let tokens = authority.tokens(&asked)?;
    let mut service = Running::start(
        on_core(SERVER_CORE, std::env::current_exe()?)
            .args(["baseline", "layered", &authority.address.to_string(), &token])
            .stdout(Stdio::piped()),
    )?;
    let mut line = String::new();
    let out = service.child().stdout.take().context("no output to read")?;
    BufReader::new(out).read_line(&mut line)?;
    let to: SocketAddr = line.trim().parse().context("the service gave no address")?;
    let asked = |path: &str| {
        let of = |it: &String| {
            request(to, "GET", path, &[("Authorization", &format!("Bearer {it}"))], "")
        };
        tokens.iter().map(of).collect::<Vec<_>>()
    };
    let first = asked(LAYERED);
    let began = stopwatch();
    while Wire::open(to)?.send(&first[0])?.status != 200 {
        anyhow::ensure!(began.elapsed() < PATIENCE, "the service has no view");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let files = [folder.join("bare"), folder.join("layered"), folder.join("empty")];
    write_requests(&files[0], asked(BARE))?;
    write_requests(&files[1], first)?;
    write_requests(&files[2], asked(EMPTY))?;
    let (mut rates, mut works, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = [0.0; 3];
    for _ in 0..if plan.long { 10 } else { 5 } {
        let mut per_second = [0.0; 3];
        for (it, requests) in files.iter().enumerate() {
            let load = Load { to, connections: 32, seconds: 3, requests, once: false };
            let demand = Demand::of(service.id());
            let outcome = load.run()?;
            per_second[it] = outcome.answered as f64 / demand.ran();
            last[it] = outcome.rate();
        }
        rates.push(last[1] / last[0]);
        works.push(per_second[1] / per_second[0]);
        empty.push(per_second[2] / per_second[0]);
    }
    empty.sort_by(f64::total_cmp);
    let median = empty.get(empty.len() / 2).copied().unwrap_or_default();
    let beside = [("a second, last round", last[1]), ("bare", last[0])];
    report.ratio("service with the layer / without", &rates, AIM, &beside);
    let router = [("with a layer that does nothing", median)];
    report.ratio("the same, per second of processor time", &works, AIM, &router);
    Ok(())
}

/// Prints an address, then serves until the process is killed.
pub(in super::super) fn serve(authority: &str, token: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let settings = FollowSettings::new(format!("http://{authority}/").parse()?, token)?;
        let layer = VerifyLayer::new(TokenVerifier::start(settings)?);
        let handler = || get(async || r#"{"userId":"U0","basicId":"@0","displayName":"bot"}"#);
        let empty = tower::layer::util::Identity::new();
        let router = axum::Router::new()
            .route(BARE, handler())
            .route(EMPTY, handler().layer(empty))
            .route(LAYERED, handler().layer(layer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}
