//! The actors that audit events name.

use std::fmt;
use tegata_policy::permission::Role;
use tegata_token::id::{ChannelId, PersonId};

/// The actor of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the root administrator's token.
    Root,
    /// A channel, by its own credentials or with a token of its own.
    Channel(ChannelId),
    /// A person, signed in or by a personal token.
    Person(PersonId),
    /// The server itself: its first start and its jobs.
    System,
    /// The operator, on the machine of the store, without a request to the server.
    Operator,
    /// A sender of a report of leaked tokens.
    Reporter(Reporter),
}

/// Who sent a report of leaked tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporter {
    /// A client that proved nothing but that it holds the tokens.
    Unsigned,
    /// GitHub's secret scanning, by its signature.
    GitHub,
    /// GitLab.com's secret detection, by its signature.
    GitLab,
    /// A self-managed GitLab, by the token that it shares with the operator.
    GitLabSelfManaged,
}

impl Actor {
    /// The role of an actor that is not a person; the roles of people are in their rows.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Root => Role::Root,
            Self::Channel(_) => Role::OwnChannel,
            Self::Person(_) => Role::Person,
            Self::System => Role::System,
            Self::Operator => Role::Machine,
            Self::Reporter(_) => Role::Reporter,
        }
    }
}

/// The actor's name in audit events.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("administrator"),
            Self::Channel(id) => write!(f, "channel {id}"),
            Self::Person(id) => write!(f, "person {id}"),
            Self::System => f.write_str("tegata"),
            Self::Operator => f.write_str("operator"),
            Self::Reporter(Reporter::Unsigned) => f.write_str("reporter"),
            Self::Reporter(Reporter::GitHub) => f.write_str("reporter github"),
            Self::Reporter(Reporter::GitLab) => f.write_str("reporter gitlab"),
            Self::Reporter(Reporter::GitLabSelfManaged) => {
                f.write_str("reporter gitlab-self-managed")
            }
        }
    }
}
