//! Who may do what: one table of permissions and roles, as data.
//!
//! People have a role in the whole authority (an operator), in providers and in channels.
//! A permission belongs to a level: the authority, a provider, a channel. The table names,
//! for each permission, the roles that have it. A provider's Admin appears in no row of a
//! channel: the role gives no access to channels.

use serde::{Deserialize, Serialize};
use tegata_token::id::{ChannelId, ProviderId};

/// A role in the whole authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorRole {
    /// Does everything.
    Administrator,
    /// Reads everything and takes away what may be in wrong hands; creates nothing and sees
    /// no secret.
    OnCall,
    /// Reads everything.
    Auditor,
}

/// A role in one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderRole {
    /// Renames and deletes the provider, creates its channels, manages its roles.
    Admin,
    /// Sees the provider.
    Member,
}

/// A role in one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelRole {
    /// Does everything in the channel.
    Admin,
    /// Sees the channel's settings and groups.
    Member,
    /// Sees the channel.
    Tester,
}

/// A role that a person gets, or loses if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "kebab-case")]
pub enum RoleChange {
    /// In the whole authority.
    Operator {
        /// The role.
        role: Option<OperatorRole>,
    },
    /// In a provider.
    Provider {
        /// The provider.
        provider: ProviderId,
        /// The role.
        role: Option<ProviderRole>,
    },
    /// In a channel.
    Channel {
        /// The channel.
        channel: ChannelId,
        /// The role.
        role: Option<ChannelRole>,
    },
}

impl RoleChange {
    /// Whether it takes a role away and gives none.
    #[must_use]
    pub fn takes(self) -> bool {
        matches!(
            self,
            Self::Operator { role: None }
                | Self::Provider { role: None, .. }
                | Self::Channel { role: None, .. }
        )
    }
}

/// A role that an actor has, where it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The holder of the root administrator's token.
    Root,
    /// The server itself.
    System,
    /// The operator on the machine of the store.
    Machine,
    /// A channel, by its own credentials.
    OwnChannel,
    /// A reporter of leaked tokens, who proves to hold them.
    Reporter,
    /// A person with a role in the whole authority.
    Operator(OperatorRole),
    /// A person with a role in the provider.
    Provider(ProviderRole),
    /// A person with a role in the channel.
    Channel(ChannelRole),
    /// Any person who is signed in.
    Person,
}

/// What a permission is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// The authority itself.
    Authority,
    /// One provider.
    Provider,
    /// One channel.
    Channel,
    /// One verifier.
    Verifier,
    /// One person.
    Person,
    /// The actor's own account.
    Account,
}

/// What acts with a permission can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// They change nothing.
    Reads,
    /// They take something away, and give nothing.
    Narrows,
    /// They can create, change or show a secret.
    Changes,
}

/// How far a personal administrator's token reaches, within the rights of its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rights {
    /// It reads.
    Read,
    /// It reads and takes away.
    Revoke,
    /// It does what the person may do, apart from managing the person's own account.
    Full,
}

impl Rights {
    /// The name, as the API and the command line have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Revoke => "revoke",
            Self::Full => "full",
        }
    }

    /// Whether an act of this effect at this level is within the rights.
    #[must_use]
    pub const fn allow(self, effect: Effect, level: Level) -> bool {
        match (self, effect) {
            (_, Effect::Reads) => true,
            (Self::Read, _) => false,
            (Self::Revoke | Self::Full, Effect::Narrows) => true,
            // A token that could create another one would outlast its own end.
            (Self::Full, Effect::Changes) => !matches!(level, Level::Account),
            (Self::Revoke, Effect::Changes) => false,
        }
    }
}

/// Whether an act may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may.
    Allowed,
    /// The actor may not see the object: the answer is that of an unknown one.
    NotFound,
    /// The actor sees the object, and may not do this.
    Forbidden,
}

/// Defines the permissions and their table.
macro_rules! table {
    ($($(#[doc = $doc:literal])* $name:ident: $level:ident, $effect:ident, $operators:ident
        $(+ $($role:expr),+)?;)*) => {
        /// A permission.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[doc = $doc])* $name,)*
        }

        impl Permission {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is about.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$name => Level::$level,)*
                }
            }

            /// What acts with it can do.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self {
                    $(Self::$name => Effect::$effect,)*
                }
            }

            /// The operators that have it, and the other roles that have it.
            const fn row(self) -> (&'static [Role], &'static [Role]) {
                match self {
                    $(Self::$name => ($operators, &[$($($role),+)?]),)*
                }
            }
        }
    };
}

