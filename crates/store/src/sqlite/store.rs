//! Every method of [`Store`], each as a read on a reader's connection or as an act of the
//! writer.

use super::{
    SqliteStore, audit, audit_list, provider_revocation, read,
    readers::For,
    revocations,
    rows::{self, unavailable},
    state, sweep, uses, verifiers, warnings,
    writer::Tx,
};
use crate::{
    AuditFilter, AuditHead, AuditRow, Batch, ChannelFilter, DueWarning, Error, GroupRow, Holding,
    KeyFilter, KeyRow, NewVerifier, Page, ProviderFilter, ProviderRevocation, Reissue, Result,
    Revoked, RowId, State, Store, Taking, TokenFilter, TokenName, TokenRow, UsedToken, WouldTake,
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
    view::ChannelState,
};

#[async_trait]
impl Store for SqliteStore {
    async fn state(&self) -> Result<State> {
        self.read(state::state).await
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
        self.list(move |conn| read::signed_by(conn, &keys, most, now).map_err(unavailable)).await
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
        self.list(move |conn| read::last_changes(conn, most).map_err(unavailable)).await
    }

    async fn verifiers(&self) -> Result<Vec<VerifierRow>> {
        self.list(|conn| verifiers::all(conn).map_err(unavailable)).await
    }

    async fn instances(&self) -> Result<Vec<(VerifierRow, Vec<Instance>)>> {
        self.list(|conn| verifiers::instances(conn).map_err(unavailable)).await
    }

    async fn receipt(&self, at: Position) -> Result<Option<ReceiptRow>> {
        self.read(move |conn| verifiers::receipt(conn, at).map_err(unavailable)).await
    }

    async fn open_receipts(&self, most: usize) -> Result<Vec<ReceiptRow>> {
        self.list(move |conn| verifiers::open_receipts(conn, most).map_err(unavailable)).await
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

    async fn catch_up(&self) -> Result<()> {
        self.others.catch_up().await
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
        // Counted afterwards and beside the writer: there may be millions.
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
        self.readers.ask(For::Walk, |conn| Ok(audit::walk(conn, verifier))).await
    }

    async fn audit_expired(&self, from: u64, before: UnixTime) -> Result<Option<u64>> {
        self.read(move |conn| audit::expired(conn, from, before).map_err(unavailable)).await
    }

    async fn audit_key(&self) -> Result<Option<([u8; 32], WrappedKey)>> {
        self.read(|conn| audit::key(conn).map_err(unavailable)).await
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
        self.list(move |conn| sweep::find(conn, after, before, most).map_err(unavailable)).await
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
        let act = move |tx: &mut Tx<'_>| revocations::continue_provider(tx, job, most);
        self.writer.act(now, act).await.map(|(done, _)| done)
    }

    async fn provider_revocations(&self) -> Result<Vec<ProviderRevocation>> {
        self.read(|conn| provider_revocation::all(conn).map_err(unavailable)).await
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
        let act = move |tx: &mut Tx<'_>| revocations::forget(tx, channels);
        self.writer.act(now, act).await.map(|(gone, _)| gone)
    }

    async fn trim(&self, old: Old, now: UnixTime) -> Result<usize> {
        self.run(now, Trim { old }).await.map(|(gone, _)| gone)
    }

    async fn advance_clock(&self, seconds: i64) -> Result<i64> {
        self.run(UnixTime(0), AdvanceClock { seconds }).await.map(|(offset, _)| offset)
    }
}
