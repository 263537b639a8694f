//! Details of events about people and their personal tokens.

use crate::permission::{Rights, RoleChange};
use serde::{Deserialize, Serialize};
use tegata_token::{
    id::{AdminTokenId, PersonId},
    time::UnixTime,
};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonNamed {
    /// The id.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
}

/// A person who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonSignedIn {
    /// The id.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The identity provider that stood in for the password, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// A person's account at an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityNamed {
    /// The id.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The identity provider.
    pub issuer: String,
    /// The account there.
    pub subject: String,
}

/// A person who was invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonInvited {
    /// The id.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    pub name: String,
    /// The first role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleChange>,
}

/// What was changed of a person; what is unchanged is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonChanged {
    /// The id.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the person is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A role that a person got or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleGiven {
    /// The person.
    pub person: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The role.
    pub role: RoleChange,
}

/// A personal token that was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminTokenCreated {
    /// Its id.
    pub admin_token: AdminTokenId,
    /// The person whose rights it has.
    pub person: PersonId,
    /// Its name.
    pub name: String,
    /// How far it reaches.
    pub rights: Rights,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// A personal token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminTokenNamed {
    /// Its id.
    pub admin_token: AdminTokenId,
    /// The person whose rights it has.
    pub person: PersonId,
}

/// For how long attempts to sign in are rejected: those from one source, or those of a person
/// after wrong codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginThrottled {
    /// The person, whose password was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// Seconds until the next one is verified.
    pub seconds: u64,
}
