//! The acts of a store: what changes its state.

use crate::{
    By, Event, GroupPatch, Instance, Issued, NewChannel, NewVerifier, NewWarning, NotedUse, Old,
    Provider, ReceiptRow, RegisterInstance, Registration, Reissue, ReplaceRootToken, Result,
    RevocationTarget, Revoked, RewrapKeys, RowId, SigningKeyChange, Stamp, Taking, VerifierPatch,
    VerifierRow, WouldTake, WrappedKey, audit,
};
use async_trait::async_trait;
use tegata_policy::{
    authorize::Grant,
    channel::{Channel, GroupSettings, RegisteredKey},
};
use tegata_token::{
    feed::InstanceId,
    id::{ChannelId, Group, Position, ProviderId, TokenId, VerifierId},
    time::UnixTime,
};

/// The part of a [`Store`](crate::Store) that acts. Every engine has all of it.
#[async_trait]
pub trait ActStore: Send + Sync {
    // ---- Acts. Each is one transaction; its result is sent after the commit.

    /// Uses a grant: assigns the token's serial, writes its row, and revokes the tokens
    /// that the token rules evict. `id` is fresh random bytes.
    async fn issue(
        &self,
        grant: Grant,
        id: TokenId,
        now: UnixTime,
        by: Option<By>,
    ) -> Result<Issued>;
    /// Prepares a token that needs no row: marks the assertion as used, if its channel
    /// accepts each one once, and writes the row of a new group. Denied if the assertion
    /// was used before, or if the channel has too many groups.
    async fn take_assertion(&self, grant: Grant, now: UnixTime) -> Result<Grant>;
    /// Does an act that takes something away.
    async fn take(&self, act: Taking) -> Result<Revoked>;
    /// Decides an act that takes something away without doing it; returns at most `most`
    /// rows.
    async fn would_take(&self, act: Taking, most: usize) -> Result<WouldTake>;
    /// Decides the issue of a long-lived token without doing it: what it would take away.
    async fn would_reissue(&self, act: Reissue, most: usize) -> Result<WouldTake>;
    /// Revokes tokens.
    async fn revoke(
        &self,
        channel: ChannelId,
        target: RevocationTarget,
        by: By,
    ) -> Result<Revoked> {
        self.take(Taking::revoke(channel, target, by)).await
    }

