//! Baselines: what the machine can do without Tegata. Each runs in its own process,
//! so that it can be pinned to the authority's core.
//!
//! The hidden subcommand `baseline` starts them: `responses FILE` is a bare axum server
//! with the given responses; `crypto` and `commits` measure for some seconds and print
//! one line of JSON.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::process::{Demand, Running, on_core};
use super::wire::HttpResponse;
use super::{SERVER_CORE, stopwatch};

/// Runs one baseline in this process.
pub(crate) fn run(args: &[&str]) -> anyhow::Result<()> {
    match args {
        ["responses", file] => serve(&serde_json::from_slice(&std::fs::read(file)?)?, None),
        ["responses", file, socket] => {
            serve(&serde_json::from_slice(&std::fs::read(file)?)?, Some(Path::new(socket)))
        }
        ["layered", authority, token] => super::feed::layer::serve(authority, token),
        ["fan"] => super::feed::serve_sockets(),
        ["crypto", seconds] => print(&crypto(seconds.parse()?)?),
        ["commits", folder, seconds] => print(&commits(Path::new(folder), seconds.parse()?)?),
        _ => bail!("there is no baseline {args:?}"),
    }
}

/// Runs this program with `args` on the server's core and returns the JSON that it
/// prints.
pub(super) fn ask(args: &[&str]) -> anyhow::Result<Value> {
    let out = on_core(SERVER_CORE, std::env::current_exe()?).args(args).output()?;
    let why = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}", why.trim());
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// A path and the response that it gives.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) response: HttpResponse,
}

/// A running bare axum server, on the server's core.
pub(super) struct Bare {
    pub(super) address: SocketAddr,
    process: Running,
}

