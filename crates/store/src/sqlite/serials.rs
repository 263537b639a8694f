//! Raises a channel's serial after its store was restored: no new token may have a serial
//! that a revocation names.

use super::writer::{Tx, write};
use crate::{
    Result,
    journal::{JournalEntry, JournalLine},
};
use std::collections::BTreeMap;
use tegata_token::{
    id::{ChannelId, Serial},
    view::{ChannelChange, RevokedToken},
};

/// How much serials are raised: more than a channel can be issued between a backup and
/// its restore, and a million times less than a JSON number holds exactly.
const LEAP: u64 = 1 << 32;

/// Raises serials to those that the lines name: a token issued below a cutoff, or with a
/// revoked serial, would be invalid from the start.
pub(super) fn raise(tx: &Tx<'_>, lines: &[JournalLine]) -> Result<()> {
    let mut highest = BTreeMap::<ChannelId, (Serial, Serial)>::new();
    for line in lines {
        let JournalEntry::Channel { channel, change } = &line.what else { continue };
        let (serial, bulk) = highest.entry(*channel).or_default();
        match change {
            ChannelChange::Revoked { tokens } => {
                for single in tokens {
                    if let RevokedToken::Stored { serial: named, .. } = single.token {
                        *serial = named.max(*serial);
                    }
                }
            }
            ChannelChange::Cutoff { cutoffs } => {
                for cutoff in cutoffs {
                    (*serial, *bulk) = (cutoff.below.max(*serial), cutoff.below.max(*bulk));
                }
            }
            ChannelChange::State { .. } | ChannelChange::Forget { .. } => {}
        }
    }
    for (channel, (serial, bulk)) in highest {
        let sql = "UPDATE channel_count SET serial = max(serial, ?2),
                       bulk_serial = max(bulk_serial, ?3) WHERE channel = ?1";
        write(tx, sql, (channel.number(), serial.0, bulk.0))?;
    }
    Ok(())
}

/// Raises every channel's serial beyond those that its lost tokens can have.
pub(super) fn leap(tx: &Tx<'_>) -> Result<()> {
    // Stateless tokens carry `bulk_serial`: it must not be below a cutoff, either.
    let sql = "UPDATE channel_count SET serial = serial + ?1, bulk_serial = serial + ?1";
    write(tx, sql, [LEAP]).map(drop)
}
