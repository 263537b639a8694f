//! A channel with its tokens, for pages that show both: one read of the active tokens serves
//! the counts, the groups, and which tokens are idle.

use super::{channels::ChannelWithUse, facade::Admin, facade::Result};
use crate::authority::idle::Holder;
use tegata_policy::{channel::Channel, permission::Permission};
use tegata_store::{GroupRow, Page, RowId, TokenFilter, TokenRow};
use tegata_token::id::ChannelId;

/// A channel and some of its stored tokens.
#[derive(Debug)]
pub struct ChannelTokens {
    /// The channel, with all its active tokens.
    pub found: ChannelWithUse,
    /// The tokens that were asked for, newest first.
    pub rows: Vec<(RowId, TokenRow)>,
    /// The newest tokens of all.
    pub newest: Vec<TokenRow>,
}

impl Admin {
    /// One channel, with what it holds; of its tokens also what is only in memory yet, as in
    /// [`Self::tokens`].
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub async fn channel_with_tokens(&self, id: ChannelId) -> Result<ChannelWithUse> {
        let of = self.channel_for(Permission::ReadTokens, id).await?;
        let (mut holding, now) = (self.holding(id).await?, self.authority.now());
        let holders = self.authority.holders(id, &holding.tokens);
        self.note(&of, holding.tokens.iter_mut(), &holders);
        let cooldowns = self.authority.cooldowns(id, &holding.channel.limits);
        Ok(ChannelWithUse { holding, cooldowns, now })
    }

    /// The same, with the newest tokens of all, and a page of those that fit `wanted`; without
    /// it, the first page of all.
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub async fn channel_tokens(
        &self,
        id: ChannelId,
        wanted: Option<TokenFilter>,
        page: Page,
        newest: usize,
    ) -> Result<ChannelTokens> {
        let of = self.channel_for(Permission::ReadTokens, id).await?;
        let (mut holding, now) = (self.holding(id).await?, self.authority.now());
        let holders = self.authority.holders(id, &holding.tokens);
        self.note(&of, holding.tokens.iter_mut(), &holders);
        let all = Page { before: None, most: newest };
        let store = self.authority.store();
        let mut latest = store.tokens(id, TokenFilter::default(), all, now).await?;
        self.note(&of, latest.iter_mut().map(|(_, row)| row), &holders);
        let rows = match wanted {
            None => latest.iter().take(page.most).cloned().collect(),
            Some(mut filter) => {
                let state = filter.state.map(|it| it.regardless_of(of.state));
                filter.state = state.flatten();
                let mut rows = match state {
                    // No token of the channel can be in this state.
                    Some(None) => Vec::new(),
                    _ => store.tokens(id, filter, page, now).await?,
                };
                self.note(&of, rows.iter_mut().map(|(_, row)| row), &holders);
                rows
            }
        };
        let cooldowns = self.authority.cooldowns(id, &holding.channel.limits);
        let found = ChannelWithUse { holding, cooldowns, now };
        let newest = latest.into_iter().map(|(_, row)| row).collect();
        Ok(ChannelTokens { found, rows, newest })
    }

    fn note<'a>(
        &self,
        of: &Channel,
        rows: impl Iterator<Item = &'a mut TokenRow>,
        holders: &[Holder],
    ) {
        let mut rows: Vec<_> = rows.collect();
        rows.iter_mut().for_each(|row| row.state = row.state.in_channel(of.state));
        self.authority.note_idle_among(of, &mut rows, holders);
    }

    /// The groups of a channel that was found.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn groups_of(&self, found: &ChannelWithUse) -> Result<Vec<GroupRow>> {
        let held = &found.holding;
        self.channel_for(Permission::ReadGroups, held.channel.id).await?;
        Ok(GroupRow::all(&held.channel, &held.tokens, found.now))
    }
}
