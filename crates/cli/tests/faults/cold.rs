//! A server that restarts while its clients keep sending requests: its caches are empty and
//! its store has thousands of rows. Until it has loaded them, it responds 503.

use crate::{
    channel,
    line::{Channel, token_in, verify},
    process::{
        Server,
        http::{Connection, Request},
        serve,
    },
};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// The number of concurrent clients.
const CLIENTS: usize = 24;
/// Channels, each with as many short-lived tokens as it may have.
const CHANNELS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_under_load_gives_no_wrong_answer() {
    let rounds = if std::env::var_os("TEGATA_LONG").is_some() { 50 } else { 6 };
    let home = tempfile::tempdir().expect("a temporary folder");
    let address = free_address();
    let mut server = Server::start(serve_at(home.path(), address)).await;
    let asked = Arc::new(Asked::prepare(&server).await);
    for _ in 0..rounds {
        server.process.kill().expect("killed");
        drop(server);
        let (over, responses) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (asked, over, responses) = (asked.clone(), over.clone(), responses.clone());
            clients.spawn(hammer(address, client, asked, over, responses));
        }
        server = Server::start(serve_at(home.path(), address)).await;
        let settled = async {
            while responses.load(Relaxed) < 2_000 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), settled).await.expect("it serves");
        over.store(true, Relaxed);
        while let Some(client) = clients.join_next().await {
            client.expect("no wrong answer");
        }
    }
}

/// The repeated requests and the required responses.
struct Asked {
    good: Vec<String>,
    revoked: Vec<String>,
    issuing: Channel,
}

impl Asked {
    async fn prepare(server: &Server) -> Self {
        let mut channels = JoinSet::new();
        for _ in 0..CHANNELS {
            let channel = channel(server).await;
            let address = server.address();
            channels.spawn(async move {
                let mut connection = Connection::open(address).await.expect("a place");
                let (mut good, mut revoked) = (Vec::new(), Vec::new());
                for number in 0..30 {
                    let issue = channel.issue_short_lived(Default::default());
                    let token = token_in(&connection.ask(&issue).await.expect("a response"));
                    if number % 3 == 0 {
                        let ended = connection.ask(&channel.revoke(&token)).await;
                        assert_eq!(ended.expect("a response").status, 200);
                        revoked.push(token);
                    } else {
                        good.push(token);
                    }
                }
                (good, revoked)
            });
        }
        let (mut good, mut revoked) = (Vec::new(), Vec::new());
        while let Some(channel) = channels.join_next().await {
            let (more_good, more_revoked) = channel.expect("no panic");
            good.extend(more_good);
            revoked.extend(more_revoked);
        }
        Self { good, revoked, issuing: channel(server).await }
    }
}

/// Sends requests without a pause, also while the server is down; panics at a wrong
/// response.
async fn hammer(
    address: SocketAddr,
    client: usize,
    asked: Arc<Asked>,
    over: Arc<AtomicBool>,
    responses: Arc<AtomicUsize>,
) {
    let mut kept = None;
    for round in (client..).step_by(7) {
        if over.load(Relaxed) {
            return;
        }
        let (question, right): (Request, u16) = match round % 3 {
            0 => (verify(&asked.good[round % asked.good.len()]), 200),
            1 => (verify(&asked.revoked[round % asked.revoked.len()]), 400),
            _ => (asked.issuing.issue_stateless(Default::default()), 200),
        };
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::open(address).await {
                Ok(connection) => connection,
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
            },
        };
        // A client without a response, since the process was stopped, sends it again.
        let Ok(response) = connection.ask(&question).await else { continue };
        let (status, text) = (response.status, response.text());
        assert!(status == right || status == 503, "{status} for what is {right}: {text}");
        assert!(status != 503 || response.header("retry-after").is_some(), "{response:?}");
        responses.fetch_add(usize::from(status == right), Relaxed);
        if !connection.is_closing() {
            kept = Some(connection);
        }
    }
}

/// A loopback address that was free a moment ago, so that clients know it before
/// the server is there.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// `serve`, at that address.
fn serve_at(home: &Path, address: SocketAddr) -> Command {
    let anywhere = serve(home, &[]);
    let mut command = Command::new(anywhere.get_program());
    for word in anywhere.get_args() {
        match word == "127.0.0.1:0" {
            true => command.arg(address.to_string()),
            false => command.arg(word),
        };
    }
    for (name, value) in anywhere.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(home).stdin(std::process::Stdio::null());
    command
}
