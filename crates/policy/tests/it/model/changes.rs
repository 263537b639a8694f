//! The rows that a change revokes, derived from the change alone.

use super::authority::TokenRow;
use tegata_policy::{
    acts::{Change, Effects, Write},
    admit::Live,
};
use tegata_token::{
    id::Serial,
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, Cutoff, RevokedToken},
};

/// Revoked as of now, whatever the clock shows.
pub const AT_ONCE: UnixTime = UnixTime(i64::MIN);

/// Moves cutoffs one serial too far.
pub fn lower(effects: &mut Effects, before: &ChannelRevocations) {
    for change in &mut effects.changes {
        let Change::Tokens { change, .. } = change else { continue };
        if let ChannelChange::Cutoff { cutoffs } = change {
            cutoffs.iter_mut().for_each(|cutoff| cutoff.below = cutoff.below.next());
        }
        let mut revocations = before.clone();
        revocations.apply(change);
        for write in &mut effects.writes {
            if let Write::Revocations(_, written) = write {
                *written = revocations.clone();
            }
        }
    }
}

/// The times from which a change revokes a row's token: none, one or several.
pub fn revokes_from(change: &ChannelChange, token: &TokenRow) -> Vec<UnixTime> {
    let Live { kind, serial, group, .. } = &token.live;
    match change {
        ChannelChange::Revoked { tokens } => {
            let named = RevokedToken::Stored { kind: *kind, serial: *serial };
            tokens.iter().filter(|it| it.token == named).map(|_| AT_ONCE).collect()
        }
        ChannelChange::Cutoff { cutoffs } => {
            let covers = |cutoff: &&Cutoff| {
                cutoff.scope.covers(*kind, group.as_ref(), token.assertion_key)
                    && *serial < cutoff.below
                    && !cutoff.except.contains(serial)
            };
            cutoffs.iter().filter(covers).map(|it| it.from.unwrap_or(AT_ONCE)).collect()
        }
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}

/// The serials that a change names.
pub fn serials(change: &ChannelChange) -> Vec<Serial> {
    match change {
        ChannelChange::Revoked { tokens } => tokens
            .iter()
            .filter_map(|it| match it.token {
                RevokedToken::Stored { serial, .. } => Some(serial),
                RevokedToken::Stateless { .. } => None,
            })
            .collect(),
        ChannelChange::Cutoff { cutoffs } => cutoffs.iter().map(|it| it.below).collect(),
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}
