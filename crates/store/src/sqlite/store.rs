//! The questions of [`Store`], each as a read on a reader's connection.

use super::{
    SqliteStore, audit, audit_list, people, provider_revocation, read,
    rows::{self, unavailable},
    state, sweep, uses, verifiers, warnings,
};
use crate::{
    AuditFilter, AuditHead, AuditRow, Batch, ChannelFilter, DueWarning, Error, GroupRow, Holding,
    KeyFilter, KeyRow, Page, ProviderFilter, ProviderRevocation, Result, RowId, State, Store,
    TokenFilter, TokenName, TokenRow, UsedToken, WouldTake,
    audit::{AuditReport, AuditVerifier, Walk},
    figures::Figures,
};
use async_trait::async_trait;
use rusqlite::Connection;
use std::sync::Arc;
use tegata_policy::{
    acts::{
        Change, Instance, Provider, ReceiptRow, RecentUse, SigningKeyRow, StoredPerson,
        VerifierRow, WhichPerson, WrappedKey,
    },
    channel::Channel,
};
use tegata_token::{
    id::{ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId},
    time::UnixTime,
    view::ChannelState,
};

#[async_trait]
impl Store for SqliteStore {
    async fn state(&self) -> Result<State> {
        // Large, so it has its own time: a start waits for it.
        self.walk(state::state).await
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        let keys = self.read(|conn| rows::signing_keys(conn).map_err(unavailable)).await?;
        Ok(keys.into_iter().map(|it| it.key).collect())
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        let found = self.read(move |conn| {
            // One transaction: row, keys and groups are one snapshot.
            let tx = conn.transaction().map_err(unavailable)?;
            rows::channel_by_id(&tx, id).map_err(unavailable)
        });
        Ok(found.await?.filter(|channel| channel.state != ChannelState::Deleted))
    }

    async fn providers(
        &self,
        filter: ProviderFilter,
        page: Page,
    ) -> Result<Vec<(RowId, Provider)>> {
        self.list(move |conn| read::providers(conn, &filter, page).map_err(unavailable)).await
    }

    async fn assertion_keys(&self, filter: KeyFilter, page: Page) -> Result<Vec<(RowId, KeyRow)>> {
        self.list(move |conn| read::assertion_keys(conn, &filter, page).map_err(unavailable)).await
    }

    async fn provider(&self, id: ProviderId) -> Result<Option<Provider>> {
        self.read(move |conn| read::provider(conn, id).map_err(unavailable)).await
    }

    async fn channels(&self, filter: ChannelFilter, page: Page) -> Result<Vec<(RowId, Channel)>> {
        self.list(move |conn| {
            if let Some(provider) = filter.provider {
                let found = read::provider(conn, provider).map_err(unavailable)?;
                found.ok_or(Error::NotFound("provider"))?;
            }
            read::channels(conn, &filter, page).map_err(unavailable)
        })
        .await
    }

    async fn groups(&self, channel: ChannelId, now: UnixTime) -> Result<Vec<GroupRow>> {
        let channel = self.channel(channel).await?.ok_or(Error::NotFound("channel"))?;
        self.list(move |conn| read::groups(conn, &channel, now).map_err(unavailable)).await
    }

    async fn tokens(
        &self,
        channel: ChannelId,
        filter: TokenFilter,
        page: Page,
        now: UnixTime,
    ) -> Result<Vec<(RowId, TokenRow)>> {
        self.list(move |conn| read::tokens(conn, channel, &filter, page, now).map_err(unavailable))
            .await
    }

    async fn token(
        &self,
        channel: ChannelId,
        name: TokenName,
        now: UnixTime,
    ) -> Result<Option<TokenRow>> {
        self.read(move |conn| read::token(conn, channel, name, now).map_err(unavailable)).await
    }

    async fn recent_uses(&self, channel: ChannelId, serial: Serial) -> Result<Vec<RecentUse>> {
        let found =
            self.read(move |conn| uses::of_token(conn, channel, serial).map_err(unavailable));
        Ok(found.await?.map_or_else(Vec::new, |(_, uses)| uses))
    }

    async fn live_v21(
        &self,
        channel: ChannelId,
        group: Option<Group>,
        now: UnixTime,
    ) -> Result<Vec<TokenId>> {
        self.read(move |conn| {
            read::live_v21(conn, channel, group.as_ref(), now).map_err(unavailable)
        })
        .await
    }

    async fn signed_by(
        &self,
        keys: Vec<SigningKeyId>,
        most: usize,
        now: UnixTime,
    ) -> Result<WouldTake> {
        self.walk(move |conn| read::signed_by(conn, &keys, most, now).map_err(unavailable)).await
    }

