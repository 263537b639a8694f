//! Requests with an `Idempotency-Key`, and their responses.

use super::facade::{Admin, Result};
use crate::authority::people::PersonCredential;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tegata_policy::{
    acts::{self, BeginRequest, FinishRequest},
    secret::sha256,
};
use zeroize::Zeroizing;

/// How often a request is tried to be forgotten, and after which pause.
const FORGETS: usize = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// What identifies a request, apart from its actor.
#[derive(Debug, Clone)]
pub struct RequestName {
    /// The call with the ids of its objects.
    pub call: String,
    /// The digest of the `Idempotency-Key`.
    pub key: [u8; 32],
}

/// What is remembered of a request, encrypted.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// The person's roles after it.
    roles: Vec<String>,
    /// The body of the response.
    body: String,
}

/// What an `Idempotency-Key` stands for.
pub enum KeyUse {
    /// No request yet.
    New,
    /// A request with this response.
    Before(String),
    /// A request of a person who has lost a role since.
    RolesTaken,
    /// A request whose response cannot be decrypted, since the master key was replaced.
    Unreadable,
    /// A request of which it is not known whether it was carried out.
    Unfinished,
    /// A request with other parameters.
    OtherParameters,
}

impl Admin {
    /// What identifies the request: actor, credential, call and key. A personal token with few
    /// rights must not get what a session of its person has created.
    fn digest(&self, name: &RequestName) -> [u8; 32] {
        // Neither an actor's name nor a path has a line break.
        let text = format!("{}\n{}\n", self.actor, name.call);
        let credential = match &self.credential {
            Some(PersonCredential::Session(it)) => it.token.0,
            Some(PersonCredential::AdminToken(it)) => it.token.0,
            None => [0; 32],
        };
        sha256(&[text.as_bytes(), &credential, &name.key])
    }

    /// The roles of the person who acts, in words; none of another actor.
    fn roles_in_words(&self) -> Vec<String> {
        let person = self.person_id().and_then(|id| self.authority.memory.people.get(id));
        let Some(person) = person else { return Vec::new() };
        let operator = person.operator.iter().map(|it| format!("{it:?}"));
        let providers = person.providers.iter().map(|it| format!("provider {it:?}"));
        let channels = person.channels.iter().map(|it| format!("channel {it:?}"));
        operator.chain(providers).chain(channels).collect()
    }

    /// The response that was remembered, for a person who has all roles of that time.
    fn recall(&self, remembered: &[u8]) -> KeyUse {
        let Ok(Remembered { roles, body }) = serde_json::from_slice(remembered) else {
            return KeyUse::Unreadable;
        };
        let now = self.roles_in_words();
        match roles.iter().all(|it| now.contains(it)) {
            true => KeyUse::Before(body),
            false => KeyUse::RolesTaken,
        }
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
                let master = self.authority.master()?;
                let response = master.open_response(key, &response);
                response.map_or(KeyUse::Unreadable, |it| self.recall(&it))
            }
        })
    }

    /// Remembers the response to a request; `None`: the request changed nothing.
    ///
    /// # Errors
    /// As [`Self::begin_request`].
    pub async fn finish_request(&self, name: &RequestName, response: Option<&str>) -> Result<()> {
        let (key, authority) = (self.digest(name), &self.authority);
        let master = authority.master()?;
        let remembered = response.map(|body| {
            let it = Remembered { roles: self.roles_in_words(), body: body.to_owned() };
            // Texts can always be written.
            Zeroizing::new(serde_json::to_vec(&it).unwrap_or_default())
        });
        let wrap = |it: Zeroizing<Vec<u8>>| master.wrap_response(key, &it);
        let response = remembered.map(wrap).transpose()?;
        Ok(authority.store().finish_request(FinishRequest { key, response }).await?)
    }

    /// Forgets a request that the store did not take now, so that it can be repeated. It may not
    /// take this either, so this is tried for a second.
    pub async fn forget_request(&self, name: &RequestName) {
        for left in (0..FORGETS).rev() {
            match self.finish_request(name, None).await {
                Ok(()) => return,
                Err(error) if left == 0 => tracing::warn!(
                    %error,
                    "a request that changed nothing keeps its Idempotency-Key for a day"
                ),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
