//! Requests with an `Idempotency-Key`, and their responses.

use super::facade::{Admin, Result};
use tegata_policy::{
    acts::{self, BeginRequest, FinishRequest},
    secret::sha256,
};
use zeroize::Zeroizing;

/// What identifies a request, apart from its actor.
#[derive(Debug, Clone)]
pub struct RequestName {
    /// The call with the ids of its objects.
    pub call: String,
    /// The digest of the `Idempotency-Key`.
    pub key: [u8; 32],
}

/// What an `Idempotency-Key` stands for.
pub enum KeyUse {
    /// No request yet.
    New,
    /// A request with this response.
    Before(Zeroizing<Vec<u8>>),
    /// A request whose response cannot be decrypted, since the master key was replaced.
    Unreadable,
    /// A request of which it is not known whether it was carried out.
    Unfinished,
    /// A request with other parameters.
    OtherParameters,
}

impl Admin {
    fn digest(&self, name: &RequestName) -> [u8; 32] {
        // Neither an actor's name nor a path has a line break.
        let text = format!("{}\n{}\n", self.actor, name.call);
        sha256(&[text.as_bytes(), &name.key])
    }

    /// Remembers a request of this actor before it is carried out.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn begin_request(&self, name: &RequestName, body: &[u8]) -> Result<KeyUse> {
        let key = self.digest(name);
        let act = BeginRequest { key, parameters: sha256(&[body]) };
        Ok(match self.authority.store().begin_request(act, self.authority.now()).await? {
            acts::RequestBegun::New => KeyUse::New,
            acts::RequestBegun::Unfinished => KeyUse::Unfinished,
            acts::RequestBegun::OtherParameters => KeyUse::OtherParameters,
            acts::RequestBegun::Before(response) => {
                let master = self.authority.keyring.master();
                let response = master.open_response(key, &response);
                response.map_or(KeyUse::Unreadable, KeyUse::Before)
            }
        })
    }

    /// Remembers the response to a request; `None`: the request changed nothing.
    ///
    /// # Errors
    /// As [`Self::begin_request`].
    pub async fn finish_request(&self, name: &RequestName, response: Option<&[u8]>) -> Result<()> {
        let (key, authority) = (self.digest(name), &self.authority);
        let master = authority.keyring.master();
        let response = response.map(|it| master.wrap_response(key, it)).transpose()?;
        Ok(authority.store().finish_request(FinishRequest { key, response }).await?)
    }
}
