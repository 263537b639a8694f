//! What is about to expire, is unused, or is used though it was replaced.

use super::facade::{Admin, Result};
use crate::authority::warnings::{Warning, find, webhook::TestDelivery};
use tegata_policy::permission::Permission;
use tegata_store::{Holding, Seen};
use tegata_token::id::ChannelId;

/// Maximum number of channels that are searched for one page. If there are more, the page
/// has a `next` even when it is empty.
const CHANNELS: usize = 2_000;
/// Maximum number of channels that are read at once.
const SLICE: usize = 200;

/// A page of warnings, by channel.
#[derive(Debug, Clone)]
pub struct FoundWarnings {
    /// The warnings of each channel, with what belongs to the channel.
    pub of_channels: Vec<(Holding, Vec<Warning>)>,
    /// The channel behind which the next page begins, if there is one.
    pub next: Option<ChannelId>,
}

impl Admin {
    /// The warnings of one channel.
    ///
    /// # Errors
    /// [`NotFound`](tegata_store::Error::NotFound) or
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn warnings_of(&self, channel: ChannelId) -> Result<FoundWarnings> {
        self.channel_for(Permission::ReadWarnings, channel).await?;
        let of_channels = vec![self.found(self.holding(channel).await?)];
        Ok(FoundWarnings { of_channels, next: None })
    }

    /// Warnings of the channels behind `after`, in the order of their ids: about `most`
    /// of them.
    ///
    /// # Errors
    /// As [`Self::warnings_of`].
    pub async fn warnings(
        &self,
        mut after: Option<ChannelId>,
        most: usize,
    ) -> Result<FoundWarnings> {
        if let Some(seen) = self.seen(Permission::ReadWarnings)? {
            return self.warnings_of_seen(seen, after, most).await;
        }
        let (mut of_channels, mut found, mut looked) = (Vec::new(), 0, 0);
        let next = loop {
            let now = self.authority.now();
            let slice = self.authority.store().holdings(after, most.min(SLICE), now).await?;
            let Some(last) = slice.last() else { break None };
            (after, looked) = (Some(last.channel.id), looked + slice.len());
            for holding in slice {
                let (holding, warnings) = self.found(holding);
                found += warnings.len();
                if !warnings.is_empty() {
                    of_channels.push((holding, warnings));
                }
            }
            if found >= most || looked >= CHANNELS {
                break after;
            }
        };
        Ok(FoundWarnings { of_channels, next })
    }

    /// The same for an actor that sees these channels alone. The cursor is one of them, since
    /// another id would show that its channel exists.
    async fn warnings_of_seen(
        &self,
        seen: Seen,
        after: Option<ChannelId>,
        most: usize,
    ) -> Result<FoundWarnings> {
        let mut ids: Vec<_> = seen.channels.into_iter().collect();
        ids.sort_unstable();
        let (mut of_channels, mut found) = (Vec::new(), 0);
        for id in ids.into_iter().filter(|id| after.is_none_or(|after| after < *id)) {
            let now = self.authority.now();
            let Some(holding) = self.authority.store().holding(id, now).await? else { continue };
            let (holding, warnings) = self.found(holding);
            found += warnings.len();
            if !warnings.is_empty() {
                of_channels.push((holding, warnings));
            }
            if found >= most {
                return Ok(FoundWarnings { of_channels, next: Some(id) });
            }
        }
        Ok(FoundWarnings { of_channels, next: None })
    }

    /// Sends a test warning to the webhook now.
    ///
    /// # Errors
    /// A conflict if there is no webhook.
    pub async fn test_webhook(&self) -> Result<TestDelivery> {
        self.may(Permission::TestWarnings)?;
        let none = tegata_store::Error::Conflict(
            "no webhook is set; set one with `webhook_url` (or --webhook-url) and its secret",
        );
        let webhook = self.authority.webhook().ok_or(none)?;
        Ok(webhook.test(self.authority.now()).await)
    }

    fn found(&self, holding: Holding) -> (Holding, Vec<Warning>) {
        let policy = self.authority.warning_policy();
        let warnings = find(&holding, policy, self.authority.now());
        (holding, warnings)
    }
}
