//! Reads a database from outside, while servers use it: it takes no lock and changes nothing.

use super::{
    bad_address::BadPostgresAddress,
    connect::{Address, Conn},
    facts,
    failed::Failed,
    guard::{self, Reached},
    migrations::{MOVING, UNDONE, failed},
    open_error::PostgresOpenError,
    questions::verifiers,
    rows::{one, signing_keys},
    sql::values,
    two_addresses::identity,
    version::THIS,
};
use crate::{Instance, RootTokens, SigningKeyRow, VerifierRow, columns::Columns};
use std::path::Path;
use tegata_token::{id::Position, time::UnixTime};
use tokio_postgres::error::SqlState;

/// A database that is open for inspection.
pub struct PostgresLook {
    db: Conn,
}

/// Why a database cannot be reached.
#[derive(Debug)]
pub enum Unreached {
    /// Its address cannot be used.
    Address(BadPostgresAddress),
    /// It refuses the password, or there is none.
    Password(String),
    /// It does not let this user in from here.
    NotLetIn(String),
    /// It does not have the database.
    NoDatabase(String),
    /// No connection with TLS, which the address demands, can be made.
    Tls(String),
    /// It has as many connections as it allows.
    Full(String),
    /// It does not answer.
    Silent(String),
}

/// What a database says of itself.
#[derive(Debug, Clone)]
pub struct DatabaseState {
    /// The server's version.
    pub version: String,
    /// Whether it is a standby, which accepts no writes.
    pub standby: bool,
    /// Its setting `synchronous_commit`.
    pub synchronous_commit: String,
    /// Its encoding.
    pub encoding: String,
    /// Whether it has named standbys that each commit waits for.
    pub has_synchronous: bool,
    /// How many such standbys follow it now; `None`: it does not show that to this user.
    pub synchronous: Option<usize>,
    /// How many commits of this user have waited for a standby for more than a second.
    pub waiting: usize,
    /// How many standbys follow it now.
    pub standbys: usize,
    /// Whether it makes commits durable.
    pub fsync: bool,
    /// Its clock.
    pub now: UnixTime,
    /// Whether this connection is encrypted.
    pub encrypted: bool,
    /// Whether it is on this machine.
    pub local: bool,
}

/// The schema of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseSchema {
    /// It holds nothing yet.
    None,
    /// An authority is being moved to it.
    Moving,
    /// The move to it was undone.
    MoveUndone,
    /// This version.
    Version(i64),
}

/// What a store in a database records about itself.
#[derive(Debug, Clone)]
pub struct StoreInDatabase {
    /// Whether it was created with `--dev`.
    pub dev: bool,
    /// The highest time that it has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
    /// All signing keys, revoked ones included.
    pub signing_keys: Vec<SigningKeyRow>,
    /// The verifiers that have instances, deleted ones included, with these.
    pub instances: Vec<(VerifierRow, Vec<Instance>)>,
    /// How many servers have a row.
    pub servers: usize,
    /// The root administrator's tokens.
    pub root_tokens: RootTokens,
}

