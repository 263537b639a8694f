//! The revocations of a channel in one column.

use super::{Damaged, damaged, from_json, json};
use data_encoding::HEXLOWER;
use tegata_policy::secret::sha256;
use tegata_token::{id::ChannelId, view::ChannelRevocations};

/// A channel's revocations as stored: JSON after a checksum.
///
/// A database need not notice a bit that flips inside a value, and here it could make a
/// revoked token active. So could revocations that came into another channel's row: the
/// channel's id is part of the checksum.
pub(crate) fn revocations_text(id: ChannelId, revocations: &ChannelRevocations) -> String {
    let revocations = json(revocations);
    format!("{} {revocations}", sum_of(id, &revocations))
}

/// Parses stored revocations; an error if the checksum is wrong.
pub(crate) fn read_revocations(id: ChannelId, text: &str) -> Result<ChannelRevocations, Damaged> {
    match text.split_once(' ') {
        Some((sum, revocations)) if sum == sum_of(id, revocations) => from_json(revocations),
        // Written before there were checksums. Damage to a checksum never looks like
        // this.
        None => from_json(text),
        Some(_) => Err(damaged(format!(
            "the stored revocations of channel {id} are damaged; restore a backup, or run \
             `tegata doctor`"
        ))),
    }
}

fn sum_of(id: ChannelId, revocations: &str) -> String {
    let digest = sha256(&[&id.number().to_be_bytes(), revocations.as_bytes()]);
    HEXLOWER.encode(&digest[..8])
}
