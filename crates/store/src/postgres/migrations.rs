//! The schema and its migrations. They run under the lock of a row, in one transaction each
//! with the row that says so: several servers may start at once, and one that is killed
//! leaves nothing half done.

use super::{
    connect::{Address, Client},
    failed::Failed,
    jitter::Backoff,
    open_error::PostgresOpenError,
    sql::values,
    version::{THIS, Version},
};

/// The table of what was done. Its row 0 is what runners lock.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_version (
        version   BIGINT PRIMARY KEY,
        name      TEXT NOT NULL,
        checksum  TEXT NOT NULL
    )";

/// The number of a row that stands in the table while an authority is moved to the database:
/// no version of this program starts on it, since none has a schema of that number.
pub(super) const MOVING: i64 = 1_000_000;
/// The number of a row that stands in the table once the move was undone: the authority is in
/// its file again.
pub(super) const UNDONE: i64 = 1_000_001;

/// How often the table is created, if two servers do that at once, with pauses of several
/// seconds in all.
const ATTEMPTS: usize = 8;

/// Brings a database's schema up to date.
///
/// # Errors
/// It is newer or of something else, or the database fails.
pub(super) async fn migrate(db: &Client, to: &Version) -> Result<(), PostgresOpenError> {
    holds_every_text(db).await?;
    let ready = table_exists(db, "schema_version").await.map_err(failed)?;
    if !ready {
        if table_exists(db, "authority").await.map_err(failed)? {
            return Err(PostgresOpenError::NotOurs("authority".into()));
        }
        create_table(db).await.map_err(failed)?;
    }
    // Most starts find nothing to do and lock nothing.
    if check(db, to).await? == to.newest_schema() {
        return Ok(());
    }
    for &(version, name, sql) in to.migrations {
        let begin =
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = 60000;
                     SELECT version FROM schema_version WHERE version = 0 FOR UPDATE";
        let step = async {
            db.batch_execute(begin).await?;
            let done = "SELECT version FROM schema_version WHERE version = $1";
            if db.query_typed_opt(done, values![version]).await?.is_none() {
                db.batch_execute(sql).await?;
                let note =
                    "INSERT INTO schema_version (version, name, checksum) VALUES ($1, $2, $3)";
                db.execute_typed(note, values![version, name, checksum(sql)]).await?;
            }
            db.batch_execute("COMMIT").await?;
            Ok::<_, Failed>(())
        };
        if let Err(why) = step.await {
            let _ = db.batch_execute("ROLLBACK").await;
            return Err(failed(why));
        }
    }
    check(db, to).await.map(drop)
}

/// Refuses a database whose encoding lacks characters: an act whose text holds one would fail for
/// ever.
pub(super) async fn holds_every_text(db: &Client) -> Result<(), PostgresOpenError> {
    let read = async {
        let sql = "SELECT current_setting('server_encoding')";
        Ok::<String, Failed>(db.query_typed_one(sql, values![]).await?.try_get(0)?)
    };
    match read.await.map_err(failed)? {
        utf8 if utf8 == "UTF8" => Ok(()),
        other => Err(PostgresOpenError::Encoding(other)),
    }
}

/// The schema that the database has, if a program of that version may use or migrate it.
pub(super) async fn check(db: &Client, by: &Version) -> Result<i64, PostgresOpenError> {
    let sql = "SELECT version, checksum FROM schema_version WHERE version > 0 ORDER BY version";
    let rows = db.query_typed(sql, values![]).await.map_err(|it| failed(it.into()))?;
    let mut found = 0;
    for row in rows {
        let read =
            || Ok::<(i64, String), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
        let (version, sum) = read().map_err(|it| failed(it.into()))?;
        match by.migrations.iter().find(|it| it.0 == version) {
            None if version == MOVING => return Err(PostgresOpenError::Moving),
            None if version == UNDONE => return Err(PostgresOpenError::MoveUndone),
            Some(it) if checksum(it.2) != sum => {
                return Err(PostgresOpenError::OtherSchema(version));
            }
            Some(_) => found = version,
            None => {
                let known = by.newest_schema();
                return Err(PostgresOpenError::Newer { found: version, known });
            }
        }
    }
    Ok(found)
}

async fn table_exists(db: &Client, name: &str) -> Result<bool, Failed> {
    let row = db.query_typed_one("SELECT to_regclass($1) IS NOT NULL", values![name]).await?;
    Ok(row.try_get(0)?)
}

/// Creates the table of what was done. Two servers that do it at once may meet in the
/// database's own tables; then one of them finds it done, but not at once: for a moment the
/// other one's commit counts there already, and its table is not found yet.
async fn create_table(db: &Client) -> Result<(), Failed> {
    let row = "INSERT INTO schema_version (version, name, checksum) VALUES (0, 'lock', '')
               ON CONFLICT (version) DO NOTHING";
    let (mut last, mut pauses) = (None, Backoff::default());
    for _ in 0..ATTEMPTS {
        let made = async {
            db.batch_execute(TABLE).await?;
            db.batch_execute(row).await
        };
        match made.await {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(Failed::from(error)),
        }
        tokio::time::sleep(pauses.next()).await;
    }
    Err(last.unwrap_or_else(|| Failed::unavailable("the schema cannot be made")))
}

/// Tells one text of a migration from another; it protects against no attacker.
fn checksum(sql: &str) -> String {
    // FNV-1a, 64 bits.
    let sum = sql.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{sum:016x}")
}

pub(super) fn failed(why: Failed) -> PostgresOpenError {
    PostgresOpenError::Unreachable(why.to_string())
}

/// Brings the schema of the database at an address up to date, as every start does; returns
/// its versions before, 0 for an empty database, and after. It can be run again after it was
/// interrupted, and beside running servers.
///
/// # Errors
/// [`PostgresOpenError`].
pub async fn migrate_database(address: &str) -> Result<(i64, i64), PostgresOpenError> {
    let db = Address::parse(address)?.connect_first().await.map_err(failed)?;
    let ready = table_exists(&db, "schema_version").await.map_err(failed)?;
    let before = if ready { check(&db, &THIS).await? } else { 0 };
    migrate(&db, &THIS).await?;
    Ok((before, THIS.newest_schema()))
}
