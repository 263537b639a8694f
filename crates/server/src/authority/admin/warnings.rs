//! What is about to expire, is unused, or is used though it was replaced.

use super::facade::{Admin, Result};
use crate::authority::warnings::{
    Warning, find,
    own::{OwnFacts, OwnWarning, find_own},
    webhook::TestDelivery,
};
use tegata_policy::permission::Permission;
use tegata_store::{Holding, Seen};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
    view::ChannelState,
};

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

/// Which warnings to list.
#[derive(Debug, Clone, Default)]
pub struct WarningFilter {
    /// Only of this type.
    pub kind: Option<String>,
    /// Only of this provider's channels.
    pub provider: Option<ProviderId>,
    /// Only those that apply since this time or later.
    pub since: Option<UnixTime>,
    /// Only those that apply since before this time.
    pub until: Option<UnixTime>,
}

impl WarningFilter {
    fn fits(&self, kind: &str, since: UnixTime) -> bool {
        self.kind.as_ref().is_none_or(|it| it == kind)
            && self.since.is_none_or(|it| since >= it)
            && self.until.is_none_or(|it| since < it)
    }
}

impl Admin {
    /// All warnings of channels that fit, by channel. It reads every channel, so that they can
    /// be sorted by time.
    ///
    /// # Errors
    /// As [`Self::warnings_of`].
    pub async fn all_warnings(&self, filter: &WarningFilter) -> Result<FoundWarnings> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.warnings(after, SLICE, filter).await?;
            all.extend(page.of_channels);
            after = page.next;
            if after.is_none() {
                return Ok(FoundWarnings { of_channels: all, next: None });
            }
        }
    }

    /// The warnings about the authority itself that fit, newest first; none for an actor that
    /// may not see them.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn own_warnings(&self, filter: &WarningFilter) -> Result<Vec<OwnWarning>> {
        if self.may(Permission::ReadVerifierWarnings).is_err() || filter.provider.is_some() {
            return Ok(Vec::new());
        }
        let (authority, now) = (&self.authority, self.authority.now());
        let keys = authority.store().signing_keys().await?;
        let certificate = authority.certificate_until();
        let backup = authority.backed_up_at.as_ref().and_then(|at| at());
        let seen = OwnFacts { certificate, backup, beyond_head: authority.feed().beyond_head() };
        let mut found = find_own(&keys, seen, authority.warning_policy(), now);
        found.retain(|it| filter.fits(it.kind(), it.since()));
        found.sort_by_key(|it| std::cmp::Reverse(it.since()));
        Ok(found)
    }

    /// The warnings of one channel.
    ///
    /// # Errors
    /// [`NotFound`](tegata_store::Error::NotFound) or
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn warnings_of(
        &self,
        channel: ChannelId,
        filter: &WarningFilter,
    ) -> Result<FoundWarnings> {
        self.channel_for(Permission::ReadWarnings, channel).await?;
        let of_channels = vec![self.found(self.holding(channel).await?, filter)];
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
        filter: &WarningFilter,
    ) -> Result<FoundWarnings> {
        if let Some(seen) = self.seen(Permission::ReadWarnings)? {
            return self.warnings_of_seen(seen, after, most, filter).await;
        }
        let (mut of_channels, mut found, mut looked) = (Vec::new(), 0, 0);
        let next = loop {
            let now = self.authority.now();
            let slice = self.authority.store().holdings(after, most.min(SLICE), now).await?;
            let Some(last) = slice.last() else { break None };
            (after, looked) = (Some(last.channel.id), looked + slice.len());
            for holding in slice {
                let (holding, warnings) = self.found(holding, filter);
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
        filter: &WarningFilter,
    ) -> Result<FoundWarnings> {
        let mut ids: Vec<_> = seen.channels.into_iter().collect();
        ids.sort_unstable();
        let (mut of_channels, mut found) = (Vec::new(), 0);
        for id in ids.into_iter().filter(|id| after.is_none_or(|after| after < *id)) {
            let now = self.authority.now();
            let Some(holding) = self.authority.store().holding(id, now).await? else { continue };
            let (holding, warnings) = self.found(holding, filter);
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

    fn found(&self, holding: Holding, filter: &WarningFilter) -> (Holding, Vec<Warning>) {
        let policy = self.authority.warning_policy();
        let mut warnings = find(&holding, policy, self.authority.now());
        let of = &holding.channel;
        let is_theirs = filter.provider.is_none_or(|it| it == of.provider);
        let is_theirs = is_theirs && of.state == ChannelState::Active;
        warnings.retain(|it| is_theirs && filter.fits(it.kind(), it.since));
        (holding, warnings)
    }
}
