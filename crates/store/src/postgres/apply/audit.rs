//! The audit's key and checkpoints.

use crate::{
    columns::audit as columns,
    postgres::{
        rows::int,
        statements::{Statements, keep},
    },
};
use tegata_policy::acts::{Checkpoint, Write};

pub(super) fn apply<'a>(to: &mut Statements<'a>, it: &'a Write) {
    match it {
        Write::AuditKey(public, wrapped) => {
            let sql = "INSERT INTO audit_key (id, public, wrapped) VALUES (1, $1, $2)";
            to.add(sql, keep![&public[..], &wrapped.0[..]]);
        }
        Write::AuditKeyWrapped(wrapped) => {
            to.add("UPDATE audit_key SET wrapped = $1", keep![&wrapped.0[..]]);
        }
        // A new key signs checkpoints of all rows: the private half of the old one is lost.
        Write::AuditBegunAnew => {
            to.add("DELETE FROM audit_checkpoint", keep![]);
            to.add("DELETE FROM audit_key", keep![]);
        }
        Write::Checkpoint(new) => checkpoint(to, new),
        _ => {}
    }
}

fn checkpoint(to: &mut Statements<'_>, it: &Checkpoint) {
    let sql = "INSERT INTO audit_checkpoint
                   (number, epoch, first, last, events, kept_from, at, chain, signature)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = keep![
        int(it.number),
        int(it.epoch),
        it.first,
        it.last,
        int(it.events),
        int(it.kept_from),
        it.at.0,
        columns::blob(&it.chain),
        columns::blob(&it.signature),
    ];
    to.add(sql, values);
}