    async fn audit(&self, filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>> {
        self.list(move |conn| audit_list::list(conn, &filter, page).map_err(unavailable)).await
    }

    async fn changes(
        &self,
        after: Position,
        most: usize,
    ) -> Result<Option<Vec<(Position, Change)>>> {
        self.read(move |conn| read::changes(conn, after, most).map_err(unavailable)).await
    }

    async fn holdings(
        &self,
        after: Option<ChannelId>,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<Holding>> {
        self.list(move |conn| warnings::holdings(conn, after, most, now).map_err(unavailable)).await
    }

    async fn holding(&self, id: ChannelId, now: UnixTime) -> Result<Option<Holding>> {
        self.list(move |conn| warnings::holding(conn, id, now).map_err(unavailable)).await
    }

    async fn due_warnings(&self, most: usize, now: UnixTime) -> Result<Vec<DueWarning>> {
        self.list(move |conn| warnings::due(conn, most, now).map_err(unavailable)).await
    }

    async fn used_tokens(
        &self,
        tokens: Vec<(ChannelId, TokenId)>,
        provider: Option<ProviderId>,
    ) -> Result<Vec<UsedToken>> {
        self.list(move |conn| uses::tokens(conn, &tokens, provider).map_err(unavailable)).await
    }

    async fn last_changes(&self, most: usize) -> Result<Vec<(Position, Change)>> {
        self.walk(move |conn| read::last_changes(conn, most).map_err(unavailable)).await
    }

    async fn person(&self, which: WhichPerson) -> Result<Option<StoredPerson>> {
        self.read(move |conn| people::read(people::one(conn, &which))).await
    }

    async fn people(&self) -> Result<Vec<StoredPerson>> {
        self.list(|conn| people::read(people::all(conn))).await
    }

    async fn verifiers(&self) -> Result<Vec<VerifierRow>> {
        self.list(|conn| verifiers::all(conn).map_err(unavailable)).await
    }

    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>> {
        self.walk(|conn| verifiers::instances(conn).map_err(unavailable)).await
    }

    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>> {
        self.read(move |conn| verifiers::receipt(conn, at).map_err(unavailable)).await
    }

    async fn newest_receipt(&self, provider: ProviderId) -> Result<Option<ReceiptRow>> {
        self.read(move |conn| verifiers::newest_receipt(conn, provider).map_err(unavailable)).await
    }

    async fn open_receipts(&self, most: usize) -> Result<Vec<ReceiptRow>> {
        self.walk(move |conn| verifiers::open_receipts(conn, most).map_err(unavailable)).await
    }

    async fn is_writable(&self) -> Result<()> {
        self.writer.act(UnixTime(0), |tx| tx.probe()).await.map(drop)
    }

    async fn has_journal(&self) -> Result<bool> {
        self.writer.act(UnixTime(0), |tx| tx.try_revocation_journal()).await.map(|(logs, _)| logs)
    }

    fn figures(&self) -> Arc<Figures> {
        self.writer.figures.clone()
    }

    fn waiting(&self) -> usize {
        self.writer.waiting()
    }

    async fn stopped(&self) {
        self.writer.stopped().await;
    }

    fn current(&self) -> bool {
        self.others.current()
    }

    fn lapses(&self) -> u64 {
        self.others.lapses()
    }

    async fn catch_up(&self) -> Result<()> {
        self.others.catch_up().await
    }

    async fn audit_row(&self, id: RowId) -> Result<Option<AuditRow>> {
        self.read(move |conn| audit_list::one(conn, id).map_err(unavailable)).await
    }

    async fn state_act(&self, channel: ChannelId) -> Result<Option<RowId>> {
        self.read(move |conn| read::state_act(conn, channel).map_err(unavailable)).await
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        self.read(|conn| audit::head(conn).map_err(unavailable)).await
    }

    async fn audit_batch(&self, behind: (u64, RowId), most: usize) -> Result<Batch> {
        self.read(move |conn| audit::batch(conn, behind, most).map_err(unavailable)).await
    }

    async fn verify_audit(&self, verifier: AuditVerifier) -> Result<AuditReport> {
        let mut walk = Walk::new(verifier);
        while walk.behind().is_some() {
            // A part at a time, so that others get their turn in between.
            let next = move |conn: &mut Connection| {
                audit::walk_on(conn, &mut walk);
                Ok(walk)
            };
            walk = self.walk(next).await?;
        }
        Ok(walk.report())
    }

    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>> {
        self.read(move |conn| audit::expired(conn, from, before).map_err(unavailable)).await
    }

    async fn audit_key(&self) -> Result<Option<([u8; 32], WrappedKey)>> {
        self.read(|conn| audit::key(conn).map_err(unavailable)).await
    }

    async fn inactive_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)> {
        self.list(move |conn| sweep::find(conn, after, before, most).map_err(unavailable)).await
    }

    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>> {
        self.read(|conn| provider_revocation::all(conn).map_err(unavailable)).await
    }
}
