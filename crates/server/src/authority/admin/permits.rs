//! The one place where the permission table is asked: every method of [`Admin`] calls one of
//! these first.

use super::facade::{Admin, Error, Result};
use crate::authority::{actor::Actor, people::PersonCredential};
use std::sync::Arc;
use tegata_policy::{
    channel::Channel,
    permission::{Access, Level, Permission, Role},
};
use tegata_store::Seen;
use tegata_token::{
    claims::Claims,
    id::{ChannelId, PersonId, ProviderId},
};

/// What an act is about.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    provider: Option<ProviderId>,
    channel: Option<ChannelId>,
}

impl Admin {
    /// Returns an error unless the actor has this permission, which is about no single
    /// object.
    pub(super) fn may(&self, act: Permission) -> Result<()> {
        match self.may_at(act, Place::default()) {
            Err(Error::Store(tegata_store::Error::NotFound(_))) => Err(self.forbidden(act)),
            answer => answer,
        }
    }

    /// The same for an act on an object that belongs to the authority; the actor may not
    /// know that it exists.
    pub(super) fn may_with(&self, act: Permission) -> Result<()> {
        self.may_at(act, Place::default())
    }

    /// The same for an act on a provider.
    pub(super) fn may_in(&self, act: Permission, provider: ProviderId) -> Result<()> {
        self.may_at(act, Place { provider: Some(provider), channel: None })
    }

    /// The channel that an act is about.
    pub(super) async fn channel_for(&self, act: Permission, id: ChannelId) -> Result<Arc<Channel>> {
        let channel = self.may_in_channel(act, id).await?;
        channel.ok_or_else(|| tegata_store::Error::NotFound("channel").into())
    }

    /// The same for an act that a deleted channel does not hinder; `None`: there is no such
    /// channel any more.
    pub(super) async fn may_in_channel(
        &self,
        act: Permission,
        id: ChannelId,
    ) -> Result<Option<Arc<Channel>>> {
        let channel = self.authority.channel(id).await?;
        let provider = channel.as_ref().map(|it| it.provider);
        self.may_at(act, Place { provider, channel: Some(id) })?;
        Ok(channel)
    }

    /// The claims of a token, for an act on it. To an actor that may not see its channel, it
    /// is a string like any other.
    pub(super) async fn claims_for(&self, act: Permission, token: &str) -> Result<Claims> {
        let Ok(claims) = self.claims(token).await? else {
            // An actor without any permission of this sort learns nothing either way.
            return match self.actor {
                Actor::Person(_) => Err(Error::NotOurToken),
                _ => self.may(act).and(Err(Error::NotOurToken)),
            };
        };
        let provider = self.authority.channel(claims.channel).await?.map(|it| it.provider);
        match self.may_at(act, Place { provider, channel: Some(claims.channel) }) {
            Err(Error::Store(tegata_store::Error::NotFound(_))) => Err(Error::NotOurToken),
            answer => answer.map(|()| claims),
        }
    }

    /// The only comparison with the table.
    fn may_at(&self, act: Permission, place: Place) -> Result<()> {
        match act.verdict(&self.roles(place)?) {
            Access::Allowed => self.within_rights(act),
            Access::Forbidden => Err(self.forbidden(act)),
            Access::NotFound => Err(tegata_store::Error::NotFound(match act.level() {
                Level::Provider => "provider",
                Level::Channel => "channel",
                Level::Verifier => "verifier",
                Level::Person => "person",
                Level::Authority | Level::Account => "object",
            })
            .into()),
        }
    }

    fn forbidden(&self, act: Permission) -> Error {
        Error::Forbidden { actor: self.actor, act }
    }

    /// The actor's roles at a place, as they are now.
    fn roles(&self, place: Place) -> Result<Vec<Role>> {
        let Actor::Person(id) = self.actor else { return Ok(vec![self.actor.role()]) };
        let since = self.authority.mark();
        let person = self.authority.memory.people.get(id).filter(|it| !it.disabled);
        // It was deleted or disabled since the request was authenticated.
        let person = person.ok_or_else(|| self.forbidden(Permission::ReadAccount))?;
        Ok(self.authority.current(since, person.roles(place.provider, place.channel))?)
    }

    /// Whether the rights of a personal token include an act.
    fn within_rights(&self, act: Permission) -> Result<()> {
        match &self.credential {
            Some(PersonCredential::AdminToken(token))
                if !token.rights.allow(act.effect(), act.level()) =>
            {
                Err(Error::BeyondRights(token.rights))
            }
            _ => Ok(()),
        }
    }

    /// Where the actor has this permission; `None`: everywhere.
    pub(super) fn seen(&self, act: Permission) -> Result<Option<Seen>> {
        let roles = self.roles(Place::default())?;
        if act.verdict(&roles) == Access::Allowed {
            return Ok(None);
        }
        let Actor::Person(id) = self.actor else { return Err(self.forbidden(act)) };
        let person = self.authority.memory.people.get(id);
        let person = person.ok_or_else(|| self.forbidden(act))?;
        let providers =
            person.providers.iter().filter(|(_, role)| act.is_of(Role::Provider(**role)));
        let channels = person.channels.iter().filter(|(_, role)| act.is_of(Role::Channel(**role)));
        Ok(Some(Seen {
            providers: providers.map(|(id, _)| *id).collect(),
            channels: channels.map(|(id, _)| *id).collect(),
        }))
    }

    /// Where the actor has the one permission in providers, and the other in channels.
    pub(super) fn seen_by(
        &self,
        in_providers: Permission,
        in_channels: Permission,
    ) -> Result<Option<Seen>> {
        Ok(match (self.seen(in_providers)?, self.seen(in_channels)?) {
            (Some(one), Some(other)) => {
                Some(Seen { providers: one.providers, channels: other.channels })
            }
            _ => None,
        })
    }

    /// The person who acts, of an actor that is one.
    pub(super) fn person_id(&self) -> Option<PersonId> {
        match self.actor {
            Actor::Person(id) => Some(id),
            _ => None,
        }
    }
}
