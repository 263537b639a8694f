//! The rows of the servers that share the store.

use super::{
    connect::Client,
    failed::Failed,
    rows::{int, list},
    sql::{AT_ONCE, values},
};
use crate::{
    ReplicaRow,
    columns::{Columns, bytes},
};
use data_encoding::HEXLOWER;
use futures_util::future::try_join;
use tegata_token::id::Position;
use tokio_postgres::Row;

/// A server, as it registers.
pub(super) struct Own {
    /// The id of this start.
    pub id: [u8; 16],
    /// The version of the log's vocabulary that it reads.
    pub speaks: u32,
    /// Where it listens, for people.
    pub address: Option<String>,
}

/// The columns of a server's row, in a statement that calls the table `r`, and has [`APPLIED`].
pub(super) const REPLICA: &str = "r.id, r.registered_at, r.beat, r.epoch AS applied_epoch,
    CASE p.epoch WHEN r.epoch THEN greatest(r.position, p.position) ELSE r.position END AS applied,
    r.speaks, r.address";
/// Joins what the servers have said since their last renewals.
pub(super) const APPLIED: &str = "LEFT JOIN applied p ON p.id = r.id";

/// All rows.
pub(super) async fn all(db: &Client) -> Result<Vec<ReplicaRow>, Failed> {
    let sql = format!("SELECT {REPLICA} FROM replica r {APPLIED} ORDER BY r.registered_at, r.id");
    list(db, &sql, values![], replica).await
}

/// Reads a row.
pub(super) fn replica(row: &Row) -> Result<ReplicaRow, Failed> {
    let position = Position { epoch: row.value("applied_epoch")?, number: row.value("applied")? };
    let speaks: i32 = row.try_get("speaks")?;
    Ok(ReplicaRow {
        id: bytes(row.value("id")?)?,
        own: false,
        registered_at: row.value("registered_at")?,
        beat: row.value("beat")?,
        position,
        speaks: u32::try_from(speaks).map_err(Failed::row)?,
        address: row.optional("address")?,
    })
}

/// Drops the row of a server, and with it what it has said, unless it has renewed its lease meanwhile.
pub(super) async fn drop_at(db: &Client, id: [u8; 16], beat: u64) -> Result<(), Failed> {
    delete(db, id, &format!("AND beat = {beat}")).await
}

/// Drops the row of this server, which serves nothing any more.
pub(super) async fn sign_off(db: &Client, id: [u8; 16]) -> Result<(), Failed> {
    delete(db, id, "").await
}

/// It waits for no standby and no disk: a row that a failover or a crash brings back only makes acts
/// wait until it is dropped again. It ends by itself while the row is locked by a renewal that waits
/// for a standby.
async fn delete(db: &Client, id: [u8; 16], more: &str) -> Result<(), Failed> {
    // Numbers and hexadecimal digits only: one message, without a plan for its values.
    let id = HEXLOWER.encode(&id);
    let sql = format!(
        "{AT_ONCE}; SET LOCAL statement_timeout = 1500;
         DELETE FROM replica WHERE id = decode('{id}', 'hex') {more}"
    );
    Ok(db.batch_execute(&sql).await?)
}

/// Registers a server, before it reads its state; a running one, which has read it up to `at`, not in a
/// database that was recovered since: acts would wait for it until its row is dropped.
pub(super) async fn register(
    db: &Client,
    own: &Own,
    beat: u64,
    at: Option<Position>,
) -> Result<(), Failed> {
    let sql = "WITH new AS (
                   INSERT INTO replica (id, registered_at, beat, epoch, position, speaks, address)
                   SELECT $1, extract(epoch FROM clock_timestamp())::bigint, $2,
                       coalesce($3, epoch), coalesce($4, position), $5, $6 FROM authority
                   WHERE $3 IS NULL OR epoch <= $3
                   ON CONFLICT (id) DO NOTHING RETURNING id, epoch, position)
               INSERT INTO applied (id, epoch, position) SELECT id, epoch, position FROM new";
    let (epoch, number) = at.map(|it| (int(it.epoch), int(it.number))).unzip();
    let (id, address) = (own.id.to_vec(), own.address.as_deref());
    let speaks = i32::try_from(own.speaks).unwrap_or(i32::MAX);
    db.execute_typed(sql, values![id, int(beat), epoch, number, speaks, address]).await?;
    let sql = "INSERT INTO job_lease (name, holder) SELECT 'jobs', id FROM replica WHERE id = $1
               ON CONFLICT (name) DO NOTHING";
    db.execute_typed(sql, values![id]).await?;
    Ok(())
}

/// Takes or keeps the lease of the jobs: it is free if its holder has no row. Waits for no step of a
/// job, which keeps the lease with its holder until it ends: a renewal that waits is lost.
pub(super) async fn take_jobs(db: &Client, id: [u8; 16]) -> Result<bool, Failed> {
    let sql = "UPDATE job_lease SET holder = $1 WHERE name = (SELECT name FROM job_lease
                   WHERE name = 'jobs'
                       AND NOT EXISTS (SELECT FROM replica WHERE id = job_lease.holder)
                   FOR UPDATE SKIP LOCKED)";
    change_then_see(db, sql, id).await
}

/// Gives up the lease of the jobs, so that another server takes it with its next renewal. The only
/// server keeps it, and one that does a step of a job until then: returns whether this one does.
pub(super) async fn leave_jobs(db: &Client, id: [u8; 16]) -> Result<bool, Failed> {
    // No server has that id.
    let sql = "UPDATE job_lease SET holder = '' WHERE name = (SELECT name FROM job_lease
                   WHERE name = 'jobs' AND holder = $1
                       AND EXISTS (SELECT FROM replica WHERE id <> $1)
                   FOR UPDATE SKIP LOCKED)";
    change_then_see(db, sql, id).await
}

/// Runs a statement on the lease of the jobs, and then sees, in the same round trip, whether this
/// server has it.
async fn change_then_see(db: &Client, change: &str, id: [u8; 16]) -> Result<bool, Failed> {
    let own = id.to_vec();
    let see = "SELECT holder FROM job_lease WHERE name = 'jobs' AND holder = $1";
    let changed = async { Ok::<_, Failed>(db.execute_typed(change, values![own]).await?) };
    let seen = async { Ok(db.query_typed_opt(see, values![own]).await?) };
    Ok(try_join(changed, seen).await?.1.is_some())
}
