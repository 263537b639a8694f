//! What belongs to a token: its channel, its provider, and its group with the group's other
//! tokens.

use super::facade::{Admin, Result};
use std::sync::Arc;
use tegata_policy::{channel::Channel, permission::Permission};
use tegata_store::{Page, Provider, TokenFilter, TokenRow, TokenState};
use tegata_token::{
    claims::Claims,
    id::{ChannelId, Group},
};

/// What belongs to a token. A channel that was deleted has none of it.
#[derive(Debug, Clone, Default)]
pub struct TokenContext {
    /// The channel.
    pub channel: Option<Arc<Channel>>,
    /// The provider that owns the channel, if the actor may see it.
    pub provider: Option<Provider>,
    /// The other active tokens of the token's group, newest first; for a token without a
    /// group, those of its channel without one.
    pub group_tokens: Vec<TokenRow>,
    /// How many more there are than `group_tokens` holds.
    pub group_tokens_more: usize,
}

/// Maximum number of the group's other tokens.
const OTHERS: usize = 100;

/// Maximum number of rows that are read. The token rules allow no channel as many active
/// tokens as that.
const ROWS: usize = 1_000;

impl TokenContext {
    /// Whom to contact about the group.
    #[must_use]
    pub fn contact(&self, group: Option<&Group>) -> Option<&str> {
        self.channel.as_ref()?.groups.get(group?)?.contact.as_deref()
    }
}

impl Admin {
    /// What belongs to a token with these claims.
    pub(super) async fn around(&self, claims: &Claims) -> Result<TokenContext> {
        let Some(channel) = self.authority.channel(claims.channel).await? else {
            return Ok(TokenContext::default());
        };
        let mut others = self.active_tokens(claims.channel, claims.group.as_ref()).await?;
        others.retain(|row| row.id != claims.id);
        for row in &mut others {
            row.state = row.state.in_channel(channel.state);
        }
        let group_tokens_more = others.len().saturating_sub(OTHERS);
        others.truncate(OTHERS);
        let mut shown: Vec<_> = others.iter_mut().collect();
        self.authority.note_idle(claims.channel, &mut shown).await?;
        // A person of the channel alone may not see its provider.
        let provider = match self.may_in(Permission::ReadProvider, channel.provider) {
            Ok(()) => self.authority.store().provider(channel.provider).await?,
            Err(_) => None,
        };
        Ok(TokenContext {
            channel: Some(channel),
            provider,
            group_tokens: others,
            group_tokens_more,
        })
    }

    /// The active stored tokens of a group, or those without a group.
    async fn active_tokens(
        &self,
        channel: ChannelId,
        group: Option<&Group>,
    ) -> Result<Vec<TokenRow>> {
        let state = Some(TokenState::Active);
        let filter = TokenFilter { group: group.cloned(), state, ..TokenFilter::default() };
        let (page, now) = (Page { before: None, most: ROWS }, self.authority.now());
        let rows = self.authority.store().tokens(channel, filter, page, now).await?;
        let rows = rows.into_iter().map(|(_, row)| row);
        Ok(rows.filter(|row| row.group.as_ref() == group).collect())
    }
}
