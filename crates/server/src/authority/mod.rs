//! The authority: its state in memory, and the operations that the protocols call.
//!
//! A verification reads only memory. Every act goes through the store, and its change is
//! in memory before its response is sent: see [`Memory::apply`]. Protocols have no state
//! of their own, and the authority does not depend on them.

pub mod activity;
pub mod actor;
pub mod admin;
pub mod admin_token;
pub mod as_of;
mod at_once;
pub mod audit;
mod changes;
mod channels;
pub mod clock;
pub mod feed;
pub mod health;
mod idle;
pub mod jobs;
pub mod keeping;
mod keyring;
mod last_used;
pub mod leaks;
pub mod lease;
pub mod limits;
pub mod master_key;
mod memory;
#[cfg(feature = "openid-connect")]
pub mod openid;
pub mod openid_settings;
mod passwords;
pub mod people;
pub mod place;
pub mod private_file;
mod provider_revocation;
pub mod random;
mod rates;
pub mod receipt;
pub mod record;
pub mod signing_keys;
pub mod source;
mod statement;
pub mod ticket;
pub mod tokens;
mod uses;
mod verifiers;
pub mod warnings;

use crate::{
    authority::{
        actor::Actor,
        audit::Audit,
        clock::Clock,
        keyring::Keyring,
        last_used::LastUsed,
        limits::{Limits, Rates},
        warnings::{walk::Walk, webhook::Webhook},
    },
    metrics::{AuthorityState, Metrics},
};
use arc_swap::ArcSwapOption;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tegata_policy::{assertion::Audience, secret::PlainSecret};
use tegata_store::{By, ExpectedSettings, Store};
use tegata_token::{key::KeyState, time::UnixTime, verify::Signatures, view::View};

pub use memory::Memory;
pub use tegata_store::{Error, Result};

/// After how long without use a token is idle while a newer one of its group is used, unless
/// set otherwise.
pub const IDLE_AFTER: Duration = Duration::from_secs(900);

/// The expiry of the present TLS certificate.
pub type CertificateUntil = Box<dyn Fn() -> UnixTime + Send + Sync>;

/// When the newest backup was made, if one was.
pub type BackedUpAt = Box<dyn Fn() -> Option<UnixTime> + Send + Sync>;

/// Maximum number of cached signature checks, each of about a kilobyte.
const SIGNATURES: usize = 100_000;

/// Number of texts that are searched at once, of 1 MiB each.
const SEARCHES: usize = 2;

/// Number of texts that may wait for that; further ones are rejected at once.
const SEARCHES_WAITING: usize = 8;

/// The authority.
pub struct Authority {
    store: Arc<dyn Store>,
    memory: Arc<Memory>,
    keyring: Keyring,
    /// The master key's file.
    master_key: PathBuf,
    audit: Audit,
    signatures: Signatures,
    last_used: LastUsed,
    /// Held while the last-used times are written, so that the next writer ends after the one
    /// before.
    flushing: tokio::sync::Mutex<()>,
    uses: uses::Uses,
    passwords: passwords::Passwords,
    /// Searches of texts for tokens.
    searches: at_once::AtOnce,
    /// The identity provider of the console, if there is one.
    #[cfg(feature = "openid-connect")]
    openid: Option<openid::OpenId>,
    limits: Limits,
    metrics: Arc<Metrics>,
    /// When to warn.
    warn: warnings::Policy,
    /// Where warnings are sent, if anywhere.
    webhook: Option<Webhook>,
    /// What the last search for warnings found.
    walk: ArcSwapOption<Walk>,
    /// Notified, a search begins.
    walk_wanted: tokio::sync::Notify,
    audience: Arc<Audience>,
    issuer: Arc<str>,
    /// The origin of the address by which browsers reach the console, if it is known.
    console: Option<String>,
    /// After how long without use a token that was replaced is idle.
    idle_after: Duration,
    /// What happened in each minute of the last day.
    activity: activity::Activity,
    /// When the TLS certificate expires, if there is one.
    certificate_until: Option<CertificateUntil>,
    /// When the newest backup was made, if the store is a file.
    backed_up_at: Option<BackedUpAt>,
    /// Held during a change of signing keys, from creating a key to dropping it.
    rotating: tokio::sync::Mutex<()>,
    requested_jobs: provider_revocation::RequestedJobs,
}

