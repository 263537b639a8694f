//! Rows beside those of a channel.

use super::{people, stamps};
use crate::{
    columns::{Columns, audit, followers, jobs, tokens},
    postgres::{
        facts,
        failed::Failed,
        rows::{int, list, one},
        sql::values,
    },
};
use futures_util::future::{try_join, try_join3};
use tegata_policy::acts::{
    Checkpoint, Old, ProviderJob, QueuedWarning, RememberedRequest, Upkeep, UpkeepRows,
};
use tegata_token::{
    feed::InstanceId,
    id::VerifierId,
    time::{DAY, UnixTime},
};
use tokio_postgres::{Client, Row};

pub(super) async fn read(db: &Client, needs: &Upkeep) -> Result<UpkeepRows, Failed> {
    let none = UpkeepRows::default();
    Ok(match needs {
        Upkeep::None => none,
        Upkeep::NewProviderJob => new_job(db).await?,
        Upkeep::ProviderJob(number) => UpkeepRows { job: job(db, *number).await?, ..none },
        Upkeep::OldestProviderJob(provider) => {
            let number = "(SELECT min(number) FROM provider_revocation WHERE provider = $1)";
            UpkeepRows { job: job_at(db, number, int(provider.number())).await?, ..none }
        }
        Upkeep::Warnings(names) => UpkeepRows { warnings: warnings(db, names).await?, ..none },
        Upkeep::Warning(number) => {
            let sql = format!("{QUEUED} WHERE number = $1");
            UpkeepRows { warnings: list(db, &sql, values![*number], jobs::queued).await?, ..none }
        }
        Upkeep::Old(old) => self::old(db, old).await?,
        Upkeep::LastCheckpoint => UpkeepRows { checkpoint: last_checkpoint(db).await?, ..none },
        Upkeep::Verifier(id) => verifier(db, *id, None).await?,
        Upkeep::Instance(id, instance) => verifier(db, *id, Some(Some(instance))).await?,
        Upkeep::Instances(id, instance) => verifier(db, *id, Some(instance.as_ref())).await?,
        Upkeep::Stamps(stamps) => {
            UpkeepRows { stamped: stamps::stamped(db, stamps).await?, ..none }
        }
        Upkeep::Person(which) => UpkeepRows { people: people::read(db, which).await?, ..none },
        Upkeep::RolesOf(id) => {
            UpkeepRows { people: people::with_past_roles(db, *id).await?, ..none }
        }
        Upkeep::People => {
            let mut rows = none;
            rows.people.people = people::who_sign_in(db).await?;
            rows
        }
        Upkeep::Request(key) => UpkeepRows { requests: requests(db, key).await?, ..none },
        Upkeep::RootTokens => UpkeepRows { root_tokens: facts::root_tokens(db).await?, ..none },
        Upkeep::Uses(noted) => UpkeepRows { uses: stamps::of_used(db, noted).await?, ..none },
    })
}

// ---- revocations of a provider's tokens

/// Reads what a new job begins with. Each job has events in the audit, so no number is used twice: who
/// goes on with a job that another one has ended must not meet a later job.
async fn new_job(db: &Client) -> Result<UpkeepRows, Failed> {
    let sql = "SELECT greatest((SELECT max(number) FROM provider_revocation),
                               (SELECT audit FROM authority)) + 1 AS next_job";
    let next_job = one(db, sql, values![], |row| row.value("next_job")).await?.unwrap_or_default();
    Ok(UpkeepRows { next_job, ..UpkeepRows::default() })
}

/// Reads a job.
async fn job(db: &Client, number: i64) -> Result<Option<ProviderJob>, Failed> {
    job_at(db, "$1", number).await
}

/// Reads the job with the number that this expression has.
async fn job_at(db: &Client, number: &str, value: i64) -> Result<Option<ProviderJob>, Failed> {
    let sql = format!(
        "SELECT job.*, (SELECT min(id) FROM channel WHERE provider = job.provider
             AND revocations_before <= job.through AND id > job.done_to AND state <> 'deleted') AS next
         FROM provider_revocation job WHERE number = {number}"
    );
    one(db, &sql, values![value], jobs::provider_job).await
}

// ---- warnings, requests

const QUEUED: &str = "SELECT number, name, keep_until, attempts FROM warning";

/// Reads the warnings with these names, and those that are out of date first.
async fn warnings(db: &Client, names: &[String]) -> Result<Vec<QueuedWarning>, Failed> {
    let oldest = format!("{QUEUED} ORDER BY keep_until LIMIT 100");
    let named = format!("{QUEUED} WHERE name = ANY($1)");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut found, named) = try_join(
        list(db, &oldest, values![], jobs::queued),
        list(db, &named, values![names], jobs::queued),
    )
    .await?;
    found.extend(named);
    Ok(found)
}

