//! Why a database cannot be used as a store, and what to do.

use super::bad_address::BadPostgresAddress;
use crate::Error;
use std::{io, path::PathBuf};

/// Why a database cannot be used as a store.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// Its address cannot be used.
    #[error(transparent)]
    Address(#[from] BadPostgresAddress),
    /// It cannot be reached, or does not answer.
    #[error(
        "{0}; check --store and that the database runs, accepts this host (pg_hba.conf) and has \
         the user and the database"
    )]
    Unreachable(String),
    /// It was migrated by a newer version.
    #[error(
        "the database has schema {found}, and this version of tegata knows schemas up to {known}: \
         start the newer version"
    )]
    Newer {
        /// Its schema.
        found: i64,
        /// The newest one that this program knows.
        known: i64,
    },
    /// An authority is being moved to it.
    #[error(
        "an authority is being moved to this database, and the move is not complete: repeat the \
         `tegata move` that began it"
    )]
    Moving,
    /// The move to it was undone.
    #[error(
        "the move to this database was undone: the authority is in the SQLite file again. Start the \
         server on that file; to move it again, name an empty database"
    )]
    MoveUndone,
    /// A row cannot be written.
    #[error("a row of the table {0} cannot be copied: {1}")]
    Row(&'static str, String),
    /// A migration that it has is not the one that this program has under that number.
    #[error(
        "the database's schema {0} was made by another program than this one; is --store right?"
    )]
    OtherSchema(i64),
    /// It holds tables of something else.
    #[error(
        "the database holds a table {0:?} and is no store of tegata: name an empty database, \
         or one for tegata alone"
    )]
    NotOurs(String),
    /// It cannot hold every text.
    #[error(
        "the encoding of the database is {0}, which does not have every character of a name or of a \
         reason: make one with the encoding UTF8, and name that (CREATE DATABASE … ENCODING 'UTF8' \
         LOCALE 'C' TEMPLATE template0)"
    )]
    Encoding(String),
    /// The two addresses of a server lead to two databases.
    #[error(
        "--store and --store-direct lead to two different databases: name in --store-direct the one \
         that --store leads to, without the pooler"
    )]
    TwoDatabases,
    /// It does not accept acts.
    #[error("the database accepts no writes ({0}); name its primary server in --store")]
    ReadOnly(String),
    /// It was created with `--dev`.
    #[error("the store was made with --dev; start with --dev, or name another database")]
    MadeForDevelopment,
    /// It was created without `--dev`.
    #[error("the store was not made with --dev; start without --dev, or name another database")]
    NotForDevelopment,
    /// It is an older state of the store.
    #[error(
        "the database is not the newest state of this store: {1}. Nothing is served from it, since \
         tokens that were revoked meanwhile would be active again. Name the newest database, or, if \
         this is the newest that you have, stop all servers and run tegata recover \
         (the rollback guard: {guard})",
        guard = .0.display()
    )]
    WentBack(PathBuf, String),
    /// A server that had seen more of it has marked it.
    #[error(
        "the database went back: a server had seen acts that it lacks, and has marked it. Nothing is \
         served from it, since tokens that were revoked would be active again. Name the newest database, \
         or, if this is the newest that you have, stop all servers and run tegata recover"
    )]
    MarkedAsOlder,
    /// It is not the store that the guard belongs to.
    #[error(
        "the rollback guard {guard} belongs to another store; check --store, or, if the database is \
         right, remove the guard",
        guard = .0.display()
    )]
    OtherStore(PathBuf),
    /// The guard cannot be used.
    #[error(
        "the rollback guard {guard}: {1}; choose another place with --rollback-guard-file",
        guard = .0.display()
    )]
    Guard(PathBuf, io::Error),
    /// There is no store in it.
    #[error("there is no store in this database; name the one that the servers use")]
    NoStore,
    /// Servers run on it.
    #[error("{0} servers run on this database; stop all of them first")]
    InUse(usize),
    /// The revocation journal cannot be used.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// It was opened but cannot be used.
    #[error(transparent)]
    Store(#[from] Error),
}
