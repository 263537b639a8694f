//! Rows of verifiers, their instances, and receipts.

use super::{
    rows::{self, unavailable},
    writer::{Tx, insert, write},
};
use crate::{Result, columns::followers as columns};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tegata_policy::acts::{
    Instance, LOST_INSTANCES, LostInstances, ReceiptFor, ReceiptRow, UpkeepRows, VerifierRow, Write,
};
use tegata_token::{
    feed::InstanceId,
    id::{Position, ProviderId, VerifierId},
};

const VERIFIER: &str = "SELECT id, name, provider, max_staleness, allow, token, created_at,
    deleted_at FROM verifier";
const INSTANCE: &str = "SELECT verifier, instance, staleness, on_stale, registered_at, renewed_at,
    stopped, address FROM instance";
const RECEIPT: &str = "SELECT epoch, position, provider, effective_at, complete, list FROM receipt";

/// All verifiers, newest first; with the deleted ones that still have instances, if asked.
pub(super) fn all(conn: &Connection) -> rusqlite::Result<Vec<VerifierRow>> {
    let sql = format!("{VERIFIER} WHERE deleted_at IS NULL ORDER BY number DESC");
    let mut query = conn.prepare_cached(&sql)?;
    query.query_map([], verifier)?.collect()
}

/// All verifiers that have instances, deleted ones included, and these instances.
pub(super) fn instances(conn: &Connection) -> rusqlite::Result<Vec<(VerifierRow, Vec<Instance>)>> {
    // One snapshot of all rows.
    let conn = &conn.unchecked_transaction()?;
    let sql = format!("{VERIFIER} WHERE id IN (SELECT verifier FROM instance) ORDER BY number");
    let mut query = conn.prepare_cached(&sql)?;
    let verifiers = query.query_map([], verifier)?.collect::<rusqlite::Result<Vec<_>>>()?;
    let with = |it: VerifierRow| Ok((it.clone(), of_verifier(conn, it.id, None)?));
    verifiers.into_iter().map(with).collect()
}

fn of_verifier(
    conn: &Connection,
    id: VerifierId,
    instance: Option<&str>,
) -> rusqlite::Result<Vec<Instance>> {
    // Two statements: one that fits both reads all rows.
    let Some(instance) = instance else {
        let mut query = conn.prepare_cached(&format!("{INSTANCE} WHERE verifier = ?1"))?;
        return query.query_map([id.number()], row_of_instance)?.collect();
    };
    let sql = format!("{INSTANCE} WHERE verifier = ?1 AND instance = ?2");
    let mut query = conn.prepare_cached(&sql)?;
    query.query_map((id.number(), instance), row_of_instance)?.collect()
}

/// Reads a verifier, and those of its instances that are asked for.
pub(super) fn load(
    conn: &Connection,
    id: VerifierId,
    instance: Option<Option<&str>>,
    found: &mut UpkeepRows,
) -> rusqlite::Result<()> {
    let sql = format!("{VERIFIER} WHERE id = ?1");
    let read = |row: &Row<'_>| Ok((verifier(row)?, row.get::<_, Option<i64>>("deleted_at")?));
    if let Some((verifier, deleted)) =
        conn.prepare_cached(&sql)?.query_row([id.number()], read).optional()?
    {
        found.verifier = Some(verifier);
        found.verifier_deleted = deleted.is_some();
    }
    let Some(instance) = instance else { return Ok(()) };
    found.instances = of_verifier(conn, id, instance)?;
    if found.instances.is_empty() {
        let sql = "SELECT count(*) FILTER (WHERE stopped = 0), count(*) FILTER (WHERE stopped = 1)
                   FROM instance WHERE verifier = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        (found.instance_count, found.stopped_count) =
            conn.prepare_cached(sql)?.query_row([id.number()], read)?;
    }
    Ok(())
}

fn verifier(row: &Row<'_>) -> rusqlite::Result<VerifierRow> {
    columns::verifier(row)
}

fn row_of_instance(row: &Row<'_>) -> rusqlite::Result<Instance> {
    columns::instance(row)
}

