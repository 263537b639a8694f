//! Moves a whole authority from an SQLite file to a PostgreSQL database.
//!
//! The file is marked first, so that no server starts on it any more. Its rows are copied in
//! parts, each with how far it reaches in one transaction: what interrupts a move costs one
//! part. The database lets no server in before the copy was compared with the file, row by
//! row, and as a server would read it.

use crate::{
    Error, SigningKeyRow, State,
    audit::{Anchor, Anchored, AuditVerifier},
    postgres::{Holds, PostgresOpenError, Started, Target},
    sqlite::{OpenError, Source},
    tables::{Digest, Own, TABLES, Table},
};
use data_encoding::HEXLOWER;
use std::{collections::BTreeMap, path::Path};
use tegata_token::{
    id::{ChannelId, ProviderId},
    key::VerifyingKey,
    view::ChannelRevocations,
};

/// Why an authority cannot be moved, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The file.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Target(#[from] PostgresOpenError),
    /// A store refuses to answer.
    #[error(transparent)]
    Store(#[from] Error),
    /// The database holds another authority.
    #[error(
        "the database holds an authority already, and not this one; name an empty database \
         with --to"
    )]
    NotEmpty,
    /// The database holds the unfinished move of another state.
    #[error(
        "the database holds an unfinished move of another store, or of this one before it was \
         served again; remove that database, create an empty one, and run `tegata move` again"
    )]
    OtherMove,
    /// The move to the database was undone.
    #[error("the move to this database was undone; name an empty database with --to")]
    Undone,
    /// The move to be undone was to another database.
    #[error(
        "the database named with --to does not hold what was moved from this file; name the one that \
         it was moved to. If that one is lost, repeat the move to an empty database"
    )]
    NotHere,
    /// Servers are registered on the database.
    #[error(
        "servers have been started on the database: {0}. What they issued and revoked is not in the \
         file, and revoked tokens would be active again. Nothing was changed; go on with the database"
    )]
    Served(String),
    /// Servers have run on the database.
    #[error(
        "a server has run on the database since the move. What it issued and revoked is not in the \
         file, and revoked tokens would be active again. Nothing was changed; go on with the database"
    )]
    WasServed,
    /// What was copied is not what the file holds.
    #[error(
        "the copy is not what the file holds ({0}); the database lets no server in. Remove it, \
         create an empty one, and run `tegata move` again; if that fails again, report it with this text, \
         and go back to the file with --undo"
    )]
    Different(String),
}

/// A move.
pub struct Move {
    source: Source,
    target: Target,
    own: Own,
    before: MoveBefore,
    rows: Vec<u64>,
}

/// The result of a move.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    /// The first problem of the audit, which the file has as well.
    pub audit_problem: Option<String>,
}

/// What the database holds before a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoveBefore {
    /// Nothing.
    Nothing,
    /// A part of the same move, which was interrupted.
    Part,
    /// All of it: the move was completed before.
    All,
}

