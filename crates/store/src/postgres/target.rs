//! A database that an authority is moved to. Until the move is complete no server starts on
//! it: its schema has a row that none knows.

use super::{
    connect::{Address, Client, Conn},
    failed::Failed,
    migrations::{self, MOVING, UNDONE},
    open_error::PostgresOpenError,
    questions::{audit, state},
    rows::{int, list},
    sql::{Value, value, values},
    version::THIS,
};
use crate::{
    State,
    audit::{AuditReport, AuditVerifier},
    columns::Columns,
    tables::{Cell, Digest, Form, Own, TABLES, Table},
};
use futures_util::TryStreamExt;
use std::pin::pin;
use tegata_token::id::Position;
use tokio_postgres::Row;

/// The database.
pub(crate) struct Target {
    db: Conn,
}

/// What a database holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing.
    Nothing,
    /// The unfinished move of the store that this names.
    Unfinished(String),
    /// An authority of this identity.
    Authority(Vec<u8>),
    /// An authority that was moved to it and is in its file again.
    Undone,
}

/// Whether servers have been started on the database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// None.
    No,
    /// Some, which have signed off.
    Before,
    /// These have a row: they run, or were killed.
    Registered(Vec<String>),
}

/// How far a table was copied.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    /// The key of the last row.
    pub through: Option<Vec<Cell>>,
    /// How many rows.
    pub rows: u64,
}

type Result<T> = std::result::Result<T, PostgresOpenError>;

impl Target {
    /// Connects to the database.
    pub async fn connect(address: &str) -> Result<Self> {
        let address = Address::parse(address)?;
        let db = address.connect_first().await.map_err(migrations::failed)?;
        migrations::holds_every_text(&db).await?;
        Ok(Self { db })
    }

    /// What it holds. Changes nothing.
    pub async fn holds(&self) -> Result<Holds> {
        holds(&self.db).await.map_err(migrations::failed)?
    }

