//! Questions about many channels and providers at once.

use crate::{ExpiryFilter, Result, RowId, TokenRow};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial},
    time::UnixTime,
};

/// The part of a [`Store`](crate::Store) that answers them.
#[async_trait]
pub trait OverviewStore: Send + Sync {
    /// Active tokens of all channels, the first to expire first, with their rows' numbers; at
    /// most `most`.
    async fn expiring_tokens(
        &self,
        filter: ExpiryFilter,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<(RowId, ChannelId, TokenRow)>>;
    /// Those of these tokens that have a row, in the same order, with their channels.
    async fn tokens_of(
        &self,
        names: Vec<(ChannelId, Serial)>,
        now: UnixTime,
    ) -> Result<Vec<(ChannelId, TokenRow)>>;
    /// How many channels each of these providers has that are not deleted.
    async fn count_channels(
        &self,
        providers: Vec<ProviderId>,
    ) -> Result<BTreeMap<ProviderId, usize>>;
    /// How many active stored tokens the channels of a provider have.
    async fn count_tokens(&self, provider: ProviderId, now: UnixTime) -> Result<usize>;
}
