//! Verifying a token by `tegata verify-proxy` at its Unix socket, against an echo server on
//! the same stack: a bare axum server at another Unix socket that sends the same response.
//!
//! wrk speaks TCP alone, so the load is this program's, with one thread: its connections
//! replay prepared requests. As in `http`, the figure is responses per second of
//! wall-clock time, or of the servers' processor time if other work disturbed the rounds.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::assertions::Signer;
use super::authority::{Asked, Authority};
use super::baseline::{Route, start_at_socket};
use super::process::{Demand, Running, on_core};
use super::report::{Aim, Report};
use super::wire::HttpResponse;
use super::{LOAD_CORE, Plan, SERVER_CORE, median, stopwatch};

const AIM: Aim = Aim::AtLeast(0.8);
const CONNECTIONS: usize = 16;
const TOKENS: usize = 1000;
/// The cap of the token rules.
const PER_CHANNEL: usize = 30;
/// As in `http`.
const BUSY: f64 = 0.9;
const PATH: &str = "/gateway/verify";

/// A server under load.
struct Side {
    socket: PathBuf,
    process: Running,
}

/// A round of one side.
struct Round {
    per_second: f64,
    per_processor_second: f64,
    busy: f64,
    p99_us: f64,
}

/// Measures the proxy against the echo server.
pub(super) fn run(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let authority = Authority::start(&plan.tegata, folder)?;
    let measured = prepare(plan, folder, &authority).and_then(|(tokens, proxy)| {
        let response = first_response(&proxy.socket, &request(&tokens[0]))?;
        ensure!(response.status == 200, "answered {} {}", response.status, response.body);
        let socket = folder.join("echo.sock");
        let route = Route { method: "GET", path: PATH, response };
        let process = start_at_socket(&route, folder, &socket)?;
        let echo = Side { socket, process };
        let echoed = first_response(&echo.socket, &request(&tokens[0]))?;
        super::http::require_equal(&route.response, &echoed)?;
        compare(plan, folder, report, &tokens, [&proxy, &echo])
    });
    measured.map_err(|why| authority.explain(&why))
}

/// Tokens of the authority, and a proxy that follows it.
fn prepare(
    plan: &Plan,
    folder: &Path,
    authority: &Authority,
) -> anyhow::Result<(Vec<String>, Side)> {
    let signer = Signer::generate()?;
    let channels = authority.channels(TOKENS.div_ceil(PER_CHANNEL), &signer)?;
    let asked: Vec<Asked> = (0..TOKENS)
        .map(|number| Asked::ShortLived(channels[number % channels.len()].clone()))
        .collect();
    let tokens = authority.tokens(&asked)?;
    let socket = folder.join("verify.sock");
    let log = std::fs::File::create(folder.join("proxy.log"))?;
    let process = Running::start(
        on_core(SERVER_CORE, &plan.tegata)
            .args(["verify-proxy", "--authority", &format!("http://{}", authority.address)])
            .args(["--listen", &format!("unix:{}", socket.display())])
            .env("TEGATA_VERIFIER_TOKEN", authority.verifier()?)
            .stdout(log.try_clone()?)
            .stderr(log),
    )?;
    let began = stopwatch();
    let ready = b"GET /readyz HTTP/1.1\r\nHost: proxy\r\n\r\n";
    while !first_response(&socket, ready).is_ok_and(|it| it.status == 200) {
        ensure!(began.elapsed() < Duration::from_secs(20), "the proxy does not become ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((tokens, Side { socket, process }))
}

fn request(token: &str) -> Vec<u8> {
    format!("GET {PATH} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer {token}\r\n\r\n").into()
}

/// The response to the first request of a connection.
fn first_response(socket: &Path, request: &[u8]) -> anyhow::Result<HttpResponse> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request)?;
    let mut bytes = vec![0; 64 * 1024];
    // Responses are small, and are written at once.
    let length = stream.read(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes[..length]);
    let (head, body) = text.split_once("\r\n\r\n").context("not an HTTP response")?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|it| it.split(' ').nth(1)).and_then(|it| it.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    Ok(HttpResponse {
        status: status.context("no status")?,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: body.to_owned(),
    })
}

