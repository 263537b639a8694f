//! [`Admin`] itself: the actor, and what its methods share.

use super::permission::{Permission, permits};
use crate::authority::{Authority, actor::Actor, source::Source};
use std::sync::Arc;
use tegata_policy::channel::{Channel, RegisteredKey};
use tegata_store::{By, Holding, RevocationTarget, Revoked};
use tegata_token::{
    id::{ChannelId, Position},
    kind::Kind,
};

/// Administration on behalf of one actor.
#[derive(Clone)]
pub struct Admin {
    pub(super) authority: Arc<Authority>,
    pub(super) actor: Actor,
    source: Option<Source>,
    reason: Option<String>,
}

/// Why an administrative request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The actor's role does not permit it.
    #[error("{actor} lacks the permission for this")]
    Forbidden {
        /// The actor.
        actor: Actor,
        /// The permission that it lacks.
        act: Permission,
    },
    /// The text is not a token that this authority signed.
    #[error("the string is not a token of this authority")]
    NotOurToken,
    /// The token belongs to another channel than the one named.
    #[error("the token belongs to another channel")]
    OtherChannelsToken,
    /// The channel has no group or assertion key of this name.
    #[error("no such {what}; {there}", there = there(names))]
    NoSuch {
        /// What does not exist.
        what: &'static str,
        /// The names of those that exist.
        names: Vec<String>,
    },
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] tegata_store::Error),
}

/// The result of an administrative request.
pub type Result<T> = std::result::Result<T, Error>;

/// The result of a revocation, or of a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// The number of active stored tokens that were revoked; 1 for a stateless token that
    /// was given by its text or id.
    pub tokens: usize,
    /// Its position in the change log; for a dry run, the end of the log.
    pub position: Position,
    /// Which verifiers have acknowledged it.
    pub receipt: Receipt,
    /// Whether the scope includes stateless tokens; they have no rows, so `tokens` does
    /// not count them.
    pub stateless_too: bool,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Which verifiers have acknowledged a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Whether all of them have, so that none accepts the tokens any more.
    pub complete: bool,
}

/// The result of an act that can be a dry run.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// It was a dry run.
    DryRun(Revocation),
}

impl Revocation {
    /// The authority is the only verifier so far, and its view changed before its
    /// response. A dry run changed nothing, so it is never complete.
    pub(super) fn new(revoked: Revoked, stateless_too: bool, dry_run: bool) -> Self {
        let receipt = Receipt { complete: !dry_run };
        let Revoked { tokens, position } = revoked;
        Self { tokens, position, receipt, stateless_too, dry_run }
    }
}

impl Authority {
    /// Administration on behalf of `actor`, from the address `source`.
    #[must_use]
    pub fn admin(self: &Arc<Self>, actor: Actor, source: Option<Source>) -> Admin {
        Admin { authority: self.clone(), actor, source, reason: None }
    }
}

impl Admin {
    /// The same, with a reason for the audit.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    /// The authority that is administered.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns an error unless the actor has this permission.
    pub(super) fn may(&self, act: Permission) -> Result<()> {
        match permits(self.actor.role(), act) {
            true => Ok(()),
            false => Err(Error::Forbidden { actor: self.actor, act }),
        }
    }

    /// The actor and time of an act now, for the audit.
    pub(super) fn by(&self) -> By {
        let source = self.source.map(|it| it.to_string());
        self.authority.by(self.actor, source, self.reason.clone())
    }

    /// The channel, or the error that it does not exist.
    pub(super) async fn existing(&self, id: ChannelId) -> Result<Arc<Channel>> {
        let channel = self.authority.channel(id).await?;
        channel.ok_or_else(|| tegata_store::Error::NotFound("channel").into())
    }

    /// The channel with what belongs to it, or the error that it does not exist.
    pub(super) async fn holding(&self, id: ChannelId) -> Result<Holding> {
        let holding = self.authority.store().holding(id, self.authority.now()).await?;
        holding.ok_or_else(|| tegata_store::Error::NotFound("channel").into())
    }

    /// The result of revoking these tokens of a channel; `None` if it would revoke none.
    pub(super) async fn would_revoke(
        &self,
        channel: ChannelId,
        tokens: Option<RevocationTarget>,
    ) -> Result<Revocation> {
        self.existing(channel).await?;
        let Some(tokens) = tokens else {
            return Ok(Revocation::new(self.nothing(), false, true));
        };
        let stateless_too = covers_stateless(&tokens);
        match self.authority.store().revoke(channel, tokens, true, self.by()).await {
            Ok(revoked) => Ok(Revocation::new(revoked, stateless_too, true)),
            Err(error) => Err(self.naming(channel, error).await),
        }
    }

    /// The error of an act on a channel's group or key. If none has the name, the error
    /// lists the names that exist.
    pub(super) async fn naming(&self, channel: ChannelId, error: tegata_store::Error) -> Error {
        let tegata_store::Error::NotFound(what @ ("group" | "assertion key")) = error else {
            return error.into();
        };
        let names = match what {
            "group" => {
                let groups = self.authority.store().groups(channel, self.authority.now()).await;
                groups.map(|all| all.iter().map(|row| row.group.to_string()).collect())
            }
            _ => {
                let channel = self.authority.channel(channel).await;
                let ids = |key: &RegisteredKey| key.id.to_string();
                let keys = |it: Arc<Channel>| it.assertion_keys.iter().map(ids).collect();
                channel.map(|it| it.map(keys).unwrap_or_default())
            }
        };
        Error::NoSuch { what, names: names.unwrap_or_default() }
    }

    /// The revocation of no token, at the end of the log.
    pub(super) fn nothing(&self) -> Revoked {
        Revoked { tokens: 0, position: self.authority.view().position() }
    }
}

/// Whether the scope of a revocation includes stateless tokens.
pub(super) fn covers_stateless(tokens: &RevocationTarget) -> bool {
    match tokens {
        RevocationTarget::Stored { .. } | RevocationTarget::Stateless { .. } => false,
        RevocationTarget::Kind(kind) => *kind == Kind::Stateless,
        RevocationTarget::Group(_)
        | RevocationTarget::AssertionKey(_)
        | RevocationTarget::BySecret
        | RevocationTarget::All => true,
    }
}

/// Maximum number of names in an error.
const SHOWN: usize = 20;

fn there(names: &[String]) -> String {
    match names {
        [] => "the channel has none".to_owned(),
        [only] => format!("there is {only}"),
        all if all.len() > SHOWN => {
            format!("there are {} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN)
        }
        all => format!("there are {}", all.join(", ")),
    }
}
