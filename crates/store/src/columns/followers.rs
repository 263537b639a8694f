//! Rows of verifiers, their instances, and receipts.

use super::Columns;
use tegata_policy::acts::{Instance, ReceiptFor, ReceiptRow, VerifierRow};
use tegata_token::id::Position;

pub(crate) fn verifier<R: Columns>(row: &R) -> Result<VerifierRow, R::Error> {
    Ok(VerifierRow {
        id: row.value("id")?,
        name: row.value("name")?,
        provider: row.optional("provider")?,
        max_staleness: row.value("max_staleness")?,
        allow: row.value("allow")?,
        token: row.value("token")?,
        created_at: row.value("created_at")?,
    })
}

pub(crate) fn instance<R: Columns>(row: &R) -> Result<Instance, R::Error> {
    Ok(Instance {
        verifier: row.value("verifier")?,
        instance: row.value("instance")?,
        staleness: row.value("staleness")?,
        on_stale: row.word("on_stale")?,
        registered_at: row.value("registered_at")?,
        renewed_at: row.value("renewed_at")?,
        stopped: row.value("stopped")?,
        address: row.optional("address")?,
    })
}

pub(crate) fn receipt<R: Columns>(row: &R) -> Result<ReceiptRow, R::Error> {
    let (provider, effective_at) = (row.optional("provider")?, row.value("effective_at")?);
    Ok(ReceiptRow {
        position: Position { epoch: row.value("epoch")?, number: row.value("position")? },
        about: ReceiptFor { provider, effective_at },
        complete: row.value("complete")?,
        list: row.optional("list")?,
    })
}
