//! The tabs of a channel.

/// A tab of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelTab {
    /// Name, secret, keys, suspension and deletion.
    Basic,
    /// The long-lived token.
    MessagingApi,
    /// All tokens.
    Tokens,
    /// Groups.
    Groups,
    /// Rules and limits.
    Security,
    /// Who has which role.
    Roles,
    /// Who did what.
    Audit,
}

impl ChannelTab {
    /// All of them, in LINE's order.
    pub const ALL: [Self; 7] = [
        Self::Basic,
        Self::MessagingApi,
        Self::Tokens,
        Self::Groups,
        Self::Security,
        Self::Roles,
        Self::Audit,
    ];

    /// The end of its address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Basic => "",
            Self::MessagingApi => "/messaging-api",
            Self::Tokens => "/tokens",
            Self::Groups => "/groups",
            Self::Security => "/security",
            Self::Roles => "/roles",
            Self::Audit => "/audit",
        }
    }
}
