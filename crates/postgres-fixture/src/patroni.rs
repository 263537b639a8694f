//! A cluster of PostgreSQL servers that Patroni and etcd let fail over.

use crate::{
    Major, Problem,
    folder::{Folder, ReservedPort, finish, until},
};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

/// How commits are replicated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// A commit is acknowledged when a standby has it.
    Synchronous,
    /// The last commits may be lost at a failover.
    Asynchronous,
}

/// A running cluster.
#[derive(Debug)]
pub struct PatroniCluster {
    folder: Folder,
    programs: PathBuf,
    nodes: Vec<Node>,
    etcd: ReservedPort,
    peer: ReservedPort,
}

#[derive(Debug)]
struct Node {
    name: String,
    postgres: ReservedPort,
    api: ReservedPort,
}

impl PatroniCluster {
    /// Starts one of that many servers, and waits until one leads and the others follow.
    pub fn start(many: usize, replication: Replication) -> Result<Self, Problem> {
        let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
        let programs = parts.join("patroni/bin").canonicalize().map_err(|error| {
            format!("there is no Patroni: {error}; `cargo xtask setup --long` installs it")
        })?;
        let folder = Folder::new()?;
        let (etcd, peer) = (ReservedPort::new()?, ReservedPort::new()?);
        let mut nodes = Vec::new();
        for n in 0..many {
            let (postgres, api) = (ReservedPort::new()?, ReservedPort::new()?);
            nodes.push(Node { name: format!("node{n}"), postgres, api });
        }
        let cluster = Self { folder, programs, nodes, etcd, peer };
        cluster.start_etcd()?;
        for n in 0..many {
            cluster.configure(n, replication)?;
            cluster.restart(n)?;
            let ready = until(|| cluster.is_streaming(n).then_some(()));
            if ready.is_none() {
                let log = cluster.log(n);
                return Err(format!("Patroni's node {n} is not ready:\n{log}"));
            }
        }
        if replication == Replication::Synchronous {
            // Not before: there would be no standby for the first server's own commits.
            let strict = "{\"synchronous_mode_strict\": true}";
            cluster.request(0, "PATCH /config", strict)?;
            // Only such a standby may lead after the leader.
            let has_standby = || {
                let is_one = |n| cluster.request(n, "GET /synchronous", "").ok();
                (0..many).find_map(is_one)
            };
            until(has_standby).ok_or("no standby is synchronous")?;
        }
        cluster.sql("CREATE ROLE tegata LOGIN")?;
        cluster.sql("CREATE DATABASE tegata OWNER tegata")?;
        Ok(cluster)
    }

