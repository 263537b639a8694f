//! Recovery of a store after a restore: old keys are limited, and the revocation
//! journal is replayed.

use super::{Fault, authority::Authority, changes::serials};
use std::sync::Arc;
use tegata_token::{
    key::{KeyState, VerifyingKey},
    view::{ChannelChange, ChannelState, FeedChange, ViewKey},
};

/// How long before the last time written a recovery limits the old keys, in seconds.
const RECOVERY_MARGIN: i64 = 5;

impl Authority {
    /// The old keys after a restore, limited to tokens that the store surely knew.
    pub fn limited_keys(&self) -> Vec<(VerifyingKey, KeyState)> {
        let last = self.written.plus(-RECOVERY_MARGIN);
        let limited = |key: &ViewKey| {
            let before = match key.state {
                KeyState::Revoked => return None,
                KeyState::Retired { issued_before: Some(before) } => before.min(last),
                _ => last,
            };
            Some((key.key.clone(), KeyState::Retired { issued_before: Some(before) }))
        };
        self.keys.iter().filter_map(limited).collect()
    }

    /// Replays an entry of the revocation journal; raises the channel's serial, and its
    /// last bulk serial, to the highest serial that the entry names.
    pub fn replay(&mut self, entry: &FeedChange) {
        match entry {
            FeedChange::SigningKey(key) => {
                self.set_key(key.key.clone(), key.state);
            }
            FeedChange::Channel { channel, change, .. } => {
                let no = self.channels.iter().position(|it| it.channel.id == *channel).unwrap();
                if self.fault != Fault::CounterRewinds {
                    let row = &mut self.channels[no];
                    let of = Arc::make_mut(&mut row.channel);
                    for serial in serials(change) {
                        row.serial = row.serial.max(serial);
                        if self.fault != Fault::BulkSerialRewinds {
                            of.bulk_serial = of.bulk_serial.max(serial);
                        }
                    }
                }
                let deleted = self.channels[no].channel.state == ChannelState::Deleted;
                match change {
                    ChannelChange::State { state } => {
                        self.set_state(no, if deleted { ChannelState::Deleted } else { *state });
                    }
                    _ => {
                        self.change(no, change.clone());
                    }
                }
            }
        }
    }
}
