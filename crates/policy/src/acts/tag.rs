//! Tags of the settings of each sort of object.

use super::{
    ActError,
    expected::{ExpectedSettings, SettingsTag},
    followers::VerifierRow,
    person::PersonRow,
    things::By,
};
use crate::{
    channel::{Channel, GroupSettings},
    permission::RoleChange,
};

impl SettingsTag {
    /// The tag of a provider with this name.
    #[must_use]
    pub fn of_provider(name: &str) -> Self {
        Self::of(&name)
    }

    /// The tag of a channel: what a patch of it changes.
    #[must_use]
    pub fn of_channel(it: &Channel) -> Self {
        let flags = (it.own_audience_only, it.single_use_assertions, it.on_leak);
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
}

impl By {
    /// Compares the settings that the actor expects with the present ones.
    pub(super) fn expects(&self, present: SettingsTag) -> Result<(), ActError> {
        self.expected.check(Some(present))
    }

    /// Of an object whose settings have no tag: only its presence can be expected.
    pub(super) fn expects_presence(&self) -> Result<(), ActError> {
        match self.expected {
            ExpectedSettings::OneOf(_) => Err(ActError::Changed),
            ExpectedSettings::Unstated | ExpectedSettings::Present => Ok(()),
        }
    }
}
