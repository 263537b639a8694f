//! What an operator can set. Where a setting comes from (flag, environment, file)
//! is the command line's business.

use crate::{
    authority::{
        admin_token::AdminToken,
        audit::KEPT_DAYS,
        limits::Rates,
        place::Files,
        signing_keys::JWKS_CACHE,
        warnings::{self, webhook},
    },
    http::{TlsFiles, proxies::TrustedProxies},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// All settings of `serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/admin/v1` is, if not at the address above.
    pub admin_listen: Option<SocketAddr>,
    /// Where `/metrics` is, if not at the first address.
    pub metrics_listen: Option<SocketAddr>,
    /// The certificate that all these addresses show; without one, no TLS.
    pub tls: Option<TlsFiles>,
    /// The store and the files beside it.
    pub place: Files,
    /// The address that clients know; the listener's unless set, `https://` with a
    /// certificate and else `http://`.
    pub public_url: Option<String>,
    /// The administrator's token; read from a file unless set.
    pub admin_token: Option<AdminToken>,
    /// The file to read the administrator's token from; one beside the master key, which
    /// the first start makes, unless set.
    pub admin_token_file: Option<PathBuf>,
    /// Where to write whatever a restored backup would wake, before it is answered.
    pub revocation_journal: Option<PathBuf>,
    /// For trying out: a clock that can be moved, on loopback only.
    pub dev: bool,
    /// How long a new signing key is published before it signs; no shorter than
    /// the JWKS may be cached.
    pub key_promotion_delay: Duration,
    /// How many connections are served at once, at each address.
    pub max_connections: usize,
    /// A connection without a request ends after this long.
    pub idle_timeout: Duration,
    /// How fast a channel may be issued tokens.
    pub rates: Rates,
    /// For how many days audit events are kept.
    pub audit_retention_days: u32,
    /// For how many days the row of a token is kept after its end.
    pub token_retention_days: u32,
    /// When to warn of what ends or lies unused.
    pub warn: warnings::Policy,
    /// Where warnings are sent, if anywhere.
    pub webhook: Option<webhook::WebhookSettings>,
    /// Whose word is taken for where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// A signing key should be replaced after so many days.
    pub signing_key_days: u32,
    /// With less than so many bytes free on the store's disk it is not ready.
    pub min_free_disk: u64,
    /// For how long it still serves, not ready, once it was told to stop.
    pub drain_delay: Duration,
}

impl Settings {
    /// What holds for a store at this path where nothing is set.
    #[must_use]
    pub fn new(listen: SocketAddr, store: PathBuf) -> Self {
        Self {
            listen,
            place: Files { store, ..Files::default() },
            admin_listen: None,
            metrics_listen: None,
            tls: None,
            public_url: None,
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
            warn: warnings::Policy::default(),
            webhook: None,
            trusted_proxies: TrustedProxies::default(),
            signing_key_days: 90,
            min_free_disk: 64 << 20,
            drain_delay: Duration::ZERO,
        }
    }
}