    /// Prepares it for the move that `mark` names: its schema, the row that keeps servers away, and
    /// the authority's row. `false`: a server has been started on it meanwhile, and nothing was
    /// prepared.
    ///
    /// A server writes the authority's row if there is none, then its own, and then looks whether it
    /// is kept away. So of two that meet, either this finds the row of the server, or the server is
    /// kept away before it has written anything that is copied.
    pub async fn begin(&self, mark: &str, own: &Own) -> Result<bool> {
        if matches!(self.holds().await?, Holds::Unfinished(_)) {
            return Ok(true);
        }
        migrations::migrate(&self.db, &THIS).await?;
        let begin = async {
            self.db.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
            let table = "CREATE TABLE moving (
                             name TEXT PRIMARY KEY, through TEXT NOT NULL, rows BIGINT NOT NULL)";
            self.db.batch_execute(table).await?;
            let sql = "INSERT INTO schema_version (version, name, checksum) VALUES ($1, $2, $3)";
            self.db.execute_typed(sql, values![MOVING, "moving", mark]).await?;
            let is_first = insert_authority(&self.db, own).await?;
            self.db.batch_execute(if is_first { "COMMIT" } else { "ROLLBACK" }).await?;
            Ok(is_first)
        };
        begin.await.map_err(migrations::failed)
    }

    /// How far a table was copied.
    pub async fn copied(&self, table: &Table) -> Result<Copied> {
        let sql = "SELECT through, rows FROM moving WHERE name = $1";
        let read = async {
            let Some(row) = self.db.query_typed_opt(sql, values![table.name]).await? else {
                return Ok(Copied::default());
            };
            let through: String = row.try_get("through")?;
            let through = serde_json::from_str(&through).map_err(Failed::row)?;
            let rows = u64::try_from(row.try_get::<_, i64>("rows")?).unwrap_or(0);
            Ok(Copied { through: Some(through), rows })
        };
        read.await.map_err(migrations::failed)
    }

    /// Writes the next rows of a table, and how far it was copied, in one transaction.
    pub async fn add(&self, table: &Table, rows: &[Vec<Cell>], copied: &Copied) -> Result<()> {
        let through = serde_json::to_string(&copied.through.as_deref().unwrap_or_default());
        let write = async {
            let through = through.map_err(Failed::row)?;
            self.db.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
            insert(&self.db, table, rows).await?;
            let sql = "INSERT INTO moving (name, through, rows) VALUES ($1, $2, $3)
                       ON CONFLICT (name) DO UPDATE SET through = $2, rows = $3";
            self.db.execute_typed(sql, values![table.name, through, int(copied.rows)]).await?;
            self.db.batch_execute("COMMIT").await?;
            Ok(())
        };
        let wrong = |why: Failed| PostgresOpenError::Row(table.name, why.to_string());
        write.await.map_err(wrong)
    }

    /// The number and the digest of a table's rows.
    pub async fn digest(&self, table: &Table, mut each: impl FnMut()) -> Result<Digest> {
        let columns: Vec<_> =
            table.columns.iter().map(|(name, form)| read_as(name, *form)).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), table.name);
        let read = async {
            let mut digest = Digest::default();
            let none = Vec::<Value<'_>>::new();
            let mut rows = pin!(self.db.query_typed_raw(&sql, none).await?);
            while let Some(row) = rows.try_next().await? {
                digest.add(&cells(table, &row)?);
                each();
            }
            Ok(digest)
        };
        read.await.map_err(migrations::failed)
    }

    /// Verifies the audit.
    pub async fn verify_audit(&self, verifier: AuditVerifier) -> Result<AuditReport> {
        audit::walk_on(&self.db, verifier).await.map_err(migrations::failed)
    }

    /// Completes the move, unless `check` refuses what a server would read, and lets servers in.
    pub async fn finish<E: From<PostgresOpenError>>(
        &self,
        check: impl FnOnce(&State) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let state = self.would_be_read().await.map_err(migrations::failed)?;
        check(&state)?;
        Ok(self.let_servers_in().await.map_err(migrations::failed)?)
    }

    /// Removes the row that lets no server in, and commits.
    async fn let_servers_in(&self) -> std::result::Result<(), Failed> {
        let sql = "DELETE FROM schema_version WHERE version = $1";
        self.db.execute_typed(sql, values![MOVING]).await?;
        Ok(self.db.batch_execute("DROP TABLE moving; COMMIT").await?)
    }

    /// Whether servers have been started on it since the move of `own`. Changes nothing.
    pub async fn started(&self, own: &Own) -> Result<Started> {
        started(&self.db, own).await.map_err(migrations::failed)
    }

    /// Lets no server in any more, unless one has been started since the move: those that are
    /// registered are returned, by their addresses.
    ///
    /// The row is committed first and the servers' rows are read afterwards; a server does it
    /// the other way round. So of two that meet, one sees the other.
    pub async fn close_again(&self, own: &Own) -> Result<Started> {
        let close = async {
            let before = started(&self.db, own).await?;
            if before != Started::No {
                return Ok(before);
            }
            let sql = "INSERT INTO schema_version (version, name, checksum)
                       VALUES ($1, 'move undone', '') ON CONFLICT (version) DO NOTHING";
            self.db.execute_typed(sql, values![UNDONE]).await?;
            let after = started(&self.db, own).await?;
            if after != Started::No {
                let sql = "DELETE FROM schema_version WHERE version = $1";
                self.db.execute_typed(sql, values![UNDONE]).await?;
            }
            Ok(after)
        };
        close.await.map_err(migrations::failed)
    }

    /// Begins the last transaction, and reads in it what a server would.
    async fn would_be_read(&self) -> std::result::Result<State, Failed> {
        self.db.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE").await?;
        for table in TABLES.iter().filter(|it| it.columns[0].0 == "number" && it.key == [0]) {
            // Not of the log, whose numbers are the positions, nor of the checkpoints.
            let sql = format!(
                "SELECT setval(sequence, (SELECT max(number) FROM {0}))
                 FROM (SELECT pg_get_serial_sequence('{0}', 'number') AS sequence) its
                 WHERE sequence IS NOT NULL AND EXISTS (SELECT 1 FROM {0})",
                table.name
            );
            self.db.batch_execute(&sql).await?;
        }
        state::state(&self.db).await
    }
}

/// Whether a server has been started on the database since the move of `own`: each that ever was has
/// registered, and with its row made the one of the jobs. A recovery removes that one and begins
/// another epoch.
async fn started(db: &Client, own: &Own) -> std::result::Result<Started, Failed> {
    let sql = "SELECT coalesce(address, 'a command') AS address FROM replica ORDER BY 1";
    let running = list(db, sql, values![], |row| row.value("address")).await?;
    if !running.is_empty() {
        return Ok(Started::Registered(running));
    }
    let sql = "SELECT EXISTS (SELECT FROM job_lease) OR NOT EXISTS (SELECT FROM authority
                   WHERE epoch = $1 AND position = $2 AND audit = $3)";
    let Position { epoch, number } = own.position;
    let (epoch, number) = (int(epoch), int(number));
    let values = values![epoch, number, own.audit];
    let ever = db.query_typed_one(sql, values).await?.try_get(0)?;
    Ok(if ever { Started::Before } else { Started::No })
}