/// What a move does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Copies rows of a table.
    Copying(&'static str),
    /// Compares rows of a table.
    Comparing(&'static str),
    /// Verifies the audit.
    VerifyingAudit,
}

/// Reports progress: what is done now, and rows done and in all.
pub type MoveProgress<'a> = &'a mut dyn FnMut(Step, u64, u64);

/// How many rows are copied in one transaction.
const PART: usize = 2_000;

impl Move {
    /// Opens both ends. Changes nothing but the schema of a file of an older version.
    ///
    /// # Errors
    /// A server runs on the file, it is not the newest state of its store, or the database
    /// holds something else.
    pub async fn open(from: &Path, guard: &Path, to: &str) -> Result<Self, MoveError> {
        let source = Source::open(from, guard)?;
        let own = source.own()?;
        let target = Target::connect(to).await?;
        let before = match target.holds().await? {
            Holds::Nothing => MoveBefore::Nothing,
            Holds::Unfinished(mark) if mark == mark_of(&own) => MoveBefore::Part,
            Holds::Unfinished(_) => return Err(MoveError::OtherMove),
            Holds::Authority(identity) if identity == own.identity => MoveBefore::All,
            Holds::Authority(_) => return Err(MoveError::NotEmpty),
            Holds::Undone => return Err(MoveError::Undone),
        };
        let rows = TABLES.iter().map(|it| source.count(it)).collect::<Result<_, _>>()?;
        Ok(Self { source, target, own, before, rows })
    }

    /// What the database holds.
    #[must_use]
    pub fn before(&self) -> MoveBefore {
        self.before
    }

    /// How many rows each table has.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        TABLES.iter().zip(&self.rows).map(|(table, rows)| (table.name, *rows))
    }

    /// All signing keys, revoked ones included: the caller compares them with the master key.
    ///
    /// # Errors
    /// [`MoveError::Source`].
    pub fn signing_keys(&self) -> Result<Vec<SigningKeyRow>, MoveError> {
        Ok(self.source.signing_keys()?)
    }

    /// Marks the file, copies it, compares, and lets servers into the database. `fresh` is 16
    /// random bytes, for an authority without an identity. It can be run again after any
    /// interruption.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn run(
        mut self,
        fresh: [u8; 16],
        progress: MoveProgress<'_>,
    ) -> Result<Moved, MoveError> {
        self.source.identify(&fresh)?;
        self.own = self.source.own()?;
        if self.before != MoveBefore::All {
            // First, so that a file that is marked has a database that shows it.
            if !self.target.begin(&mark_of(&self.own), &self.own).await? {
                return Err(MoveError::NotEmpty);
            }
        }
        self.source.mark()?;
        if self.before == MoveBefore::All {
            return Ok(Moved::default());
        }
        let all = self.rows.iter().sum::<u64>();
        let mut done = 0;
        for table in TABLES {
            self.copy(table, &mut done, all, progress).await?;
        }
        done = 0;
        for table in TABLES {
            self.compare(table, &mut done, all, progress).await?;
        }
        progress(Step::VerifyingAudit, all, all);
        let audit_problem = self.verify_audit().await?;
        let state = self.source.state()?;
        let same = |found: &State| compare_states(&state, found).map_err(MoveError::Different);
        self.target.finish(same).await?;
        Ok(Moved { audit_problem })
    }

    async fn copy(
        &self,
        table: &'static Table,
        done: &mut u64,
        all: u64,
        progress: MoveProgress<'_>,
    ) -> Result<(), MoveError> {
        let mut copied = self.target.copied(table).await?;
        *done += copied.rows;
        loop {
            progress(Step::Copying(table.name), *done, all);
            let rows = self.source.rows(table, copied.through.as_deref(), PART)?;
            let Some(last) = rows.last() else { return Ok(()) };
            copied.through = Some(table.key_of(last));
            copied.rows += rows.len() as u64;
            self.target.add(table, &rows, &copied).await?;
            *done += rows.len() as u64;
        }
    }

    async fn compare(
        &self,
        table: &'static Table,
        done: &mut u64,
        all: u64,
        progress: MoveProgress<'_>,
    ) -> Result<(), MoveError> {
        let (mut digest, mut after) = (Digest::default(), None);
        loop {
            let rows = self.source.rows(table, after.as_deref(), PART)?;
            let Some(last) = rows.last() else { break };
            after = Some(table.key_of(last));
            rows.iter().for_each(|row| digest.add(row));
        }
        let from = *done;
        let found = self.target.digest(table, || {
            *done += 1;
            if (*done - from).is_multiple_of(PART as u64) {
                progress(Step::Comparing(table.name), *done, all);
            }
        });
        let found = found.await?;
        if found == digest {
            return Ok(());
        }
        let (name, wanted, has) = (table.name, digest.rows, found.rows);
        Err(MoveError::Different(format!("the table {name}: {wanted} rows there, {has} here")))
    }

    /// Verifies the audit of the copy, whose rows are those of the file; returns the first
    /// problem.
    async fn verify_audit(&self) -> Result<Option<String>, MoveError> {
        let Some((key, Some(last))) = self.source.audit()? else { return Ok(None) };
        let Ok(key) = VerifyingKey::from_bytes(key) else {
            return Ok(Some("its key is damaged".to_owned()));
        };
        // What an operator accepted, or did not, stands in the audit itself.
        let anchor = Anchored::At(Anchor::from(&last), i64::MAX);
        let report = self.target.verify_audit(AuditVerifier::new(key, anchor)).await?;
        Ok(report.problems.into_iter().next().map(|it| it.what))
    }
}

/// Makes a file that was moved one again that a server starts on, and lets none start on the
/// database any more; `false`: it was not moved. With `dry_run` nothing is changed.
///
/// # Errors
/// A server has been started on the database since the move, or the database is another one.
pub async fn undo(from: &Path, guard: &Path, to: &str, dry_run: bool) -> Result<bool, MoveError> {
    let source = Source::open(from, guard)?;
    if !source.is_marked()? {
        return Ok(false);
    }
    let own = source.own()?;
    let target = Target::connect(to).await?;
    match target.holds().await? {
        // No server has started on it.
        Holds::Unfinished(mark) if mark == mark_of(&own) => {}
        Holds::Undone => {}
        Holds::Authority(identity) if identity == own.identity => {
            let started = match dry_run {
                true => target.started(&own).await,
                false => target.close_again(&own).await,
            };
            match started? {
                Started::No => {}
                Started::Before => return Err(MoveError::WasServed),
                Started::Registered(all) => return Err(MoveError::Served(all.join(", "))),
            }
        }
        Holds::Nothing | Holds::Unfinished(_) | Holds::Authority(_) => {
            return Err(MoveError::NotHere);
        }
    }
    match dry_run {
        true => Ok(true),
        false => Ok(source.unmark()?),
    }
}

/// Names one state of one store.
fn mark_of(own: &Own) -> String {
    let identity = HEXLOWER.encode(&own.identity);
    format!("{identity} {} {}", own.position, own.commits)
}

/// Compares what a server would hold in memory.
fn compare_states(one: &State, other: &State) -> Result<(), String> {
    let same = [
        ("position", one.view.position() == other.view.position()),
        ("keys of the view", one.view.keys() == other.view.keys()),
        ("signing keys", one.signing_keys == other.signing_keys),
        ("channels", sorted(&one.channels) == sorted(&other.channels)),
        ("clock", (one.written_at, one.clock_offset) == (other.written_at, other.clock_offset)),
        ("revocations", revocations(one) == revocations(other)),
        ("verifiers", format!("{:?}", one.verifiers) == format!("{:?}", other.verifiers)),
        ("people", format!("{:?}", one.people) == format!("{:?}", other.people)),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(format!("the {what} of a server's memory")),
        None => Ok(()),
    }
}

fn sorted<T: Ord + Clone>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort_unstable();
    all
}

fn revocations(state: &State) -> BTreeMap<ChannelId, (ProviderId, &ChannelRevocations)> {
    state.view.each_channel().map(|(provider, id, it)| (id, (provider, it))).collect()
}
