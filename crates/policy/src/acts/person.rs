//! The rows of people, their sessions and their personal tokens.

use super::{followers::TokenHash, things::WrappedKey};
use crate::permission::{ChannelRole, OperatorRole, ProviderRole, Rights, Role, RoleChange};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use tegata_token::{
    id::{AdminTokenId, ChannelId, PersonId, ProviderId},
    time::UnixTime,
};

/// A person, without what authenticates the person: what a server holds in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRow {
    /// Its id.
    pub id: PersonId,
    /// The name to sign in with.
    pub login: String,
    /// The display name.
    pub name: String,
    /// The role in the whole authority.
    pub operator: Option<OperatorRole>,
    /// The roles in providers.
    pub providers: BTreeMap<ProviderId, ProviderRole>,
    /// The roles in channels.
    pub channels: BTreeMap<ChannelId, ChannelRole>,
    /// Whether an administrator has disabled the person.
    pub disabled: bool,
    /// Whether the person has set a password.
    pub accepted: bool,
    /// When the person was invited.
    pub created_at: UnixTime,
}

/// The state of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonState {
    /// The person has not set a password yet, or must set a new one.
    Invited,
    /// The person can sign in.
    Active,
    /// An administrator has disabled the person.
    Disabled,
}

/// Number of roles in deleted providers and channels that a person keeps: they let the person
/// read the audit events of these.
pub const PAST_ROLES_KEPT: usize = 20;

impl PersonRow {
    /// The state.
    #[must_use]
    pub fn state(&self) -> PersonState {
        match (self.disabled, self.accepted) {
            (true, _) => PersonState::Disabled,
            (false, true) => PersonState::Active,
            (false, false) => PersonState::Invited,
        }
    }

    /// The roles at a channel and its provider, those in the whole authority included.
    #[must_use]
    pub fn roles(&self, provider: Option<ProviderId>, channel: Option<ChannelId>) -> Vec<Role> {
        let mut roles = vec![Role::Person];
        roles.extend(self.operator.map(Role::Operator));
        let provider = provider.and_then(|it| self.providers.get(&it));
        roles.extend(provider.copied().map(Role::Provider));
        let channel = channel.and_then(|it| self.channels.get(&it));
        roles.extend(channel.copied().map(Role::Channel));
        roles
    }

    /// Whether the person has any role.
    #[must_use]
    pub fn has_role(&self) -> bool {
        self.operator.is_some() || !self.providers.is_empty() || !self.channels.is_empty()
    }

    /// The same person with no more than the newest [`PAST_ROLES_KEPT`] of these roles in what is
    /// deleted: a person who has one role after the other must not have an ever larger row.
    #[must_use]
    pub fn pruned(&self, past: &[RoleChange]) -> Self {
        let surplus = past.len().saturating_sub(PAST_ROLES_KEPT);
        past.iter().take(surplus).fold(self.clone(), |person, role| person.with(*role))
    }

    /// The same person after a change of a role.
    #[must_use]
    pub fn with(&self, change: RoleChange) -> Self {
        let mut new = self.clone();
        match change {
            RoleChange::Operator { role } => new.operator = role,
            RoleChange::Provider { provider, role: Some(role) } => {
                new.providers.insert(provider, role);
            }
            RoleChange::Provider { provider, role: None } => {
                new.providers.remove(&provider);
            }
            RoleChange::Channel { channel, role: Some(role) } => {
                new.channels.insert(channel, role);
            }
            RoleChange::Channel { channel, role: None } => {
                new.channels.remove(&channel);
            }
        }
        new
    }
}

/// The hash of a password, in PHC string format. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// What authenticates a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSecrets {
    /// The hash of the password.
    pub password: PasswordHash,
    /// The secret of the second factor, encrypted; empty: it was lost.
    pub totp: WrappedKey,
    /// The time step of the newest code that was used: none before it is accepted again.
    pub totp_step: i64,
    /// The hashes of the recovery codes that were not used.
    pub recovery: Vec<TokenHash>,
}

