//! What an act locks before anything that it is decided on is read, and in which order: the lease
//! of the jobs, then rows by name, then providers, then channels by their ids. The authority's row
//! comes last.

use super::{
    connect::Client,
    failed::Failed,
    load::OfEach,
    rows::{int, list},
    sql::{among, values},
};
use crate::{Error, columns::Columns};
use futures_util::future::try_join5;
use std::collections::{BTreeMap, BTreeSet};
use tegata_policy::acts::{ActName, Count, Needs, Upkeep};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// The row that acts on verifiers and their instances lock. Acts that begin receipts do not: the
/// instances that a receipt waits for are listed after its commit. See
/// `docs/decisions/0025-many-replicas.md`.
const VERIFIERS: &str = "verifiers";

/// The row that changes of signing keys lock.
const SIGNING_KEYS: &str = "signing-keys";

/// One thing that acts lock. Two acts with a key in common run one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// A lock row.
    Row(&'static str),
    /// A provider.
    Provider(ProviderId),
    /// A channel.
    Channel(ChannelId),
}

/// What an act locks.
#[derive(Debug, Clone, Default)]
pub(super) struct Locks {
    /// Whether only the server with the jobs does it.
    job: bool,
    rows: BTreeSet<&'static str>,
    /// A provider, and whether no other act may read it meanwhile.
    provider: Option<(ProviderId, bool)>,
    channel: Option<ChannelId>,
    /// Whether the act is likely to make a change.
    changes: bool,
}

impl Locks {
    /// Of an act with these needs.
    pub fn of(act: ActName, needs: &Needs) -> Self {
        let mut rows: BTreeSet<_> = row_of(&needs.upkeep).into_iter().collect();
        if needs.audit_key {
            rows.insert("audit");
        }
        if needs.clock {
            rows.insert("authority");
        }
        match act {
            ActName::ChangeSigningKeys | ActName::RewrapKeys => drop(rows.insert(SIGNING_KEYS)),
            ActName::DropInstances => drop(rows.insert(VERIFIERS)),
            _ => {}
        }
        let alone = matches!(
            act,
            ActName::RenameProvider | ActName::DeleteProvider | ActName::BeginProviderRevocation
        );
        Self {
            job: is_step_of_job(act),
            rows,
            provider: needs.provider.map(|id| (id, alone)),
            channel: needs.channel,
            changes: is_likely_to_change(act),
        }
    }

    /// Whether the act is likely to make a change, and so to lock the authority's row.
    pub fn expect_change(&self) -> bool {
        self.changes
    }

    /// Whether it may share a transaction with an act that has the other locks: if they lock the
    /// same rows by name, and both are steps of jobs or none is, so that no other act fails with a
    /// step of a job.
    pub fn may_share(&self, other: &Self) -> bool {
        self.job == other.job && self.rows == other.rows
    }

    /// All its keys.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let rows = self.rows.iter().map(|name| Key::Row(name));
        let provider = self.provider.map(|(id, _)| Key::Provider(id));
        rows.chain(provider).chain(self.channel.map(Key::Channel))
    }
}

/// Whether an act is likely to make a change. Then the authority's row is locked before it is
/// decided, which saves a round trip; else once it is known to make one.
fn is_likely_to_change(act: ActName) -> bool {
    matches!(
        act,
        ActName::Revoke
            | ActName::ReportLeaks
            | ActName::ChangeChannel
            | ActName::ReplaceSecret
            | ActName::DeletePreviousSecret
            | ActName::DeleteKey
            | ActName::DeleteGroup
            | ActName::DeleteProvider
            | ActName::ChangeSigningKeys
            | ActName::RecordForAll
            | ActName::ReplaceRootToken
            | ActName::ContinueProviderRevocation
    )
}

/// Whether an act is a step that only jobs take, which one of the servers does for all. What jobs and
/// requests do alike (a new warning, the next step of a provider's revocation, a signing key made
/// active) is not: it is decided under a row of its own, whichever server does it.
fn is_step_of_job(act: ActName) -> bool {
    matches!(
        act,
        ActName::Forget
            | ActName::Trim
            | ActName::AddCheckpoint
            | ActName::DropInstances
            | ActName::WarningTried
    )
}

