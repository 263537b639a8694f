//! Whether a database is a primary server, and no standby.

use super::{
    connect::Conn, failed::within, migrations::failed, open_error::PostgresOpenError, sql::values,
};
use std::time::Duration;

/// Maximum time until the database has answered a step of opening.
pub(super) const STEP: Duration = Duration::from_secs(10);

/// Refuses a standby, which answers questions and accepts no acts.
pub(super) async fn writable(db: &Conn) -> Result<(), PostgresOpenError> {
    let sql =
        "SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') AS ro";
    let row = within(STEP, db.query_typed_one(sql, values![])).await.map_err(failed)?;
    let read = || Ok::<(bool, String), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
    match read().map_err(|error| failed(error.into()))? {
        (true, _) => Err(PostgresOpenError::ReadOnly("it is a standby server".into())),
        (false, ro) if ro == "on" => {
            Err(PostgresOpenError::ReadOnly("its transactions are read-only by default".into()))
        }
        _ => Ok(()),
    }
}
