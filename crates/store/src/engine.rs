//! What a database engine implements so that it can act, and the acts of every engine.
//!
//! An act's rules are a pure function of the policy: an engine locks and loads what the act
//! needs, lets it decide, and applies its effects. So an engine needs to know no act, and
//! every act stands here once.

use crate::{
    ActStore, By, Event, GroupPatch, Instance, Issued, NewChannel, NewVerifier, NewWarning,
    NotedUse, Old, PeopleStore, Provider, ReceiptRow, RegisterInstance, Registration, Reissue,
    ReplaceRootToken, RequestStore, Result, Revoked, RewrapKeys, RowId, SigningKeyChange, Stamp,
    Store, Taking, VerifierPatch, VerifierRow, WouldTake, WrappedKey,
    audit::Checkpoint,
    taking::{Taken, each},
};
use async_trait::async_trait;
use std::time::Duration;
use tegata_policy::{
    acts::{
        AcceptInvitation, Act, AddCheckpoint, AdminTokenRow, AdvanceClock, BeginProviderRevocation,
        BeginRequest, ChangePassword, ChangePerson, ChangeSigningKeys, ChangeVerifier,
        CreateAdminToken, CreateChannel, CreateProvider, CreateVerifier, DeleteAdminToken,
        DeletePerson, DeleteVerifier, DropInstances, EndSession, FinishRequest, Forget,
        InvitePerson, Issue, Issuer, LinkIdentity, PersonRow, QueueWarnings, REVOCATIONS_KEPT,
        Record, RecordForAll, RecordUses, RegisterKey, RemoveInstances, RenameProvider,
        RenewInstances, RequestBegun, ResetPerson, SessionRow, SetAuditKey, SetGroup, SetRole,
        SettleReceipts, SignIn, StampUses, StopInstance, TakeAssertion, TokenHash, Trim,
        UnlinkIdentity, UseCode, WarningTried,
    },
    authorize::Grant,
    channel::{Channel, GroupSettings, RegisteredKey},
};
use tegata_token::{
    feed::InstanceId,
    id::{
        AdminTokenId, ChannelId, Group, PersonId, Position, ProviderId, SigningKeyId, TokenId,
        VerifierId,
    },
    time::UnixTime,
};
use tokio::time::timeout;

/// A database engine. With the questions of [`Store`] this is all that it implements.
pub(crate) trait Engine: Store {
    /// The public address that tokens name as their issuer, as the store has numbered it.
    fn form(&self) -> &Issuer;

    /// Runs an act whose rules are the policy's, as one transaction: locks and loads what it
    /// needs, decides, applies its effects and commits. `at` is the act's own time. Returns its
    /// value, the time that it was decided at, and the position of its last change (of an act
    /// without one, the position that the log had reached), when every memory that must have
    /// the act's changes has them.
    fn run_at<A>(
        &self,
        at: UnixTime,
        act: A,
    ) -> impl Future<Output = Result<(A::Output, UnixTime, Position)>> + Send
    where
        A: Act<Output: Send> + Send + 'static;

    /// Decides an act without its effects: returns how many tokens it would revoke, and the
    /// newest `most` of them that are stored.
    fn decide<A>(
        &self,
        at: UnixTime,
        act: A,
        most: usize,
    ) -> impl Future<Output = Result<WouldTake>> + Send
    where
        A: Act<Output: Taken> + Send + Sync + 'static;

    /// The channels, at most `most`, that have revocations of tokens which have expired before
    /// `before`, the oldest first.
    fn forgettable(
        &self,
        most: usize,
        before: UnixTime,
    ) -> impl Future<Output = Result<Vec<ChannelId>>> + Send;

    /// Runs the next steps of a revocation of a provider's tokens; see
    /// [`ActStore::continue_provider_revocation`]. How many of them share a commit is the
    /// engine's.
    fn continue_job(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> impl Future<Output = Result<(Revoked, bool)>> + Send;

    /// Runs an act as [`Engine::run_at`] does; returns its value and its position.
    fn run<A>(
        &self,
        at: UnixTime,
        act: A,
    ) -> impl Future<Output = Result<(A::Output, Position)>> + Send
    where
        A: Act<Output: Send> + Send + 'static,
    {
        async move {
            let (value, _, position) = self.run_at(at, act).await?;
            Ok((value, position))
        }
    }
}

/// Runs an act that takes something away; returns how many tokens.
async fn revoke<E, A>(engine: &E, at: UnixTime, act: A) -> Result<Revoked>
where
    E: Engine,
    A: Act<Output = usize> + Send + 'static,
{
    let (tokens, at, position) = engine.run_at(at, act).await?;
    Ok(Revoked { tokens, position, at })
}

/// How long the tokens of revoked keys are counted before the revocation is answered.
const COUNTED: Duration = Duration::from_secs(8);

/// Counts the tokens of keys that were just revoked: after the commit and without its locks, since
/// there may be millions. `None`: that failed or took too long, which must not make the revocation
/// look as if it had failed.
async fn count<E: Engine>(engine: &E, keys: Vec<SigningKeyId>, now: UnixTime) -> Option<usize> {
    if keys.is_empty() {
        return Some(0);
    }
    match timeout(COUNTED, engine.signed_by(keys, 0, now)).await {
        Ok(Ok(found)) => return Some(found.tokens),
        Ok(Err(error)) => tracing::warn!(%error, "the tokens of revoked keys were not counted"),
        Err(_) => tracing::info!("the tokens of revoked keys are too many to be counted in time"),
    }
    None
}

#[async_trait]
impl<E: Engine> ActStore for E {
    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued> {
        let form = self.form().clone();
        let (issued, position) = self.run(now, Issue { grant, id, form, by }).await?;
        Ok(Issued { position, ..issued })
    }

    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant> {
        self.run(now, TakeAssertion { grant }).await.map(|(grant, _)| grant)
    }

