//! [`Admin`] itself: the actor, and what its methods share.

use super::options::ActOptions;
use crate::authority::{Authority, actor::Actor, people::PersonCredential, source::Source};
use std::sync::Arc;
use tegata_policy::{
    channel::{Channel, RegisteredKey},
    permission::{Permission, Rights},
    secret::PlainSecret,
};
use tegata_store::{By, ExpectedSettings, Holding, SettingsTag};
use tegata_token::id::{ChannelId, PersonId};

/// What reaches further than a personal token with these rights.
fn more_than(rights: Rights) -> &'static str {
    match rights {
        Rights::Read | Rights::Revoke => "a token with the rights `full` does",
        Rights::Full => "a person does it in a session, after signing in",
    }
}

/// Administration on behalf of one actor.
#[derive(Clone)]
pub struct Admin {
    pub(super) authority: Arc<Authority>,
    pub(super) actor: Actor,
    /// What authenticated a person.
    pub(super) credential: Option<PersonCredential>,
    pub(super) source: Option<Source>,
    reason: Option<String>,
    expected: ExpectedSettings,
    request_id: Option<String>,
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
    /// The rights of the personal token do not include it.
    #[error("the personal token has the rights `{}`, which do not include this; {}", .0.name(), more_than(*.0))]
    BeyondRights(Rights),
    /// A person with this name to sign in with exists.
    #[error(
        "{0} is the sign-in name of person {1}. If that is the person you mean, `tegata person \
         set-role {1}` gives a role and `tegata person reset {1}` a new invitation; first find \
         out who invited the person: `tegata audit list` has person.invite"
    )]
    LoginTaken(String, PersonId),
    /// The name to sign in with, the password or the code is wrong.
    #[error("the sign-in name, the password or the code is wrong")]
    WrongSignIn,
    /// Too many attempts to sign in; for how many seconds they are rejected.
    #[error("too many attempts to sign in; try again in {0} s")]
    TooManySignIns(u64),
    /// Too many passwords are verified, or texts searched, at the moment.
    #[error("too many requests of this sort at the moment; nothing was changed, try again")]
    Busy,
    /// A password, a code or a time that a person wants to set cannot be accepted: the member's
    /// name, and why.
    #[error("{1}")]
    Unacceptable(&'static str, &'static str),
    /// The text is not a token that this authority signed.
    #[error("the string is not a token of this authority")]
    NotOurToken,
    /// The token belongs to another channel than the one named.
    #[error("the token belongs to another channel")]
    OtherChannelsToken,
    /// The actor created nothing within the time.
    #[error(
        "{0:?} created no assertion key, and no token that is active, in this time; the audit \
         shows how actors are named"
    )]
    NothingCreated(String),
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

impl Authority {
    /// Administration on behalf of `actor`, from the address `source`.
    #[must_use]
    pub fn admin(self: &Arc<Self>, actor: Actor, source: Option<Source>) -> Admin {
        let (authority, expected) = (self.clone(), ExpectedSettings::default());
        Admin {
            authority,
            actor,
            credential: None,
            source,
            reason: None,
            expected,
            request_id: None,
        }
    }

    /// Administration by the person whom this token authenticates now; `None` if it
    /// authenticates none.
    #[must_use]
    pub fn admin_by(
        self: &Arc<Self>,
        token: &PlainSecret,
        source: Option<Source>,
    ) -> Option<Admin> {
        let (person, credential) = self.memory.people.of_token(token, self.now())?;
        let admin = self.admin(Actor::Person(person), source);
        Some(Admin { credential: Some(credential), ..admin })
    }

    /// Administration by the person whose session's token this is: what a browser is authenticated
    /// with.
    #[must_use]
    pub fn admin_in_session(
        self: &Arc<Self>,
        token: &PlainSecret,
        source: Option<Source>,
    ) -> Option<Admin> {
        let admin = self.admin_by(token, source)?;
        matches!(admin.credential, Some(PersonCredential::Session(_))).then_some(admin)
    }
}

impl Admin {
    /// The same, with a reason for the audit of acts that are given none.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }

    /// The same, for acts on an object with these settings only.
    #[must_use]
    pub fn expecting(self, expected: ExpectedSettings) -> Self {
        Self { expected, ..self }
    }

    /// The same, for the request with this id.
    #[must_use]
    pub fn for_request(self, request_id: Option<String>) -> Self {
        Self { request_id, ..self }
    }

    /// Compares the settings that the actor expects with the present ones, for a request that
    /// is no act.
    pub(super) fn expects(&self, present: SettingsTag) -> Result<()> {
        Ok(self.expected.check(Some(present)).map_err(tegata_store::Error::from)?)
    }

    /// The authority that is administered.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The actor and time of an act now, for the audit.
    pub(super) fn by(&self) -> By {
        self.by_reason(self.reason.clone())
    }

    /// The same with the reason of these options.
    pub(super) fn by_of(&self, options: &ActOptions) -> By {
        self.by_reason(options.reason.clone().or_else(|| self.reason.clone()))
    }

    pub(super) fn by_reason(&self, reason: Option<String>) -> By {
        let source = self.source.map(|it| it.to_string());
        let (expected, request_id) = (self.expected.clone(), self.request_id.clone());
        By { expected, request_id, ..self.authority.by(self.actor, source, reason) }
    }

    /// The channel with what belongs to it, or the error that it does not exist.
    pub(super) async fn holding(&self, id: ChannelId) -> Result<Holding> {
        let holding = self.authority.store().holding(id, self.authority.now()).await?;
        holding.ok_or_else(|| tegata_store::Error::NotFound("channel").into())
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
