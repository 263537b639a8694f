//! The actors that audit events name.

use std::fmt;
use tegata_token::id::ChannelId;

/// The actor of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the root administrator's token.
    Root,
    /// A channel, by its own credentials or with a token of its own.
    Channel(ChannelId),
    /// The server itself: its first start and its jobs.
    System,
    /// The operator, on the machine of the store, without a request to the server.
    Operator,
}

/// The kinds of actors that permissions distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Of [`Actor::Root`].
    Root,
    /// Of [`Actor::Channel`].
    Channel,
    /// Of [`Actor::System`].
    System,
    /// Of [`Actor::Operator`].
    Operator,
}

impl Actor {
    /// The actor's role.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Root => Role::Root,
            Self::Channel(_) => Role::Channel,
            Self::System => Role::System,
            Self::Operator => Role::Operator,
        }
    }
}

/// The actor's name in audit events.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("administrator"),
            Self::Channel(id) => write!(f, "channel {id}"),
            Self::System => f.write_str("tegata"),
            Self::Operator => f.write_str("operator"),
        }
    }
}
