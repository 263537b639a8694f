//! Reads columns of rows, and rows whose parts are in several tables. How values are encoded
//! is in `crate::columns`.

use super::{
    failed::Failed,
    sql::{Value, among, values},
};
use crate::columns::{Columns, Damaged, channels};
use futures_util::future::try_join3;
use std::collections::BTreeMap;
use tegata_policy::acts::StoredKey;
use tegata_token::id::ChannelId;
use tokio_postgres::{Client, Row};

impl From<Damaged> for Failed {
    fn from(damaged: Damaged) -> Self {
        Self::row(damaged)
    }
}

impl Columns for Row {
    type Error = Failed;

    fn integer(&self, column: &str) -> Result<Option<i64>, Failed> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &str) -> Result<Option<String>, Failed> {
        Ok(self.try_get(column)?)
    }

    fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, Failed> {
        Ok(self.try_get(column)?)
    }

    fn flag(&self, column: &str) -> Result<Option<bool>, Failed> {
        Ok(self.try_get(column)?)
    }
}

/// A number as it is stored. None that this program makes is beyond `i64`.
pub(super) fn int<T: TryInto<i64>>(number: T) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// All rows that a statement finds.
pub(super) async fn list<T>(
    db: &Client,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row) -> Result<T, Failed>,
) -> Result<Vec<T>, Failed> {
    db.query_typed(sql, values).await?.iter().map(read).collect()
}

/// The row that a statement finds; there is at most one.
pub(super) async fn one<T>(
    db: &Client,
    sql: &str,
    values: &[Value<'_>],
    read: impl Fn(&Row) -> Result<T, Failed>,
) -> Result<Option<T>, Failed> {
    db.query_typed_opt(sql, values).await?.as_ref().map(read).transpose()
}

/// All signing keys, oldest first.
pub(super) async fn signing_keys(db: &Client) -> Result<Vec<StoredKey>, Failed> {
    let sql = format!("{} ORDER BY number", channels::SIGNING_KEY);
    list(db, &sql, values![], channels::signing_key).await
}

/// What the snapshots of these channels have from other tables.
pub(super) async fn parts(
    db: &Client,
    ids: &[i64],
) -> Result<BTreeMap<ChannelId, channels::Parts>, Failed> {
    let mut found = BTreeMap::<ChannelId, channels::Parts>::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let (is, values) = among(&ids);
    let keys = format!(
        "SELECT channel, id, grp, modulus, created_at FROM assertion_key
         WHERE channel {is} ORDER BY number"
    );
    let groups = format!("SELECT channel, name, settings FROM channel_group WHERE channel {is}");
    let used =
        format!("SELECT channel, name, until FROM group_use WHERE channel {is} AND NOT deleted");
    let (keys, groups, used) = try_join3(
        list(db, &keys, &values, |row| Ok((row.value("channel")?, channels::assertion_key(row)?))),
        list(db, &groups, &values, |row| {
            Ok((row.value("channel")?, channels::group_settings(row)?))
        }),
        list(db, &used, &values, |row| Ok((row.value("channel")?, channels::group_use(row)?))),
    )
    .await?;
    for (id, key) in keys {
        found.entry(id).or_default().assertion_keys.push(key);
    }
    for (id, (group, settings)) in groups {
        found.entry(id).or_default().groups.insert(group, settings);
    }
    for (id, (group, until)) in used {
        found.entry(id).or_default().used_groups.insert(group, until);
    }
    Ok(found)
}
