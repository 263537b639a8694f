//! Which groups and assertion keys a channel has, or had recently.
//!
//! A revocation of a scope that never existed would revoke nothing but look successful.
//! Stored tokens have rows that name their group and key; what leaves no row is
//! remembered: groups of stateless tokens, and deleted groups and keys until the last
//! token that they could have issued has expired.

use super::{
    ActError,
    effects::{Effects, Write},
    locked::Locked,
};
use crate::{
    admit::Live,
    authorize::Grant,
    channel::Channel,
    denied::Denied,
    rules::{GROUPS, Rule},
};
use std::collections::BTreeSet;
use tegata_token::{
    id::{AssertionKeyId, Group},
    kind::Kind,
    time::{DAY, UnixTime},
    view::Scope,
};

/// Writes the row of a group that a stateless token is issued for, unless the existing
/// row outlasts the token.
///
/// # Errors
/// [`Denied::TooManyGroups`] if the group is new and the channel has the maximum number.
pub(super) fn use_group(
    grant: &Grant,
    locked: &Locked,
    now: UnixTime,
    effects: &mut Effects,
) -> Result<(), ActError> {
    let Some(group) = grant.group() else { return Ok(()) };
    if grant.knows_its_group(now) {
        return Ok(());
    }
    let channel = grant.channel();
    check_place_for(locked, channel, group, now)?;
    let life = Scope::Kind { kind: Kind::Stateless }.longest_lifetime();
    let until = now.plus(DAY + life);
    effects.write(Write::GroupUsed { channel: channel.id, group: group.clone(), until });
    // Grants that were authorized before must count the groups again.
    effects.revise(channel);
    Ok(())
}

/// Remembers a group that is being deleted.
pub(super) fn group_was_deleted(
    channel: &Channel,
    group: &Group,
    now: UnixTime,
    effects: &mut Effects,
) {
    let until = now.plus(Scope::Group { group: group.clone() }.longest_lifetime());
    effects.write(Write::GroupDeleted { channel: channel.id, group: group.clone(), until });
    effects.revise(channel);
}

/// Deletes an assertion key, and remembers it.
pub(super) fn delete_key(
    channel: &Channel,
    key: AssertionKeyId,
    now: UnixTime,
    effects: &mut Effects,
) {
    let until = now.plus(Scope::AssertionKey { key }.longest_lifetime());
    effects.write(Write::AssertionKeyGone { channel: channel.id, key, until });
    effects.revise(channel);
}

/// Denies a scope whose group or key could not have issued an active token.
pub(super) fn check_scope(
    locked: &Locked,
    channel: &Channel,
    scope: &Scope,
    now: UnixTime,
) -> Result<(), ActError> {
    let remembered = locked.remembered.is_known(now);
    match scope {
        Scope::Group { group } => match remembered || group_exists(locked, channel, group, now) {
            true => Ok(()),
            false => Err(ActError::NotFound("group")),
        },
        Scope::AssertionKey { key } => {
            match remembered || channel.assertion_keys.iter().any(|it| it.id == *key) {
                true => Ok(()),
                false => Err(ActError::NotFound("assertion key")),
            }
        }
        Scope::Kind { kind } => {
            match Rule::of(*kind).channel_types.contains(&channel.channel_type) {
                true => Ok(()),
                false => Err(Denied::KindNotForChannel(*kind).into()),
            }
        }
        Scope::Channel | Scope::KindGroup { .. } | Scope::Secret => Ok(()),
    }
}

/// Whether a group exists: it has settings, a key or an active token, or was used
/// recently.
pub(super) fn group_exists(
    locked: &Locked,
    channel: &Channel,
    group: &Group,
    now: UnixTime,
) -> bool {
    let of_group = |it: Option<&Group>| it == Some(group);
    channel.used_groups.get(group).is_some_and(|&until| until > now)
        || channel.groups.contains_key(group)
        || channel.assertion_keys.iter().any(|key| of_group(key.group.as_ref()))
        || locked.active(now).any(|token| of_group(token.group.as_ref()))
}

/// Denies a new group if the channel has the maximum number.
pub(super) fn check_place_for(
    locked: &Locked,
    channel: &Channel,
    group: &Group,
    now: UnixTime,
) -> Result<(), ActError> {
    if other_groups(channel, &locked.live(now), group, now) >= GROUPS {
        return Err(Denied::TooManyGroups.into());
    }
    Ok(())
}

/// Number of groups other than `own` that count: those with active tokens, keys or
/// settings, and those that stateless tokens were issued for recently.
pub(super) fn other_groups(channel: &Channel, live: &[Live], own: &Group, now: UnixTime) -> usize {
    let with_tokens = live.iter().filter_map(|token| token.group.as_ref());
    let with_keys = channel.assertion_keys.iter().filter_map(|key| key.group.as_ref());
    let used = channel.used_groups.iter().filter(|(_, until)| **until > now).map(|(it, _)| it);
    let named = with_keys.chain(channel.groups.keys()).chain(used);
    let all: BTreeSet<_> = with_tokens.chain(named).collect();
    all.into_iter().filter(|&group| group != own).count()
}
