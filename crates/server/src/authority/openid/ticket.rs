//! What a browser keeps for the server during a sign-in.

use crate::authority::ticket::Ticket;
use serde::{Deserialize, Serialize};
use tegata_policy::acts::Identity;
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