use Role::{OwnChannel, Person, Reporter, Root, System};

const ADMINISTRATOR: Role = Role::Operator(OperatorRole::Administrator);
const ON_CALL: Role = Role::Operator(OperatorRole::OnCall);
const AUDITOR: Role = Role::Operator(OperatorRole::Auditor);
const PROVIDER_ADMIN: Role = Role::Provider(ProviderRole::Admin);
const PROVIDER_MEMBER: Role = Role::Provider(ProviderRole::Member);
const CHANNEL_ADMIN: Role = Role::Channel(ChannelRole::Admin);
const CHANNEL_MEMBER: Role = Role::Channel(ChannelRole::Member);
const CHANNEL_TESTER: Role = Role::Channel(ChannelRole::Tester);

/// All operators.
const READERS: &[Role] = &[Root, ADMINISTRATOR, ON_CALL, AUDITOR];
/// Those who may take away.
const NARROWERS: &[Role] = &[Root, ADMINISTRATOR, ON_CALL];
/// Those who may do everything.
const ALL: &[Role] = &[Root, ADMINISTRATOR];
/// None of them.
const NONE: &[Role] = &[];

table! {
    /// Create a provider. The server sets up a development store by itself.
    CreateProvider: Authority, Changes, ALL + System;
    /// See a provider's name.
    ReadProvider: Provider, Reads, READERS + System, PROVIDER_ADMIN, PROVIDER_MEMBER;
    /// Rename a provider.
    ChangeProvider: Provider, Changes, ALL + PROVIDER_ADMIN;
    /// Delete a provider, which has no channels.
    DeleteProvider: Provider, Changes, ALL + PROVIDER_ADMIN;
    /// List all of a provider's channels.
    ListChannels: Provider, Reads, READERS + PROVIDER_ADMIN;
    /// Create a channel.
    CreateChannel: Provider, Changes, ALL + System, PROVIDER_ADMIN;
    /// Revoke all tokens of a provider, those of channels that its Admin cannot see included.
    RevokeProvider: Provider, Narrows, NARROWERS;
    /// See who has a role in a provider.
    ReadProviderRoles: Provider, Reads, READERS + PROVIDER_ADMIN;
    /// Give a person a role in a provider.
    GiveProviderRole: Provider, Changes, ALL + PROVIDER_ADMIN;
    /// Take a person's role in a provider away.
    TakeProviderRole: Provider, Narrows, NARROWERS + PROVIDER_ADMIN;
    /// Read the audit events of a provider itself.
    ReadProviderAudit: Provider, Reads, READERS + PROVIDER_ADMIN;

    /// See a channel.
    ReadChannel: Channel, Reads, READERS + CHANNEL_ADMIN, CHANNEL_MEMBER, CHANNEL_TESTER;
    /// Change a channel's settings, or resume it.
    ChangeChannel: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Suspend a channel.
    SuspendChannel: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Delete a channel, which cannot be undone.
    DeleteChannel: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Replace a channel's secret.
    ReplaceSecret: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Delete a channel's previous secret.
    DeletePreviousSecret: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Read assertion keys.
    ReadAssertionKeys: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// Register an assertion key.
    RegisterAssertionKey: Channel, Changes, ALL + System, CHANNEL_ADMIN;
    /// Delete an assertion key.
    DeleteAssertionKey: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Read groups.
    ReadGroups: Channel, Reads, READERS + CHANNEL_ADMIN, CHANNEL_MEMBER;
    /// Change a group's settings.
    ChangeGroup: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Delete a group.
    DeleteGroup: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Read the facts of tokens, and explain one.
    ReadTokens: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// Issue a channel's long-lived token.
    ReissueToken: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Revoke a channel's tokens.
    RevokeTokens: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Revoke a token that the actor itself holds or owns.
    RevokeOwnToken: Channel, Narrows, NONE + OwnChannel;
    /// Report a leaked token by its text; the channel's `on_leak` decides what happens.
    ReportLeaks: Channel, Narrows, NONE + Reporter;
    /// Read a channel's audit events.
    ReadChannelAudit: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// Read a channel's warnings.
    ReadWarnings: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// Read receipts of acts on a channel.
    ReadReceipts: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// See who has a role in a channel.
    ReadChannelRoles: Channel, Reads, READERS + CHANNEL_ADMIN;
    /// Give a person a role in a channel.
    GiveChannelRole: Channel, Changes, ALL + CHANNEL_ADMIN;
    /// Take a person's role in a channel away.
    TakeChannelRole: Channel, Narrows, NARROWERS + CHANNEL_ADMIN;
    /// Give up one's own role in a channel.
    LeaveChannel: Channel, Narrows, NONE + CHANNEL_MEMBER, CHANNEL_TESTER;

    /// Revoke what an actor created, over all channels.
    RevokeCreatedBy: Authority, Narrows, NARROWERS;
    /// Revoke signing keys, and with them the tokens that they signed.
    RevokeSigningKeys: Authority, Narrows, NARROWERS;
    /// Read the signing keys.
    ReadSigningKeys: Authority, Reads, READERS;
    /// Add a signing key. The first one is added at the first start.
    RotateSigningKeys: Authority, Changes, ALL + System;
    /// Make the pending signing key the active one.
    PromoteSigningKey: Authority, Changes, NONE + System;
    /// Replace the master key.
    RotateMasterKey: Authority, Changes, ALL;
    /// Read, verify and export the whole audit.
    ReadAudit: Authority, Reads, READERS;
    /// Read warnings about verifiers.
    ReadVerifierWarnings: Authority, Reads, READERS;
    /// Send a test warning.
    TestWarnings: Authority, Changes, ALL;
    /// Read verifiers and their instances.
    ReadVerifiers: Verifier, Reads, READERS;
    /// Create a verifier.
    CreateVerifier: Authority, Changes, ALL;
    /// Change a verifier's settings.
    ChangeVerifier: Verifier, Changes, ALL;
    /// Delete a verifier.
    DeleteVerifier: Verifier, Narrows, NARROWERS;
    /// Remove instances of a verifier, so that receipts do not wait for them.
    RemoveInstances: Verifier, Changes, ALL;

    /// See people, their roles and their personal tokens.
    ReadPeople: Person, Reads, READERS;
    /// Invite an operator, or a person without a role.
    InvitePerson: Authority, Changes, ALL;
    /// Rename or enable a person, or give a role in the whole authority.
    ChangePerson: Person, Changes, ALL;
    /// Disable a person, or take a role in the whole authority away.
    DisablePerson: Person, Narrows, NARROWERS;
    /// Make a link with which a person sets a new password and second factor.
    ResetPerson: Person, Changes, ALL;
    /// Delete a person.
    DeletePerson: Person, Changes, ALL;
    /// Delete another person's personal token.
    DeleteOthersToken: Person, Narrows, NARROWERS;

    /// See one's own account and personal tokens.
    ReadAccount: Account, Reads, NONE + Person;
    /// Create a personal token, or change one's own password.
    ChangeAccount: Account, Changes, NONE + Person;
    /// Delete one's own personal token, or end one's own session.
    NarrowAccount: Account, Narrows, NONE + Person;
}

impl Permission {
    /// Whether a role has it.
    #[must_use]
    pub fn is_of(self, role: Role) -> bool {
        let (operators, others) = self.row();
        operators.contains(&role) || others.contains(&role)
    }

    /// Decides an act of an actor who has these roles at the object: those in the whole
    /// authority, in the provider, and in the channel.
    #[must_use]
    pub fn verdict(self, roles: &[Role]) -> Access {
        let has = |it: Self| roles.iter().any(|role| it.is_of(*role));
        if has(self) {
            return Access::Allowed;
        }
        // Only people are kept from knowing what exists.
        let sees = !roles.contains(&Person)
            || match self.level() {
                Level::Authority | Level::Account => true,
                Level::Provider => has(Self::ReadProvider),
                Level::Channel => has(Self::ReadChannel) || has(Self::ListChannels),
                Level::Verifier => has(Self::ReadVerifiers),
                Level::Person => has(Self::ReadPeople),
            };
        if sees { Access::Forbidden } else { Access::NotFound }
    }
}