fn row_of(needs: &Upkeep) -> Option<&'static str> {
    match needs {
        Upkeep::None => None,
        Upkeep::NewProviderJob
        | Upkeep::ProviderJob(_)
        | Upkeep::OldestProviderJob(_)
        | Upkeep::Old(_) => Some("jobs"),
        Upkeep::Warnings(_) | Upkeep::Warning(_) => Some("warnings"),
        Upkeep::Stamps(_) | Upkeep::Uses(_) => Some("uses"),
        Upkeep::LastCheckpoint => Some("audit"),
        Upkeep::Verifier(_) | Upkeep::Instance(..) | Upkeep::Instances(..) => Some(VERIFIERS),
        Upkeep::Person(_) | Upkeep::RolesOf(_) | Upkeep::People => Some("people"),
        Upkeep::Request(_) => Some("requests"),
        Upkeep::RootTokens => Some("authority"),
    }
}

/// The locks of all acts of a transaction.
#[derive(Debug, Default)]
pub(super) struct All {
    job: bool,
    rows: BTreeSet<&'static str>,
    providers: BTreeMap<ProviderId, bool>,
    channels: BTreeSet<ChannelId>,
    changes: bool,
}

impl All {
    pub fn add(&mut self, locks: &Locks) {
        self.job |= locks.job;
        self.rows.extend(&locks.rows);
        self.changes |= locks.changes;
        if let Some((id, alone)) = locks.provider {
            *self.providers.entry(id).or_default() |= alone;
        }
        self.channels.extend(locks.channel);
    }

    /// Whether an act is likely to make a change.
    pub fn expect_change(&self) -> bool {
        self.changes
    }

    /// Whether signing keys may be changed.
    pub fn holds_signing_keys(&self) -> bool {
        self.rows.contains(SIGNING_KEYS)
    }

    /// Takes the locks for the server `own`; returns the highest time that was written for each
    /// channel, and its counters: of a row that it waits for, a lock reads what it waited for.
    pub async fn take(
        &self,
        db: &Client,
        own: [u8; 16],
    ) -> Result<OfEach<(UnixTime, Count)>, Failed> {
        let rows: Vec<&str> = self.rows.iter().copied().collect();
        let of = |wanted: bool| {
            let all = self.providers.iter().filter(move |(_, alone)| **alone == wanted);
            all.map(|(id, _)| int(id.number())).collect::<Vec<_>>()
        };
        let (alone, beside) = (of(true), of(false));
        let channels: Vec<i64> = self.channels.iter().map(|id| int(id.number())).collect();
        // Sent one after the other, and answered in that order.
        let locks = try_join5(
            lock_jobs(db, self.job.then_some(own)),
            lock_names(db, &rows),
            lock_providers(db, &alone, "UPDATE"),
            lock_providers(db, &beside, "SHARE"),
            lock_channels(db, &channels),
        );
        let ((), (), (), (), channels) = locks.await?;
        Ok(channels)
    }
}

/// Keeps the jobs with this server until the transaction ends.
async fn lock_jobs(db: &Client, own: Option<[u8; 16]>) -> Result<(), Failed> {
    let Some(own) = own else { return Ok(()) };
    // Shared, since steps of several jobs run at once.
    let sql = "SELECT holder FROM job_lease WHERE name = 'jobs' AND holder = $1 FOR SHARE";
    match db.query_typed_opt(sql, values![own.to_vec()]).await? {
        Some(_) => Ok(()),
        None => {
            let why = "another server does the jobs now, so this step was not done";
            Err(Failed::Answer(Error::NotNow(why.into())))
        }
    }
}

async fn lock_names(db: &Client, names: &[&str]) -> Result<(), Failed> {
    if names.is_empty() {
        return Ok(());
    }
    let (is, values) = among(&names);
    let sql = format!("SELECT name FROM lock_row WHERE name {is} ORDER BY name FOR UPDATE");
    db.query_typed(&sql, &values).await?;
    Ok(())
}

async fn lock_providers(db: &Client, ids: &[i64], how: &str) -> Result<(), Failed> {
    if ids.is_empty() {
        return Ok(());
    }
    let (is, values) = among(&ids);
    let sql = format!("SELECT id FROM provider WHERE id {is} ORDER BY id FOR {how}");
    db.query_typed(&sql, &values).await?;
    Ok(())
}

async fn lock_channels(db: &Client, ids: &[i64]) -> Result<OfEach<(UnixTime, Count)>, Failed> {
    if ids.is_empty() {
        return Ok(OfEach::new());
    }
    let (is, values) = among(&ids);
    let sql = format!(
        "SELECT channel, written_at, serial, revision FROM channel_count
         WHERE channel {is} ORDER BY channel FOR UPDATE"
    );
    let found: Vec<_> = list(db, &sql, &values, |row| {
        let count = Count { serial: row.value("serial")?, revision: row.value("revision")? };
        Ok((row.value("channel")?, (row.value("written_at")?, count)))
    })
    .await?;
    Ok(found.into_iter().collect())
}
