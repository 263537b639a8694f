//! The questions of [`Store`].

use super::{
    Plant, PostgresStore,
    questions::{
        audit, audit_list, channels, log, people, state, sweep, tokens, uses, verifiers, warnings,
    },
    readers::ask,
    rows,
};
use crate::{
    AuditFilter, AuditHead, AuditRow, Batch, ChannelFilter, DueWarning, Error, GroupRow, Holding,
    KeyFilter, KeyRow, Page, ProviderFilter, ProviderRevocation, ReplicaRow, Result, RowId, State,
    Store, TokenFilter, TokenName, TokenRow, UsedToken, WouldTake,
    audit::{AuditReport, AuditVerifier},
    figures::Figures,
};
use async_trait::async_trait;
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
};

#[async_trait]
impl Store for PostgresStore {
    async fn state(&self) -> Result<State> {
        ask!(self Walk, |db| state::state(&db))
    }

    async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        let keys = ask!(self Request, |db| rows::signing_keys(&db))?;
        Ok(keys.into_iter().map(|it| it.key).collect())
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>> {
        ask!(self Request, |db| channels::channel(&db, id))
    }

    async fn providers(
        &self,
        filter: ProviderFilter,
        page: Page,
    ) -> Result<Vec<(RowId, Provider)>> {
        ask!(self List, |db, filter| channels::providers(&db, filter, page))
    }

    async fn assertion_keys(&self, filter: KeyFilter, page: Page) -> Result<Vec<(RowId, KeyRow)>> {
        ask!(self List, |db, filter| channels::assertion_keys(&db, filter, page))
    }

    async fn provider(&self, id: ProviderId) -> Result<Option<Provider>> {
        ask!(self Request, |db| channels::provider(&db, id))
    }

    async fn channels(&self, filter: ChannelFilter, page: Page) -> Result<Vec<(RowId, Channel)>> {
        ask!(self List, |db, filter| channels::channels(&db, filter, page))
    }

    async fn groups(&self, channel: ChannelId, now: UnixTime) -> Result<Vec<GroupRow>> {
        ask!(self List, |db| channels::groups(&db, channel, now))
    }

    async fn tokens(
        &self,
        channel: ChannelId,
        filter: TokenFilter,
        page: Page,
        now: UnixTime,
    ) -> Result<Vec<(RowId, TokenRow)>> {
        ask!(self List, |db, filter| tokens::tokens(&db, channel, filter, page, now))
    }

    async fn token(
        &self,
        channel: ChannelId,
        name: TokenName,
        now: UnixTime,
    ) -> Result<Option<TokenRow>> {
        ask!(self Request, |db| tokens::token(&db, channel, name, now))
    }

    async fn recent_uses(&self, channel: ChannelId, serial: Serial) -> Result<Vec<RecentUse>> {
        let found = ask!(self Request, |db| uses::of_token(&db, channel, serial))?;
        Ok(found.map_or_else(Vec::new, |(_, uses)| uses))
    }

    async fn live_v21(
        &self,
        channel: ChannelId,
        group: Option<Group>,
        now: UnixTime,
    ) -> Result<Vec<TokenId>> {
        ask!(self Request, |db, group| tokens::active_v21(&db, channel, group.as_ref(), now))
    }

    async fn signed_by(
        &self,
        keys: Vec<SigningKeyId>,
        most: usize,
        now: UnixTime,
    ) -> Result<WouldTake> {
        ask!(self Walk, |db, keys| tokens::signed_by(&db, keys, most, now))
    }