fn compare(
    plan: &Plan,
    folder: &Path,
    report: &mut Report,
    tokens: &[String],
    sides: [&Side; 2],
) -> anyhow::Result<()> {
    let requests = folder.join("tokens");
    std::fs::write(&requests, tokens.join("\n"))?;
    let (rounds, seconds) = if plan.long { (9, 4) } else { (5, 2) };
    let mut outcomes = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        // The first server of a round alternates.
        for turn in [round % 2, (round + 1) % 2] {
            outcomes[turn].push(load(sides[turn], &requests, seconds)?);
        }
    }
    let [ours, echo] = &outcomes;
    let pairs = || ours.iter().zip(echo);
    let quiet = pairs().filter(|(ours, echo)| ours.busy.min(echo.busy) >= BUSY);
    let by_clock: Vec<f64> = quiet.map(|(ours, echo)| ours.per_second / echo.per_second).collect();
    let by_time: Vec<f64> =
        pairs().map(|(ours, echo)| ours.per_processor_second / echo.per_processor_second).collect();
    let (ratios, how) = match by_clock.len() * 2 > ours.len() {
        true => (&by_clock, ""),
        false => (&by_time, " (disturbed)"),
    };
    let middle = |of: &[Round], figure: fn(&Round) -> f64| {
        median(&of.iter().map(figure).collect::<Vec<_>>())
    };
    report.ratio(
        &format!("verify-proxy at a Unix socket, {TOKENS} tokens{how}"),
        ratios,
        AIM,
        &[
            ("per second", middle(ours, |it| it.per_second)),
            ("echo's", middle(echo, |it| it.per_second)),
            ("by processor time", median(&by_time)),
            ("p99 µs", middle(ours, |it| it.p99_us)),
            ("echo's p99 µs", middle(echo, |it| it.p99_us)),
            ("busy", middle(ours, |it| it.busy)),
            ("echo busy", middle(echo, |it| it.busy)),
        ],
    );
    Ok(())
}

/// Loads a server from a process on the other core.
fn load(side: &Side, tokens: &Path, seconds: u64) -> anyhow::Result<Round> {
    let demand = Demand::of(side.process.id());
    let out = on_core(LOAD_CORE, std::env::current_exe()?)
        .args(["unix-load".as_ref(), side.socket.as_os_str(), tokens.as_os_str()])
        .arg(seconds.to_string())
        .output()?;
    let why = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}", why.trim());
    let said: Value = serde_json::from_slice(&out.stdout)?;
    let figure = |name: &str| said[name].as_f64().context("no figure");
    Ok(Round {
        per_second: figure("per_second")?,
        per_processor_second: figure("answered")? / demand.ran(),
        busy: demand.share(),
        p99_us: figure("p99_us")?,
    })
}

/// Sends requests with the tokens in turn on several connections, and prints how many were
/// answered. A response other than 200 is an error.
pub(super) fn generate(socket: &str, tokens: &str, seconds: &str) -> anyhow::Result<()> {
    let tokens = std::fs::read_to_string(tokens)?;
    let requests: Vec<Vec<u8>> = tokens.lines().map(request).collect();
    let seconds = Duration::from_secs(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = stopwatch();
    let mut times = runtime.block_on(async {
        let (socket, requests) = (Path::new(socket).to_owned(), std::sync::Arc::new(requests));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..CONNECTIONS {
            let (socket, requests) = (socket.clone(), requests.clone());
            tasks.spawn(async move {
                let first = number * requests.len() / CONNECTIONS;
                let turn = requests[first..].iter().chain(requests.iter().cycle());
                let mut stream = tokio::net::UnixStream::connect(socket).await?;
                let (mut times, mut bytes) = (Vec::new(), vec![0; 16 * 1024]);
                for request in turn {
                    let sent = stopwatch();
                    if sent.duration_since(began) >= seconds {
                        break;
                    }
                    stream.write_all(request).await?;
                    let mut length = 0;
                    // The response has no body.
                    while !bytes[..length].ends_with(b"\r\n\r\n") {
                        let more = stream.read(&mut bytes[length..]).await?;
                        ensure!(more > 0, "the server closed a connection");
                        length += more;
                    }
                    ensure!(bytes.starts_with(b"HTTP/1.1 200 "), "not 200");
                    times.push(sent.elapsed().as_secs_f64() * 1e6);
                }
                anyhow::Ok(times)
            });
        }
        let mut all = Vec::new();
        while let Some(times) = tasks.join_next().await {
            all.extend(times??);
        }
        anyhow::Ok(all)
    })?;
    let took = began.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    let answered = times.len();
    let line = json!({
        "answered": answered, "per_second": answered as f64 / took, "p99_us": p99,
    });
    println!("{line}");
    Ok(())
}
