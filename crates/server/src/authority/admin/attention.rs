//! What needs attention now, for pages that people look at: from the memory of the last walk
//! through all channels, where the actor sees all of them.

use super::{
    facade::{Admin, Result},
    warnings::WarningFilter,
};
use crate::authority::warnings::{Subject, Warning, walk::Walk};
use std::sync::Arc;
use tegata_policy::{channel::Channel, permission::Permission};
use tegata_store::{ExpiryFilter, TokenName, TokenRow, TokenState};
use tegata_token::{
    id::ChannelId,
    time::{DAY, UnixTime},
};

/// Days of the calendar of expiries.
pub const DAYS: usize = 30;

/// Maximum number of tokens that are read for the calendar of an actor that does not see all
/// channels.
const READ: usize = 500;

/// Warnings about channels, the most urgent first.
#[derive(Debug, Clone)]
pub struct Attention {
    /// The warnings, each with its channel.
    pub warnings: Vec<(Arc<Channel>, Warning)>,
    /// Whether there are more.
    pub more: bool,
    /// When they were searched for.
    pub at: UnixTime,
}

/// How many active tokens expire when.
#[derive(Debug, Clone)]
pub struct Expiries {
    /// How many expire in each of the next days.
    pub days: [usize; DAYS],
    /// Whether there may be more.
    pub more: bool,
    /// Those that expire first, each with its channel.
    pub first: Vec<(Arc<Channel>, TokenRow)>,
}

impl Admin {
    /// What needs attention in the channels that the actor sees, at most `most`. For an actor
    /// that sees all channels it is what the last search for warnings found, without what was
    /// revoked, deleted or used since.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn attention(&self, most: usize) -> Result<Attention> {
        let sees_all = self.seen(Permission::ReadWarnings)?.is_none();
        if let Some(walk) = self.authority.walk().filter(|_| sees_all) {
            return self.kept_warnings(&walk, most).await;
        }
        let found = self.warnings(None, most, &WarningFilter::default()).await?;
        let mut warnings = Vec::new();
        for (held, all) in found.of_channels {
            let channel = Arc::new(held.channel);
            warnings.extend(all.into_iter().map(|it| (channel.clone(), it)));
        }
        let (more, at) = (found.next.is_some(), self.authority.now());
        Ok(cut(Attention { warnings, more, at }, most))
    }

    async fn kept_warnings(&self, walk: &Walk, most: usize) -> Result<Attention> {
        let (authority, now) = (&self.authority, self.authority.now());
        let (kept, more) = walk.warnings();
        let mut warnings = Vec::new();
        for (id, warning) in kept {
            let Some(channel) = authority.channel(*id).await? else { continue };
            if warning.applies(&channel, now) && self.still_about(*id, warning).await? {
                warnings.push((channel, warning.clone()));
            }
            if warnings.len() > most {
                break;
            }
        }
        Ok(cut(Attention { warnings, more, at: walk.began_at() }, most))
    }

    /// Whether the token of a warning that was found before is active, and as unused as then.
    async fn still_about(&self, channel: ChannelId, warning: &Warning) -> Result<bool> {
        let (authority, now) = (&self.authority, self.authority.now());
        let Some(token) = warning.token() else { return Ok(true) };
        let used = || authority.last_used.token(channel, token.serial).is_some();
        if matches!(warning.what, Subject::TokenUnused(_)) && used() {
            return Ok(false);
        }
        if !authority.memory.channels.changes().since_walk(channel) {
            return Ok(true);
        }
        let row = authority.store().token(channel, TokenName::Serial(token.serial), now).await?;
        Ok(row.is_some_and(|it| it.state == TokenState::Active))
    }

    /// How many active tokens of the channels that the actor sees expire in the next days, and
    /// the first `most` of them. The numbers can be as old as in [`Self::attention`].
    ///
    /// # Errors
    /// As [`Self::attention`].
    pub async fn expiries(&self, most: usize) -> Result<Expiries> {
        let now = self.authority.now();
        let sees_all = self.seen(Permission::ReadTokens)?.is_none();
        if let Some(walk) = self.authority.walk().filter(|_| sees_all) {
            let first = self.still_active(&walk, most).await?;
            return Ok(Expiries { days: walk.days(now), more: false, first });
        }
        let before = now.plus(DAYS as i64 * DAY);
        let filter = ExpiryFilter { before, after: None, seen: None };
        let rows = self.expiring_tokens(filter, READ).await?;
        let (mut days, more) = ([0; DAYS], rows.len() == READ);
        let mut first = Vec::new();
        for (_, channel, row) in rows {
            let day = usize::try_from(row.expires_at.since(now) / DAY).ok();
            if let Some(count) = day.and_then(|day| days.get_mut(day)) {
                *count += 1;
            }
            if first.len() < most
                && let Some(channel) = self.authority.channel(channel).await?
            {
                first.push((channel, row));
            }
        }
        Ok(Expiries { days, more, first })
    }

    /// The first tokens of a walk that are active still, as they are now.
    async fn still_active(
        &self,
        walk: &Walk,
        most: usize,
    ) -> Result<Vec<(Arc<Channel>, TokenRow)>> {
        let (authority, now) = (&self.authority, self.authority.now());
        let (mut first, mut names) = (Vec::new(), walk.first(now));
        // Nearly always those that are read at first are active still.
        while first.len() < most {
            let part: Vec<_> = names.by_ref().take(most).collect();
            if part.is_empty() {
                break;
            }
            for (id, mut row) in authority.store().tokens_of(part, now).await? {
                let Some(channel) = authority.channel(id).await? else { continue };
                if row.state == TokenState::Active && first.len() < most {
                    row.state = row.state.in_channel(channel.state);
                    authority.note_last_use(id, &mut row);
                    first.push((channel, row));
                }
            }
        }
        Ok(first)
    }
}

fn cut(mut it: Attention, most: usize) -> Attention {
    let key = |(of, it): &(Arc<Channel>, Warning)| (it.urgency(), of.id);
    it.warnings.sort_by_key(key);
    it.more |= it.warnings.len() > most;
    it.warnings.truncate(most);
    it
}
