//! What an operator can set. Where a setting comes from (flag, environment, file)
//! is the command line's business.

use crate::limits::Rates;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tegata_token::secret::{HashedSecret, PlainSecret};

/// All settings of `serve`.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite file.
    pub store: PathBuf,
    /// The address that clients know; `http://` and the listener's address unless set.
    pub public_url: Option<String>,
    /// The administrator's token; read from, or made in, a file unless set.
    pub admin_token: Option<AdminToken>,
    /// The master key's file; `master.key` beside the store unless set.
    pub master_key_file: Option<PathBuf>,
    /// For trying out: a clock that can be moved, on loopback only.
    pub dev: bool,
    /// How long a new signing key is published before it signs; no shorter than
    /// the JWKS may be cached.
    pub key_promotion_delay: Duration,
    /// How many connections are served at once.
    pub connections: usize,
    /// How fast a channel may be issued tokens.
    pub rates: Rates,
}

impl Settings {
    /// What holds for a store at this path where nothing is set.
    #[must_use]
    pub fn new(listen: SocketAddr, store: PathBuf) -> Self {
        Self {
            listen,
            store,
            public_url: None,
            admin_token: None,
            master_key_file: None,
            dev: false,
            key_promotion_delay: JWKS_CACHE,
            connections: 10_000,
            rates: Rates::default(),
        }
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
