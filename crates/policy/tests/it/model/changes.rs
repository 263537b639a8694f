//! What a change says of rows: the authority's other way of knowing what ends.

use super::authority::TokenRow;
use tegata_policy::{
    acts::{Change, Effects, Write},
    admit::Live,
};
use tegata_token::{
    id::Serial,
    time::UnixTime,
    view::{ChannelChange, ChannelFacts, Floor, SingleToken},
};

/// Ended as of now, whatever the clock shows.
pub const AT_ONCE: UnixTime = UnixTime(i64::MIN);

/// Lets floors reach one place too far.
pub fn lower(effects: &mut Effects, before: &ChannelFacts) {
    for change in &mut effects.changes {
        let Change::Tokens { change, .. } = change else { continue };
        if let ChannelChange::Floor { floors } = change {
            floors.iter_mut().for_each(|floor| floor.below = floor.below.next());
        }
        let mut facts = before.clone();
        facts.apply(change);
        for write in &mut effects.writes {
            if let Write::Facts(_, written) = write {
                *written = facts.clone();
            }
        }
    }
}

/// From when on a change ends a row's token; nothing, once or several times.
pub fn ends_by(change: &ChannelChange, token: &TokenRow) -> Vec<UnixTime> {
    let Live { kind, serial, group, .. } = &token.live;
    match change {
        ChannelChange::Ended { tokens } => {
            let named = SingleToken::Stored { kind: *kind, serial: *serial };
            tokens.iter().filter(|it| it.token == named).map(|_| AT_ONCE).collect()
        }
        ChannelChange::Floor { floors } => {
            let covers = |floor: &&Floor| {
                floor.scope.covers(*kind, group.as_ref(), token.assertion_key)
                    && *serial < floor.below
                    && !floor.except.contains(serial)
            };
            floors.iter().filter(covers).map(|it| it.from.unwrap_or(AT_ONCE)).collect()
        }
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}

/// The places in a channel's count that a change names.
pub fn serials(change: &ChannelChange) -> Vec<Serial> {
    match change {
        ChannelChange::Ended { tokens } => tokens
            .iter()
            .filter_map(|it| match it.token {
                SingleToken::Stored { serial, .. } => Some(serial),
                SingleToken::Stateless { .. } => None,
            })
            .collect(),
        ChannelChange::Floor { floors } => floors.iter().map(|it| it.below).collect(),
        ChannelChange::State { .. } | ChannelChange::Forget { .. } => Vec::new(),
    }
}
