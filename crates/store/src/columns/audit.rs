//! Rows and checkpoints of the audit.

use super::{Columns, json};
use crate::{
    AuditRow,
    audit::{Checkpoint, RawAuditRow},
};
use data_encoding::HEXLOWER;
use tegata_policy::acts::AuditRecord;
use tegata_token::id::Position;

/// What an event's row says besides who and when: JSON, with the reason and the id of the
/// request.
pub(crate) fn detail(AuditRecord { by, event }: &AuditRecord) -> String {
    let mut detail = event.event.detail();
    if let Some(members) = detail.as_object_mut() {
        let named = [("reason", &by.reason), ("request_id", &by.request_id)];
        for (name, value) in named {
            if let Some(value) = value {
                members.insert(name.into(), value.as_str().into());
            }
        }
    }
    json(&detail)
}

pub(crate) fn raw_row<R: Columns>(row: &R) -> Result<RawAuditRow, R::Error> {
    Ok(RawAuditRow {
        id: row.value("id")?,
        at: row.value("at")?,
        actor: row.value("actor")?,
        source: row.optional("source")?,
        act: row.value("act")?,
        provider: row.optional("provider")?,
        channel: row.optional("channel")?,
        detail: row.value("detail")?,
        epoch: row.optional("epoch")?,
        position: row.optional("position")?,
    })
}

pub(crate) fn event<R: Columns>(row: &R) -> Result<AuditRow, R::Error> {
    let (epoch, number) = (row.optional("epoch")?, row.optional("position")?);
    Ok(AuditRow {
        id: row.value("id")?,
        at: row.value("at")?,
        actor: row.value("actor")?,
        source: row.optional("source")?,
        act: row.value("act")?,
        provider: row.optional("provider")?,
        channel: row.optional("channel")?,
        detail: row.json("detail")?,
        position: epoch.zip(number).map(|(epoch, number)| Position { epoch, number }),
    })
}

pub(crate) fn checkpoint<R: Columns>(row: &R) -> Result<Checkpoint, R::Error> {
    Ok(Checkpoint {
        number: row.value("number")?,
        epoch: row.value("epoch")?,
        first: row.value("first")?,
        last: row.value("last")?,
        events: row.value("events")?,
        kept_from: row.value("kept_from")?,
        at: row.value("at")?,
        chain: HEXLOWER.encode(&row.value::<Vec<u8>>("chain")?),
        signature: HEXLOWER.encode(&row.value::<Vec<u8>>("signature")?),
    })
}

/// The bytes of a checkpoint's chain value or signature, which it has in hex digits.
pub(crate) fn blob(digits: &str) -> Vec<u8> {
    HEXLOWER.decode(digits.as_bytes()).unwrap_or_default()
}
