//! The authority itself: what it holds in memory, and what its faces ask of it.
//!
//! Checking looks only at memory. Every act goes through the store, and what it
//! changed is in memory before its answer is seen: see [`Memory::learn`]. No face
//! keeps state of its own, and none of them is known here.

use crate::{
    audit::Audit,
    chance,
    channels::Channels,
    clock::Clock,
    keyring::Keyring,
    last_used::LastUsed,
    limits::{Limits, Operation, Place, Rates, Resting, Throttled, TooFast, TooMany},
    master_key,
    source::Source,
};
use arc_swap::ArcSwap;
use serde_json::json;
use std::{
    collections::HashMap,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tegata_store::{
    By, Committed, Ended, Ending, Event, NewChannel, OnCommit, Provider, RowId, SigningKeyChange,
    SigningKeyRow, Store,
};
use tegata_token::{
    assertion::{Audience, UnverifiedAssertion},
    claims::Claims,
    decide::{Active, Refused, Signatures, decide},
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    jwk::AssertionKey,
    key::KeyState,
    law::{ChannelType, Kind},
    policy::{self, Channel, Credential, Grant, IssueRequest, RegisteredKey},
    refusal::Refusal,
    secret::PlainSecret,
    time::UnixTime,
    view::{Providers, View},
    wire::{self, Unverified},
};

pub use tegata_store::{Error, Result};

/// What a server holds in memory of its store. Made before the store is opened,
/// since the store must have somebody to tell of its commits.
pub struct Memory {
    view: ArcSwap<View>,
    channels: Channels,
    /// Of the channels that have set one.
    check_rates: ArcSwap<HashMap<ChannelId, NonZeroU32>>,
    clock: Clock,
    /// Commits come one by one; should they ever not, no entry may be lost.
    learning: Mutex<()>,
}

/// A provider's tokens are ended so many channels in one transaction.
const CHANNELS_AT_ONCE: usize = 50;

/// Stamps of use are written so many in one transaction.
const STAMPS_AT_ONCE: usize = 1_000;

/// Room for so many channel snapshots.
const CHANNELS: usize = 100_000;
/// Room for so many checked signatures, each of about a kilobyte.
const SIGNATURES: usize = 100_000;

impl Memory {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            view: ArcSwap::from_pointee(View::new(Providers::All)),
            channels: Channels::new(CHANNELS),
            check_rates: ArcSwap::default(),
            clock: Clock::new(),
            learning: Mutex::new(()),
        })
    }

    /// What the store is to call with each commit.
    #[must_use]
    pub fn on_commit(self: &Arc<Self>) -> OnCommit {
        let memory = self.clone();
        Box::new(move |committed| memory.learn(committed))
    }

    /// Takes in what a commit changed. The store calls it after the commit and
    /// before any of the commit's answers.
    fn learn(&self, committed: &Committed) {
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(time) = committed.written_at {
            self.clock.has_seen(time);
        }
        if !committed.entries.is_empty() {
            let next = self.view.load().after(&committed.entries, committed.position);
            self.view.store(Arc::new(next));
        }
        if !committed.channels.is_empty() {
            self.channels.know(&committed.channels);
        }
        committed.channels.iter().for_each(|&channel| self.channels.drop(channel));
        if !committed.check_rates.is_empty() {
            let mut rates = HashMap::clone(&self.check_rates.load());
            for &(channel, rate) in &committed.check_rates {
                match rate {
                    Some(rate) => rates.insert(channel, rate),
                    None => rates.remove(&channel),
                };
            }
            self.check_rates.store(Arc::new(rates));
        }
    }
}

/// The authority.
pub struct Authority {
    store: Arc<dyn Store>,
    memory: Arc<Memory>,
    keyring: Keyring,
    /// The master key's file.
    master_key: PathBuf,
    audit: Audit,
    /// When keys retired, as far as they still are.
    retired: ArcSwap<HashMap<SigningKeyId, UnixTime>>,
    signatures: Signatures,
    last_used: LastUsed,
    limits: Limits,
    audience: Arc<Audience>,
    issuer: Arc<str>,
    /// One change of signing keys at a time, from making a key to dropping it.
    rotating: tokio::sync::Mutex<()>,
}

