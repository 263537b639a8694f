//! Every method of [`Store`], each as a question or as an act.

use super::{
    Plant, PostgresStore,
    questions::{
        audit, audit_list, channels, log, state, sweep, tokens, uses, verifiers, warnings,
    },
    readers::ask,
    rows,
};
use crate::{
    AuditFilter, AuditHead, AuditRow, Batch, ChannelFilter, DueWarning, Error, GroupRow, Holding,
    KeyFilter, KeyRow, NewVerifier, Page, ProviderFilter, ProviderRevocation, Reissue, ReplicaRow,
    Result, Revoked, RowId, State, Store, Taking, TokenFilter, TokenName, TokenRow, UsedToken,
    WouldTake,
    audit::{AuditReport, AuditVerifier, Checkpoint},
    figures::Figures,
};
use async_trait::async_trait;
use std::sync::Arc;
use tegata_policy::{
    acts::*,
    authorize::Grant,
    channel::{Channel, GroupSettings, RegisteredKey},
};
use tegata_token::{
    feed::InstanceId,
    id::{ChannelId, Group, Position, ProviderId, Serial, SigningKeyId, TokenId, VerifierId},
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

    async fn verifiers(&self) -> Result<Vec<VerifierRow>> {
        ask!(self List, |db| verifiers::all(&db))
    }

    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>> {
        ask!(self List, |db| verifiers::instances(&db))
    }

    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>> {
        ask!(self Request, |db| verifiers::receipt_at(&db, at))
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

    async fn catch_up(&self) -> Result<()> {
        Ok(self.shared.after_now().await.map(drop)?)
    }

    async fn may_run_jobs(&self) -> bool {
        self.shared.lease.has_jobs()
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>> {
        Ok(self.shared.after_now().await?.replicas.to_vec())
    }

    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued> {
        let form = self.form.clone();
        let (issued, position) = self.run(now, Issue { grant, id, form, by }).await?;
        Ok(Issued { position, ..issued })
    }

    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant> {
        self.run(now, TakeAssertion { grant }).await.map(|(grant, _)| grant)
    }

    async fn take(&self, act: Taking) -> Result<Revoked> {
        self.run_any(act).await
    }

    async fn would_take(&self, act: Taking, most: usize) -> Result<WouldTake> {
        match act {
            Taking::Revoke(act) => self.decide(act.by.at, act, most).await,
            Taking::Channel(act) => self.decide(act.by.at, act, most).await,
            Taking::Secret(act) => self.decide(act.by.at, act, most).await,
            Taking::PreviousSecret(act) => self.decide(act.by.at, act, most).await,
            Taking::AssertionKey(act) => self.decide(act.by.at, act, most).await,
            Taking::Group(act) => self.decide(act.by.at, act, most).await,
            Taking::Provider(act) => self.decide(act.by.at, act, most).await,
        }
    }

    async fn would_reissue(&self, act: Reissue, most: usize) -> Result<WouldTake> {
        let Reissue { grant, id, by } = act;
        let (at, form) = (by.at, self.form.clone());
        self.decide(at, Issue { grant, id, form, by: Some(by) }, most).await
    }

    async fn create_provider(&self, id: ProviderId, name: String, by: By) -> Result<Provider> {
        self.run(by.at, CreateProvider { id, name, by }).await.map(|(provider, _)| provider)
    }

    async fn rename_provider(&self, id: ProviderId, name: String, by: By) -> Result<()> {
        self.run(by.at, RenameProvider { id, name, by }).await.map(drop)
    }

    async fn create_channel(&self, new: NewChannel, by: By) -> Result<Channel> {
        self.run(by.at, CreateChannel { new, admin: None, by }).await.map(|(channel, _)| channel)
    }

    async fn register_key(&self, channel: ChannelId, key: RegisteredKey, by: By) -> Result<()> {
        self.run(by.at, RegisterKey { channel, key, by }).await.map(drop)
    }

    async fn set_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
        by: By,
    ) -> Result<GroupSettings> {
        let (at, act) = (by.at, SetGroup { channel, group, patch, by });
        self.run(at, act).await.map(|(settings, _)| settings)
    }

    async fn change_signing_keys(&self, change: SigningKeyChange, by: By) -> Result<Revoked> {
        let (revoked, now, position) = self.run_at(by.at, ChangeSigningKeys { change, by }).await?;
        // Counted after the commit and without its locks: there may be millions.
        let tokens = self.signed_by(revoked, 0, now).await?.tokens;
        Ok(Revoked { tokens, position, at: now })
    }

    async fn create_verifier(&self, new: NewVerifier, by: By) -> Result<VerifierRow> {
        let NewVerifier { id, name, provider, max_staleness, allow, token } = new;
        let at = by.at;
        let act = CreateVerifier { id, name, provider, max_staleness, allow, token, by };
        self.run(at, act).await.map(|(verifier, _)| verifier)
    }

    async fn change_verifier(
        &self,
        id: VerifierId,
        patch: VerifierPatch,
        by: By,
    ) -> Result<VerifierRow> {
        self.run(by.at, ChangeVerifier { id, patch, by }).await.map(|(verifier, _)| verifier)
    }

    async fn delete_verifier(&self, id: VerifierId, by: By) -> Result<()> {
        self.run(by.at, DeleteVerifier { id, by }).await.map(drop)
    }

    async fn remove_instances(
        &self,
        id: VerifierId,
        instance: Option<InstanceId>,
        by: By,
    ) -> Result<Vec<InstanceId>> {
        self.run(by.at, RemoveInstances { id, instance, by }).await.map(|(removed, _)| removed)
    }

    async fn register_instance(
        &self,
        instance: RegisterInstance,
        now: UnixTime,
    ) -> Result<Registration> {
        self.run(now, instance).await.map(|(registered, _)| registered)
    }

    async fn stop_instance(
        &self,
        verifier: VerifierId,
        instance: InstanceId,
        now: UnixTime,
    ) -> Result<Instance> {
        self.run(now, StopInstance { verifier, instance }).await.map(|(stopped, _)| stopped)
    }

    async fn drop_instances(
        &self,
        instances: Vec<(VerifierId, InstanceId, UnixTime)>,
    ) -> Result<()> {
        self.run(UnixTime(0), DropInstances { instances }).await.map(drop)
    }

    async fn settle_receipts(&self, receipts: Vec<ReceiptRow>, now: UnixTime) -> Result<()> {
        self.run(now, SettleReceipts { receipts }).await.map(drop)
    }

    async fn record(&self, event: Event, by: By) -> Result<()> {
        self.run(by.at, Record { event, by }).await.map(drop)
    }

    async fn record_for_all(&self, event: Event, by: By) -> Result<Position> {
        self.run(by.at, RecordForAll { event, by }).await.map(|((), position)| position)
    }

    async fn rewrap(&self, act: RewrapKeys) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
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

    async fn set_audit_key(&self, public: [u8; 32], wrapped: WrappedKey) -> Result<()> {
        self.run(UnixTime(0), SetAuditKey { public, wrapped }).await.map(drop)
    }

    async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let act = AddCheckpoint { checkpoint };
        self.run(UnixTime(0), act).await.map(drop)
    }

    async fn inactive_before(
        &self,
        after: RowId,
        before: UnixTime,
        most: usize,
    ) -> Result<(Vec<RowId>, Option<RowId>)> {
        ask!(self List, |db| sweep::inactive_before(&db, after, before, most))
    }

    async fn begin_provider_revocation(&self, provider: ProviderId, by: By) -> Result<RowId> {
        self.run(by.at, BeginProviderRevocation { provider, by }).await.map(|(job, _)| job)
    }

    async fn continue_provider_revocation(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)> {
        self.continue_job(job, most, now).await
    }

    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>> {
        ask!(self Request, |db| sweep::provider_revocations(&db))
    }

    async fn stamp(&self, stamps: Vec<Stamp>) -> Result<()> {
        self.run(UnixTime(0), StampUses { stamps: stamps.into() }).await.map(drop)
    }

    async fn record_uses(&self, uses: Vec<NotedUse>, since: UnixTime) -> Result<()> {
        self.run(UnixTime(0), RecordUses { uses: uses.into(), since }).await.map(drop)
    }

    async fn queue_warnings(&self, warnings: Vec<NewWarning>, now: UnixTime) -> Result<usize> {
        self.run(now, QueueWarnings { warnings }).await.map(|(new, _)| new)
    }

    async fn warning_tried(&self, number: RowId, next: Option<UnixTime>) -> Result<()> {
        self.run(UnixTime(0), WarningTried { number, next }).await.map(drop)
    }

    async fn forget(&self, channels: usize, now: UnixTime) -> Result<usize> {
        self.forget_due(channels, now).await
    }

    async fn trim(&self, old: Old, now: UnixTime) -> Result<usize> {
        self.run(now, Trim { old }).await.map(|(gone, _)| gone)
    }

    async fn advance_clock(&self, seconds: i64) -> Result<i64> {
        self.run(UnixTime(0), AdvanceClock { seconds }).await.map(|(offset, _)| offset)
    }
}
