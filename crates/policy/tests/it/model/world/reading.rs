//! Reading: how replicas and followers get what they verify with.

use super::World;
use crate::model::{Fault, naive::TokenNo};
use std::{collections::BTreeSet, sync::Arc};
use tegata_policy::channel::Channel;
use tegata_token::{
    id::{ChannelId, Position, ProviderId},
    time::UnixTime,
    view::{ChannelChange, ChannelRevocations, FeedChange, Providers, Scope, View},
};

/// A verifier with its own view: 0 and 1 are the replicas, 2 follows all providers, 3
/// only one.
pub(super) struct Verifier {
    pub(super) epoch: usize,
    /// How many entries of the log it has read.
    pub(super) read: usize,
    pub(super) view: View,
    pub(super) providers: Vec<ProviderId>,
    /// How many seconds its clock is off the true time.
    pub(super) off: i64,
    /// The latest time that it ever read: a clock stepped back makes no token active.
    pub(super) latest: UnixTime,
    /// The tokens that it once rejected as expired or revoked.
    pub(super) over: BTreeSet<TokenNo>,
}

/// What a replica issues with: the channels as it last read them.
pub(super) struct Replica {
    pub(super) channels: Vec<Arc<Channel>>,
    /// The length of the log at that time.
    pub(super) read: usize,
    /// The time of that reading, by a monotonic clock.
    pub(super) read_at: UnixTime,
    /// Its wall clock jumped: it is out of service until the clock jumps back.
    pub(super) jumped: bool,
}

impl World {
    /// The time that a verifier's clock shows.
    pub(super) fn clock(&self, who: usize) -> UnixTime {
        let jumped = self.replicas.get(who).is_some_and(|replica| replica.jumped);
        self.now.plus(self.verifiers[who].off + if jumped { 40 * 86_400 } else { 0 })
    }

    /// The time of an act of this replica, if it is in service.
    pub(super) fn time_of(&mut self, replica: usize) -> Option<UnixTime> {
        let now = self.clock(replica);
        (!self.replicas[replica].jumped).then(|| self.authority.time(now))
    }

    /// Reads the next `entries` of the log. A replica that reads more than one also reads
    /// the channels again.
    pub(super) fn follow(&mut self, who: usize, entries: usize) {
        if self.verifiers[who].epoch != self.authority.epoch {
            return self.take_snapshot(who);
        }
        let verifier = &mut self.verifiers[who];
        let to = self.authority.log.len().min(verifier.read.saturating_add(entries));
        let entries_read = self.authority.feed(verifier.read, to, &verifier.providers);
        if self.fault == Fault::DelayReplaces {
            entries_read.iter().for_each(|entry| drop_delayed_cutoffs(verifier, entry));
        }
        let position = Position { epoch: verifier.epoch as u64, number: to as u64 };
        verifier.view = verifier.view.after(entries_read, position);
        verifier.read = to;
        if entries > 1 {
            self.read_channels(who);
        }
    }

    pub(super) fn read_channels(&mut self, who: usize) {
        let channels = self.authority.channels.iter().map(|row| row.channel.clone()).collect();
        if let Some(replica) = self.replicas.get_mut(who) {
            replica.channels = channels;
            replica.read = self.authority.log.len();
            replica.read_at = self.now;
        }
    }

    pub(super) fn take_snapshot(&mut self, who: usize) {
        let verifier = &mut self.verifiers[who];
        let authority = &self.authority;
        verifier.epoch = authority.epoch;
        verifier.read = authority.log.len();
        let position = Position { epoch: verifier.epoch as u64, number: verifier.read as u64 };
        let own = authority.channels.iter();
        let own = own.filter(|row| verifier.providers.contains(&row.channel.provider));
        verifier.view = View::from_state(
            Providers::Only(verifier.providers.iter().copied().collect()),
            position,
            authority.keys.clone(),
            own.map(|row| (row.channel.provider, row.channel.id, row.revocations.clone())),
        );
        self.read_channels(who);
    }
}

/// The fault of a follower that takes a new delayed cutoff for a replacement of an
/// earlier one of the same scope.
fn drop_delayed_cutoffs(verifier: &mut Verifier, entry: &FeedChange) {
    let FeedChange::Channel { channel, change: ChannelChange::Cutoff { cutoffs }, .. } = entry
    else {
        return;
    };
    let replaced = |scope: &Scope| cutoffs.iter().any(|it| it.from.is_some() && it.scope == *scope);
    let view = &verifier.view;
    let facts_of = |(provider, id, revocations): (_, ChannelId, &ChannelRevocations)| {
        let mut revocations = revocations.clone();
        revocations
            .cutoffs
            .retain(|it| id != *channel || it.from.is_none() || !replaced(&it.scope));
        (provider, id, revocations)
    };
    verifier.view = View::from_state(
        Providers::Only(verifier.providers.iter().copied().collect()),
        view.position(),
        view.keys().to_vec(),
        view.each_channel().map(facts_of),
    );
}