    async fn audit(&self, filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>> {
        ask!(self List, |db, filter| audit_list::list(&db, filter, page))
    }

    async fn changes(
        &self,
        after: Position,
        most: usize,
    ) -> Result<Option<Vec<(Position, Change)>>> {
        ask!(self Request, |db| log::changes(&db, after, most))
    }

    async fn holdings(
        &self,
        after: Option<ChannelId>,
        most: usize,
        now: UnixTime,
    ) -> Result<Vec<Holding>> {
        ask!(self List, |db| warnings::holdings(&db, after, most, now))
    }

    async fn holding(&self, id: ChannelId, now: UnixTime) -> Result<Option<Holding>> {
        ask!(self List, |db| warnings::holding(&db, id, now))
    }

    async fn due_warnings(&self, most: usize, now: UnixTime) -> Result<Vec<DueWarning>> {
        ask!(self List, |db| warnings::due(&db, most, now))
    }

    async fn used_tokens(
        &self,
        tokens: Vec<(ChannelId, TokenId)>,
        provider: Option<ProviderId>,
    ) -> Result<Vec<UsedToken>> {
        ask!(self List, |db, tokens| uses::tokens(&db, tokens, provider))
    }

    async fn last_changes(&self, most: usize) -> Result<Vec<(Position, Change)>> {
        ask!(self List, |db| log::last_changes(&db, most))
    }

    async fn person(&self, which: WhichPerson) -> Result<Option<StoredPerson>> {
        ask!(self Request, |db, which| people::one(&db, which))
    }

    async fn people(&self) -> Result<Vec<StoredPerson>> {
        ask!(self List, |db| people::all(&db))
    }

    async fn verifiers(&self) -> Result<Vec<VerifierRow>> {
        ask!(self List, |db| verifiers::all(&db))
    }

    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>> {
        ask!(self List, |db| verifiers::instances(&db))
    }

    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>> {
        ask!(self Request, |db| verifiers::receipt_at(&db, at))
    }

    async fn newest_receipt(&self, provider: ProviderId) -> Result<Option<ReceiptRow>> {
        ask!(self Request, |db| verifiers::newest_receipt(&db, provider))
    }

    async fn open_receipts(&self, most: usize) -> Result<Vec<ReceiptRow>> {
        ask!(self List, |db| verifiers::open_receipts(&db, most))
    }

    async fn is_writable(&self) -> Result<()> {
        // The lease is renewed by a commit, and runs out two seconds after the last one.
        self.shared.after_now().await?;
        match self.shared.lease.holds() {
            true => Ok(()),
            false => Err(Error::Unavailable("the database has committed nothing for 2 s".into())),
        }
    }

    async fn has_journal(&self) -> Result<bool> {
        let Some(journal) = &self.journal else { return Ok(false) };
        let tried = journal.try_out(self.shared.seen().applied).await;
        tried.map(|()| true).map_err(|why| Error::Unavailable(why.to_string().into()))
    }

    fn figures(&self) -> Arc<Figures> {
        self.shared.queue.figures.clone()
    }

    fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    async fn stopped(&self) {
        self.shared.stopped().await;
    }

    fn current(&self) -> bool {
        self.shared.lease.holds() || self.plant == Some(Plant::NoLease)
    }

    fn lapses(&self) -> u64 {
        self.shared.lease.lapses()
    }

    async fn catch_up(&self) -> Result<()> {
        Ok(self.shared.after_now().await.map(drop)?)
    }

    async fn may_run_jobs(&self) -> bool {
        self.shared.lease.has_jobs()
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        Ok(self.shared.after_now().await?.replicas.to_vec())
    }

    async fn audit_row(&self, id: RowId) -> Result<Option<AuditRow>> {
        ask!(self Request, |db| audit_list::one(&db, id))
    }

    async fn state_act(&self, channel: ChannelId) -> Result<Option<RowId>> {
        ask!(self Request, |db| channels::state_act(&db, channel))
    }

    async fn audit_head(&self) -> Result<AuditHead> {
        ask!(self Request, |db| audit::head(&db))
    }

    async fn audit_batch(&self, behind: (u64, RowId), most: usize) -> Result<Batch> {
        let batch = ask!(self Request, |db| audit::batch(&db, behind, most))?;
        Ok(batch?)
    }

    async fn verify_audit(&self, verifier: AuditVerifier) -> Result<AuditReport> {
        audit::walk(&self.readers, verifier).await
    }

    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>> {
        ask!(self Request, |db| audit::expired(&db, from, before))
    }

    async fn audit_key(&self) -> Result<Option<([u8; 32], WrappedKey)>> {
        ask!(self Request, |db| audit::key(&db))
    }

    async fn inactive_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)> {
        ask!(self List, |db| sweep::inactive_before(&db, after, before, most))
    }

    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>> {
        ask!(self Request, |db| sweep::provider_revocations(&db))
    }
}
