//! Rows of providers and channels, of their secrets, keys and groups. Their content is
//! decided elsewhere.

use super::act::Of;
use crate::{
    columns::{json, word},
    postgres::{
        rows::int,
        statements::{Statements, keep},
    },
};
use tegata_policy::{
    acts::Write,
    channel::{Channel, GroupSettings, RegisteredKey},
    secret::HashedSecret,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    time::UnixTime,
};

pub(super) fn apply<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &'a Write) {
    match it {
        Write::Provider(new) => {
            let sql = "INSERT INTO provider (id, name, created_at) VALUES ($1, $2, $3)";
            to.add(sql, keep![int(new.id.number()), new.name.as_str(), new.created_at.0]);
        }
        Write::ProviderName(id, name) => {
            let sql = "UPDATE provider SET name = $2 WHERE id = $1";
            to.add(sql, keep![int(id.number()), name.as_str()]);
        }
        Write::ProviderDeleted(id) => {
            let sql = "UPDATE provider SET deleted = true WHERE id = $1";
            to.add(sql, keep![int(id.number())]);
        }
        Write::NewChannel(new) => insert_channel(to, new),
        Write::Settings(new) => write_settings(to, new),
        Write::StateChangedBy(id) => {
            let sql = "UPDATE channel SET state_act = $2 WHERE id = $1";
            to.add(sql, keep![int(id.number()), of.at.audit]);
        }
        Write::Secret { channel, hash, kept } => write_secret(to, *channel, *hash, *kept),
        Write::PreviousSecretsDropped { after } => {
            let sql = "UPDATE channel SET previous_secret = NULL, previous_until = NULL
                       WHERE previous_until > $1";
            to.add(sql, keep![after.0]);
        }
        Write::EverySerialRaised { by } => {
            // Stateless tokens carry `bulk_serial`: it must not be below a cutoff, either.
            let sql = "UPDATE channel_count SET serial = serial + $1, bulk_serial = serial + $1";
            to.add(sql, keep![int(*by)]);
        }
        _ => {}
    }
}

fn insert_channel<'a>(to: &mut Statements<'a>, new: &'a Channel) {
    let sql = "INSERT INTO channel (id, provider, name, type, created_at, state, rules, group_cap,
                   group_when_full, own_audience_only, single_use, limits, secret, on_leak,
                   revocations_before)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                   (SELECT revocations FROM provider WHERE id = $2))";
    let secret = new.secrets.first().map(|it| it.hash.to_stored().to_vec());
    let values = keep![
        int(new.id.number()),
        int(new.provider.number()),
        new.name.as_str(),
        word(new.channel_type),
        new.created_at.0,
        word(new.state),
        word(new.rules),
        int(new.group_rule.cap),
        word(new.group_rule.when_full),
        new.own_audience_only,
        new.single_use_assertions,
        json(&new.limits),
        secret,
        word(new.on_leak),
    ];
    to.add(sql, values);
    let sql = "INSERT INTO channel_count (channel, serial, bulk_serial, revision)
               VALUES ($1, $2, $2, $3)";
    to.add(sql, keep![int(new.id.number()), int(new.bulk_serial.0), int(new.revision)]);
}

/// Writes a channel's name, state, rules and limits.
fn write_settings<'a>(to: &mut Statements<'a>, new: &'a Channel) {
    let sql = "UPDATE channel SET name = $2, rules = $3, state = $4, group_cap = $5,
                   group_when_full = $6, own_audience_only = $7, single_use = $8, limits = $9,
                   on_leak = $10
               WHERE id = $1";
    let values = keep![
        int(new.id.number()),
        new.name.as_str(),
        word(new.rules),
        word(new.state),
        int(new.group_rule.cap),
        word(new.group_rule.when_full),
        new.own_audience_only,
        new.single_use_assertions,
        json(&new.limits),
        word(new.on_leak),
    ];
    to.add(sql, values);
}

/// Replaces the current secret, which is accepted until `kept` then.
fn write_secret(
    to: &mut Statements<'_>,
    id: ChannelId,
    secret: HashedSecret,
    kept: Option<UnixTime>,
) {
    let sql = "UPDATE channel SET
                   previous_secret = CASE WHEN $3 IS NULL THEN NULL ELSE secret END,
                   previous_secret_used_at = CASE WHEN $3 IS NULL THEN NULL ELSE secret_used_at END,
                   previous_until = $3, secret = $2,
                   secret_used_at = CASE WHEN secret = $2 THEN secret_used_at END WHERE id = $1";
    to.add(sql, keep![int(id.number()), secret.to_stored().to_vec(), kept.map(|it| it.0)]);
}