/// The receipt at a position.
pub(super) fn receipt(conn: &Connection, at: Position) -> rusqlite::Result<Option<ReceiptRow>> {
    let sql = format!("{RECEIPT} WHERE epoch = ?1 AND position = ?2");
    conn.prepare_cached(&sql)?.query_row((at.epoch, at.number), row_of_receipt).optional()
}

/// The newest receipt of an act on a provider.
pub(super) fn newest_receipt(
    conn: &Connection,
    provider: ProviderId,
) -> rusqlite::Result<Option<ReceiptRow>> {
    let sql = format!("{RECEIPT} WHERE provider = ?1 ORDER BY epoch DESC, position DESC LIMIT 1");
    conn.prepare_cached(&sql)?.query_row([provider.number()], row_of_receipt).optional()
}

/// The newest receipts that are not complete, at most `most`.
pub(super) fn open_receipts(conn: &Connection, most: usize) -> rusqlite::Result<Vec<ReceiptRow>> {
    let sql = format!(
        "{RECEIPT} INDEXED BY receipt_open WHERE complete = 0
         ORDER BY epoch DESC, position DESC LIMIT ?1"
    );
    conn.prepare_cached(&sql)?.query_map([most], row_of_receipt)?.collect()
}

fn row_of_receipt(row: &Row<'_>) -> rusqlite::Result<ReceiptRow> {
    columns::receipt(row)
}

/// Writes rows of verifiers, instances and receipts.
pub(super) fn apply(tx: &Tx<'_>, it: &Write) -> Result<()> {
    match it {
        Write::NewVerifier(new) => {
            let sql = "INSERT INTO verifier (id, name, provider, max_staleness, allow, token,
                           created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let values = params![
                new.id.number(),
                new.name,
                new.provider.map(ProviderId::number),
                new.max_staleness,
                new.allow,
                new.token.0,
                new.created_at.0,
            ];
            insert(tx, sql, values)
        }
        Write::VerifierSettings(new) => {
            let sql = "UPDATE verifier SET name = ?2, max_staleness = ?3, allow = ?4 WHERE id = ?1";
            write(tx, sql, (new.id.number(), &new.name, new.max_staleness, new.allow)).map(drop)
        }
        Write::VerifierDeleted(id, at) => {
            let sql = "UPDATE verifier SET deleted_at = ?2 WHERE id = ?1";
            write(tx, sql, (id.number(), at.0)).map(drop)
        }
        Write::Instance(new) => {
            let sql = "INSERT INTO instance (verifier, instance, staleness, on_stale,
                           registered_at, renewed_at, stopped, address)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                       ON CONFLICT (verifier, instance) DO UPDATE SET staleness = ?3,
                           on_stale = ?4, renewed_at = ?6, stopped = ?7, address = ?8";
            let values = params![
                new.verifier.number(),
                new.instance.as_str(),
                new.staleness,
                rows::word(new.on_stale),
                new.registered_at.0,
                new.renewed_at.0,
                new.stopped,
                new.address.map(|it| it.to_string()),
            ];
            write(tx, sql, values).map(drop)
        }
        Write::InstancesRenewed { instances, at } => {
            let sql = "UPDATE instance SET renewed_at = ?3
                       WHERE verifier = ?1 AND instance = ?2 AND stopped = 0";
            let one = |(verifier, instance): &(VerifierId, InstanceId)| {
                write(tx, sql, (verifier.number(), instance.as_str(), at.0)).map(drop)
            };
            instances.iter().try_for_each(one)
        }
        Write::InstanceDropped { verifier, instance, renewed_at } => {
            let sql = "DELETE FROM instance WHERE verifier = ?1 AND instance = ?2
                         AND (?3 IS NULL OR renewed_at = ?3)";
            let renewed_at = renewed_at.map(|it| it.0);
            write(tx, sql, (verifier.number(), instance.as_str(), renewed_at)).map(drop)
        }
        Write::Receipt(row) => write_receipt(tx, row),
        _ => Ok(()),
    }
}

