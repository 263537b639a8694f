//! Parts of answers that are the same whatever the rows come from.

use crate::{SigningKeyRow, columns::Damaged, columns::damaged};
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    key::VerifyingKey,
    view::{ChannelRevocations, Providers, View, ViewKey},
};

/// Maximum number of a channel's active tokens that are listed at once. The caps keep their
/// number far below.
pub(crate) const MOST_ACTIVE: usize = 1_000;

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
