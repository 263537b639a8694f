//! Facts that servers share apart from the log: the root administrator's token, and the
//! acceptance of the audit's end, which is written seldom, on a connection of its own.

use super::{
    connect::{Address, Client},
    failed::{Failed, within},
    rows::{int, list, one},
    sql::{Value, values},
};
use crate::{
    RootTokenHash, RootTokens,
    audit::Acceptance,
    columns::{Columns, audit::blob, bytes},
};
use data_encoding::HEXLOWER;
use std::time::Duration;
use tegata_token::time::UnixTime;

/// Maximum time of a write.
const PATIENCE: Duration = Duration::from_secs(6);

/// Writes rows by one statement; returns how many.
///
/// # Errors
/// It is unknown whether it was done.
async fn write(address: &Address, sql: &str, values: &[Value<'_>]) -> Result<u64, Failed> {
    let work = async {
        let db = address.connect_first().await?;
        let warned = db.warnings();
        let rows = db.execute_typed(sql, values).await?;
        match db.warnings() == warned {
            true => Ok(rows),
            false => Err(Failed::unavailable("the database warns that a commit may be lost")),
        }
    };
    within(PATIENCE, work).await
}

/// Adds an acceptance of the audit's end.
pub(super) async fn accept_audit(address: &Address, it: &Acceptance) -> Result<(), Failed> {
    let sql = "INSERT INTO audit_acceptance (number, epoch, checkpoint, chain, through, signature)
               VALUES ($1, $2, $3, $4, $5, $6)";
    let (epoch, checkpoint) = (int(it.end.epoch), int(it.end.number));
    let (chain, signature) = (blob(&it.end.chain), blob(&it.signature));
    let values = values![it.number, epoch, checkpoint, chain, it.through, signature];
    write(address, sql, values).await.map(drop)
}

/// The newest acceptance of the audit's end.
pub(super) async fn audit_acceptance(db: &Client) -> Result<Option<Acceptance>, Failed> {
    let sql = "SELECT number, epoch, checkpoint, chain, through, signature FROM audit_acceptance
               ORDER BY number DESC LIMIT 1";
    one(db, sql, values![], |row| {
        Ok(Acceptance {
            number: row.value("number")?,
            end: crate::audit::Anchor {
                epoch: row.value("epoch")?,
                number: row.value("checkpoint")?,
                chain: HEXLOWER.encode(&row.value::<Vec<u8>>("chain")?),
            },
            through: row.value("through")?,
            signature: HEXLOWER.encode(&row.value::<Vec<u8>>("signature")?),
        })
    })
    .await
}

/// All root administrator's tokens.
pub(super) async fn root_tokens(db: &Client) -> Result<RootTokens, Failed> {
    let sql = "SELECT hash, ended_at FROM root_token ORDER BY since";
    let all = list(db, sql, values![], |row| {
        let hash = RootTokenHash(bytes(row.value("hash")?)?);
        Ok((hash, row.optional::<UnixTime>("ended_at")?))
    });
    let mut found = RootTokens::default();
    for (hash, ended_at) in all.await? {
        match ended_at {
            None => found.in_force = Some(hash),
            Some(at) => found.ended.push((hash, at)),
        }
    }
    Ok(found)
}
