//! Verifiers, their instances, and receipts.

use crate::{
    columns::followers::*,
    postgres::{
        failed::Failed,
        rows::{int, list, one},
        sql::values,
    },
};
use futures_util::future::try_join;
use std::collections::BTreeMap;
use tegata_policy::acts::{Instance, ReceiptRow, VerifierRow};
use tegata_token::id::{Position, ProviderId, VerifierId};
use tokio_postgres::Client;

const VERIFIER: &str = "SELECT id, name, provider, max_staleness, allow, token, created_at,
    deleted_at FROM verifier";
const INSTANCE: &str = "SELECT verifier, instance, staleness, on_stale, registered_at, renewed_at,
    stopped, address FROM instance";
const RECEIPT: &str = "SELECT epoch, position, provider, effective_at, complete, list FROM receipt";

/// All verifiers that are not deleted, newest first.
pub(in crate::postgres) async fn all(db: &Client) -> Result<Vec<VerifierRow>, Failed> {
    let sql = format!("{VERIFIER} WHERE deleted_at IS NULL ORDER BY number DESC");
    list(db, &sql, &[], verifier).await
}

/// All verifiers that have instances, deleted ones included, and these instances.
pub(in crate::postgres) async fn instances(
    db: &Client,
) -> Result<Vec<(VerifierRow, Vec<Instance>)>, Failed> {
    let with = format!("{VERIFIER} WHERE id IN (SELECT verifier FROM instance) ORDER BY number");
    let instances = format!("{INSTANCE} ORDER BY number");
    let (verifiers, instances) =
        try_join(list(db, &with, &[], verifier), list(db, &instances, &[], instance)).await?;
    let mut of = BTreeMap::<VerifierId, Vec<Instance>>::new();
    for it in instances {
        of.entry(it.verifier).or_default().push(it);
    }
    let with = |it: VerifierRow| (of.remove(&it.id).unwrap_or_default(), it);
    Ok(verifiers.into_iter().map(with).map(|(instances, it)| (it, instances)).collect())
}

/// The receipt at a position.
pub(in crate::postgres) async fn receipt_at(
    db: &Client,
    at: Position,
) -> Result<Option<ReceiptRow>, Failed> {
    let sql = format!("{RECEIPT} WHERE epoch = $1 AND position = $2");
    one(db, &sql, values![int(at.epoch), int(at.number)], receipt).await
}

/// The newest receipt of an act on a provider.
pub(in crate::postgres) async fn newest_receipt(
    db: &Client,
    provider: ProviderId,
) -> Result<Option<ReceiptRow>, Failed> {
    let sql = format!("{RECEIPT} WHERE provider = $1 ORDER BY epoch DESC, position DESC LIMIT 1");
    one(db, &sql, values![int(provider.number())], receipt).await
}

/// The newest receipts that are not complete.
pub(in crate::postgres) async fn open_receipts(
    db: &Client,
    most: usize,
) -> Result<Vec<ReceiptRow>, Failed> {
    let sql = format!("{RECEIPT} WHERE NOT complete ORDER BY epoch DESC, position DESC LIMIT $1");
    list(db, &sql, values![int(most)], receipt).await
}
