//! Rows of revocations of a provider's tokens, of warnings, and of requests that are
//! remembered.

use super::{act::Of, followers};
use crate::postgres::{
    rows::int,
    statements::{Statements, keep},
};
use tegata_policy::acts::{ProviderJob, Write};

pub(super) fn apply<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &'a Write) {
    let position = of.at.position.map(|it| int(it.number));
    match it {
        Write::ProviderJob(new) => insert_job(to, new, position),
        Write::ProviderJobAt { job, done_to, revoked } => {
            let sql = "UPDATE provider_revocation
                       SET done_to = $2, revoked = $3, position = coalesce($4, position)
                       WHERE number = $1";
            to.add(sql, keep![*job, int(done_to.number()), int(*revoked), position]);
        }
        Write::ProviderJobDone(job) => {
            followers::begin_receipt_of_job(to, of.at, *job);
            to.add("DELETE FROM provider_revocation WHERE number = $1", keep![*job]);
        }
        Write::Warning { new, next } => {
            let sql = "INSERT INTO warning (name, body, keep_until, next_at)
                       VALUES ($1, $2, $3, $4)";
            to.add(sql, keep![new.name.as_str(), new.body.as_str(), new.keep_until.0, next.0]);
        }
        Write::WarningTried { number, attempts, next } => {
            let sql = "UPDATE warning SET attempts = $2, next_at = $3 WHERE number = $1";
            to.add(sql, keep![*number, int(*attempts), next.map(|next| next.0)]);
        }
        Write::WarningDropped(number) => {
            to.add("DELETE FROM warning WHERE number = $1", keep![*number]);
        }
        Write::Request(new) => {
            let sql = "INSERT INTO request (key, parameters, until) VALUES ($1, $2, $3)";
            to.add(sql, keep![&new.key[..], &new.parameters[..], new.until.0]);
        }
        Write::RequestAnswered(key, response) => {
            let sql = "UPDATE request SET response = $2 WHERE key = $1";
            to.add(sql, keep![&key[..], &response.0[..]]);
        }
        Write::RequestForgotten(key) => {
            to.add("DELETE FROM request WHERE key = $1", keep![&key[..]]);
        }
        _ => {}
    }
}

fn insert_job<'a>(to: &mut Statements<'a>, new: &'a ProviderJob, position: Option<i64>) {
    let sql = "INSERT INTO provider_revocation
                   (number, provider, through, actor, source, reason, position)
               VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, 0))";
    let values = keep![
        new.number,
        int(new.provider.number()),
        new.through,
        new.actor.as_str(),
        new.source.as_deref(),
        new.reason.as_deref(),
        position,
    ];
    to.add(sql, values);
    let sql = "UPDATE provider SET revocations = $2 + 1 WHERE id = $1";
    to.add(sql, keep![int(new.provider.number()), new.through]);
}
