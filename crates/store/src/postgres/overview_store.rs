//! Every method of [`OverviewStore`].

use super::{PostgresStore, questions::across, readers::ask};
use crate::{ExpiryFilter, OverviewStore, Result, RowId, TokenRow};
use async_trait::async_trait;
use std::collections::BTreeMap;
use tegata_token::{
    id::{ChannelId, ProviderId, Serial},
    time::UnixTime,
};

#[async_trait]
impl OverviewStore for PostgresStore {
    async fn expiring_tokens(
        &self,
        filter: ExpiryFilter,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<(RowId, ChannelId, TokenRow)>> {
        ask!(self List, |db, filter| across::expiring(&db, filter, most, now))
    }

    async fn tokens_of(
        &self,
        names: Vec<(ChannelId, Serial)>,
        now: UnixTime,
    ) -> Result<Vec<(ChannelId, TokenRow)>> {
        ask!(self List, |db, names| across::tokens_of(&db, names, now))
    }

    async fn count_channels(
        &self,
        providers: Vec<ProviderId>,
    ) -> Result<BTreeMap<ProviderId, usize>> {
        ask!(self List, |db, providers| across::count_channels(&db, providers))
    }

    async fn count_tokens(&self, provider: ProviderId, now: UnixTime) -> Result<usize> {
        ask!(self List, |db| across::count_tokens(&db, provider, now))
    }
}
