//! Starts replicas, speaks to them, and lets them and their network fail.

use crate::history::{
    check::{Event, Learnt, Op},
    replica,
};
use postgres_fixture::{Folder, PostgresServer, Proxy};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::oneshot,
};

/// How long a client waits for an answer. Longer than an act may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// Longer than a replica needs to recover.
const RECOVERY: Duration = Duration::from_secs(120);

/// The requests that wait for an answer; `None`: the process has ended.
type Waiting = Mutex<Option<BTreeMap<u64, oneshot::Sender<String>>>>;

/// A running replica process.
struct Running {
    child: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Arc<Waiting>,
}

/// One of the servers: a process that is started again when it has ended.
pub struct Replica {
    proxy: Proxy,
    running: tokio::sync::RwLock<Option<Running>>,
}

/// Some replicas over one database.
pub struct Cluster {
    pub server: PostgresServer,
    pub replicas: Vec<Replica>,
    database: String,
    plant: Option<&'static str>,
    folder: Folder,
    begin: Instant,
    next: AtomicU64,
    pub events: Mutex<Vec<Event>>,
    /// How often a replica has given up the store. The database loses nothing that it has
    /// acknowledged, so there is no reason to.
    pub gave_up: Arc<AtomicU64>,
}

impl Cluster {
    /// Starts them on a database that has a signing key.
    pub async fn start(
        server: PostgresServer,
        database: String,
        many: usize,
        plant: Option<&'static str>,
    ) -> Self {
        let replica = |_| Replica {
            proxy: Proxy::start(server.port()).unwrap(),
            running: tokio::sync::RwLock::default(),
        };
        let replicas: Vec<Replica> = (0..many).map(replica).collect();
        let folder = Folder::new().unwrap();
        let (next, events, gave_up) = (AtomicU64::new(1_000), Mutex::default(), Arc::default());
        let begin = now();
        let cluster =
            Self { server, replicas, database, plant, folder, begin, next, events, gave_up };
        for at in 0..many {
            assert!(cluster.restart(at).await, "a replica did not start");
        }
        cluster
    }

    /// A number that was not used before.
    pub fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    fn clock(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap()
    }

