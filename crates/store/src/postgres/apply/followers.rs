//! Rows of verifiers, their instances, and receipts.

use super::act::At;
use crate::{
    columns::word,
    postgres::{
        rows::int,
        statements::{Statements, keep, rows},
    },
};
use tegata_policy::acts::{Instance, ReceiptRow, VerifierRow, Write};
use tegata_token::id::ProviderId;

pub(super) fn apply<'a>(to: &mut Statements<'a>, it: &'a Write) {
    match it {
        Write::NewVerifier(new) => insert_verifier(to, new),
        Write::VerifierSettings(new) => {
            let sql = "UPDATE verifier SET name = $2, max_staleness = $3, allow = $4 WHERE id = $1";
            let (id, staleness) = (int(new.id.number()), int(new.max_staleness));
            to.add(sql, keep![id, new.name.as_str(), staleness, new.allow]);
        }
        Write::VerifierDeleted(id, at) => {
            let sql = "UPDATE verifier SET deleted_at = $2 WHERE id = $1";
            to.add(sql, keep![int(id.number()), at.0]);
        }
        Write::Instance(new) => write_instance(to, new),
        Write::InstancesRenewed { instances, at } => {
            let sql = "UPDATE instance SET renewed_at = $3 FROM unnest($1, $2) AS it (of, name)
                       WHERE verifier = of AND instance = name AND NOT stopped";
            let verifiers: Vec<_> = instances.iter().map(|it| int(it.0.number())).collect();
            let names: Vec<_> = instances.iter().map(|it| it.1.as_str()).collect();
            to.add(sql, keep![verifiers, names, at.0]);
        }
        Write::InstanceDropped { verifier, instance, renewed_at } => {
            let sql = "DELETE FROM instance WHERE verifier = $1 AND instance = $2
                           AND ($3 IS NULL OR renewed_at = $3)";
            let renewed_at = renewed_at.map(|it| it.0);
            to.add(sql, keep![int(verifier.number()), instance.as_str(), renewed_at]);
        }
        _ => {}
    }
}

fn insert_verifier<'a>(to: &mut Statements<'a>, new: &'a VerifierRow) {
    let sql = "INSERT INTO verifier (id, name, provider, max_staleness, allow, token, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = keep![
        int(new.id.number()),
        new.name.as_str(),
        new.provider.map(|it| int(it.number())),
        int(new.max_staleness),
        new.allow,
        &new.token.0[..],
        new.created_at.0,
    ];
    to.add(sql, values);
}

fn write_instance<'a>(to: &mut Statements<'a>, new: &'a Instance) {
    let sql = "INSERT INTO instance (verifier, instance, staleness, on_stale, registered_at,
                   renewed_at, stopped, address)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
               ON CONFLICT (verifier, instance) DO UPDATE SET staleness = excluded.staleness,
                   on_stale = excluded.on_stale, renewed_at = excluded.renewed_at,
                   stopped = excluded.stopped, address = excluded.address";
    let values = keep![
        int(new.verifier.number()),
        new.instance.as_str(),
        int(new.staleness),
        word(new.on_stale),
        new.registered_at.0,
        new.renewed_at.0,
        new.stopped,
        new.address.map(|it| it.to_string()),
    ];
    to.add(sql, values);
}

/// Begins receipts. None is complete, even without any instance: one that another server registers
/// before it has applied the act gets a view without the act.
pub(super) fn begin_receipts(to: &mut Statements<'_>, all: &[(&ReceiptRow, &At)]) {
    let sql = format!("{BEGIN} *, false, NULL FROM ROWS AS u {FIRST}");
    let rows = rows(all)
        .with(|it| int(it.0.position.epoch))
        .with(|it| int(it.0.position.number))
        .with(|it| it.1.now.0)
        .with(|it| it.0.about.provider.map(ProviderId::number).map(int))
        .with(|it| it.0.about.effective_at.0);
    to.add_rows("receipt", &sql, rows);
}

/// Writes the receipt of a revocation of a provider's tokens that is complete, at the
/// position of its last change; without a change it has none.
pub(super) fn begin_receipt_of_job(to: &mut Statements<'_>, at: &At, job: i64) {
    let sql = format!(
        "{BEGIN} a.epoch, job.position, $2, job.provider, $2, false, NULL
         FROM authority a, provider_revocation job
         WHERE job.number = $1 AND job.position <> 0 {FIRST}"
    );
    to.add(sql, keep![job, at.now.0]);
}

const BEGIN: &str =
    "INSERT INTO receipt (epoch, position, at, provider, effective_at, complete, list) SELECT";
/// A complete one stays complete.
const FIRST: &str = "ON CONFLICT (epoch, position) DO UPDATE
    SET complete = excluded.complete, list = excluded.list WHERE NOT receipt.complete";

/// Writes receipts, or their lists and states.
pub(super) fn write_receipts<'a>(to: &mut Statements<'a>, all: &[(&'a ReceiptRow, &At)]) {
    let sql = format!("{BEGIN} * FROM ROWS AS u {FIRST}");
    let rows = rows(all)
        .with(|it| int(it.0.position.epoch))
        .with(|it| int(it.0.position.number))
        .with(|it| it.1.now.0)
        .with(|it| it.0.about.provider.map(ProviderId::number).map(int))
        .with(|it| it.0.about.effective_at.0)
        .with(|it| it.0.complete)
        .with(|it| it.0.list.as_deref());
    to.add_rows("receipt", &sql, rows);
}