    /// Creates a provider.
    async fn create_provider(&self, id: ProviderId, name: String, by: By) -> Result<Provider>;
    /// Renames a provider.
    async fn rename_provider(&self, id: ProviderId, name: String, by: By) -> Result<()>;
    /// Creates a channel.
    async fn create_channel(&self, channel: NewChannel, by: By) -> Result<Channel>;
    /// Registers an assertion key.
    async fn register_key(&self, channel: ChannelId, key: RegisteredKey, by: By) -> Result<()>;
    /// Sets or changes a group's own settings; returns the new settings.
    async fn set_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
        by: By,
    ) -> Result<GroupSettings>;

    /// Adds a signing key, or changes the states of signing keys.
    async fn change_signing_keys(
        &self,
        change: SigningKeyChange,
        by: By,
    ) -> Result<Revoked<Option<usize>>>;

    /// Creates a verifier. [`Taken`](crate::Error::Taken) if there is one of this id.
    async fn create_verifier(&self, new: NewVerifier, by: By) -> Result<VerifierRow>;
    /// Changes a verifier's settings.
    async fn change_verifier(
        &self,
        id: VerifierId,
        patch: VerifierPatch,
        by: By,
    ) -> Result<VerifierRow>;
    /// Deletes a verifier. Its instances keep their rows, for receipts.
    async fn delete_verifier(&self, id: VerifierId, by: By) -> Result<()>;
    /// Removes one or all instances of a verifier, which may be deleted; returns their ids.
    async fn remove_instances(
        &self,
        id: VerifierId,
        instance: Option<InstanceId>,
        by: By,
    ) -> Result<Vec<InstanceId>>;
    /// Registers an instance, or writes into its row what it says more.
    async fn register_instance(
        &self,
        instance: RegisterInstance,
        now: UnixTime,
    ) -> Result<Registration>;
    /// Renews the rows of instances, as far as they are there and not stopped.
    async fn renew_instances(
        &self,
        instances: Vec<(VerifierId, InstanceId)>,
        now: UnixTime,
    ) -> Result<()>;
    /// Notes that an instance has reported its end.
    async fn stop_instance(
        &self,
        id: VerifierId,
        instance: InstanceId,
        now: UnixTime,
    ) -> Result<Instance>;
    /// Drops the rows of instances that were last renewed at these times.
    async fn drop_instances(
        &self,
        instances: Vec<(VerifierId, InstanceId, UnixTime)>,
    ) -> Result<()>;
    /// Writes the lists and states of receipts.
    async fn settle_receipts(&self, receipts: Vec<ReceiptRow>, now: UnixTime) -> Result<()>;

    /// Writes an audit event of something that changed nothing in the store. The caller
    /// limits the rate at which unauthenticated clients can cause one.
    async fn record(&self, event: Event, by: By) -> Result<()>;
    /// Writes an audit event of acts on several channels that came before it; the receipt at
    /// the position that it returns covers them all.
    async fn record_for_all(&self, event: Event, by: By) -> Result<Position>;

    /// Puts a root administrator's token in force instead of another one, which never comes
    /// back: from then on no server accepts that one. `false`: another one is in force. A store
    /// in a file does not keep it.
    async fn replace_root_token(&self, act: ReplaceRootToken) -> Result<bool>;
    /// Replaces the wrapped private halves of all keys that have one, and the secrets of
    /// people's second factors, because the master key is being replaced.
    async fn rewrap(&self, act: RewrapKeys) -> Result<()>;
    /// Stores the key that signs checkpoints. [`Taken`](crate::Error::Taken) if there is one.
    async fn set_audit_key(&self, public: [u8; 32], wrapped: WrappedKey) -> Result<()>;
    /// Stores a checkpoint. [`Taken`](crate::Error::Taken) if its number exists already.
    async fn add_checkpoint(&self, checkpoint: audit::Checkpoint) -> Result<()>;

    /// Begins to revoke all tokens of the channels that a provider has now.
    async fn begin_provider_revocation(&self, provider: ProviderId, by: By) -> Result<RowId>;
    /// Revokes the tokens of the next channels, at most `most`, in the order of their
    /// ids. Returns what was revoked since the beginning, and whether that is all.
    /// [`NotFound`](crate::Error::NotFound) once it is complete.
    async fn continue_provider_revocation(
        &self,
        job: RowId,
        most: usize,
        now: UnixTime,
    ) -> Result<(Revoked, bool)>;

    /// Records when tokens, assertion keys and channels' secrets were last used. A stored
    /// time never decreases; uses of what does not exist any more are ignored.
    async fn stamp(&self, stamps: Vec<Stamp>) -> Result<()>;
    /// Records uses of stored tokens, and drops those before `since`; uses of tokens that do
    /// not exist any more are ignored.
    async fn record_uses(&self, uses: Vec<NotedUse>, since: UnixTime) -> Result<()>;
    /// Queues warnings, each name only once, and drops those that are out of date.
    /// Returns how many are new.
    async fn queue_warnings(&self, warnings: Vec<NewWarning>, now: UnixTime) -> Result<usize>;
    /// Records an attempt to send a warning; `next` is when to try again, if at all.
    async fn warning_tried(&self, number: RowId, next: Option<UnixTime>) -> Result<()>;
    /// Drops revocations that cover no unexpired token, of at most `channels` channels at
    /// once. Returns how many it dropped.
    async fn forget(&self, channels: usize, now: UnixTime) -> Result<usize>;
    /// Deletes old rows, the oldest first: of the log, of used assertions, of tokens (their
    /// revocations in the view stay), or of the audit. Returns how many it deleted.
    async fn trim(&self, old: Old, now: UnixTime) -> Result<usize>;
    /// Moves the development clock forward; returns its new offset, in seconds.
    async fn advance_clock(&self, seconds: i64) -> Result<i64>;
}
