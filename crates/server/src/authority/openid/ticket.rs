//! What a browser keeps for the server during a sign-in: encrypted with the master key, so
//! that nothing in it can be read, changed or made up.

use crate::authority::master_key::MasterKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tegata_policy::acts::Identity;
use tegata_store::{Result, WrappedKey};
use tegata_token::{id::PersonId, time::UnixTime};

/// For how many seconds a person may be at the provider.
pub const AWAY: i64 = 600;
/// For how many seconds a person who has returned may take to complete the sign-in.
pub const BACK: i64 = 300;

/// What a flow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To sign in.
    SignIn,
    /// To link the account with this person.
    Link(PersonId),
}

/// The ticket of a browser that was sent to the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Returns with the browser.
    pub state: String,
    /// Returns in the ID token.
    pub nonce: String,
    /// Proves to the provider that this server began the flow (RFC 7636).
    pub verifier: String,
    /// The page to go on to.
    pub next: String,
    /// What the flow is for.
    pub purpose: Purpose,
    /// When it expires.
    pub until: UnixTime,
}

/// The ticket of a browser that has returned: the account is proven.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proven {
    /// The account.
    pub identity: Identity,
    /// How the provider names it.
    pub label: Option<String>,
    /// The page to go on to.
    pub next: String,
    /// What the flow is for.
    pub purpose: Purpose,
    /// When it expires.
    pub until: UnixTime,
}

/// A kind of ticket.
pub trait Ticket: Serialize + DeserializeOwned {
    /// Its name; a ticket of one kind is none of another.
    const KIND: &'static str;

    /// When it expires.
    fn until(&self) -> UnixTime;

    /// The ticket as the cookie has it.
    ///
    /// # Errors
    /// The machine has no random bytes.
    fn encrypted(&self, key: &MasterKey) -> Result<String> {
        // Texts and numbers always have a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let wrapped = key.wrap_ticket(Self::KIND, &json)?;
        Ok(URL_SAFE_NO_PAD.encode(wrapped.0))
    }

    /// The ticket that a cookie has, if it is one of this kind and not expired.
    fn opened(text: &str, key: &MasterKey, now: UnixTime) -> Option<Self> {
        let wrapped = WrappedKey(URL_SAFE_NO_PAD.decode(text).ok()?);
        let json = key.open_ticket(Self::KIND, &wrapped)?;
        serde_json::from_slice(&json).ok().filter(|it: &Self| now < it.until())
    }
}

impl Ticket for Asked {
    const KIND: &'static str = "asked";

    fn until(&self) -> UnixTime {
        self.until
    }
}

impl Ticket for Proven {
    const KIND: &'static str = "proven";

    fn until(&self) -> UnixTime {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_of_its_kind_its_key_and_its_time_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [key, other] =
            ["a", "b"].map(|it| MasterKey::load(&folder.path().join(it), true).unwrap());
        let asked = Asked {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            next: "/console".to_owned(),
            purpose: Purpose::SignIn,
            until: UnixTime(100),
        };
        let text = asked.encrypted(&key).unwrap();
        assert!(!text.contains("console"));
        let opened = |key: &MasterKey, now| Asked::opened(&text, key, UnixTime(now));
        assert_eq!(opened(&key, 99).map(|it| it.nonce).as_deref(), Some("n"));
        assert!(opened(&key, 100).is_none(), "expired");
        assert!(opened(&other, 99).is_none(), "of another key");
        assert!(Proven::opened(&text, &key, UnixTime(99)).is_none(), "of another kind");
        for changed in ["", "a", &text[1..], &format!("{text}A")] {
            assert!(Asked::opened(changed, &key, UnixTime(99)).is_none());
        }
    }
}
