//! What an act locks before anything that it is decided on is read, and in which order: rows
//! by name, then providers, then channels by their ids. The authority's row comes last.

use super::{
    connect::Client,
    failed::Failed,
    load::OfEach,
    rows::{int, list},
    sql::values,
};
use crate::columns::Columns;
use std::collections::{BTreeMap, BTreeSet};
use tegata_policy::acts::{ActName, Count, Needs, Upkeep};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// The row that registrations of instances lock, and acts whose receipts list instances: an
/// act either sees an instance, or the instance begins with a view that has the act.
pub(super) const VERIFIERS: &str = "verifiers";

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
    rows: BTreeSet<&'static str>,
    /// A provider, and whether no other act may read it meanwhile.
    provider: Option<(ProviderId, bool)>,
    channel: Option<ChannelId>,
    /// Whether the act may begin a receipt.
    receipt: bool,
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
        let receipt = begins_receipts(act);
        Self {
            rows,
            provider: needs.provider.map(|id| (id, alone)),
            channel: needs.channel,
            receipt,
        }
    }

    /// The rows that it locks by name.
    pub fn rows(&self) -> &BTreeSet<&'static str> {
        &self.rows
    }

    /// All its keys.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let rows = self.rows.iter().map(|name| Key::Row(name));
        let provider = self.provider.map(|(id, _)| Key::Provider(id));
        rows.chain(provider).chain(self.channel.map(Key::Channel))
    }
}

/// Whether an act may begin a receipt. A reissue does, too; it takes the lock when it is
/// known to be one.
fn begins_receipts(act: ActName) -> bool {
    matches!(
        act,
        ActName::Revoke
            | ActName::ChangeChannel
            | ActName::ReplaceSecret
            | ActName::DeletePreviousSecret
            | ActName::DeleteKey
            | ActName::DeleteGroup
            | ActName::DeleteProvider
            | ActName::ChangeSigningKeys
            | ActName::RecordForAll
            | ActName::ContinueProviderRevocation
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
        Upkeep::Person(_) | Upkeep::People => Some("people"),
        Upkeep::Request(_) => Some("requests"),
    }
}

/// The locks of all acts of a transaction.
#[derive(Debug, Default)]
pub(super) struct All {
    rows: BTreeSet<&'static str>,
    shared: BTreeSet<&'static str>,
    providers: BTreeMap<ProviderId, bool>,
    channels: BTreeSet<ChannelId>,
}

impl All {
    pub fn add(&mut self, locks: &Locks) {
        self.rows.extend(&locks.rows);
        if locks.receipt {
            self.shared.insert(VERIFIERS);
        }
        if let Some((id, alone)) = locks.provider {
            *self.providers.entry(id).or_default() |= alone;
        }
        self.channels.extend(locks.channel);
    }

    /// Whether an act is likely to begin a receipt, and so to make a change.
    pub fn expects_change(&self) -> bool {
        self.shared.contains(VERIFIERS)
    }

    /// Whether receipts may be begun.
    pub fn holds_verifiers(&self) -> bool {
        self.shared.contains(VERIFIERS) || self.rows.contains(VERIFIERS)
    }

    /// Whether signing keys may be changed.
    pub fn holds_signing_keys(&self) -> bool {
        self.rows.contains(SIGNING_KEYS)
    }

    /// Notes that instances are kept from being registered.
    pub fn took_verifiers(&mut self) {
        self.shared.insert(VERIFIERS);
    }

    /// Takes the locks; returns the highest time that was written for each channel, and its
    /// counters: of a row that it waits for, a lock reads what it waited for.
    pub async fn take(&self, db: &Client) -> Result<OfEach<(UnixTime, Count)>, Failed> {
        let rows: Vec<&str> = self.rows.iter().copied().collect();
        let shared: Vec<&str> = self.shared.difference(&self.rows).copied().collect();
        let of = |wanted: bool| {
            let all = self.providers.iter().filter(move |(_, alone)| **alone == wanted);
            all.map(|(id, _)| int(id.number())).collect::<Vec<_>>()
        };
        let (alone, beside) = (of(true), of(false));
        let channels: Vec<i64> = self.channels.iter().map(|id| int(id.number())).collect();
        // Sent one after the other, and answered in that order.
        let locks = futures_util::future::try_join5(
            lock_names(db, &rows, "UPDATE"),
            lock_names(db, &shared, "SHARE"),
            lock_providers(db, &alone, "UPDATE"),
            lock_providers(db, &beside, "SHARE"),
            lock_channels(db, &channels),
        );
        let ((), (), (), (), channels) = locks.await?;
        Ok(channels)
    }
}

/// Locks rows by their names.
pub(super) async fn lock_names(db: &Client, names: &[&str], how: &str) -> Result<(), Failed> {
    if names.is_empty() {
        return Ok(());
    }
    let sql = format!("SELECT name FROM lock_row WHERE name = ANY($1) ORDER BY name FOR {how}");
    db.query_typed(&sql, values![names]).await?;
    Ok(())
}

async fn lock_providers(db: &Client, ids: &[i64], how: &str) -> Result<(), Failed> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!("SELECT id FROM provider WHERE id = ANY($1) ORDER BY id FOR {how}");
    db.query_typed(&sql, values![ids]).await?;
    Ok(())
}

async fn lock_channels(db: &Client, ids: &[i64]) -> Result<OfEach<(UnixTime, Count)>, Failed> {
    if ids.is_empty() {
        return Ok(OfEach::new());
    }
    let sql = "SELECT channel, written_at, serial, revision FROM channel_count
               WHERE channel = ANY($1) ORDER BY channel FOR UPDATE";
    let found: Vec<_> = list(db, sql, values![ids], |row| {
        let count = Count { serial: row.value("serial")?, revision: row.value("revision")? };
        Ok((row.value("channel")?, (row.value("written_at")?, count)))
    })
    .await?;
    Ok(found.into_iter().collect())
}