    /// Starts a replica, killing it before if it runs; whether it is ready.
    pub async fn restart(&self, at: usize) -> bool {
        let replica = &self.replicas[at];
        let mut running = replica.running.write().await;
        if let Some(mut old) = running.take() {
            let _ = old.child.kill().await;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "history::replica::a_replica", "--nocapture"])
            .env(replica::URL, replica.proxy.url(&self.database))
            // It ends with the folder, also when it is frozen.
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(plant) = self.plant {
            command.env(replica::PLANT, plant);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.ok().flatten() {
                if line == "> ready" {
                    return true;
                }
            }
            false
        };
        if tokio::time::timeout(RECOVERY, ready).await != Ok(true) {
            let _ = child.kill().await;
            return false;
        }
        let waiting = Arc::new(Waiting::new(Some(BTreeMap::new())));
        let (answered, gave_up) = (waiting.clone(), self.gave_up.clone());
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.ok().flatten() {
                if line == "> stopped" {
                    gave_up.fetch_add(1, Ordering::Relaxed);
                }
                let answer = line.strip_prefix("> ").and_then(|it| it.split_once(' '));
                let Some((number, answer)) = answer else { continue };
                let mut all = answered.lock().unwrap();
                let sender = all.as_mut().and_then(|it| it.remove(&number.parse().unwrap()));
                if let Some(sender) = sender {
                    let _ = sender.send(answer.to_owned());
                }
            }
            // A process that has ended answers nothing.
            *answered.lock().unwrap() = None;
        });
        let stdin = tokio::sync::Mutex::new(child.stdin.take().unwrap());
        *running = Some(Running { child, stdin, waiting });
        true
    }

    /// Kills a replica.
    pub async fn kill(&self, at: usize) {
        if let Some(mut running) = self.replicas[at].running.write().await.take() {
            let _ = running.child.kill().await;
        }
    }

    /// Whether a replica's process runs.
    pub async fn runs(&self, at: usize) -> bool {
        let running = self.replicas[at].running.read().await;
        running.as_ref().is_some_and(|it| it.waiting.lock().unwrap().is_some())
    }

    /// Pauses a replica, or lets it continue.
    pub async fn signal(&self, at: usize, signal: Signal) {
        let running = self.replicas[at].running.read().await;
        let id = running.as_ref().and_then(|it| it.child.id());
        if let Some(pid) = id.and_then(|it| Pid::from_raw(i32::try_from(it).unwrap())) {
            let _ = kill_process(pid, signal);
        }
    }

    /// The network between a replica and the database.
    pub fn network(&self, at: usize) -> &Proxy {
        &self.replicas[at].proxy
    }

    /// Sends a line of words; `None`: there was no answer.
    pub async fn speak(&self, at: usize, words: &str) -> Option<String> {
        let (send, answer) = oneshot::channel();
        let number = self.fresh();
        {
            let running = self.replicas[at].running.read().await;
            let running = running.as_ref()?;
            running.waiting.lock().unwrap().as_mut()?.insert(number, send);
            let line = format!("{number} {words}\n");
            running.stdin.lock().await.write_all(line.as_bytes()).await.ok()?;
        }
        tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()
    }

    /// Does what a client requests, and remembers it.
    pub async fn request(&self, replica: usize, op: Op) -> Learnt {
        let of = |(channel, serial): (u64, u64), group: &str| format!("{channel} {serial}{group}");
        let words = match &op {
            Op::Issue { channel, group } => format!("issue {channel} g{group} {}", self.fresh()),
            Op::Reissue { channel } => format!("issue {channel} - {}", self.fresh()),
            Op::Revoke(token) => format!("revoke {}", of(*token, "")),
            Op::Verify(token) => format!("verify {}", of(*token, &self.group_of(*token))),
            Op::Register { channel, key } => format!("register {channel} {key}"),
            Op::Delete { channel, key } => format!("delete {channel} {key}"),
        };
        let begun = self.clock();
        let answer = self.speak(replica, &words).await;
        let ended = self.clock();
        let learnt = learnt(answer.as_deref());
        let event = Event { replica, begun, ended, op, learnt: learnt.clone() };
        self.events.lock().unwrap().push(event);
        learnt
    }

    /// The word for the group of a token that was issued.
    fn group_of(&self, (channel, serial): (u64, u64)) -> String {
        let events = self.events.lock().unwrap();
        let issued = events.iter().rev().find_map(|it| match it.op {
            Op::Issue { channel: at, group } if it.learnt == Learnt::Issued(serial) => {
                (at == channel).then_some(format!(" g{group}"))
            }
            Op::Reissue { channel: at } if it.learnt == Learnt::Issued(serial) => {
                (at == channel).then(|| " -".to_owned())
            }
            _ => None,
        });
        issued.unwrap()
    }

    /// Ends all faults and waits until every replica answers from its memory.
    pub async fn heal(&self, probe: (u64, u64)) {
        self.server.thaw();
        if self.server.ask("postgres", "SELECT 1").is_err() {
            self.server.kill();
            self.server.restart().unwrap();
        }
        for at in 0..self.replicas.len() {
            self.network(at).open();
            self.signal(at, Signal::CONT).await;
            let start = now();
            loop {
                if !self.runs(at).await {
                    self.restart(at).await;
                }
                if self.request(at, Op::Verify(probe)).await != Learnt::Unknown {
                    break;
                }
                assert!(start.elapsed() < RECOVERY, "replica {at} does not recover");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Does what a client requests until it is answered. Nothing fails any more, so a replica
    /// does not know for a moment at most: after a fault, or on a busy machine.
    pub async fn known(&self, at: usize, op: Op) {
        let start = now();
        while self.request(at, op.clone()).await == Learnt::Unknown {
            assert!(start.elapsed() < RECOVERY, "replica {at} does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn learnt(answer: Option<&str>) -> Learnt {
    let Some(answer) = answer else { return Learnt::Unknown };
    match answer.split_once(' ').unwrap_or((answer, "")) {
        ("issued", serial) => Learnt::Issued(serial.parse().unwrap()),
        ("done", _) => Learnt::Done,
        ("denied", _) => Learnt::Denied,
        ("valid", _) => Learnt::Valid,
        ("invalid", _) => Learnt::Invalid,
        ("unknown", _) => Learnt::Unknown,
        _ => panic!("{answer}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the history is one of real processes")]
fn now() -> Instant {
    Instant::now()
}
