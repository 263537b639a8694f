//! A bare client of the database: its commits of one row, and its round trips.

use anyhow::ensure;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

use crate::stopwatch;

/// A connection to a database, with a table of one row.
pub(super) struct Bare {
    runtime: Runtime,
    client: Client,
    commit: Statement,
    ask: Statement,
}

impl Bare {
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        // A thread of its own reads the connection.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (client, commit, ask) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            let table = "CREATE TABLE bare (id INTEGER PRIMARY KEY, number BIGINT NOT NULL);
                         INSERT INTO bare VALUES (1, 0)";
            client.batch_execute(table).await?;
            let commit = client.prepare("UPDATE bare SET number = number + 1 WHERE id = 1").await?;
            let ask = client.prepare("SELECT 1").await?;
            anyhow::Ok((client, commit, ask))
        })?;
        Ok(Self { runtime, client, commit, ask })
    }

    /// Milliseconds of a commit.
    pub(super) fn commit(&self) -> anyhow::Result<f64> {
        self.time(&self.commit)
    }

    /// Milliseconds of a statement that writes nothing.
    pub(super) fn round_trip(&self) -> anyhow::Result<f64> {
        self.time(&self.ask)
    }

    fn time(&self, statement: &Statement) -> anyhow::Result<f64> {
        let began = stopwatch();
        let rows = self.runtime.block_on(self.client.execute(statement, &[]))?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        ensure!(rows == 1, "{rows} rows instead of one");
        Ok(took)
    }
}