/// Writes the authority's row, unless there is one.
async fn insert_authority(db: &Client, own: &Own) -> std::result::Result<bool, Failed> {
    // The journals of servers begin after the move.
    let sql =
        "INSERT INTO authority (id, epoch, position, log_from, journal_from, audit, written_at,
                   dev, clock_offset, identity) VALUES (1, $1, $2, $3, $2, $4, $5, $6, $7, $8)
               ON CONFLICT (id) DO NOTHING";
    let Position { epoch, number } = own.position;
    let (epoch, number, log_from) = (int(epoch), int(number), int(own.log_from));
    let at = own.written_at.0;
    let values =
        values![epoch, number, log_from, own.audit, at, own.dev, own.clock_offset, own.identity];
    Ok(db.execute_typed(sql, values).await? == 1)
}

async fn holds(db: &Client) -> std::result::Result<Result<Holds>, Failed> {
    let exists = async |name: &'static str| {
        let sql = "SELECT to_regclass($1) IS NOT NULL";
        Ok::<bool, Failed>(db.query_typed_one(sql, values![name]).await?.try_get(0)?)
    };
    if !exists("schema_version").await? {
        return Ok(match exists("authority").await? {
            true => Err(PostgresOpenError::NotOurs("authority".into())),
            false => Ok(Holds::Nothing),
        });
    }
    let sql = "SELECT checksum FROM schema_version WHERE version = $1";
    if let Some(row) = db.query_typed_opt(sql, values![MOVING]).await? {
        return Ok(Ok(Holds::Unfinished(row.try_get(0)?)));
    }
    if db.query_typed_opt(sql, values![UNDONE]).await?.is_some() {
        return Ok(Ok(Holds::Undone));
    }
    if !exists("authority").await? {
        return Ok(Ok(Holds::Nothing));
    }
    let found = db.query_typed_opt("SELECT identity FROM authority", values![]).await?;
    Ok(Ok(match found {
        Some(row) => Holds::Authority(row.try_get(0)?),
        None => Holds::Nothing,
    }))
}

/// A column of values of one form.
enum Column<'a> {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
    Blobs(Vec<Option<&'a [u8]>>),
    Flags(Vec<Option<bool>>),
}

impl Column<'_> {
    fn as_value(&self) -> Value<'_> {
        match self {
            Self::Integers(it) => value(it),
            Self::Texts(it) => value(it),
            Self::Blobs(it) => value(it),
            Self::Flags(it) => value(it),
        }
    }
}

fn column(form: Form, place: usize, rows: &[Vec<Cell>]) -> Column<'_> {
    let cells = rows.iter().filter_map(|row| row.get(place));
    match form {
        Form::Integer => Column::Integers(
            cells.map(|it| if let Cell::Integer(it) = it { Some(*it) } else { None }).collect(),
        ),
        Form::Text => Column::Texts(
            cells
                .map(|it| if let Cell::Text(it) = it { Some(it.as_str()) } else { None })
                .collect(),
        ),
        Form::Blob => Column::Blobs(
            cells
                .map(|it| if let Cell::Blob(it) = it { Some(it.as_slice()) } else { None })
                .collect(),
        ),
        Form::Flag => Column::Flags(
            cells.map(|it| if let Cell::Flag(it) = it { Some(*it) } else { None }).collect(),
        ),
    }
}

async fn insert(db: &Client, table: &Table, rows: &[Vec<Cell>]) -> std::result::Result<(), Failed> {
    let forms = table.columns.iter().enumerate();
    let columns: Vec<_> = forms.map(|(place, (_, form))| column(*form, place, rows)).collect();
    let values: Vec<_> = columns.iter().map(Column::as_value).collect();
    let marks: Vec<_> = (1..=values.len()).map(|it| format!("${it}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) SELECT * FROM unnest({})",
        table.name,
        table.all_names(),
        marks.join(", ")
    );
    db.execute_typed(&sql, &values).await?;
    Ok(())
}

/// The numbers of some columns are of a smaller type.
fn read_as(name: &str, form: Form) -> String {
    match form {
        Form::Integer => format!("{name}::bigint"),
        Form::Text | Form::Blob | Form::Flag => name.to_owned(),
    }
}

fn cells(table: &Table, row: &Row) -> std::result::Result<Vec<Cell>, Failed> {
    let cell = |(place, (_, form)): (usize, &(&str, Form))| {
        let found = match form {
            Form::Integer => row.try_get::<_, Option<i64>>(place)?.map(Cell::Integer),
            Form::Text => row.try_get::<_, Option<String>>(place)?.map(Cell::Text),
            Form::Blob => row.try_get::<_, Option<Vec<u8>>>(place)?.map(Cell::Blob),
            Form::Flag => row.try_get::<_, Option<bool>>(place)?.map(Cell::Flag),
        };
        Ok(found.unwrap_or(Cell::Null))
    };
    table.columns.iter().enumerate().map(cell).collect()
}