    fn start_etcd(&self) -> Result<(), Problem> {
        let url = |port: &ReservedPort| format!("http://127.0.0.1:{}", port.number());
        let (client, peer) = (url(&self.etcd), url(&self.peer));
        let mut command = self.folder.command(self.programs.join("etcd"));
        command
            .arg("--data-dir")
            .arg(self.folder.path().join("etcd"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}"), "--unsafe-no-fsync"]);
        self.folder.spawn(&mut command, "etcd.log")?;
        let open = || TcpStream::connect(("127.0.0.1", self.etcd.number())).ok();
        until(open).map(drop).ok_or_else(|| self.folder.log("etcd.log"))
    }

    /// Writes a node's configuration. Each node's processes run in a folder of its own.
    fn configure(&self, n: usize, replication: Replication) -> Result<(), Problem> {
        let Node { name, postgres, api } = &self.nodes[n];
        let home = self.folder.path().join(name);
        fs::create_dir(&home).map_err(|error| error.to_string())?;
        finish(
            std::process::Command::new("chown")
                .arg("--reference")
                .arg(self.folder.path())
                .arg(&home),
        )?;
        let synchronous = replication == Replication::Synchronous;
        let (postgres, api) = (postgres.number(), api.number());
        let (bin, etcd) = (Major::Fifteen.programs()?, self.etcd.number());
        let (bin, home) = (bin.display(), home.display());
        let yaml = format!(
            "scope: tegata
name: {name}
restapi:
  listen: 127.0.0.1:{api}
  connect_address: 127.0.0.1:{api}
etcd3:
  host: 127.0.0.1:{etcd}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 1073741824
    synchronous_mode: {synchronous}
    postgresql:
      use_pg_rewind: true
      parameters:
        max_connections: 100
        shared_buffers: 32MB
        fsync: 'off'
  initdb:
    - encoding: UTF8
    - locale: C
    - no-sync
postgresql:
  listen: 127.0.0.1:{postgres}
  connect_address: 127.0.0.1:{postgres}
  data_dir: {home}/data
  bin_dir: {bin}
  pgpass: {home}/pgpass
  authentication:
    superuser:
      username: postgres
    replication:
      username: postgres
  parameters:
    unix_socket_directories: '{home}'
  pg_hba:
    - local all all trust
    - host all all 127.0.0.1/32 trust
    - host replication all 127.0.0.1/32 trust
"
        );
        fs::write(self.folder.path().join(name).join("patroni.yml"), yaml)
            .map_err(|error| error.to_string())
    }

    /// Sends a request to a node's Patroni; any answer but success is an error.
    fn request(&self, n: usize, what: &str, json: &str) -> Result<(), Problem> {
        let request = || {
            let mut api = TcpStream::connect(("127.0.0.1", self.nodes[n].api.number()))?;
            let length = json.len();
            write!(
                api,
                "{what} HTTP/1.0\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{json}"
            )?;
            let mut answer = String::new();
            api.read_to_string(&mut answer)?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = request().map_err(|error| error.to_string())?;
        let first = answer.lines().next().unwrap_or_default();
        if first.contains(" 200 ") { Ok(()) } else { Err(answer) }
    }

    /// Starts a node, or starts it again after it was killed.
    pub fn restart(&self, n: usize) -> Result<(), Problem> {
        let name = &self.nodes[n].name;
        let home = self.folder.path().join(name);
        let mut command = self.folder.command(self.programs.join("patroni"));
        command.arg("patroni.yml").current_dir(home);
        self.folder.spawn(&mut command, &format!("{name}.log"))
    }

    /// The address of the database, whichever server leads.
    pub fn url(&self) -> String {
        let hosts = |port: u16| format!("127.0.0.1:{port}");
        let hosts: Vec<_> = self.nodes.iter().map(|it| hosts(it.postgres.number())).collect();
        let hosts = hosts.join(",");
        format!("postgres://tegata@{hosts}/tegata?sslmode=disable&target_session_attrs=read-write")
    }

    /// The node that leads, if one does.
    pub fn leader(&self) -> Option<usize> {
        let leads = |it: &Node| {
            let sql = "SELECT 1 WHERE NOT pg_is_in_recovery()";
            crate::server::ask_at(it.postgres.number(), "postgres", sql)
                .is_ok_and(|it| it.len() == 1)
        };
        self.nodes.iter().position(leads)
    }

    /// Whether one node leads and all others follow it.
    pub fn all_stream(&self) -> bool {
        (0..self.nodes.len()).all(|n| self.is_streaming(n))
    }

    fn is_streaming(&self, n: usize) -> bool {
        let Some(leader) = self.leader() else { return false };
        let name = &self.nodes[n].name;
        let sql = format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming'"
        );
        leader == n
            || crate::server::ask_at(self.nodes[leader].postgres.number(), "postgres", &sql)
                .is_ok_and(|it| it.len() == 1)
    }

    /// Runs a statement on the leader as a superuser.
    pub fn sql(&self, sql: &str) -> Result<(), Problem> {
        let leader = until(|| self.leader()).ok_or("no server leads")?;
        crate::server::ask_at(self.nodes[leader].postgres.number(), "postgres", sql).map(drop)
    }

    /// Kills all processes of a node at once.
    pub fn kill(&self, n: usize) {
        self.folder.kill(&self.nodes[n].name);
    }

    /// Pauses all processes of a node, or lets them continue.
    pub fn signal(&self, n: usize, signal: Signal) {
        self.folder.signal(&self.nodes[n].name, signal);
    }

    /// Pauses the processes of a node that send commits to the others.
    pub fn stop_sending(&self, n: usize) {
        let sql = "SELECT pid FROM pg_stat_replication";
        let port = self.nodes[n].postgres.number();
        for row in crate::server::ask_at(port, "postgres", sql).unwrap_or_default() {
            let pid = row[0].as_ref().and_then(|it| it.parse().ok());
            if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::STOP);
            }
        }
    }

    /// Waits until another node leads than `old`.
    pub fn failed_over(&self, old: usize) -> Option<usize> {
        // The old one's lease runs out first, after twenty seconds.
        let other = || self.leader().filter(|it| *it != old);
        until(other).or_else(|| until(other))
    }

    /// The last lines of a node's log.
    pub fn log(&self, n: usize) -> String {
        self.folder.log(&format!("{}.log", self.nodes[n].name))
    }
}