/// Begins a receipt. Without any instance it is complete at once, with an empty list: one
/// that is registered later gets a view that has the act.
pub(super) fn begin_receipt(tx: &mut Tx<'_>, mut row: ReceiptRow) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM instance WHERE stopped = 0)";
    let some = tx.conn.prepare_cached(sql).and_then(|mut it| it.query_row([], |row| row.get(0)));
    row.complete = !some.map_err(unavailable)?;
    row.list = row.complete.then(|| "[]".to_owned());
    write_receipt(tx, &row)?;
    tx.began_receipt(row);
    Ok(())
}

/// Writes a receipt, or its list and state. A complete one stays complete.
fn write_receipt(tx: &Tx<'_>, row: &ReceiptRow) -> Result<()> {
    let sql = "INSERT INTO receipt (epoch, position, at, provider, effective_at, complete, list)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (epoch, position) DO UPDATE SET complete = ?6, list = ?7
                   WHERE complete = 0";
    let values = params![
        row.position.epoch,
        row.position.number,
        tx.now.0,
        row.about.provider.map(ProviderId::number),
        row.about.effective_at.0,
        row.complete,
        row.list,
    ];
    write(tx, sql, values).map(drop)
}

/// Writes the receipt of a revocation of a provider's tokens that is complete, at the
/// position of its last change; without a change it has none.
pub(super) fn receipt_of_job(tx: &mut Tx<'_>, job: i64) -> Result<()> {
    let epoch = tx.head().epoch;
    let sql = "SELECT provider, position FROM provider_revocation WHERE number = ?1";
    let read = |row: &Row<'_>| Ok((rows::provider_id(row.get(0)?)?, row.get::<_, u64>(1)?));
    let found = tx.conn.prepare_cached(sql).and_then(|mut it| it.query_row([job], read).optional());
    let Some((provider, number)) = found.map_err(unavailable)? else { return Ok(()) };
    if number == 0 {
        return Ok(());
    }
    let about = ReceiptFor { provider: Some(provider), effective_at: tx.now };
    let position = Position { epoch, number };
    begin_receipt(tx, ReceiptRow { position, about, complete: false, list: None })
}

/// Notes that each verifier may have had instances that an old copy of the store does not
/// know: receipts list them, under one name, until their longest staleness has passed, or an
/// operator removes them where stale views may be used. `lost` is what the journal holds about
/// verifiers; those that the store lacks stay deleted.
pub(super) fn note_lost_instances(tx: &Tx<'_>, lost: &[LostInstances]) -> Result<()> {
    // What the store knows of them is as of the copy: the journal is applied afterwards.
    let each = "SELECT id, ?1, max_staleness, CASE WHEN allow THEN 'allow' ELSE 'deny' END, ?2, ?2,
                    0 FROM verifier WHERE true";
    write(tx, &format!("{LOSE} {each} {MORE_LENIENT}"), (LOST_INSTANCES, tx.now.0))?;
    for it in lost {
        let row = it.row(tx.now);
        let sql = "INSERT INTO verifier (id, name, provider, max_staleness, allow, token,
                       created_at, deleted_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
                   ON CONFLICT (id) DO NOTHING";
        let values = params![
            row.id.number(),
            row.name,
            row.provider.map(ProviderId::number),
            row.max_staleness,
            row.allow,
            row.token.0,
            row.created_at.0,
        ];
        write(tx, sql, values)?;
        let on_stale = rows::word(it.on_stale());
        let values = (row.id.number(), LOST_INSTANCES, row.max_staleness, on_stale, tx.now.0);
        let one = "VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0)";
        write(tx, &format!("{LOSE} {one} {MORE_LENIENT}"), values)?;
    }
    Ok(())
}

const LOSE: &str = "INSERT INTO instance (verifier, instance, staleness, on_stale, registered_at,
    renewed_at, stopped)";
/// Those of an earlier recovery may still be counted.
const MORE_LENIENT: &str = "ON CONFLICT (verifier, instance) DO UPDATE SET
    staleness = max(staleness, excluded.staleness),
    on_stale = CASE WHEN excluded.on_stale = 'allow' THEN 'allow' ELSE on_stale END,
    renewed_at = excluded.renewed_at, stopped = 0";
