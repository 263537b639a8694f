//! The two addresses of a server (`--store` and `--store-direct`) must lead to one database: by the one
//! it registers and makes the schema, by the other it does all else.

use super::{
    connect::{Address, Client, Conn},
    failed::{Failed, within},
    migrations::failed,
    open_error::PostgresOpenError,
    primary::{STEP, writable},
    rows::one,
    sql::values,
};
use crate::columns::Columns;

/// Connects to the first one; refuses it if there is another store than by the second one, before
/// anything is written to either.
pub(super) async fn connect(address: &Address, direct: &Conn) -> Result<Conn, PostgresOpenError> {
    let pooled = address.connect_first().await.map_err(failed)?;
    writable(&pooled).await?;
    let both = async { Ok::<_, Failed>((identity(direct).await?, identity(&pooled).await?)) };
    match within(STEP, both).await.map_err(failed)? {
        (direct, other) if direct == other => Ok(pooled),
        _ => Err(PostgresOpenError::TwoDatabases),
    }
}

/// Refuses the first one if it does not have the row of the server of that id, which has registered
/// at the second one: it is another database, if only a copy.
pub(super) async fn check(pooled: Option<&Conn>, id: [u8; 16]) -> Result<(), PostgresOpenError> {
    let Some(pooled) = pooled else { return Ok(()) };
    let found = async {
        if identity(pooled).await?.is_none() {
            return Ok::<_, Failed>(false);
        }
        let sql = "SELECT FROM replica WHERE id = $1";
        Ok(pooled.query_typed_opt(sql, values![id.to_vec()]).await?.is_some())
    };
    match within(STEP, found).await.map_err(failed)? {
        true => Ok(()),
        false => Err(PostgresOpenError::TwoDatabases),
    }
}

/// What identifies the store in a database; `None`: there is none.
pub(super) async fn identity(db: &Client) -> Result<Option<Vec<u8>>, Failed> {
    let exists = "SELECT to_regclass('authority') IS NOT NULL";
    if !db.query_typed_one(exists, values![]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    one(db, "SELECT identity FROM authority", values![], |row| row.value("identity")).await
}
