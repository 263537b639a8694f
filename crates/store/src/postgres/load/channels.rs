//! What acts need of their channels, for all of them at once.

use crate::{
    columns::{Columns, channels, read_revocations},
    postgres::{
        failed::Failed,
        rows::{int, list, parts},
        sql::among,
    },
};
use futures_util::future::{try_join, try_join4};
use std::{collections::BTreeMap, sync::Arc};
use tegata_policy::{
    acts::{Count, Needs, StoredKey, StoredToken, Times, Tokens},
    channel::Channel,
};
use tegata_token::{id::ChannelId, view::ChannelRevocations};
use tokio_postgres::{Client, Row};

pub(in crate::postgres) type OfEach<T> = BTreeMap<ChannelId, T>;
type TokenRows = OfEach<Arc<Vec<StoredToken>>>;

/// What was read. A channel without counters does not exist.
#[derive(Debug, Default)]
pub(super) struct OfChannels {
    /// The counters.
    pub counts: OfEach<Count>,
    /// Without those that are known already.
    pub snapshots: OfEach<Arc<Channel>>,
    /// Without the channel's state: that is in another table, and no act reads it here.
    pub revocations: OfEach<Arc<ChannelRevocations>>,
    counted: TokenRows,
    with_keys: TokenRows,
}

impl OfChannels {
    /// A channel's token rows that are not past, oldest first.
    pub fn tokens_of(&self, id: ChannelId, which: Tokens) -> Arc<Vec<StoredToken>> {
        let found = match which {
            Tokens::None => None,
            Tokens::Counted => self.counted.get(&id),
            Tokens::WithKeys => self.with_keys.get(&id),
        };
        found.cloned().unwrap_or_default()
    }
}

pub(super) async fn read(
    db: &Client,
    keys: &[StoredKey],
    needs: &[Needs],
    counts: impl Future<Output = Result<OfEach<Count>, Failed>>,
) -> Result<OfChannels, Failed> {
    let of = |wanted: fn(&Needs) -> bool| ids(needs.iter().filter(|it| wanted(it)));
    if of(|_| true).is_empty() {
        return Ok(OfChannels::default());
    }
    let counted = of(|it| it.tokens == Tokens::Counted);
    let with_keys = of(|it| it.tokens == Tokens::WithKeys);
    let revoked = of(|it| it.revocations);
    let tokens = try_join(tokens(db, keys, &counted, false), tokens(db, keys, &with_keys, true));
    let (counts, (counted, with_keys), revocations, mut snapshots) =
        try_join4(counts, tokens, revocations(db, &revoked), whole(db, needs)).await?;
    snapshots.extend(changed(db, needs, &counts).await?);
    Ok(OfChannels { counts, snapshots, revocations, counted, with_keys })
}

/// The counters of the channels of acts.
pub(super) async fn counts(db: &Client, needs: &[Needs]) -> Result<OfEach<Count>, Failed> {
    let ids = ids(needs.iter());
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids = &ids[..];
    let (is, values) = among(&ids);
    let sql = format!("SELECT channel, serial, revision FROM channel_count WHERE channel {is}");
    let count = |row: &Row| {
        let count = Count { serial: row.value("serial")?, revision: row.value("revision")? };
        Ok((row.value("channel")?, count))
    };
    Ok(list(db, &sql, &values, count).await?.into_iter().collect())
}

async fn revocations(db: &Client, ids: &[i64]) -> Result<OfEach<Arc<ChannelRevocations>>, Failed> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (is, values) = among(&ids);
    let sql = format!("SELECT channel, revocations FROM channel_revocations WHERE channel {is}");
    let read = |row: &Row| {
        let id = row.value("channel")?;
        let revocations = read_revocations(id, &row.value::<String>("revocations")?)?;
        Ok((id, revocations.into()))
    };
    Ok(list(db, &sql, &values, read).await?.into_iter().collect())
}

async fn tokens(
    db: &Client,
    keys: &[StoredKey],
    ids: &[i64],
    with_keys: bool,
) -> Result<TokenRows, Failed> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    // The index holds every other column, so that it answers by itself.
    let (is, values) = among(&ids);
    let of_key = if with_keys { ", assertion_key" } else { "" };
    let sql = format!(
        "SELECT channel, number, serial, kind, grp, expires_at, ends_at, signing_key, issued_at
             {of_key}
         FROM token WHERE channel {is} AND NOT past ORDER BY channel, serial"
    );
    let mut found = OfEach::<Vec<StoredToken>>::new();
    for row in db.query_typed(&sql, &values).await? {
        let token = token(&row, keys, with_keys)?;
        found.entry(row.value("channel")?).or_default().push(token);
    }
    Ok(found.into_iter().map(|(id, tokens)| (id, Arc::new(tokens))).collect())
}

fn token(row: &Row, keys: &[StoredKey], with_keys: bool) -> Result<StoredToken, Failed> {
    let (key, key_since) = StoredKey::state_of(keys, row.value("signing_key")?);
    Ok(StoredToken {
        row: row.value("number")?,
        serial: row.value("serial")?,
        kind: row.value("kind")?,
        group: row.optional("grp")?,
        assertion_key: if with_keys { row.optional("assertion_key")? } else { None },
        times: Times {
            issued_at: row.value("issued_at")?,
            expires_at: row.value("expires_at")?,
            ends_at: row.optional("ends_at")?,
            revocation: None,
            key,
            key_since,
        },
    })
}

/// The snapshots of channels, deleted ones included, that are needed whatever their revision is.
async fn whole(db: &Client, needs: &[Needs]) -> Result<OfEach<Arc<Channel>>, Failed> {
    let needs = || needs.iter().filter(|it| it.unless_revision.is_none());
    let with_parts = ids(needs().filter(|it| !it.without_parts));
    snapshots(db, &ids(needs()), &with_parts).await
}

fn ids<'a>(needs: impl Iterator<Item = &'a Needs>) -> Vec<i64> {
    needs.filter_map(|it| it.channel).map(|id| int(id.number())).collect()
}

/// The snapshots of channels whose revision is not the one that their act knows.
async fn changed(
    db: &Client,
    needs: &[Needs],
    counts: &OfEach<Count>,
) -> Result<OfEach<Arc<Channel>>, Failed> {
    let is_other = |it: &&Needs| {
        let count = it.channel.and_then(|id| counts.get(&id));
        it.unless_revision.zip(count).is_some_and(|(known, count)| known != count.revision)
    };
    let ids = ids(needs.iter().filter(is_other));
    snapshots(db, &ids, &ids).await
}

/// The snapshots of channels; those of `with_parts` have their assertion keys and groups.
async fn snapshots(
    db: &Client,
    ids: &[i64],
    with_parts: &[i64],
) -> Result<OfEach<Arc<Channel>>, Failed> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (is, values) = among(&ids);
    let sql = format!("{} WHERE c.id {is}", channels::CHANNEL);
    let rows = async { Ok(db.query_typed(&sql, &values).await?) };
    let (rows, mut parts) = try_join(rows, parts(db, with_parts)).await?;
    let snapshot = |row: &Row| {
        let id = row.value("id")?;
        let parts = parts.remove(&id).unwrap_or_default();
        Ok((id, Arc::new(channels::channel(row, parts)?)))
    };
    rows.iter().map(snapshot).collect()
}