impl PostgresLook {
    /// Connects to the database.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn at(address: &str) -> Result<Self, Unreached> {
        let address = Address::parse(address).map_err(Unreached::Address)?;
        match address.connect(None).await {
            Ok(db) => Ok(Self { db }),
            Err(why) => Err(match address.refusal().await {
                Some(error) => reason(&error, why.to_string()),
                None => Unreached::Silent(why.to_string()),
            }),
        }
    }

    /// Whether another address leads to the same store, or to a database with none as this one.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn has_store_of(&self, other: &Self) -> Result<bool, PostgresOpenError> {
        let own = identity(&self.db).await.map_err(failed)?;
        Ok(own == identity(&other.db).await.map_err(failed)?)
    }

    /// What the database says of itself.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn state(&self) -> Result<DatabaseState, PostgresOpenError> {
        let sql = "SELECT current_setting('server_version') AS version,
                pg_is_in_recovery() AS standby,
                current_setting('synchronous_commit') AS synchronous_commit,
                current_setting('synchronous_standby_names') <> '' AS has_synchronous,
                current_setting('server_encoding') AS encoding,
                (SELECT count(*) FROM pg_stat_replication) AS standbys,
                (SELECT CASE count(sync_state) WHEN count(*)
                     THEN count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) END
                 FROM pg_stat_replication) AS synchronous,
                (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'
                     AND clock_timestamp() - query_start > interval '1 second') AS waiting,
                current_setting('fsync') = 'on' AS fsync,
                extract(epoch FROM clock_timestamp())::bigint AS now,
                coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
                coalesce(inet_server_addr() <<= '127.0.0.0/8'
                    OR inet_server_addr() = '::1', true) AS local";
        let read = one(&self.db, sql, values![], |row| {
            Ok(DatabaseState {
                version: row.value("version")?,
                standby: row.value("standby")?,
                synchronous_commit: row.value("synchronous_commit")?,
                has_synchronous: row.value("has_synchronous")?,
                encoding: row.value("encoding")?,
                synchronous: row.optional("synchronous")?,
                waiting: row.value("waiting")?,
                standbys: row.value("standbys")?,
                fsync: row.value("fsync")?,
                now: row.value("now")?,
                encrypted: row.value("encrypted")?,
                local: row.value("local")?,
            })
        });
        found(read.await)
    }

    /// The schema that it has, and the newest one that this program knows.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn schema(&self) -> Result<(DatabaseSchema, i64), PostgresOpenError> {
        let exists = "SELECT to_regclass('schema_version') IS NOT NULL AS exists";
        let exists = one(&self.db, exists, values![], |row| row.value::<bool>("exists")).await;
        if !found(exists)? {
            return Ok((DatabaseSchema::None, THIS.newest_schema()));
        }
        let sql = "SELECT coalesce(max(version), 0) AS version FROM schema_version";
        let version = one(&self.db, sql, values![], |row| row.value::<i64>("version")).await;
        let schema = match found(version)? {
            0 => DatabaseSchema::None,
            MOVING => DatabaseSchema::Moving,
            UNDONE => DatabaseSchema::MoveUndone,
            version => DatabaseSchema::Version(version),
        };
        Ok((schema, THIS.newest_schema()))
    }

    /// What the store records about itself; `None`: no server has started on it.
    ///
    /// # Errors
    /// Its schema is different, or it cannot be read.
    pub async fn store(&self) -> Result<Option<StoreInDatabase>, PostgresOpenError> {
        // An act without a change keeps its time with its channel.
        let sql = "SELECT dev, clock_offset, greatest(written_at,
                       (SELECT max(written_at) FROM channel_count)) AS written_at, (SELECT count(*) FROM replica) AS servers
                   FROM authority";
        let read = async {
            let keys = signing_keys(&self.db).await?;
            let instances = verifiers::instances(&self.db).await?;
            let root_tokens = facts::root_tokens(&self.db).await?;
            one(&self.db, sql, values![], |row| {
                Ok(StoreInDatabase {
                    dev: row.value("dev")?,
                    written_at: row.value("written_at")?,
                    clock_offset: row.value("clock_offset")?,
                    signing_keys: keys.iter().map(|it| it.key.clone()).collect(),
                    instances: instances.clone(),
                    servers: row.value("servers")?,
                    root_tokens: root_tokens.clone(),
                })
            })
            .await
        };
        read.await.map_err(failed)
    }

    /// Verifies that it continues from the state that the rollback guard at `guard` records,
    /// if there is such a file.
    ///
    /// # Errors
    /// [`PostgresOpenError`], as for a server that opens the store.
    pub async fn goes_on(&self, guard: &Path) -> Result<(), PostgresOpenError> {
        let sql = "SELECT identity, epoch, position, audit, went_back FROM authority";
        let read = one(&self.db, sql, values![], |row| {
            let position = Position { epoch: row.value("epoch")?, number: row.value("position")? };
            Ok((
                row.value::<Vec<u8>>("identity")?,
                Reached { position, audit: row.value("audit")? },
                row.value::<bool>("went_back")?,
            ))
        });
        match read.await.map_err(failed)? {
            Some((.., true)) => Err(PostgresOpenError::MarkedAsOlder),
            Some((identity, reached, false)) => guard::compare(guard, &identity, reached),
            None => Ok(()),
        }
    }
}

fn found<T>(read: Result<Option<T>, Failed>) -> Result<T, PostgresOpenError> {
    let none = || Failed::row("there is no row");
    read.and_then(|it| it.ok_or_else(none)).map_err(failed)
}

fn reason(error: &tokio_postgres::Error, why: String) -> Unreached {
    let is = |codes: &[SqlState]| error.code().is_some_and(|code| codes.contains(code));
    if is(&[SqlState::INVALID_PASSWORD]) || why.contains("password missing") {
        Unreached::Password(why)
    } else if is(&[SqlState::INVALID_AUTHORIZATION_SPECIFICATION]) {
        Unreached::NotLetIn(why)
    } else if is(&[SqlState::INVALID_CATALOG_NAME]) {
        Unreached::NoDatabase(why)
    } else if is(&[SqlState::TOO_MANY_CONNECTIONS]) {
        Unreached::Full(why)
    } else if error.code().is_none() && why.contains("TLS") {
        Unreached::Tls(why)
    } else {
        Unreached::Silent(why)
    }
}
