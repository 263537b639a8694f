//! A store that is moved to another database: it is only read, and marked so that no server
//! starts on it any more.

use super::{
    OpenError, audit,
    connect::{connect_any, existing},
    guard,
    lock::Lock,
    rows, state,
};
use crate::{
    Result, SigningKeyRow, State,
    audit::Checkpoint,
    tables::{Cell, Form, Own, Table},
};
use rusqlite::{Connection, Row, params_from_iter, types::Value};
use std::path::{Path, PathBuf};
use tegata_token::{id::Position, time::UnixTime};

/// The public half of the audit's key, and the newest checkpoint that it signed.
type AuditEnd = ([u8; 32], Option<Checkpoint>);

/// The store.
pub(crate) struct Source {
    path: PathBuf,
    conn: Connection,
    // Dropped last, after the connection.
    _lock: Lock,
}

impl Source {
    /// Opens the store at `path`, on which no server may run, and migrates its schema. It
    /// must be the newest state of the store, as its rollback guard has it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, guard: &Path) -> std::result::Result<Self, OpenError> {
        let path = existing(path)?;
        let lock = Lock::take(&path)?;
        let (_, conn) = connect_any(&path, &super::Faults::default())?;
        guard::check_marked(&path, &conn, guard)?;
        Ok(Self { path, conn, _lock: lock })
    }

    /// Makes `fresh` its identity, if it has none.
    pub fn identify(&self, fresh: &[u8; 16]) -> std::result::Result<(), OpenError> {
        guard::identify(&self.conn, fresh).map_err(|error| self.wrong(error))
    }

    /// Marks it as moved: no server starts on it until the mark is taken away.
    pub fn mark(&self) -> std::result::Result<(), OpenError> {
        guard::mark(&self.conn).map_err(|error| self.wrong(error))
    }

    /// Whether it is marked.
    pub fn is_marked(&self) -> std::result::Result<bool, OpenError> {
        match guard::check_not_moved(&self.path, &self.conn) {
            Err(OpenError::Moved(_)) => Ok(true),
            done => done.map(|()| false),
        }
    }

    /// Takes the mark away; `false`: it had none.
    pub fn unmark(&self) -> std::result::Result<bool, OpenError> {
        guard::unmark(&self.conn).map_err(|error| self.wrong(error))
    }

    /// What it records about itself.
    pub fn own(&self) -> std::result::Result<Own, OpenError> {
        let sql = "SELECT epoch, position, written_at, commits, dev, clock_offset,
                       coalesce(identity, x'') AS identity,
                       (SELECT coalesce(max(id), 0) FROM audit) AS audit,
                       coalesce((SELECT min(number) - 1 FROM change_log), position) AS log_from
                   FROM authority";
        let read = |row: &Row<'_>| {
            Ok(Own {
                position: Position { epoch: row.get("epoch")?, number: row.get("position")? },
                written_at: UnixTime(row.get("written_at")?),
                commits: row.get("commits")?,
                dev: row.get("dev")?,
                clock_offset: row.get("clock_offset")?,
                identity: row.get("identity")?,
                audit: row.get("audit")?,
                log_from: row.get("log_from")?,
            })
        };
        self.conn.query_row(sql, [], read).map_err(|error| self.wrong(error))
    }

    /// All signing keys, revoked ones included.
    pub fn signing_keys(&self) -> std::result::Result<Vec<SigningKeyRow>, OpenError> {
        let keys = rows::signing_keys(&self.conn).map_err(|error| self.wrong(error))?;
        Ok(keys.into_iter().map(|it| it.key).collect())
    }

    /// How many rows a table has.
    pub fn count(&self, table: &Table) -> std::result::Result<u64, OpenError> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        self.conn.query_row(&sql, [], |row| row.get(0)).map_err(|error| self.wrong(error))
    }

    /// The next rows of a table after that key, in the order of keys.
    pub fn rows(
        &self,
        table: &Table,
        after: Option<&[Cell]>,
        most: usize,
    ) -> std::result::Result<Vec<Vec<Cell>>, OpenError> {
        let key = table.names(table.key.iter().copied());
        let (mut values, mut condition) = (Vec::new(), String::new());
        if let Some(after) = after {
            let marks = vec!["?"; after.len()].join(", ");
            condition = format!("WHERE ({key}) > ({marks})");
            values.extend(after.iter().cloned().map(value));
        }
        let sql = format!(
            "SELECT {} FROM {} {condition} ORDER BY {key} LIMIT {most}",
            table.all_names(),
            table.name
        );
        let read = |row: &Row<'_>| {
            let column = |(place, (name, form)): (usize, &(&str, Form))| {
                let found = row.get(place)?;
                cell(*form, found).ok_or_else(|| {
                    let what = format!("{}.{name} holds another form of value", table.name);
                    rusqlite::Error::from(crate::columns::damaged(what))
                })
            };
            table.columns.iter().enumerate().map(column).collect()
        };
        self.conn
            .prepare_cached(&sql)
            .and_then(|mut query| query.query_map(params_from_iter(values), read)?.collect())
            .map_err(|error| self.wrong(error))
    }

    /// Everything that a server holds in memory.
    pub fn state(&mut self) -> Result<State> {
        state::state(&mut self.conn)
    }

    /// The newest checkpoint of the audit, and the public half of the key that signed it.
    pub fn audit(&self) -> std::result::Result<Option<AuditEnd>, OpenError> {
        let read = || {
            let Some((key, _)) = audit::key(&self.conn)? else { return Ok(None) };
            Ok(Some((key, audit::last_checkpoint(&self.conn)?)))
        };
        read().map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: rusqlite::Error) -> OpenError {
        OpenError::Database(self.path.clone(), error)
    }
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(it) => it.into(),
        Cell::Text(it) => it.into(),
        Cell::Blob(it) => it.into(),
        Cell::Flag(it) => i64::from(it).into(),
    }
}

fn cell(form: Form, found: Value) -> Option<Cell> {
    match (form, found) {
        (_, Value::Null) => Some(Cell::Null),
        (Form::Integer, Value::Integer(it)) => Some(Cell::Integer(it)),
        (Form::Flag, Value::Integer(it @ (0 | 1))) => Some(Cell::Flag(it == 1)),
        (Form::Text, Value::Text(it)) => Some(Cell::Text(it)),
        (Form::Blob, Value::Blob(it)) => Some(Cell::Blob(it)),
        _ => None,
    }
}
