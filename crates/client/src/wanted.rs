//! The token that a program requests, the credentials for it, and the revocation of its
//! predecessor.

use crate::{
    call::{Client, ClientAuthentication, TokenResponse, With},
    failure::Failure,
    key::PrivateKey,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{
    id::{ChannelId, Group},
    kind::{Kind, Lifetime},
    time::UnixTime,
};

/// The token that a program requests.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its channel.
    pub channel: ChannelId,
    /// Its group; only Tegata has groups.
    pub group: Option<Group>,
    /// Its kind; long-lived tokens cannot be requested.
    pub kind: Kind,
    /// Lifetime of a v2.1 token, in seconds.
    pub lifetime: i64,
}

/// The credentials of a channel.
pub struct Credentials {
    /// Its private assertion key.
    pub key: Option<PrivateKey>,
    /// Its secret.
    pub secret: Option<PlainSecret>,
    /// The audience of assertions; usually [`crate::key::AUDIENCE`].
    pub audience: String,
}

impl Wanted {
    /// The `Idempotency-Key` of the token of this generation.
    #[must_use]
    pub fn idempotency_key(&self, generation: u64) -> String {
        let group = self.group.as_ref().map_or("", Group::as_str);
        format!("{}/{group}/{generation:016x}", self.channel)
    }

    /// The lifetime of a token that is issued now, in seconds.
    #[must_use]
    pub fn whole_lifetime(&self) -> i64 {
        match self.kind.life() {
            Lifetime::Requested { .. } => self.lifetime,
            Lifetime::Fixed(seconds) => seconds,
        }
    }

    /// Whether a request for the token authenticates with the channel's secret, and not
    /// with an assertion.
    #[must_use]
    pub fn uses_secret(&self, credentials: &Credentials) -> bool {
        match self.kind {
            Kind::V21 => false,
            Kind::Stateless => credentials.key.is_none(),
            Kind::ShortLived | Kind::LongLived => true,
        }
    }

    /// Whether the client must revoke the predecessor of a new token. Within a group the
    /// authority evicts it, and stateless tokens expire soon.
    #[must_use]
    pub fn predecessor_is_ours_to_end(&self) -> bool {
        self.group.is_none() && self.kind.is_stored()
    }
}

impl Credentials {
    /// Signs an assertion for `wanted` at `now`, the machine's wall time.
    ///
    /// # Errors
    /// [`Failure::NotAsked`] without a key.
    pub fn assertion(&self, wanted: &Wanted, now: UnixTime) -> Result<String, Failure> {
        let key = self.key.as_ref().ok_or_else(|| missing("an assertion key", wanted))?;
        key.assertion(&self.audience, wanted.channel, wanted.lifetime, now)
            .map_err(|error| Failure::NotAsked(error.to_string()))
    }

    fn secret(&self, wanted: &Wanted) -> Result<&PlainSecret, Failure> {
        self.secret.as_ref().ok_or_else(|| missing("the channel's secret", wanted))
    }
}

fn missing(what: &str, wanted: &Wanted) -> Failure {
    let kind = wanted.kind.name();
    Failure::NotAsked(format!("a {kind} token of channel {} needs {what}", wanted.channel))
}

impl Client {
    /// Requests a token with an idempotency key. `now` is the machine's wall time.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn issue_wanted(
        &self,
        wanted: &Wanted,
        credentials: &Credentials,
        idempotency_key: &str,
        now: UnixTime,
    ) -> Result<TokenResponse, Failure> {
        let with = With { group: wanted.group.as_ref(), idempotency_key: Some(idempotency_key) };
        match wanted.kind {
            Kind::V21 => self.issue_v21(&credentials.assertion(wanted, now)?, with).await,
            Kind::Stateless if !wanted.uses_secret(credentials) => {
                let assertion = credentials.assertion(wanted, now)?;
                self.issue_stateless(&ClientAuthentication::Assertion(&assertion), with).await
            }
            Kind::Stateless => {
                let client =
                    ClientAuthentication::Secret(wanted.channel, credentials.secret(wanted)?);
                self.issue_stateless(&client, with).await
            }
            Kind::ShortLived => {
                let secret = credentials.secret(wanted)?;
                self.issue_short_lived(wanted.channel, secret, with).await
            }
            Kind::LongLived => {
                let advice = "long-lived tokens are issued by an administrator";
                Err(Failure::NotAsked(advice.to_owned()))
            }
        }
    }

    /// Revokes a token that has a successor, if the credentials suffice.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::NotAsked`] if the token must be left to expire.
    pub async fn retire(
        &self,
        wanted: &Wanted,
        credentials: &Credentials,
        token: &PlainSecret,
    ) -> Result<(), Failure> {
        match wanted.kind {
            Kind::V21 => {
                let secret = credentials.secret(wanted)?;
                self.revoke_v21(wanted.channel, secret, token).await
            }
            Kind::ShortLived => self.revoke_opaque(token).await,
            Kind::Stateless | Kind::LongLived => Ok(()),
        }
    }
}