/// Why the authority cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] master_key::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Authority {
    /// Reads the store's state into `memory` and decrypts the signing keys with the
    /// master key at `master_key`; the first start creates both keys. `issuer` is the
    /// public address, without a slash at its end.
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
        // Reads the clock that the servers of the store have in common.
        store.catch_up().await?;
        store.store_time().iter().for_each(|time| memory.clock.follow(*time));
        memory.fill(&state);
        // At the first start, and after a revocation that was replayed without its
        // successor.
        let silent = !state.signing_keys.iter().any(|it| it.state == KeyState::Active);
        let keyring = Keyring::load(master_key, &state.signing_keys)?;
        let audit = Audit::open(&*store, &keyring.own_master()).await?;
        let audit = audit.ok_or_else(|| master_key::Error::Wrong(master_key.to_owned()))?;
        let metrics = Arc::new(Metrics::new(store.figures()));
        let throttled = metrics.throttled.clone();
        let limits = Limits::new(Rates::default(), throttled, memory.clock.steady());
        let authority = Self {
            limits,
            metrics,
            warn: warnings::Policy::default(),
            webhook: None,
            walk: ArcSwapOption::empty(),
            walk_wanted: tokio::sync::Notify::new(),
            audit,
            store,
            memory,
            keyring,
            master_key: master_key.to_owned(),
            signatures: Signatures::new(SIGNATURES),
            last_used: LastUsed::new(),
            flushing: tokio::sync::Mutex::default(),
            uses: uses::Uses::default(),
            passwords: passwords::Passwords::default(),
            searches: at_once::AtOnce::new(SEARCHES, SEARCHES_WAITING),
            #[cfg(feature = "openid-connect")]
            openid: None,
            audience: Arc::new(Audience::of(issuer)),
            issuer: issuer.into(),
            console: None,
            idle_after: IDLE_AFTER,
            certificate_until: None,
            backed_up_at: None,
            activity: activity::Activity::default(),
            rotating: tokio::sync::Mutex::new(()),
            requested_jobs: provider_revocation::RequestedJobs::default(),
        };
        authority.begin_feed().await?;
        if silent {
            let by = authority.by(Actor::System, None, None);
            authority.add_first_signing_key(by).await?;
        }
        Ok(authority)
    }

    /// The same, with the audit's newest checkpoint recorded in `file`, and events kept
    /// for `days` days.
    ///
    /// # Errors
    /// [`StartError::Store`].
    pub async fn audited(self, file: PathBuf, days: u32) -> std::result::Result<Self, StartError> {
        let audit = self.audit.kept(file, days);
        audit.begin(&*self.store).await?;
        Ok(Self { audit, ..self })
    }

    /// The audit's checkpoints and their verification.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The same, with these rates in place of LINE's.
    #[must_use]
    pub fn limited(self, rates: Rates) -> Self {
        let throttled = self.metrics.throttled.clone();
        let limits = Limits::new(rates, throttled, self.clock().steady());
        Self { limits, ..self }
    }

    /// The same, with this warning policy.
    #[must_use]
    pub fn warned(self, warn: warnings::Policy) -> Self {
        Self { warn, ..self }
    }

    /// The same, with warnings sent there.
    #[must_use]
    pub fn sending(self, webhook: Option<Webhook>) -> Self {
        Self { webhook, ..self }
    }

    /// The same, with an identity provider by which people sign in.
    #[cfg(feature = "openid-connect")]
    #[must_use]
    pub fn signing_in_by(self, openid: Option<openid::OpenId>) -> Self {
        Self { openid, ..self }
    }

    /// The same, with the console at this origin.
    #[must_use]
    pub fn with_console(self, console: Option<String>) -> Self {
        Self { console, ..self }
    }

    /// Where warnings are sent, if anywhere.
    fn webhook(&self) -> Option<&Webhook> {
        self.webhook.as_ref()
    }

    /// What the last search for warnings found, if pages show it. If not, the next page should:
    /// a new search begins, unless there has just been one.
    fn walk(&self) -> Option<Arc<Walk>> {
        let (found, now) = (self.walk.load_full(), self.now());
        let shown = found.clone().filter(|it| it.is_shown(now));
        if shown.is_none() && found.is_none_or(|it| it.is_old(now)) {
            self.walk_wanted.notify_one();
        }
        shown
    }

    /// Completes when a page wants a new search for warnings.
    pub async fn walk_wanted(&self) {
        self.walk_wanted.notified().await;
    }

    /// When to warn.
    #[must_use]
    pub fn warning_policy(&self) -> &warnings::Policy {
        &self.warn
    }

    /// When the TLS certificate in force expires, where TLS is used.
    #[must_use]
    pub fn certificate_until(&self) -> Option<UnixTime> {
        self.certificate_until.as_ref().map(|until| until())
    }

    /// The same, with a TLS certificate.
    #[must_use]
    pub fn certified(self, certificate_until: Option<CertificateUntil>) -> Self {
        Self { certificate_until, ..self }
    }

    /// The same, on a store of which backups are made.
    #[must_use]
    pub fn backed_up(self, at: BackedUpAt) -> Self {
        Self { backed_up_at: Some(at), ..self }
    }

    /// Seconds since the newest backup, if one was made.
    #[must_use]
    pub fn backup_age(&self) -> Option<i64> {
        let at = self.backed_up_at.as_ref().and_then(|at| at())?;
        Some(self.now().since(at))
    }

    /// The same, with another time after which a token that was replaced is idle.
    #[must_use]
    pub fn idle_after(self, idle_after: Duration) -> Self {
        Self { idle_after, ..self }
    }

    /// The server's counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The rate and surge limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The time that expiry and the token rules use.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.memory.clock.now()
    }

    /// The clock, for measurements and time-outs.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.memory.clock
    }

    /// The public address, the `iss` of JWS tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The origin of the address by which browsers reach the console, if it is known.
    #[must_use]
    pub fn console(&self) -> Option<&str> {
        self.console.as_deref()
    }

    /// The link with which an invitation is accepted in a browser, if the console's address is
    /// known. The invitation is behind `#`, which browsers do not send, so that no log has it.
    fn link_of(&self, invitation: &PlainSecret) -> Option<PlainSecret> {
        let console = self.console()?;
        let link = format!("{console}/console/invitation#{}", invitation.reveal());
        Some(PlainSecret::from_caller(link))
    }

    /// The current revocation view: revocations and public signing keys.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.memory.view.load_full()
    }

    /// The store. Protocols call a method of the authority instead.
    fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Whether the store can commit now; waits for the acts before it.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn is_writable(&self) -> Result<()> {
        self.store.is_writable().await
    }

    /// The state that `/metrics` shows.
    #[must_use]
    pub fn state(&self) -> AuthorityState {
        let view = self.view();
        AuthorityState {
            position: view.position(),
            view_channels: view.channels(),
            view_revocations: view.revocations(),
            waiting: self.store.waiting(),
            jumped: self.clock().jumped_recently(),
            audit_broken: self.audit.is_broken(),
            cooldowns: self.limits.active_cooldowns(self.clock().steady()),
            feed: self.feed_state(),
            servers: self.limits.servers(),
            lease_age: self.lease_age().map(|it| it.as_secs_f64()),
        }
    }

    /// Completes only when the store has failed permanently; the server must stop then.
    pub async fn stopped(&self) {
        self.store.stopped().await;
    }

    /// Goes on by the clock that the servers of the store have in common, if there is one.
    pub fn follow_clock(&self) {
        self.store.store_time().iter().for_each(|time| self.clock().follow(*time));
    }

    /// Says to the other servers of the store that this one answers nothing any more.
    pub async fn leave(&self) {
        self.store.leave().await;
    }

    /// The actor and time of an act now, for the audit.
    fn by(&self, actor: Actor, source: Option<String>, reason: Option<String>) -> By {
        let expected = ExpectedSettings::default();
        By { actor: actor.to_string(), source, reason, at: self.now(), expected, request_id: None }
    }

    /// The same, without recording from where tokens are used.
    #[must_use]
    pub fn without_recent_uses(self) -> Self {
        Self { last_used: self.last_used.without_uses(), ..self }
    }

    /// Moves the development clock forward and returns its time.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn advance_clock(&self, seconds: i64) -> Result<UnixTime> {
        let offset = self.store.advance_clock(seconds).await?;
        self.memory.clock.set_offset(offset);
        Ok(self.now())
    }
}