/// An account at an identity provider. A provider never gives a subject to another account
/// (OpenID Connect Core 1.0, section 8), as it may do with an address of e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider: `iss` of its ID tokens.
    pub issuer: String,
    /// The account there: `sub`.
    pub subject: String,
}

/// The account at an identity provider that a person signs in with, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The account.
    pub identity: Identity,
    /// When it was linked.
    pub linked_at: UnixTime,
}

/// A person as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPerson {
    /// The person.
    pub person: PersonRow,
    /// What authenticates the person, once the invitation was accepted.
    pub secrets: Option<SignInSecrets>,
    /// The hash of the invitation that can be used, and when it expires.
    pub invitation: Option<(TokenHash, UnixTime)>,
    /// The linked account at an identity provider.
    pub identity: Option<LinkedIdentity>,
}

impl StoredPerson {
    /// Whether this account at an identity provider is linked to the person.
    #[must_use]
    pub fn is_linked_to(&self, identity: &Identity) -> bool {
        self.identity.as_ref().is_some_and(|it| it.identity == *identity)
    }
}

/// A session of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// The hash of its token.
    pub token: TokenHash,
    /// The person.
    pub person: PersonId,
    /// When it began.
    pub created_at: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
}

/// A personal administrator's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminTokenRow {
    /// Its id.
    pub id: AdminTokenId,
    /// The person whose rights it has.
    pub person: PersonId,
    /// Its display name.
    pub name: String,
    /// How far it reaches.
    pub rights: Rights,
    /// The hash of the token.
    pub token: TokenHash,
    /// When it was created.
    pub created_at: UnixTime,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// Which person an act needs.
#[derive(Debug, Clone)]
pub enum WhichPerson {
    /// The person of this id.
    Id(PersonId),
    /// The person who has this sign-in name.
    Login(String),
    /// The person with this invitation.
    Invitation(TokenHash),
    /// The person of this personal token.
    AdminToken(AdminTokenId),
    /// The person to whom this account at an identity provider is linked.
    Identity(Identity),
}

/// An invitation that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenInvitation {
    /// Whether the person has a role in the whole authority.
    pub into_authority: bool,
    /// When it expires.
    pub until: UnixTime,
}

/// What was read about people.
#[derive(Debug, Clone, Default)]
pub struct PersonRows {
    /// The person; all people who can sign in, of an act that needs all.
    pub people: Vec<StoredPerson>,
    /// The person's sessions, oldest first.
    pub sessions: Vec<SessionRow>,
    /// The person's personal tokens, oldest first.
    pub admin_tokens: Vec<AdminTokenRow>,
    /// The people with a role in the whole authority.
    pub operators: Vec<PersonRow>,
    /// The person's roles in providers and channels that are deleted, the oldest first, as what
    /// takes them away.
    pub past_roles: Vec<RoleChange>,
    /// The invitations that were not accepted.
    pub invitations: Vec<OpenInvitation>,
}

/// What was taken from a person: the revocation journal keeps it for stores that are
/// rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lost", rename_all = "kebab-case")]
pub enum PersonLoss {
    /// The person was disabled.
    Disabled,
    /// The person was deleted.
    Deleted,
    /// A role was changed.
    Role {
        /// The role that is left.
        left: RoleChange,
    },
    /// Password, second factor, invitation and sessions ended, or were replaced: a store
    /// that lacks it has only the old ones, so a new invitation is needed.
    Secrets,
    /// A session ended.
    Session {
        /// The hash of its token.
        token: TokenHash,
    },
    /// A recovery code was used.
    RecoveryCode {
        /// The hash of the code.
        code: TokenHash,
    },
    /// A personal token was deleted.
    AdminToken {
        /// The token.
        id: AdminTokenId,
    },
    /// The account at an identity provider was unlinked.
    Identity,
}