/// Writes rows of assertion keys and groups, and of those that are remembered.
pub(super) fn apply_scope<'a>(to: &mut Statements<'a>, of: Of<'a>, it: &'a Write) {
    match it {
        Write::AssertionKey(id, key) => insert_key(to, *id, key),
        Write::AssertionKeyGone { channel, key, until } => {
            delete_key(to, of, (*channel, *key), *until);
        }
        Write::GroupUsed { channel, group, until } => {
            remember_group(to, of, (*channel, group), *until, false);
        }
        Write::GroupDeleted { channel, group, until } => {
            remember_group(to, of, (*channel, group), *until, true);
        }
        Write::ScopesForgotten(id) => {
            to.add("DELETE FROM group_use WHERE channel = $1", keep![int(id.number())]);
            to.add("DELETE FROM deleted_key WHERE channel = $1", keep![int(id.number())]);
        }
        Write::Group(id, group, settings) => write_group(to, *id, group, settings),
        _ => {}
    }
}

fn insert_key<'a>(to: &mut Statements<'a>, id: ChannelId, key: &'a RegisteredKey) {
    let sql = "INSERT INTO assertion_key (id, channel, grp, modulus, created_at)
               VALUES ($1, $2, $3, $4, $5)";
    let group = key.group.as_ref().map(Group::as_str);
    let modulus = key.key.modulus().to_vec();
    to.add(sql, keep![&key.id.0[..], int(id.number()), group, modulus, key.created_at.0]);
}

/// Deletes an assertion key, and keeps its id until `until`.
fn delete_key(
    to: &mut Statements<'_>,
    of: Of<'_>,
    (id, key): (ChannelId, AssertionKeyId),
    until: UnixTime,
) {
    let name = || keep![int(id.number()), key.0.to_vec()];
    to.add("DELETE FROM assertion_key WHERE channel = $1 AND id = $2", name());
    // Rows of other channels: another transaction that has one locked deletes it by itself.
    let stale = "DELETE FROM deleted_key WHERE (channel, id) IN (
                     SELECT channel, id FROM deleted_key WHERE until <= $1
                     FOR UPDATE SKIP LOCKED)";
    to.add(stale, keep![of.at.now.0]);
    let sql = "INSERT INTO deleted_key (channel, id, until) VALUES ($1, $2, $3)
               ON CONFLICT (channel, id) DO UPDATE SET until = excluded.until";
    to.add(sql, keep![int(id.number()), key.0.to_vec(), until.0]);
}

/// Remembers a group; a `deleted` one does not count against the maximum number.
fn remember_group<'a>(
    to: &mut Statements<'a>,
    of: Of<'_>,
    (id, group): (ChannelId, &'a Group),
    until: UnixTime,
    deleted: bool,
) {
    let stale = "DELETE FROM group_use WHERE channel = $1 AND until <= $2";
    to.add(stale, keep![int(id.number()), of.at.now.0]);
    // One that is used again has no token from before its deletion.
    let sql = "INSERT INTO group_use (channel, name, until, deleted) VALUES ($1, $2, $3, $4)
               ON CONFLICT (channel, name) DO UPDATE SET deleted = excluded.deleted, until =
                   CASE WHEN group_use.deleted AND NOT excluded.deleted THEN excluded.until
                        ELSE greatest(group_use.until, excluded.until) END";
    to.add(sql, keep![int(id.number()), group.as_str(), until.0, deleted]);
}

/// Writes a group's own settings; default settings need no row.
fn write_group<'a>(
    to: &mut Statements<'a>,
    id: ChannelId,
    group: &'a Group,
    settings: &GroupSettings,
) {
    if *settings == GroupSettings::default() {
        let sql = "DELETE FROM channel_group WHERE channel = $1 AND name = $2";
        to.add(sql, keep![int(id.number()), group.as_str()]);
    } else {
        let sql = "INSERT INTO channel_group (channel, name, settings) VALUES ($1, $2, $3)
                   ON CONFLICT (channel, name) DO UPDATE SET settings = excluded.settings";
        to.add(sql, keep![int(id.number()), group.as_str(), json(settings)]);
    }
}
