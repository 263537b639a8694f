//! Parts of answers that are the same whatever the rows come from.

use crate::{GroupRow, SigningKeyRow, TokenRow, columns::Damaged, columns::damaged};
use std::collections::BTreeMap;
use tegata_policy::channel::Channel;
use tegata_token::{
    id::{ChannelId, Group, Position, ProviderId},
    key::VerifyingKey,
    time::UnixTime,
    view::{ChannelRevocations, Providers, View, ViewKey},
};

/// Maximum number of a channel's active tokens that are listed at once. The caps keep their
/// number far below.
pub(crate) const MOST_ACTIVE: usize = 1_000;

/// A channel's groups: those with settings, keys or these active tokens, and those that
/// stateless tokens were issued for.
pub(crate) fn groups(
    channel: &Channel,
    active: impl IntoIterator<Item = TokenRow>,
    now: UnixTime,
) -> Vec<GroupRow> {
    let new = |group: &Group| GroupRow {
        group: group.clone(),
        settings: channel.groups.get(group).cloned().unwrap_or_default(),
        active_tokens: 0,
        assertion_keys: 0,
    };
    let mut all: BTreeMap<Group, GroupRow> =
        channel.groups.keys().map(|group| (group.clone(), new(group))).collect();
    for key in &channel.assertion_keys {
        if let Some(group) = &key.group {
            all.entry(group.clone()).or_insert_with(|| new(group)).assertion_keys += 1;
        }
    }
    for (group, _) in channel.used_groups.iter().filter(|(_, until)| **until > now) {
        all.entry(group.clone()).or_insert_with(|| new(group));
    }
    for group in active.into_iter().filter_map(|token| token.group) {
        all.entry(group.clone()).or_insert_with(|| new(&group)).active_tokens += 1;
    }
    all.into_values().collect()
}

/// The revocation view at a position.
pub(crate) fn view(
    position: Position,
    signing_keys: &[SigningKeyRow],
    revocations: Vec<(ProviderId, ChannelId, ChannelRevocations)>,
) -> Result<View, Damaged> {
    let key = |row: &SigningKeyRow| {
        let key = VerifyingKey::from_bytes(row.public).map_err(damaged)?;
        Ok(ViewKey { key, state: row.state })
    };
    let keys = signing_keys.iter().map(key).collect::<Result<Vec<_>, Damaged>>()?;
    Ok(View::from_state(Providers::All, position, keys, revocations))
}
