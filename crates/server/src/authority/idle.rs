//! Which tokens are idle: what the rule needs, from the store and from memory.

use super::Authority;
use std::collections::BTreeMap;
use tegata_policy::{
    channel::Channel,
    idle::{Idle, KnownUses, LastUse, idle},
};
use tegata_store::{Page, Result, TokenFilter, TokenRow, TokenState};
use tegata_token::{
    id::{ChannelId, Group, Serial},
    kind::Kind,
};

/// Maximum number of rows that are read. The token rules allow no channel as many active
/// tokens as that.
const ROWS: usize = 1_000;

/// What the rule needs of an active token.
pub(super) struct Holder {
    kind: Kind,
    group: Option<Group>,
    serial: Serial,
    last_use: LastUse,
}

impl Authority {
    /// Notes in the rows of a channel's tokens their last uses, which are in memory until a
    /// job writes them, and whether the tokens are idle.
    pub(super) async fn note_idle(
        &self,
        channel: ChannelId,
        rows: &mut [&mut TokenRow],
    ) -> Result<()> {
        rows.iter_mut().for_each(|row| self.note_last_use(channel, row));
        if !rows.iter().any(|row| can_be_idle(row)) {
            return Ok(());
        }
        let Some(of) = self.channel(channel).await? else { return Ok(()) };
        let filter = TokenFilter { state: Some(TokenState::Active), ..TokenFilter::default() };
        let page = Page { before: None, most: ROWS };
        let active = self.store.tokens(channel, filter, page, self.now()).await?;
        let active: Vec<_> = active.into_iter().map(|(_, row)| row).collect();
        let holders = self.holders(channel, &active);
        self.note_idle_among(&of, rows, &holders);
        Ok(())
    }

    /// What the rule needs of the active tokens of a channel.
    pub(super) fn holders(&self, channel: ChannelId, active: &[TokenRow]) -> Vec<Holder> {
        let holder = |row: &TokenRow| {
            let in_memory = self.last_used.token(channel, row.serial);
            let last_used_at = row.last_used_at.max(in_memory);
            let last_use = LastUse { issued_at: row.issued_at, last_used_at };
            Holder { kind: row.kind, group: row.group.clone(), serial: row.serial, last_use }
        };
        active.iter().map(holder).collect()
    }

    /// The same as [`Self::note_idle`], with the channel's active tokens at hand.
    pub(super) fn note_idle_among(
        &self,
        of: &Channel,
        rows: &mut [&mut TokenRow],
        holders: &[Holder],
    ) {
        rows.iter_mut().for_each(|row| self.note_last_use(of.id, row));
        let known = self.known_uses(of);
        for row in rows.iter_mut().filter(|row| can_be_idle(row)) {
            let is_newer = |it: &&Holder| {
                it.kind == row.kind && it.group == row.group && it.serial > row.serial
            };
            let newer: Vec<_> = holders.iter().filter(is_newer).map(|it| it.last_use).collect();
            let after = i64::try_from(self.idle_after.as_secs()).unwrap_or(i64::MAX);
            row.idle = idle(last_use(row), &newer, known, after, self.now());
        }
    }

    /// The same for rows of several channels.
    pub(super) async fn note_idle_of_all(&self, rows: &mut [(ChannelId, TokenRow)]) -> Result<()> {
        let mut by_channel = BTreeMap::<ChannelId, Vec<&mut TokenRow>>::new();
        rows.iter_mut().for_each(|(of, row)| by_channel.entry(*of).or_default().push(row));
        for (channel, mut rows) in by_channel {
            self.note_idle(channel, &mut rows).await?;
        }
        Ok(())
    }

    /// The same without the second.
    pub(super) fn note_last_use(&self, channel: ChannelId, row: &mut TokenRow) {
        if let Some(at) = self.last_used.token(channel, row.serial) {
            row.last_used_at = row.last_used_at.max(Some(at));
        }
    }

    /// Which uses of a channel's tokens are known.
    fn known_uses(&self, channel: &Channel) -> KnownUses {
        let (now, steady) = (self.now(), self.clock().steady());
        let reported = self.memory.feed.instances.known_uses(channel.provider, steady, now);
        self.last_used.known(now).and(reported)
    }
}

/// Tokens without a group can have several holders: a newer token of one means nothing for
/// the others.
fn can_be_idle(row: &TokenRow) -> bool {
    let one_holder = row.group.is_some() || row.kind == Kind::LongLived;
    row.state == TokenState::Active && row.idle == Idle::No && one_holder
}

fn last_use(row: &TokenRow) -> LastUse {
    LastUse { issued_at: row.issued_at, last_used_at: row.last_used_at }
}
