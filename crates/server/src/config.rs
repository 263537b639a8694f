//! The operator's settings. The command line reads them from flags, the environment and a
//! file.

use crate::{
    authority::{
        IDLE_AFTER,
        admin_token::AdminToken,
        audit::KEPT_DAYS,
        leaks::LeakSettings,
        limits::Rates,
        openid_settings::OpenIdSettings,
        place::Files,
        signing_keys::JWKS_CACHE,
        warnings::{self, webhook},
    },
    http::{TlsFiles, proxies::TrustedProxies},
};
use reqwest::Url;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tegata_store::sqlite::Others;

/// All settings of `serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on; port 0 selects a free one.
    pub listen: SocketAddr,
    /// The address of `/admin/v1`, if not the one above.
    pub admin_listen: Option<SocketAddr>,
    /// The address of `/metrics`, if not the first one.
    pub metrics_listen: Option<SocketAddr>,
    /// The address of Envoy's ext_authz over gRPC, if any.
    pub ext_authz_listen: Option<SocketAddr>,
    /// The certificate for all these addresses; without one, no TLS.
    pub tls: Option<TlsFiles>,
    /// The store and the files beside it.
    pub place: Files,
    /// The address that clients use; by default the listener's, with `https://` if there
    /// is a certificate and else `http://`.
    pub public_url: Option<String>,
    /// The address by which browsers reach the console; by default the public address, unless
    /// the console has a listener of its own.
    pub console_url: Option<String>,
    /// The identity provider of the console, if there is one.
    pub openid: Option<OpenIdSettings>,
    /// The administrator's token; read from a file unless set.
    pub admin_token: Option<AdminToken>,
    /// The file of the administrator's token; by default one beside the master key, which
    /// the first start creates.
    pub admin_token_file: Option<PathBuf>,
    /// The revocation journal: the file with the revocations that a restored backup would
    /// lack.
    pub revocation_journal: Option<PathBuf>,
    /// Development mode: a clock that can be moved, on loopback only.
    pub dev: bool,
    /// How long a new signing key is published before it signs; at least as long as the
    /// JWKS may be cached.
    pub key_promotion_delay: Duration,
    /// Maximum number of concurrent connections per listener.
    pub max_connections: usize,
    /// How long a connection without a request is kept open.
    pub idle_timeout: Duration,
    /// The rate and surge limits.
    pub rates: Rates,
    /// Days that audit events are kept.
    pub audit_retention_days: u32,
    /// Days that the row of a token is kept after its expiry or revocation.
    pub token_retention_days: u32,
    /// Whether to record from where tokens are used.
    pub recent_uses: bool,
    /// After how long without use a token is idle while a newer one of its group is used.
    pub token_idle_after: Duration,
    /// Whether to log a line for each verification.
    pub log_verifications: bool,
    /// When to warn.
    pub warn: warnings::Policy,
    /// Where warnings are sent, if anywhere.
    pub webhook: Option<webhook::WebhookSettings>,
    /// Who may report leaked tokens in a programme's name.
    pub leaks: LeakSettings,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// Minimum free space on the store's disk, in bytes, for readiness.
    pub min_free_disk: u64,
    /// How long the server still serves, not ready, after it was asked to stop.
    pub drain_delay: Duration,
    /// For tests: other servers that share the store.
    #[doc(hidden)]
    pub others: Others,
}

impl Settings {
    /// The defaults for a store at this path.
    #[must_use]
    pub fn new(listen: SocketAddr, store: PathBuf) -> Self {
        Self {
            listen,
            place: Files { store, ..Files::default() },
            admin_listen: None,
            metrics_listen: None,
            ext_authz_listen: None,
            tls: None,
            public_url: None,
            console_url: None,
            openid: None,
            admin_token: None,
            admin_token_file: None,
            revocation_journal: None,
            dev: false,
            key_promotion_delay: JWKS_CACHE,
            max_connections: 10_000,
            idle_timeout: Duration::from_secs(75),
            rates: Rates::default(),
            audit_retention_days: KEPT_DAYS,
            token_retention_days: 30,
            recent_uses: true,
            token_idle_after: IDLE_AFTER,
            log_verifications: false,
            warn: warnings::Policy::default(),
            webhook: None,
            leaks: LeakSettings::default(),
            trusted_proxies: TrustedProxies::default(),
            min_free_disk: 64 << 20,
            drain_delay: Duration::ZERO,
            others: Others::default(),
        }
    }

    /// The issuer: the address that clients use, without a slash at its end; `bound` is the
    /// listener's.
    pub(crate) fn issuer(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let url = self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{bound}"));
        url.trim_end_matches('/').to_owned()
    }

    /// The origin of the address by which browsers reach the console, if a setting has it: the
    /// console is at the root of that address.
    pub(crate) fn console(&self) -> Option<String> {
        let public = self.public_url.as_ref().filter(|_| self.admin_listen.is_none());
        let url = Url::parse(self.console_url.as_ref().or(public)?).ok()?;
        Some(url.origin().ascii_serialization())
    }
}
