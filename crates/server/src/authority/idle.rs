//! Which tokens are idle: what the rule needs, from the store and from memory.

use super::Authority;
use std::collections::BTreeMap;
use tegata_policy::{
    channel::Channel,
    idle::{Idle, KnownUses, LastUse, idle},
};
use tegata_store::{Page, Result, TokenFilter, TokenRow, TokenState};
use tegata_token::{id::ChannelId, kind::Kind};

/// Maximum number of rows that are read. The token rules allow no channel as many active
/// tokens as that.
const ROWS: usize = 1_000;

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
        let mut active = self.store.tokens(channel, filter, page, self.now()).await?;
        active.iter_mut().for_each(|(_, row)| self.note_last_use(channel, row));
        let known = self.known_uses(&of);
        for row in rows.iter_mut().filter(|row| can_be_idle(row)) {
            let is_newer = |it: &&TokenRow| {
                it.kind == row.kind && it.group == row.group && it.serial > row.serial
            };
            let newer = active.iter().map(|(_, it)| it).filter(is_newer).map(last_use);
            let newer: Vec<_> = newer.collect();
            let after = i64::try_from(self.idle_after.as_secs()).unwrap_or(i64::MAX);
            row.idle = idle(last_use(row), &newer, known, after, self.now());
        }
        Ok(())
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

    fn note_last_use(&self, channel: ChannelId, row: &mut TokenRow) {
        if let Some((at, _)) = self.last_used.token(channel, row.serial) {
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

/// Tokens without a group have many holders; a newer token of one of them means nothing for
/// the others.
fn can_be_idle(row: &TokenRow) -> bool {
    let one_holder = row.group.is_some() || row.kind == Kind::LongLived;
    row.state == TokenState::Active && row.idle == Idle::No && one_holder
}

fn last_use(row: &TokenRow) -> LastUse {
    LastUse { issued_at: row.issued_at, last_used_at: row.last_used_at }
}
