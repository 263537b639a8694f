//! What is asked for, and with what: one token of a kind for a channel or a group
//! of it, from the proof to the ending of its predecessor.

use crate::{
    call::{Client, ClientAuthentication, Failure, TokenResponse, With},
    key::PrivateKey,
};
use tegata_policy::secret::PlainSecret;
use tegata_token::{
    id::{ChannelId, Group},
    kind::{Kind, Lifetime},
    time::UnixTime,
};

/// Which token.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// For which channel.
    pub channel: ChannelId,
    /// For which group; only Tegata has them.
    pub group: Option<Group>,
    /// Of which kind; long-lived ones cannot be asked for.
    pub kind: Kind,
    /// How long a v2.1 token shall live, in seconds.
    pub lifetime: i64,
}

/// What a channel proves itself with.
pub struct Credentials {
    /// Its private assertion key.
    pub key: Option<PrivateKey>,
    /// Its secret.
    pub secret: Option<PlainSecret>,
    /// For whom assertions are; mostly [`crate::key::AUDIENCE`].
    pub audience: String,
}

impl Wanted {
    /// The `Idempotency-Key` of the token of this generation.
    #[must_use]
    pub fn idempotency_key(&self, generation: u64) -> String {
        let group = self.group.as_ref().map_or("", Group::as_str);
        format!("{}/{group}/{generation:016x}", self.channel)
    }

    /// How long a token lives that is issued now, in seconds.
    #[must_use]
    pub fn whole_lifetime(&self) -> i64 {
        match self.kind.life() {
            Lifetime::Requested { .. } => self.lifetime,
            Lifetime::Fixed(seconds) => seconds,
        }
    }

    /// Whether whoever got a new token must end the one before: an authority does so
    /// by itself within a group, and stateless tokens end soon enough.
    #[must_use]
    pub fn predecessor_is_ours_to_end(&self) -> bool {
        self.group.is_none() && self.kind.is_stored()
    }
}

impl Credentials {
    /// An assertion for `wanted`, signed at `now`, the machine's wall time.
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
    /// Asks for a token under an idempotency key. `now` is the machine's wall time.
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
            Kind::Stateless if credentials.key.is_some() => {
                let assertion = credentials.assertion(wanted, now)?;
                self.issue_stateless(&ClientAuthentication::Assertion(&assertion), with).await
            }
            Kind::Stateless => {
                let proof =
                    ClientAuthentication::Secret(wanted.channel, credentials.secret(wanted)?);
                self.issue_stateless(&proof, with).await
            }
            Kind::ShortLived => {
                let secret = credentials.secret(wanted)?;
                self.issue_short_lived(wanted.channel, secret, with).await
            }
            Kind::LongLived => {
                let advice = "an administrator makes long-lived tokens";
                Err(Failure::NotAsked(advice.to_owned()))
            }
        }
    }

    /// Ends a token that has a successor, if it can be ended with what there is.
    ///
    /// # Errors
    /// [`Failure`]; [`Failure::NotAsked`] where it must be left to expire.
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