/// Reads the request that is remembered under this key, and the oldest ones.
async fn requests(db: &Client, key: &[u8; 32]) -> Result<Vec<RememberedRequest>, Failed> {
    let oldest = "SELECT * FROM request ORDER BY until LIMIT $1";
    let of_key = "SELECT * FROM request WHERE key = $1";
    let (mut found, of_key) = try_join(
        list(db, oldest, values![int(jobs::OLD_REQUESTS)], jobs::request),
        list(db, of_key, values![&key[..]], jobs::request),
    )
    .await?;
    found.extend(of_key);
    Ok(found)
}

// ---- verifiers

/// Reads a verifier, and those of its instances that are asked for.
async fn verifier(
    db: &Client,
    id: VerifierId,
    instance: Option<Option<&InstanceId>>,
) -> Result<UpkeepRows, Failed> {
    let id = int(id.number());
    let read = |row: &Row| {
        let deleted_at: Option<i64> = row.optional("deleted_at")?;
        Ok((followers::verifier(row)?, deleted_at.is_some()))
    };
    let of_id = values![id];
    let verifier = one(db, "SELECT * FROM verifier WHERE id = $1", of_id, read);
    let mut found = UpkeepRows::default();
    let verifier = match instance {
        None => verifier.await?,
        Some(instance) => {
            let instance = instance.map(InstanceId::as_str);
            let sql = "SELECT * FROM instance
                       WHERE verifier = $1 AND ($2::text IS NULL OR instance = $2)";
            // Only before the first instance under its name they are counted.
            let count = "SELECT count(*) FILTER (WHERE NOT stopped) AS many,
                             count(*) FILTER (WHERE stopped) AS stopped
                         FROM instance WHERE verifier = $1
                         AND NOT EXISTS (SELECT FROM instance WHERE verifier = $1 AND instance = $2)";
            let counts = |row: &Row| Ok((row.value("many")?, row.value("stopped")?));
            let (verifier, instances, counted) = try_join3(
                verifier,
                list(db, sql, values![id, instance], followers::instance),
                one(db, count, values![id, instance], counts),
            )
            .await?;
            (found.instance_count, found.stopped_count) =
                counted.filter(|_| instances.is_empty()).unwrap_or_default();
            found.instances = instances;
            verifier
        }
    };
    if let Some((verifier, deleted)) = verifier {
        found.verifier = Some(verifier);
        found.verifier_deleted = deleted;
    }
    Ok(found)
}

// ---- what is old

/// The last checkpoint.
async fn last_checkpoint(db: &Client) -> Result<Option<Checkpoint>, Failed> {
    let sql = "SELECT * FROM audit_checkpoint ORDER BY number DESC LIMIT 1";
    one(db, sql, values![], audit::checkpoint).await
}

/// Reads rows that may be old enough.
async fn old(db: &Client, old: &Old) -> Result<UpkeepRows, Failed> {
    let none = UpkeepRows::default();
    Ok(match old {
        Old::LogAndAssertions { most } => {
            let log = "SELECT number, at FROM change_log ORDER BY number LIMIT $1";
            let used = "SELECT channel, fingerprint, expires_at FROM assertion_used
                        ORDER BY expires_at LIMIT $1";
            let change = |row: &Row| Ok((row.value("number")?, row.value("at")?));
            let (log, assertions) = try_join(
                list(db, log, values![int(*most)], change),
                list(db, used, values![int(*most)], jobs::used_assertion),
            )
            .await?;
            UpkeepRows { log, assertions, ..none }
        }
        Old::Tokens { rows, .. } => {
            let sql = "SELECT * FROM token WHERE number = ANY($1) ORDER BY number";
            UpkeepRows { tokens: list(db, sql, values![&rows[..]], tokens::swept).await?, ..none }
        }
        Old::Uses { before, most } => {
            let sql = "SELECT token, newest_day FROM token_use WHERE newest_day < $1 LIMIT $2";
            let (day, most) = (before.0.div_euclid(DAY), int(*most));
            UpkeepRows { last_uses: list(db, sql, values![day, most], last_use).await?, ..none }
        }
        Old::Audit { kept_from, most } => {
            let sql = "SELECT id FROM audit WHERE id <= (SELECT last FROM audit_checkpoint
                           WHERE number < $1 ORDER BY number DESC LIMIT 1) ORDER BY id LIMIT $2";
            let (kept_from, most) = (int(*kept_from), int(*most));
            let values = values![kept_from, most];
            let events = list(db, sql, values, |row| row.value("id"));
            let (checkpoint, events) = try_join(last_checkpoint(db), events).await?;
            UpkeepRows { checkpoint, events, ..none }
        }
    })
}

/// A row of uses, and the end of the day of the newest.
fn last_use(row: &Row) -> Result<(i64, UnixTime), Failed> {
    let day: i64 = row.value("newest_day")?;
    Ok((row.value("token")?, UnixTime((day + 1).saturating_mul(DAY))))
}
