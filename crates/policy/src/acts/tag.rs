//! Tags of the settings of an object, by which a client states on which ones it decided.

use super::{ActError, followers::VerifierRow, person::PersonRow, things::By};
use crate::{
    channel::{Channel, GroupSettings},
    permission::RoleChange,
    secret::sha256,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt::{self, Debug};

/// A tag: equal for equal settings of one object, and different otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingsTag([u8; 15]);

impl SettingsTag {
    fn of(settings: &impl Debug) -> Self {
        let digest = sha256(&[format!("{settings:?}").as_bytes()]);
        let mut tag = [0; 15];
        tag.copy_from_slice(&digest[..15]);
        Self(tag)
    }

    /// The tag of a provider with this name.
    #[must_use]
    pub fn of_provider(name: &str) -> Self {
        Self::of(&name)
    }

    /// The tag of a channel: what a patch of it changes.
    #[must_use]
    pub fn of_channel(it: &Channel) -> Self {
        let flags = (it.own_audience_only, it.single_use_assertions);
        Self::of(&(&it.name, it.state, it.rules, it.group_rule, flags, it.limits))
    }

    /// The tag of a group with these settings.
    #[must_use]
    pub fn of_group(settings: &GroupSettings) -> Self {
        Self::of(settings)
    }

    /// The tag of a verifier.
    #[must_use]
    pub fn of_verifier(it: &VerifierRow) -> Self {
        Self::of(&(&it.name, it.max_staleness, it.allow))
    }

    /// The tag of a person: what a patch of it changes.
    #[must_use]
    pub fn of_person(it: &PersonRow) -> Self {
        Self::of(&(&it.name, it.disabled, it.operator))
    }

    /// The tag of the role that a person has at this place.
    #[must_use]
    pub fn of_role(person: &PersonRow, place: RoleChange) -> Self {
        match place {
            RoleChange::Operator { .. } => Self::of_person(person),
            RoleChange::Provider { provider, .. } => Self::of(&person.providers.get(&provider)),
            RoleChange::Channel { channel, .. } => Self::of(&person.channels.get(&channel)),
        }
    }

    /// Reads a tag; `None`: no object has it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Display for SettingsTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// The settings on which the actor decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whichever; the object need not exist yet.
    #[default]
    Unstated,
    /// Whichever, of an object that exists.
    Present,
    /// Those with one of these tags.
    OneOf(Vec<SettingsTag>),
}

impl Expected {
    /// Compares with the object's present settings; `None`: it does not exist, or has none.
    ///
    /// # Errors
    /// [`ActError::Changed`].
    pub fn check(&self, present: Option<SettingsTag>) -> Result<(), ActError> {
        let fits = match self {
            Self::Unstated => true,
            Self::Present => present.is_some(),
            Self::OneOf(tags) => present.is_some_and(|tag| tags.contains(&tag)),
        };
        if fits { Ok(()) } else { Err(ActError::Changed) }
    }
}

impl By {
    /// Compares the settings that the actor expects with the present ones.
    pub(super) fn expects(&self, present: SettingsTag) -> Result<(), ActError> {
        self.expected.check(Some(present))
    }

    /// Of an object whose settings have no tag: only its presence can be expected.
    pub(super) fn expects_presence(&self) -> Result<(), ActError> {
        match self.expected {
            Expected::OneOf(_) => Err(ActError::Changed),
            Expected::Unstated | Expected::Present => Ok(()),
        }
    }
}
