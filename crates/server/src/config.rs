//! What an operator can set. Where a setting comes from (flag, environment, file)
//! is the command line's business.

use crate::{
    door::TlsFiles,
    limits::Rates,
    source::TrustedProxies,
    warnings::{self, webhook},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tegata_policy::secret::{HashedSecret, PlainSecret};

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
    pub place: Place,
    /// The address that clients know; the listener's unless set, `https://` with a
    /// certificate and else `http://`.
    pub public_url: Option<String>,
    /// The administrator's token; read from a file unless set.
    pub admin_token: Option<AdminToken>,
    /// The file to read the administrator's token from; one beside the master key, which
    /// the first start makes, unless set.
    pub admin_token_file: Option<PathBuf>,
    /// Where to write whatever a restored backup would wake, before it is answered.
    pub endings_log: Option<PathBuf>,
    /// For trying out: a clock that can be moved, on loopback only.
    pub dev: bool,
    /// How long a new signing key is published before it signs; no shorter than
    /// the JWKS may be cached.
    pub key_promotion_delay: Duration,
    /// How many connections are served at once, at each address.
    pub connections: usize,
    /// A connection without a request ends after this long.
    pub idle_timeout: Duration,
    /// How fast a channel may be issued tokens.
    pub rates: Rates,
    /// For how many days audit events are kept.
    pub audit_days: u32,
    /// For how many days the row of a token is kept after its end.
    pub keep_ended_days: u32,
    /// When to warn of what ends or lies unused.
    pub warn: warnings::Policy,
    /// Where warnings are sent, if anywhere.
    pub webhook: Option<webhook::Settings>,
    /// Whose word is taken for where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// A signing key should be replaced after so many days.
    pub signing_key_days: u32,
    /// With less than so many bytes free on the store's disk it is not ready.
    pub least_free_disk: u64,
    /// For how long it still serves, not ready, once it was told to stop.
    pub drain_delay: Duration,
}

impl Settings {
    /// What holds for a store at this path where nothing is set.
    #[must_use]
    pub fn new(listen: SocketAddr, store: PathBuf) -> Self {
        Self {
            listen,
            place: Place { store, ..Place::default() },
            admin_listen: None,
            metrics_listen: None,
            tls: None,
            public_url: None,
            admin_token: None,
            admin_token_file: None,
            endings_log: None,
            dev: false,
            key_promotion_delay: JWKS_CACHE,
            connections: 10_000,
            idle_timeout: Duration::from_secs(75),
            rates: Rates::default(),
            audit_days: crate::audit::KEPT_DAYS,
            keep_ended_days: 30,
            warn: warnings::Policy::default(),
            webhook: None,
            trusted_proxies: TrustedProxies::default(),
            signing_key_days: 90,
            least_free_disk: 64 << 20,
            drain_delay: Duration::ZERO,
        }
    }
}

/// Where an authority keeps its files.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The SQLite file.
    pub store: PathBuf,
    /// The master key's file; `master.key` beside the store unless set.
    pub master_key_file: Option<PathBuf>,
    /// The file of the mark that tells whether the store went backwards; beside the
    /// master key, with the store's name and `.mark`, unless set.
    pub mark_file: Option<PathBuf>,
}

impl Place {
    /// The master key's file.
    #[must_use]
    pub fn master_key(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.store.with_file_name("master.key"))
    }

    /// The mark's file.
    #[must_use]
    pub fn mark(&self) -> PathBuf {
        let beside = || {
            let mut name = self.store.file_name().unwrap_or_default().to_owned();
            name.push(".mark");
            self.master_key().with_file_name(name)
        };
        self.mark_file.clone().unwrap_or_else(beside)
    }

    /// The file that keeps the newest seal of the audit, beside the mark.
    #[must_use]
    pub fn audit_mark(&self) -> PathBuf {
        let mut name = self.mark().into_os_string();
        name.push(".audit");
        name.into()
    }

    /// The file of the administrator's token, where none was set.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.master_key().with_file_name("admin.token")
    }
}

/// For how long the JWKS may be cached.
pub const JWKS_CACHE: Duration = Duration::from_secs(15 * 60);

/// The token that administrators show. Only its hash is kept.
#[derive(Debug, Clone, Copy)]
pub struct AdminToken(HashedSecret);

/// The administrator's token is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the administrator's token must have at least 32 characters")]
pub struct TooShort;

impl AdminToken {
    /// The token that `text` is.
    ///
    /// # Errors
    /// [`TooShort`].
    pub fn new(text: &PlainSecret) -> Result<Self, TooShort> {
        if text.reveal().chars().count() < 32 {
            return Err(TooShort);
        }
        Ok(Self(text.hash()))
    }

    /// Whether `shown` is it.
    #[must_use]
    pub fn is(&self, shown: &PlainSecret) -> bool {
        self.0.is_of(shown)
    }
}