/// Why the authority cannot begin its work.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] master_key::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A token on its way to whoever asked for it.
pub struct Token {
    text: String,
    /// What it says.
    pub claims: Claims,
    /// For how many seconds it is good.
    pub expires_in: i64,
    /// Of a reissue: until when the previous token lives.
    pub previous_until: Option<UnixTime>,
    /// Whether it was issued before, under the same `Idempotency-Key`.
    pub again: bool,
    /// How many others ended to make room for it.
    pub evicted: usize,
}

impl Token {
    /// The token itself, for the one answer that hands it out.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Authority {
    /// Reads the store's state into `memory`, opens the signing keys with the
    /// master key at `master_key`, and on the first start makes both. `issuer` is
    /// the public address, without a slash at its end.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        store: Arc<dyn Store>,
        memory: Arc<Memory>,
        master_key: &Path,
        issuer: &str,
    ) -> std::result::Result<Self, StartError> {
        let state = store.state().await?;
        memory.clock.set_offset(state.clock_offset);
        memory.clock.has_seen(state.written_at);
        memory.view.store(Arc::new(state.view));
        memory.channels.know(&state.channels);
        memory.check_rates.store(Arc::new(state.check_rates.into_iter().collect()));
        // At the first start, and after a removal that was done again without its successor.
        let silent = !state.signing_keys.iter().any(|it| it.state == KeyState::Active);
        let keyring = Keyring::load(master_key, &state.signing_keys)?;
        let retired = state.signing_keys.iter().filter(|it| it.state == KeyState::Retired);
        let retired = retired.map(|it| (it.id, it.changed_at)).collect();
        let audit = Audit::open(&*store, &keyring.master()).await?;
        let audit = audit.ok_or_else(|| master_key::Error::Wrong(master_key.to_owned()))?;
        let limits = Limits::new(Rates::default(), Throttled::default(), memory.clock.steady());
        let authority = Self {
            limits,
            audit,
            retired: ArcSwap::from_pointee(retired),
            store,
            memory,
            keyring,
            master_key: master_key.to_owned(),
            signatures: Signatures::new(SIGNATURES),
            last_used: LastUsed::new(),
            audience: Arc::new(Audience::of(issuer)),
            issuer: issuer.into(),
            rotating: tokio::sync::Mutex::new(()),
        };
        if silent {
            let by = authority.by("tegata", None, None);
            authority.add_signing_key(by).await?;
        }
        Ok(authority)
    }

    /// The same, with the audit's newest seal kept in `file`, and events for `days`.
    #[must_use]
    pub fn audited(self, file: PathBuf, days: u32) -> Self {
        let audit = self.audit.kept(file, days);
        Self { audit, ..self }
    }

    /// What keeps the audit honest.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The same, with other limits than LINE's.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// How fast it may be asked.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time that the law counts in.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.memory.clock.now()
    }

    /// The clock, for what is measured or waits.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.memory.clock
    }

    /// The public address, as JWS tokens name it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What was ended early, and the public signing keys, as of this moment.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.memory.view.load_full()
    }

    /// The store: for questions, and for acts that need neither chance nor a
    /// signing key. Those that do have a method here.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Somebody who does something now.
    #[must_use]
    pub fn by(&self, actor: &str, source: Option<String>, reason: Option<String>) -> By {
        By { actor: actor.to_owned(), source, reason, at: self.now() }
    }

    // ---- tokens

    /// Whether a token is good. Looks at memory alone, and notes the use.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn check(&self, token: &[u8]) -> std::result::Result<Active, Refused> {
        let now = self.now();
        let active = decide(token, now, &self.memory.view.load(), &self.signatures)?;
        self.last_used.note(&active.claims, now);
        Ok(active)
    }

    /// What a token says, good or ended or expired, if one of our keys signed it.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::UnknownKey`] or [`Refused::BadSignature`].
    pub fn read(&self, token: &[u8]) -> std::result::Result<Claims, Refused> {
        let unverified = Unverified::parse(token)?;
        let view = self.memory.view.load();
        let key = view.key(unverified.key()).ok_or(Refused::UnknownKey)?;
        unverified.verify(&key.key).map_err(|_| Refused::BadSignature)
    }

    /// A channel as it is now; `None` if there is none, or no more.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Arc<Channel>>> {
        self.memory.channels.get(id, || self.store.channel(id)).await
    }

    /// Issues a token: [`Self::grant`] and [`Self::redeem`] in one. `by` is who
    /// asked, where it was a person.
    ///
    /// # Errors
    /// As theirs.
    pub async fn issue(
        &self,
        request: IssueRequest,
        channel: ChannelId,
        by: Option<By>,
    ) -> Result<Token> {
        let grant = self.grant(request, channel).await?;
        self.redeem(grant, by).await
    }

    /// Judges a request for a token by the channel as it is now.
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule that forbids it, or [`Error::Unavailable`].
    pub async fn grant(&self, request: IssueRequest, channel: ChannelId) -> Result<Grant> {
        let Some(channel) = self.channel(channel).await? else {
            return Err(match &request.credential {
                Credential::Secret(secret) => policy::check_secret_of_nobody(secret).into(),
                _ => Refusal::UnknownChannel.into(),
            });
        };
        let now = self.now();
        let grant = policy::judge(request, channel, self.audience.clone(), now)?;
        if let Some(assertion) = grant.assertion() {
            self.last_used.note_key(assertion.key, now);
        }
        if let Some(secret) = grant.secret() {
            self.last_used.note_secret(grant.channel().id, secret, now);
        }
        Ok(grant)
    }

    /// Makes a grant into a token.
    ///
    /// # Errors
    /// [`Error::Refused`] where the channel's limits or its count forbid it, or
    /// [`Error::Unavailable`].
    pub async fn redeem(&self, grant: Grant, by: Option<By>) -> Result<Token> {
        let now = self.now();
        let id = TokenId(chance::bytes()?);
        // Behind the proof, so that nobody uses up what another may.
        self.take(Operation::Issue(grant.kind()), grant.channel())?;
        if grant.kind().is_stored() {
            let place = self.place(&grant)?;
            let issued = self.store.issue(grant, id, now, by).await;
            place.settle(issued.as_ref().is_ok_and(|it| !it.again));
            let issued = issued?;
            if issued.again && self.keyring.get(issued.claims.key).is_none() {
                // A recovery could not open it: the same token cannot be written again.
                return Err(Refusal::IdempotencyEnded.into());
            }
            let from = if issued.again { now } else { issued.claims.issued_at };
            return Ok(Token {
                text: self.write(&issued.claims, &issued.issuer)?,
                expires_in: issued.claims.expires_at.since(from),
                claims: issued.claims,
                previous_until: issued.previous_until,
                again: issued.again,
                evicted: issued.evicted,
            });
        }
        let single_use = grant.assertion().is_some() && grant.channel().single_use_assertions;
        let grant = if single_use { self.store.take_assertion(grant, now).await? } else { grant };
        let key = self.active_key().ok_or_else(no_key)?;
        let claims = grant.stateless_claims(id, key, now);
        Ok(Token {
            text: self.write(&claims, &self.issuer)?,
            expires_in: claims.expires_at.since(now),
            claims,
            previous_until: None,
            again: false,
            evicted: 0,
        })
    }

    fn write(&self, claims: &Claims, issuer: &str) -> Result<String> {
        let key = self.keyring.get(claims.key).ok_or_else(no_key)?;
        Ok(wire::write(claims, issuer, &key))
    }

    /// Takes one use of an operation out of the channel's bucket.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn take(&self, operation: Operation, channel: &Channel) -> Result<()> {
        self.limits.take(operation, channel, self.clock().steady()).map_err(too_fast)
    }

    /// Takes one of LINE's checks out of the channel's bucket, where those are limited.
    ///
    /// # Errors
    /// [`TooFast`]: the bucket is empty.
    pub fn take_check(
        &self,
        operation: Operation,
        channel: ChannelId,
    ) -> std::result::Result<(), TooFast> {
        let own = self.memory.check_rates.load().get(&channel).copied();
        self.limits.check(operation, channel, own, || self.clock().steady())
    }

    /// What of a channel's issuing rests, and until when by the wall clock.
    #[must_use]
    pub fn resting(&self, channel: ChannelId) -> Vec<(Resting, UnixTime)> {
        let resting = self.limits.resting(channel, self.clock().steady());
        let until = |it: &Resting| self.now().plus(it.seconds.try_into().unwrap_or(i64::MAX));
        resting.into_iter().map(|it| (it.clone(), until(&it))).collect()
    }

    /// A place in the storm guard's count for what a grant is to become.
    fn place(&self, grant: &Grant) -> Result<Place<'_>> {
        let (channel, steady) = (grant.channel(), self.clock().steady());
        let (place, rests) = self.limits.storm(channel, grant.kind(), grant.group(), steady);
        for rest in rests {
            self.tell_of_rest(channel, &rest);
        }
        place.map_err(too_fast)
    }

    /// What becomes of the refusal of somebody who showed a secret for a channel:
    /// a wrong one counts as a guess of its source.
    #[must_use]
    pub fn after_secret(&self, refusal: Refusal, source: Source, channel: ChannelId) -> Refusal {
        let is_known = match refusal {
            // What a suspended channel is told must be what a wrong secret is told.
            Refusal::WrongSecret | Refusal::Suspended => true,
            Refusal::UnknownChannel => false,
            _ => return refusal,
        };
        let steady = self.clock().steady();
        match self.limits.guess(source, channel, is_known, steady) {
            Ok(()) => refusal,
            Err(TooMany { wait: TooFast(seconds), begins }) => {
                if begins && is_known {
                    self.tell_of_guesses(source, channel, seconds);
                }
                Refusal::TooFast { seconds }
            }
        }
    }

    /// Counts a wrong administrator's token. The audit is told of many.
    pub fn wrong_administrator(&self, source: Source) {
        if self.limits.guess_administrator(source, self.clock().steady()) {
            tracing::warn!(%source, "somebody tries out administrator's tokens");
            let detail = json!({});
            let event = Event { act: "admin.guess", provider: None, channel: None, detail };
            self.tell(event, Some(source));
        }
    }

    fn tell_of_rest(&self, channel: &Channel, rest: &Resting) {
        tracing::warn!(
            channel = %channel.id,
            kind = %rest.kind,
            whose = ?rest.whose,
            seconds = rest.seconds,
            "issuing rests: too many tokens were issued"
        );
        let detail = json!({
            "kind": rest.kind, "whose": rest.whose.name(), "group": rest.whose.group(),
            "seconds": rest.seconds,
        });
        let (provider, channel) = (Some(channel.provider), Some(channel.id));
        self.tell(Event { act: "issuing.rest", provider, channel, detail }, None);
    }

    fn tell_of_guesses(&self, source: Source, channel: ChannelId, seconds: u64) {
        tracing::warn!(%channel, %source, seconds, "wrong secrets are no longer answered");
        let detail = json!({ "seconds": seconds });
        let event =
            Event { act: "secret.throttle", provider: None, channel: Some(channel), detail };
        self.tell(event, Some(source));
    }

    /// Tells the audit, without letting anybody wait for it.
    fn tell(&self, event: Event, source: Option<Source>) {
        if !self.limits.may_tell(self.clock().steady()) {
            return;
        }
        let by = self.by("tegata", source.map(|it| it.to_string()), None);
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.record(event, by).await {
                tracing::warn!(%error, "the audit could not be told of a limit");
            }
        });
    }

    /// Whether `secret` is the channel's, and the channel in use.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unavailable`].
    pub async fn check_secret(
        &self,
        channel: ChannelId,
        secret: &PlainSecret,
    ) -> Result<Arc<Channel>> {
        let Some(channel) = self.channel(channel).await? else {
            return Err(policy::check_secret_of_nobody(secret).into());
        };
        let now = self.now();
        let secret = policy::check_secret(&channel, secret, now)?;
        self.last_used.note_secret(channel.id, secret, now);
        Ok(channel)
    }

    /// The ids of the live v2.1 tokens that an assertion may ask for: of its key's
    /// group, or for a key of the channel at large, all.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Unavailable`].
    pub async fn live_v21(&self, assertion: &UnverifiedAssertion) -> Result<Vec<TokenId>> {
        let id = assertion.channel();
        let channel = self.channel(id).await?.ok_or(Refusal::UnknownAssertionKey)?;
        let now = self.now();
        let checked = policy::check_assertion(&channel, assertion, &self.audience, now)?;
        self.take(Operation::KeyIds, &channel)?;
        self.last_used.note_key(checked.key, now);
        let key = channel.assertion_keys.iter().find(|key| key.id == checked.key);
        let group = key.and_then(|key| key.group.clone());
        self.store.live_v21(id, group, now).await
    }

    /// Ends tokens of a channel.
    ///
    /// # Errors
    /// As the store's.
    pub async fn end(
        &self,
        channel: ChannelId,
        ending: Ending,
        dry_run: bool,
        by: By,
    ) -> Result<Ended> {
        self.store.end(channel, ending, dry_run, by).await
    }

    /// Ends all tokens of the channels that a provider has by now. Once begun it
    /// comes to its end, whatever happens to the asker or to the process.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`]: then
    /// the rest is ended later.
    pub async fn end_provider(self: &Arc<Self>, provider: ProviderId, by: By) -> Result<Ended> {
        let job = self.store.begin_provider_end(provider, by).await?;
        let own = self.clone();
        let work = tokio::spawn(async move { own.go_on_with_provider_end(job).await });
        work.await.unwrap_or_else(|error| Err(Error::Unavailable(error.to_string().into())))
    }

    async fn go_on_with_provider_end(&self, job: RowId) -> Result<Ended> {
        loop {
            let step = self.store.go_on_with_provider_end(job, CHANNELS_AT_ONCE, self.now());
            let (ended, done) = step.await?;
            if done {
                return Ok(ended);
            }
        }
    }

    /// Brings the ends of providers' tokens to their end that a crash broke off.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn finish_provider_ends(&self) -> Result<()> {
        for under_way in self.store.provider_ends().await? {
            match self.go_on_with_provider_end(under_way.job).await {
                // Whoever asked for it has brought it to its end meanwhile.
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    // ---- people's acts that need chance

    /// Makes a provider.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn create_provider(&self, name: &str, by: By) -> Result<Provider> {
        loop {
            let id = ProviderId::from_number(fresh_id()?).ok_or_else(no_id)?;
            match self.store.create_provider(id, name.to_owned(), by.clone()).await {
                Err(Error::Taken) => {}
                done => return done,
            }
        }
    }

    /// Makes a channel; its secret is shown this once.
    ///
    /// # Errors
    /// [`Error::NotFound`] without such a provider, or [`Error::Unavailable`].
    pub async fn create_channel(
        &self,
        provider: ProviderId,
        name: &str,
        channel_type: ChannelType,
        by: By,
    ) -> Result<(Channel, PlainSecret)> {
        let secret = PlainSecret::from_random(chance::bytes()?);
        loop {
            let id = ChannelId::from_number(fresh_id()?).ok_or_else(no_id)?;
            let name = name.to_owned();
            let new = NewChannel { id, provider, name, channel_type, secret: secret.hash() };
            match self.store.create_channel(new, by.clone()).await {
                Err(Error::Taken) => {}
                Ok(channel) => return Ok((channel, secret)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives a channel a new secret, shown this once; the previous one is taken
    /// for `keep_previous` seconds more. Answers with it until when that is.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn replace_secret(
        &self,
        channel: ChannelId,
        keep_previous: i64,
        revoke_tokens: bool,
        by: By,
    ) -> Result<(PlainSecret, UnixTime)> {
        let secret = PlainSecret::from_random(chance::bytes()?);
        let hash = secret.hash();
        let until =
            self.store.replace_secret(channel, hash, keep_previous, revoke_tokens, by).await?;
        Ok((secret, until))
    }

    /// Registers an assertion key on a channel, or for one of its groups; answers
    /// the `kid` that it was given.
    ///
    /// # Errors
    /// [`Error::Conflict`] where there are as many as there may be,
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn register_key(
        &self,
        channel: ChannelId,
        key: AssertionKey,
        group: Option<Group>,
        by: By,
    ) -> Result<AssertionKeyId> {
        let id = AssertionKeyId::from_random(chance::bytes()?);
        let key = RegisteredKey { id, group, key, created_at: by.at };
        self.store.register_key(channel, key, by).await?;
        Ok(id)
    }

    // ---- signing keys

    /// The signing keys as the store keeps them, removed ones too.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn signing_keys(&self) -> Result<Vec<SigningKeyRow>> {
        Ok(self.store.state().await?.signing_keys)
    }

    /// When a key retired; `None` if it did not.
    #[must_use]
    pub fn retired_at(&self, key: SigningKeyId) -> Option<UnixTime> {
        self.retired.load().get(&key).copied()
    }

    /// Begins a rotation: a new key is published, and signs once it is promoted.
    /// The very first key signs at once.
    ///
    /// # Errors
    /// [`Error::Conflict`] while another key is coming, or [`Error::Unavailable`].
    pub async fn add_signing_key(&self, by: By) -> Result<SigningKeyId> {
        let _alone = self.rotating.lock().await;
        let row = self.make_signing_key(by.at).await?;
        let id = row.id;
        self.change_signing_keys(SigningKeyChange::Add(row), by).await?;
        Ok(id)
    }

    /// Lets the coming key sign; the active one retires.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Conflict`] or [`Error::Unavailable`].
    pub async fn promote_signing_key(&self, key: SigningKeyId, by: By) -> Result<Ended> {
        let _alone = self.rotating.lock().await;
        let (before, at) = (self.active_key(), by.at);
        let done = self.change_signing_keys(SigningKeyChange::Promote(key), by).await?;
        if let Some(before) = before {
            self.retired.rcu(|all| {
                let mut all = HashMap::clone(all);
                all.insert(before, at);
                all
            });
        }
        Ok(done)
    }

    /// Ends everything that a signing key signed, or without one named, everything.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Unavailable`].
    pub async fn remove_signing_key(&self, key: Option<SigningKeyId>, by: By) -> Result<Ended> {
        let _alone = self.rotating.lock().await;
        let successor = self.make_signing_key(by.at).await?;
        let change = match key {
            Some(key) => SigningKeyChange::Remove { key, successor },
            None => SigningKeyChange::RemoveAll { successor },
        };
        self.change_signing_keys(change, by).await
    }

    async fn make_signing_key(&self, now: UnixTime) -> Result<SigningKeyRow> {
        self.keyring.settle(&self.master_key, &*self.store).await?;
        self.keyring.make(now)
    }

    /// Puts a new master key in the place of the old one, while tokens are issued and
    /// checked; answers how many signing keys it seals.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn rotate_master_key(&self, by: By) -> Result<usize> {
        let _alone = self.rotating.lock().await;
        self.keyring.rotate_master_key(&self.master_key, &*self.store, by).await
    }

    /// Brings a rotation of the master key to its end that nobody saw the end of.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn settle_master_key(&self) -> Result<()> {
        let _alone = self.rotating.lock().await;
        self.keyring.settle(&self.master_key, &*self.store).await
    }

    async fn change_signing_keys(&self, change: SigningKeyChange, by: By) -> Result<Ended> {
        let done = self.store.change_signing_keys(change, by).await;
        // A key that was made and not taken, or was removed, will never sign. An
        // act of unknown outcome leaves all at hand.
        if !matches!(done, Err(Error::Unavailable(_))) {
            let view = self.view();
            let signs = |id| view.key(id).is_some_and(|it| it.state != KeyState::Removed);
            self.keyring.retain(signs);
        }
        done
    }

    fn active_key(&self) -> Option<SigningKeyId> {
        let view = self.memory.view.load();
        let active = view.keys().iter().find(|it| it.state == KeyState::Active);
        active.map(|it| it.key.id())
    }

    /// Whether the key that signs new tokens is there, and opened.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.active_key().is_some_and(|key| self.keyring.get(key).is_some())
    }

    // ---- upkeep

    /// Takes the stamps of use gathered since the last time to the store.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the stamps are lost then.
    pub async fn flush_last_used(&self) -> Result<()> {
        // A part at a time: whoever wants a token revoked waits no longer than for one.
        for keys in self.last_used.take_keys().chunks(STAMPS_AT_ONCE) {
            self.store.stamp_keys(keys.to_vec()).await?;
        }
        for secrets in self.last_used.take_secrets().chunks(STAMPS_AT_ONCE) {
            self.store.stamp_secrets(secrets.to_vec()).await?;
        }
        for stamps in self.last_used.take().chunks(STAMPS_AT_ONCE) {
            self.store.stamp_used(stamps.to_vec()).await?;
        }
        Ok(())
    }

    /// Moves the development clock forward; answers its time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn advance_clock(&self, seconds: i64) -> Result<UnixTime> {
        let offset = self.store.advance_clock(seconds).await?;
        self.memory.clock.set_offset(offset);
        Ok(self.now())
    }
}

/// The ending that means this one token.
#[must_use]
pub fn ending_of(token: &Claims) -> Ending {
    match token.kind {
        Kind::Stateless => Ending::Stateless { id: token.id, expires_at: token.expires_at },
        _ => Ending::Stored { serial: token.serial },
    }
}

/// Ten digits without a zero in front, which spreadsheets would eat.
fn fresh_id() -> Result<u64> {
    Ok(1_000_000_000 + chance::below(9_000_000_000)?)
}

fn too_fast(TooFast(seconds): TooFast) -> Error {
    Refusal::TooFast { seconds }.into()
}

fn no_id() -> Error {
    Error::Unavailable("no id to be had".into())
}

fn no_key() -> Error {
    Error::Unavailable("the signing key is not at hand".into())
}
