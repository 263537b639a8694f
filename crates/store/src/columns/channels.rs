//! Rows of providers, channels with their keys and groups, and signing keys.

use super::{Columns, damaged, key_state};
use crate::{Provider, SigningKeyRow};
use std::collections::BTreeMap;
use tegata_policy::{
    acts::StoredKey,
    channel::{Channel, GroupRule, GroupSettings, RegisteredKey, Secret},
    jwk::AssertionKey,
};
use tegata_token::{
    id::{Group, SigningKeyId},
    key::VerifyingKey,
    time::UnixTime,
};

/// The columns of a channel that [`channel`] reads.
pub(crate) const CHANNEL: &str = "SELECT c.number, c.id, c.provider, c.name, c.type, c.created_at,
    c.state, c.rules, c.group_cap, c.group_when_full, c.own_audience_only, c.single_use, c.on_leak,
    c.limits, c.secret,
    c.previous_secret, c.previous_until, n.revision, n.bulk_serial
    FROM channel c JOIN channel_count n ON n.channel = c.id";

/// What a channel's snapshot has from other tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// Its assertion keys, oldest first.
    pub assertion_keys: Vec<RegisteredKey>,
    /// The settings of its groups.
    pub groups: BTreeMap<Group, GroupSettings>,
    /// Remembered groups that are not deleted.
    pub used_groups: BTreeMap<Group, UnixTime>,
}

pub(crate) fn provider<R: Columns>(row: &R) -> Result<Provider, R::Error> {
    Ok(Provider {
        id: row.value("id")?,
        name: row.value("name")?,
        created_at: row.value("created_at")?,
    })
}

/// A channel's snapshot from one row of [`CHANNEL`].
pub(crate) fn channel<R: Columns>(row: &R, parts: Parts) -> Result<Channel, R::Error> {
    let mut secrets = vec![Secret { hash: row.value("secret")?, until: None }];
    if let Some(hash) = row.optional("previous_secret")? {
        secrets.push(Secret { hash, until: Some(row.value("previous_until")?) });
    }
    Ok(Channel {
        id: row.value("id")?,
        provider: row.value("provider")?,
        name: row.value("name")?,
        channel_type: row.word("type")?,
        created_at: row.value("created_at")?,
        state: row.word("state")?,
        rules: row.word("rules")?,
        group_rule: GroupRule {
            cap: row.value("group_cap")?,
            when_full: row.word("group_when_full")?,
        },
        own_audience_only: row.value("own_audience_only")?,
        single_use_assertions: row.value("single_use")?,
        on_leak: row.word("on_leak")?,
        limits: row.json("limits")?,
        secrets,
        assertion_keys: parts.assertion_keys,
        groups: parts.groups,
        used_groups: parts.used_groups,
        revision: row.value("revision")?,
        bulk_serial: row.value("bulk_serial")?,
    })
}

pub(crate) fn assertion_key<R: Columns>(row: &R) -> Result<RegisteredKey, R::Error> {
    let modulus: Vec<u8> = row.value("modulus")?;
    Ok(RegisteredKey {
        id: row.value("id")?,
        group: row.optional("grp")?,
        key: AssertionKey::from_modulus(&modulus).ok_or_else(|| damaged("not an RSA key"))?,
        created_at: row.value("created_at")?,
    })
}

/// A group with its own settings.
pub(crate) fn group_settings<R: Columns>(row: &R) -> Result<(Group, GroupSettings), R::Error> {
    Ok((row.value("name")?, row.json("settings")?))
}

/// A remembered group, and until when it is.
pub(crate) fn group_use<R: Columns>(row: &R) -> Result<(Group, UnixTime), R::Error> {
    Ok((row.value("name")?, row.value("until")?))
}

/// All columns of a signing key.
pub(crate) const SIGNING_KEY: &str =
    "SELECT number, id, public, wrapped, state, issued_before, created_at, changed_at
     FROM signing_key";

pub(crate) fn signing_key<R: Columns>(row: &R) -> Result<StoredKey, R::Error> {
    let id: SigningKeyId = row.value("id")?;
    // Its id is its own hash (see `VerifyingKey::id`), so a flipped bit is noticed.
    let public = VerifyingKey::from_bytes(row.value("public")?).map_err(damaged)?;
    if public.id() != id {
        return Err(damaged(format!("the signing key {id} was damaged; restore a backup")).into());
    }
    let key = SigningKeyRow {
        id,
        public: public.to_bytes(),
        wrapped: row.value("wrapped")?,
        state: key_state(&row.value::<String>("state")?, row.optional("issued_before")?)?,
        created_at: row.value("created_at")?,
        changed_at: row.value("changed_at")?,
    };
    Ok(StoredKey { row: row.value("number")?, key })
}