    async fn take(&self, act: Taking) -> Result<Revoked> {
        each!(act, |act| revoke(self, act.by.at, act).await)
    }

    async fn would_take(&self, act: Taking, most: usize) -> Result<WouldTake> {
        each!(act, |act| self.decide(act.by.at, act, most).await)
    }

    async fn would_reissue(&self, act: Reissue, most: usize) -> Result<WouldTake> {
        let Reissue { grant, id, by } = act;
        let (at, form) = (by.at, self.form().clone());
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

    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
        by: By,
    ) -> Result<Revoked<Option<usize>>> {
        let (revoked, now, position) = self.run_at(by.at, ChangeSigningKeys { change, by }).await?;
        let tokens = count(self, revoked, now).await;
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

    async fn renew_instances(
        &self,
        instances: Vec<(VerifierId, InstanceId)>,
        now: UnixTime,
    ) -> Result<()> {
        self.run(now, RenewInstances { instances }).await.map(drop)
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

    async fn replace_root_token(&self, act: ReplaceRootToken) -> Result<bool> {
        self.run(act.by.at, act).await.map(|(replaced, _)| replaced)
    }

    async fn rewrap(&self, act: RewrapKeys) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn set_audit_key(&self, public: [u8; 32], wrapped: WrappedKey) -> Result<()> {
        self.run(UnixTime(0), SetAuditKey { public, wrapped }).await.map(drop)
    }

    async fn add_checkpoint(&self, checkpoint: Checkpoint) -> Result<()> {
        let act = AddCheckpoint { checkpoint };
        self.run(UnixTime(0), act).await.map(drop)
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
        let due = self.forgettable(channels, now.plus(-REVOCATIONS_KEPT)).await?;
        let acts = due.into_iter().map(|channel| self.run(now, Forget { channel }));
        let gone = futures_util::future::try_join_all(acts).await?;
        Ok(gone.into_iter().map(|(gone, _)| gone).sum())
    }

    async fn trim(&self, old: Old, now: UnixTime) -> Result<usize> {
        self.run(now, Trim { old }).await.map(|(gone, _)| gone)
    }

    async fn advance_clock(&self, seconds: i64) -> Result<i64> {
        self.run(UnixTime(0), AdvanceClock { seconds }).await.map(|(offset, _)| offset)
    }
}

#[async_trait]
impl<E: Engine> PeopleStore for E {
    async fn invite_person(&self, act: InvitePerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn accept_invitation(&self, act: AcceptInvitation) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn change_person(&self, act: ChangePerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn set_role(&self, act: SetRole) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn reset_person(&self, act: ResetPerson) -> Result<PersonRow> {
        self.run(act.by.at, act).await.map(|(person, _)| person)
    }

    async fn delete_person(&self, id: PersonId, by: By) -> Result<()> {
        self.run(by.at, DeletePerson { id, by }).await.map(drop)
    }

    async fn would_delete_person(&self, id: PersonId, by: By) -> Result<()> {
        self.decide(by.at, DeletePerson { id, by }, 0).await.map(drop)
    }

    async fn create_channel_as(&self, act: CreateChannel) -> Result<Channel> {
        self.run(act.by.at, act).await.map(|(channel, _)| channel)
    }

    async fn sign_in(&self, act: SignIn) -> Result<SessionRow> {
        self.run(act.by.at, act).await.map(|(session, _)| session)
    }

    async fn use_code(&self, act: UseCode) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn end_session(&self, person: PersonId, token: TokenHash, by: By) -> Result<()> {
        self.run(by.at, EndSession { person, token, by }).await.map(drop)
    }

    async fn change_password(&self, act: ChangePassword) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn link_identity(&self, act: LinkIdentity) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn unlink_identity(&self, act: UnlinkIdentity) -> Result<()> {
        self.run(act.by.at, act).await.map(drop)
    }

    async fn create_admin_token(&self, new: AdminTokenRow, by: By) -> Result<AdminTokenRow> {
        self.run(by.at, CreateAdminToken { new, by }).await.map(|(token, _)| token)
    }

    async fn delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()> {
        self.run(by.at, DeleteAdminToken { id, by }).await.map(drop)
    }

    async fn would_delete_admin_token(&self, id: AdminTokenId, by: By) -> Result<()> {
        self.decide(by.at, DeleteAdminToken { id, by }, 0).await.map(drop)
    }
}

#[async_trait]
impl<E: Engine> RequestStore for E {
    async fn begin_request(&self, act: BeginRequest, now: UnixTime) -> Result<RequestBegun> {
        self.run(now, act).await.map(|(begun, _)| begun)
    }

    async fn finish_request(&self, act: FinishRequest) -> Result<()> {
        self.run(UnixTime(0), act).await.map(drop)
    }
}
