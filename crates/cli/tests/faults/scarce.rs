//! Too few file descriptors or connections, too little memory. Connected clients are still
//! served, and a process that the kernel killed for its memory has lost nothing that it
//! acknowledged.

use crate::{
    channel,
    line::{is_good, token_in, verify},
    process::{Server, http::Connection, serve},
    wait,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_open_connections_are_served_and_idle_ones_are_closed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(serve(home.path(), &[])).await;
    let channel = channel(&server).await;
    let issue = channel.issue_short_lived(Default::default());
    let mut inside = Connection::open(server.address()).await.expect("a place");
    let mut token = token_in(&inside.ask(&issue).await.expect("a response"));

    let few = descriptors(&server) + 10;
    let id = Pid::from_child(&server.process);
    let limit = Rlimit { current: Some(few as u64), maximum: Some(few as u64) };
    prlimit(Some(id), Resource::Nofile, limit).expect("the limit of a child of ours");
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(server.address()).await.expect("the kernel takes us in"));
    }
    // Ten are connected; for the eleventh there is no descriptor.
    let said = server.said.clone();
    let full = move || said.lock().expect("read").contains("cannot accept connections");
    becomes(full).await;

    let before = processor_time(&server);
    let began = now();
    while began.elapsed() < Duration::from_secs(2) {
        assert!(is_good(&inside.ask(&verify(&token)).await.expect("a response")));
        // The channel's cap evicts the oldest sooner or later.
        token = token_in(&inside.ask(&issue).await.expect("a response"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let busy = processor_time(&server) - before;
    assert!(busy < Duration::from_millis(900), "it ran for {busy:?} of 2 s: for whom?");

    // New clients wait until idle connections are closed, and no longer.
    let response = timeout(Duration::from_secs(15), server.ask(&verify(&token))).await;
    assert!(is_good(&response.expect("those who say nothing make room")));
    drop(silent);
    let began = now();
    for _ in 0..50 {
        assert!(is_good(&server.ask(&verify(&token)).await));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "it has not recovered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_few_descriptors_from_the_start_it_accepts_fewer_connections() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let few = within(&["prlimit", "--nofile=160:160"], &serve(home.path(), &[]));
    let server = Server::start(few).await;
    let channel = channel(&server).await;
    let issue = channel.issue_short_lived(Default::default());
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(TcpStream::connect(server.address()).await.expect("the kernel takes us in"));
    }
    for _ in 0..20 {
        let response = timeout(Duration::from_secs(15), server.ask(&issue)).await;
        assert_eq!(response.expect("those who say nothing make room").status, 200);
        assert!(descriptors(&server) <= 140, "too few are kept back");
    }
    let said = server.said.lock().expect("read").clone();
    assert!(said.contains("too few file descriptors for so many connections"), "{said}");
    assert!(!said.contains("Too many open files"), "{said}");
}

/// The command, started through another one.
fn within(words: &[&str], command: &Command) -> Command {
    let mut whole = Command::new(words[0]);
    whole.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        whole.current_dir(folder);
    }
    whole.stdin(Stdio::null());
    whole
}

/// How many connections a server takes by default.
const PLACES: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_than_ten_thousand_connections_at_once_as_many_are_accepted_as_the_limit() {
    let all = getrlimit(Resource::Nofile).maximum;
    let enough = all.is_none_or(|most| most >= 2 * PLACES as u64);
    assert!(enough, "this test opens {PLACES} connections: see `ulimit -Hn`");
    setrlimit(Resource::Nofile, Rlimit { current: all, maximum: all }).expect("our own limit");
    let home = tempfile::tempdir().expect("a temporary folder");
    let server = Server::start(serve(home.path(), &[])).await;
    let channel = channel(&server).await;
    let issued = server.ask(&channel.issue_stateless(Default::default())).await;
    let token = token_in(&issued);
    let (at_rest, of_its_own) = (resident(&server), descriptors(&server));

    let crowd = PLACES + 500;
    let mut coming = JoinSet::new();
    let address = server.address();
    for _ in 0..20 {
        coming.spawn(async move {
            let mut silent = Vec::new();
            for _ in 0..crowd / 20 {
                silent.push(TcpStream::connect(address).await?);
            }
            std::io::Result::Ok(silent)
        });
    }
    // Meanwhile other clients send requests, each on a new connection.
    for _ in 0..100 {
        let response = timeout(Duration::from_secs(15), server.ask(&verify(&token))).await;
        assert!(is_good(&response.expect("a request is served")));
        assert!(descriptors(&server) <= PLACES + of_its_own + 16);
    }
    let mut silent = Vec::new();
    while let Some(come) = coming.join_next().await {
        silent.extend(come.expect("no panic").expect("the kernel takes us in"));
    }
    let each = resident(&server).saturating_sub(at_rest) / PLACES;
    println!("{crowd} came; {each} bytes each");
    assert!(each < 8 * 1024, "one who says nothing costs {each} bytes");
    drop(silent);
    let all_closed = || descriptors(&server) <= of_its_own + 16;
    becomes(all_closed).await;
}

/// A memory limit for processes together: a cgroup.
struct Cage(PathBuf);

impl Cage {
    fn of(bytes: u64) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let (root, limit) = match root.join("memory").is_dir() {
            true => (root.join("memory"), "memory.limit_in_bytes"),
            false => (root.to_owned(), "memory.max"),
        };
        let cage = root.join(format!("tegata-test-{}-{bytes}", std::process::id()));
        let made =
            fs::create_dir(&cage).and_then(|()| fs::write(cage.join(limit), bytes.to_string()));
        made.expect("this test limits the memory of a process: run it as root");
        Self(cage)
    }

    fn take(&self, server: &Server) {
        fs::write(self.0.join("cgroup.procs"), server.process.id().to_string()).expect("taken in");
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        // Its processes have exited, or are counted elsewhere.
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_are_enough_for_a_thousand_clients() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let cage = Cage::of(100 << 20);
    let mut server = Server::start(serve(home.path(), &[])).await;
    cage.take(&server);
    let channel = channel(&server).await;
    let mut clients = Vec::new();
    for _ in 0..1_000 {
        let mut client = Connection::open(server.address()).await.expect("a place");
        let response = client.ask(&channel.issue_stateless(Default::default())).await;
        let token = token_in(&response.expect("a response"));
        clients.push((client, token));
    }
    for _ in 0..3 {
        for (client, token) in &mut clients {
            assert!(is_good(&client.ask(&verify(token)).await.expect("a response")));
        }
    }
    assert_eq!(server.process.try_wait().expect("a child of ours"), None, "it was ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_the_kernel_kills_for_its_memory_has_lost_nothing() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut server = Server::start(serve(home.path(), &[])).await;
    // What it has by now counts elsewhere; what it takes from here on counts here.
    let cage = Cage::of(6 << 20);
    let channel = channel(&server).await;
    cage.take(&server);
    let (mut live, mut revoked) = (Vec::new(), Vec::new());
    let address = server.address();
    let mut crowd = Vec::new();
    'load: for round in 0.. {
        assert!(round < 20_000, "6 MiB were enough for everything");
        let Ok(mut client) = Connection::open(address).await else { break };
        let issue = channel.issue_short_lived(Default::default());
        let Ok(response) = client.ask(&issue).await else { break };
        assert!(matches!(response.status, 200 | 503), "{}", response.text());
        if response.status == 200 {
            live.push(token_in(&response));
        }
        if round % 5 == 4
            && let Some(token) = live.pop()
        {
            match client.ask(&channel.revoke(&token)).await {
                Ok(response) if response.status == 200 => revoked.push(token),
                Ok(response) => assert_eq!(response.status, 503, "{}", response.text()),
                Err(_) => break 'load,
            }
        }
        crowd.push(client);
    }
    let ended = wait(&mut server.process).await;
    assert_eq!(ended.signal(), Some(9), "{ended}");
    drop(server);

    let server = Server::start(serve(home.path(), &[])).await;
    assert!(revoked.len() > 5, "{} revocations are too few to tell", revoked.len());
    for token in &revoked {
        assert!(!is_good(&server.ask(&verify(token)).await), "a revocation was undone");
    }
    // One issue may have taken effect without a response, and have evicted the oldest.
    let newest = live.len().saturating_sub(20);
    for token in &live[newest..] {
        assert!(is_good(&server.ask(&verify(token)).await), "a token was lost");
    }
}

/// How many descriptors the process has open.
fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.process.id())).expect("a child of ours").count()
}

/// What it holds in memory, in bytes.
fn resident(server: &Server) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id()));
    let status = status.expect("a child of ours");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib = line.trim().strip_suffix(" kB").expect("in kB");
    kib.parse::<usize>().expect("a number") * 1024
}

/// For how long it has run on a processor.
fn processor_time(server: &Server) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.process.id()));
    let stat = stat.expect("a child of ours");
    // Behind the name, which may hold anything: user and system time, in hundredths.
    let fields: Vec<_> = stat[stat.rfind(')').expect("a name")..].split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
    Duration::from_millis(10 * (ticks(12) + ticks(13)))
}

async fn becomes(so: impl Fn() -> bool) {
    let is = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), is).await.expect("it becomes so within 30 s");
}

#[expect(clippy::disallowed_methods, reason = "how long people really wait")]
fn now() -> Instant {
    Instant::now()
}
