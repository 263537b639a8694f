//! Which role has which permission: one table, which every method of
//! [`Admin`](super::Admin) checks first.

use crate::authority::actor::Role;

/// A permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Read providers.
    ReadProviders,
    /// Create a provider.
    CreateProvider,
    /// Rename a provider.
    ChangeProvider,
    /// Delete a provider.
    DeleteProvider,
    /// Read channels and what belongs to them.
    ReadChannels,
    /// Create a channel.
    CreateChannel,
    /// Change, suspend or resume a channel.
    ChangeChannel,
    /// Delete a channel.
    DeleteChannel,
    /// Replace a channel's secret.
    ReplaceSecret,
    /// Read assertion keys.
    ReadAssertionKeys,
    /// Register an assertion key.
    RegisterAssertionKey,
    /// Delete an assertion key.
    DeleteAssertionKey,
    /// Read groups.
    ReadGroups,
    /// Change a group's settings.
    ChangeGroup,
    /// Delete a group.
    DeleteGroup,
    /// Read the facts of tokens, and explain one.
    ReadTokens,
    /// Issue a channel's long-lived token.
    ReissueToken,
    /// Revoke a token that the actor itself holds or owns.
    RevokeOwnToken,
    /// Revoke tokens of any channel.
    RevokeTokens,
    /// Revoke all tokens of a provider.
    RevokeProvider,
    /// Revoke signing keys, and with them the tokens that they signed.
    RevokeSigningKeys,
    /// Read the signing keys.
    ReadSigningKeys,
    /// Add a signing key.
    RotateSigningKeys,
    /// Make the pending signing key the active one.
    PromoteSigningKey,
    /// Replace the master key.
    RotateMasterKey,
    /// Read and verify the audit.
    ReadAudit,
    /// Read warnings.
    ReadWarnings,
    /// Send a test warning.
    TestWarnings,
}

/// The table: the roles that have each permission.
const fn roles(act: Permission) -> &'static [Role] {
    match act {
        Permission::ChangeProvider
        | Permission::DeleteProvider
        | Permission::ReadChannels
        | Permission::ChangeChannel
        | Permission::DeleteChannel
        | Permission::ReplaceSecret
        | Permission::ReadAssertionKeys
        | Permission::DeleteAssertionKey
        | Permission::ReadGroups
        | Permission::ChangeGroup
        | Permission::DeleteGroup
        | Permission::ReadTokens
        | Permission::ReissueToken
        | Permission::RevokeTokens
        | Permission::RevokeProvider
        | Permission::RevokeSigningKeys
        | Permission::ReadSigningKeys
        | Permission::RotateMasterKey
        | Permission::ReadAudit
        | Permission::ReadWarnings
        | Permission::TestWarnings => &[Role::Root],
        // The server sets up a development store by itself.
        Permission::ReadProviders
        | Permission::CreateProvider
        | Permission::CreateChannel
        | Permission::RegisterAssertionKey => &[Role::Root, Role::System],
        // The first signing key is added at the first start.
        Permission::RotateSigningKeys => &[Role::Root, Role::System],
        Permission::PromoteSigningKey => &[Role::System],
        Permission::RevokeOwnToken => &[Role::Channel],
    }
}

/// Whether a role has this permission.
#[must_use]
pub fn permits(role: Role, act: Permission) -> bool {
    roles(act).contains(&role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_may_revoke_its_own_tokens_and_nothing_else() {
        assert!(permits(Role::Channel, Permission::RevokeOwnToken));
        for act in [
            Permission::RevokeTokens,
            Permission::ReadTokens,
            Permission::ReplaceSecret,
            Permission::ReadAudit,
        ] {
            assert!(!permits(Role::Channel, act), "{act:?}");
        }
    }

    #[test]
    fn the_server_itself_revokes_nothing() {
        for act in
            [Permission::RevokeTokens, Permission::RevokeProvider, Permission::RevokeSigningKeys]
        {
            assert!(permits(Role::Root, act) && !permits(Role::System, act), "{act:?}");
        }
    }
}
