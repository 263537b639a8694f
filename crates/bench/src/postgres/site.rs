//! A PostgreSQL server with fsync, and servers of one authority on a database of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, ensure};
use postgres_fixture::{PostgresServer, ServerSettings};

use super::Spent;
use super::spent::{of_machine, of_process};
use crate::Plan;
use crate::authority::{Asked, Authority};
use crate::channel::Channel;

/// What must be on, so that a commit is durable.
const DURABLE: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

/// The database, and the servers on it.
pub(crate) struct Site {
    // Before the database, so that they exit first.
    servers: Vec<Authority>,
    pub(super) postgres: PostgresServer,
    database: String,
    program: PathBuf,
    folder: PathBuf,
}

impl Site {
    /// Starts the database without a server.
    pub(crate) fn start(plan: &Plan, folder: &Path) -> anyhow::Result<Self> {
        let settings = ServerSettings { fsync: true, ..ServerSettings::default() };
        let postgres = PostgresServer::start(settings).map_err(|why| anyhow!(why))?;
        crate::require_disk(postgres.folder().path())?;
        for name in DURABLE {
            let rows = ask(&postgres, "postgres", &format!("SHOW {name}"))?;
            ensure!(rows == [["on"]], "{name} is not on: {rows:?}");
        }
        let database = postgres.empty_database().map_err(|why| anyhow!(why))?;
        let (program, folder) = (plan.tegata.clone(), folder.to_owned());
        Ok(Self { servers: Vec::new(), postgres, database, program, folder })
    }

    /// Starts servers until there are so many.
    pub(crate) fn grow_to(&mut self, servers: usize) -> anyhow::Result<()> {
        for number in self.servers.len()..servers {
            let folder = self.folder.join(format!("server-{number}"));
            let url = self.postgres.url(&self.database);
            let key = self.folder.join("master.key");
            self.servers.push(Authority::start_sharing(&self.program, &folder, &url, &key)?);
        }
        Ok(())
    }

    /// Stops all servers.
    pub(crate) fn stop(&mut self) {
        self.servers.clear();
    }

    pub(crate) fn first(&self) -> &Authority {
        &self.servers[0]
    }

    pub(super) fn servers(&self) -> &[Authority] {
        &self.servers
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|it| it.address).collect()
    }

    /// A request for a short-lived token of each channel, for each server.
    pub(super) fn requests(&self, channels: &[Channel]) -> Vec<Vec<Vec<u8>>> {
        let of = |to| channels.iter().map(move |it| Asked::ShortLived(it.clone()).request(to));
        self.addresses().into_iter().map(|to| of(to).collect()).collect()
    }

    /// Writes all changed pages, so that the next load pays for none of the last one.
    pub(crate) fn checkpoint(&self) -> anyhow::Result<()> {
        self.patient("CHECKPOINT")
    }

    /// Rows of a statement on the authority's database.
    pub(crate) fn ask(&self, sql: &str) -> anyhow::Result<Vec<Vec<String>>> {
        ask(&self.postgres, &self.database, sql)
    }

    /// The number that a statement finds.
    pub(crate) fn figure(&self, sql: &str) -> anyhow::Result<f64> {
        let rows = self.ask(sql)?;
        let text = rows.first().and_then(|row| row.first()).context("no row")?;
        text.parse().with_context(|| format!("not a number: {text}"))
    }

    /// Where the database's write-ahead log is, in bytes.
    pub(super) fn log(&self) -> anyhow::Result<f64> {
        self.figure("SELECT pg_current_wal_lsn() - '0/0'")
    }

    /// Runs a statement that may take minutes.
    pub(crate) fn patient(&self, sql: &str) -> anyhow::Result<()> {
        let out = Command::new(self.postgres.programs().join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.postgres.port().to_string(), "-U", "postgres"])
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.database, "-c", sql])
            .output()?;
        ensure!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(())
    }

    /// The address of one of the server's databases, for the superuser.
    pub(super) fn own_url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.postgres.port())
    }

    /// Creates a database with the authority's tables and none of its rows; returns its
    /// name.
    pub(super) fn twin(&self) -> anyhow::Result<String> {
        let twin = self.postgres.empty_database().map_err(|why| anyhow!(why))?;
        let programs = self.postgres.programs();
        let port = self.postgres.port().to_string();
        let at = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let schema = Command::new(programs.join("pg_dump"))
            .args(at)
            .args(["--schema-only", &self.database])
            .output()?;
        ensure!(schema.status.success(), "{}", String::from_utf8_lossy(&schema.stderr));
        let file = self.folder.join("schema.sql");
        std::fs::write(&file, schema.stdout)?;
        let loaded = Command::new(programs.join("psql"))
            .args(at)
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &twin, "-f"])
            .arg(&file)
            .output()?;
        ensure!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        Ok(twin)
    }

    /// The processor time that was used until now.
    pub(super) fn spent(&self) -> anyhow::Result<Spent> {
        let pid =
            std::fs::read_to_string(self.postgres.folder().path().join("data/postmaster.pid"))?;
        let pid: u32 = pid.lines().next().context("no id in postmaster.pid")?.parse()?;
        // Processes of connections that were closed are in the first one's account.
        let living = self.postgres.folder().processes("data").into_iter().filter_map(|it| {
            let id = u32::try_from(it.as_raw_pid()).ok()?;
            Some(of_process(id, id == pid))
        });
        Ok(Spent {
            servers: self.servers.iter().map(|it| of_process(it.id(), false)).sum(),
            postgres: living.sum(),
            clients: of_process(std::process::id(), true),
            machine: of_machine()?,
        })
    }

    /// The error, followed by the last lines of the first server's log.
    pub(super) fn explain(&self, why: anyhow::Error) -> anyhow::Error {
        match self.servers.first() {
            Some(first) => first.explain(&why),
            None => why,
        }
    }
}

/// Rows of a statement by the superuser, column by column as text.
pub(super) fn ask(
    postgres: &PostgresServer,
    database: &str,
    sql: &str,
) -> anyhow::Result<Vec<Vec<String>>> {
    let rows = postgres.ask(database, sql).map_err(|why| anyhow!(why))?;
    let text = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect();
    Ok(rows.into_iter().map(text).collect())
}
