//! Groups: their settings, and their deletion. They are created by their first token
//! or key.

use super::{
    facade::{Admin, Result},
    options::ActOptions,
    taking::Outcome,
};
use tegata_policy::permission::Permission;
use tegata_store::{GroupPatch, GroupRow, Taking};
use tegata_token::id::{ChannelId, Group};

impl Admin {
    /// A channel's groups.
    ///
    /// # Errors
    /// [`NotFound`](tegata_store::Error::NotFound) or
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn groups(&self, channel: ChannelId) -> Result<Vec<GroupRow>> {
        self.channel_for(Permission::ReadGroups, channel).await?;
        Ok(self.authority.store().groups(channel, self.authority.now()).await?)
    }

    /// One group.
    ///
    /// # Errors
    /// [`NoSuch`](super::Error::NoSuch), or as [`Self::groups`].
    pub async fn group(&self, channel: ChannelId, group: &Group) -> Result<GroupRow> {
        let groups = self.groups(channel).await?;
        match groups.into_iter().find(|it| it.group == *group) {
            Some(row) => Ok(row),
            None => Err(self.naming(channel, tegata_store::Error::NotFound("group")).await),
        }
    }

    /// Changes a group's settings; returns the group as it is now.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn change_group(
        &self,
        channel: ChannelId,
        group: Group,
        patch: GroupPatch,
    ) -> Result<GroupRow> {
        self.channel_for(Permission::ChangeGroup, channel).await?;
        let store = self.authority.store();
        let settings = store.set_group(channel, group.clone(), patch, self.by()).await?;
        let groups = store.groups(channel, self.authority.now()).await?;
        let row = groups.into_iter().find(|it| it.group == group);
        // Without settings, tokens and keys there is no row.
        Ok(row.unwrap_or(GroupRow { group, settings, active_tokens: 0, assertion_keys: 0 }))
    }

    /// Deletes a group with its settings and keys, and revokes its tokens.
    ///
    /// # Errors
    /// As [`Self::groups`].
    pub async fn delete_group(
        &self,
        channel: ChannelId,
        group: Group,
        options: &ActOptions,
    ) -> Result<Outcome<()>> {
        let of = self.channel_for(Permission::DeleteGroup, channel).await?;
        let act = Taking::group(channel, group, self.by_of(options));
        Ok(self.take(&of, act, true, options).await?.map(drop))
    }
}