impl Bare {
    pub(super) fn start(routes: &[Route], folder: &Path) -> anyhow::Result<Self> {
        let (process, line) = start(routes, folder, None)?;
        let address = line.trim().parse().context("the bare server gave no address")?;
        Ok(Self { address, process })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Starts a bare axum server at a Unix socket, on the server's core.
pub(super) fn start_at_socket(
    route: &Route,
    folder: &Path,
    socket: &Path,
) -> anyhow::Result<Running> {
    Ok(start(std::slice::from_ref(route), folder, Some(socket))?.0)
}

/// The process of a bare axum server, and the address that it prints.
fn start(
    routes: &[Route],
    folder: &Path,
    socket: Option<&Path>,
) -> anyhow::Result<(Running, String)> {
    let routes: Vec<Value> = routes
        .iter()
        .map(|route| {
            json!({
                "method": route.method, "path": route.path, "status": route.response.status,
                "headers": route.response.headers, "body": route.response.body,
            })
        })
        .collect();
    let file = folder.join("responses.json");
    std::fs::write(&file, Value::from(routes).to_string())?;
    let mut process = Running::start(
        on_core(SERVER_CORE, std::env::current_exe()?)
            .args(["baseline", "responses"])
            .arg(file)
            .args(socket)
            .stdout(Stdio::piped()),
    )?;
    let mut line = String::new();
    let out = process.child().stdout.take().context("no output to read")?;
    BufReader::new(out).read_line(&mut line)?;
    Ok((process, line))
}

/// Prints the address, then serves the routes until the process is killed.
fn serve(routes: &Value, socket: Option<&Path>) -> anyhow::Result<()> {
    let mut router = Router::new();
    for route in routes.as_array().context("not a list of routes")? {
        let response = canned(route)?;
        let path = route["path"].as_str().context("a route without path")?;
        router = router.route(
            path,
            if route["method"] == "GET" {
                get(move || std::future::ready(whole(&response)))
            } else {
                // A real server reads the form before it answers.
                post(move |_: Bytes| std::future::ready(whole(&response)))
            },
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if let Some(socket) = socket {
            let listener = tokio::net::UnixListener::bind(socket)?;
            println!("{}", socket.display());
            return Ok(axum::serve(listener, router).await?);
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

/// The response. Its body is a `Body`, since axum adds a content type to plain bytes.
fn whole((status, headers, body): &Canned) -> (StatusCode, HeaderMap, Body) {
    (*status, headers.clone(), Body::from(body.clone()))
}

type Canned = (StatusCode, HeaderMap, Bytes);

/// The response in axum's types; hyper adds `date`.
fn canned(route: &Value) -> anyhow::Result<Canned> {
    let status = route["status"].as_u64().context("a route without status")?;
    let mut headers = HeaderMap::new();
    for header in route["headers"].as_array().context("a route without headers")? {
        let (Some(name), Some(value)) = (header[0].as_str(), header[1].as_str()) else {
            bail!("not a header: {header}")
        };
        if name != "date" {
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
    }
    let body = route["body"].as_str().context("a route without body")?.to_owned();
    Ok((StatusCode::from_u16(status.try_into()?)?, headers, body.into()))
}

/// Seconds of processor time of one RS256 verification (2048 bits, key parsed) and of one
/// Ed25519 signature, each measured for half of `seconds`.
fn crypto(seconds: f64) -> anyhow::Result<Value> {
    // The sizes of a usual assertion and of a usual token.
    let (assertion, token) = ([7_u8; 330], [7_u8; 420]);
    let rsa = KeyPair::generate(KeySize::Rsa2048).ok().context("making an RSA key")?;
    let mut signature = vec![0; rsa.public_modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &assertion, &mut signature)
        .ok()
        .context("signing with RSA")?;
    let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.public_key().as_ref())?;
    let half = Duration::from_secs_f64(seconds / 2.0);
    let verify = processor_each(half, || public.verify_sig(&assertion, &signature).is_ok())?;
    let ed25519 = Ed25519KeyPair::generate().ok().context("making an Ed25519 key")?;
    let sign = processor_each(half, || ed25519.sign(&token).as_ref().len() == 64)?;
    Ok(json!({"rs256_verify": verify, "ed25519_sign": sign}))
}

/// SQLite's durable single-row commits a second, on one connection.
fn commits(folder: &Path, seconds: f64) -> anyhow::Result<Value> {
    let file = folder.join("commits.db");
    let db = rusqlite::Connection::open(&file)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.execute(
        "CREATE TABLE IF NOT EXISTS token (id INTEGER PRIMARY KEY, row BLOB NOT NULL) STRICT",
        [],
    )?;
    // About the size of an issued token's row.
    let row = [7_u8; 160];
    let mut insert = db.prepare("INSERT INTO token (row) VALUES (?1)")?;
    let each =
        seconds_each(Duration::from_secs_f64(seconds), 10, || insert.execute([row]).is_ok())?;
    Ok(json!({"commits_per_second": 1.0 / each}))
}

/// Mean seconds of processor time of one `act`, repeated for `time`: what an issue is
/// measured in, so that another program on the core changes neither.
fn processor_each(time: Duration, mut act: impl FnMut() -> bool) -> anyhow::Result<f64> {
    let (demand, mut done) = (Demand::of(std::process::id()), 0.0);
    seconds_each(time, 100, || {
        done += 1.0;
        act()
    })?;
    Ok(demand.ran() / done)
}

/// Mean seconds of one `act`, repeated for `time`; the clock is read after each `batch`.
fn seconds_each(time: Duration, batch: u32, mut act: impl FnMut() -> bool) -> anyhow::Result<f64> {
    let began = stopwatch();
    let mut done = 0.0;
    while began.elapsed() < time {
        for _ in 0..batch {
            ensure!(std::hint::black_box(act()), "the measured operation failed");
        }
        done += f64::from(batch);
    }
    Ok(began.elapsed().as_secs_f64() / done)
}

fn print(line: &Value) -> anyhow::Result<()> {
    println!("{line}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_counted_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let said = commits(folder.path(), 0.2).unwrap();
        assert!(said["commits_per_second"].as_f64().unwrap() > 1.0);
        let db = rusqlite::Connection::open(folder.path().join("commits.db")).unwrap();
        let rows: u32 = db.query_row("SELECT count(*) FROM token", [], |row| row.get(0)).unwrap();
        assert!(rows > 0);
    }

    #[test]
    fn a_failing_act_is_no_figure() {
        assert!(seconds_each(Duration::from_millis(1), 1, || false).is_err());
    }
}
