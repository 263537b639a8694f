//! What a channel registers: assertion keys, and groups with settings of their own.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, GroupChanged, GroupDeleted, KeyDeleted, KeyRegistered},
    channels::check_group_cap,
    effects::{Effects, Write},
    expected::SettingsTag,
    journal::JournalEntry,
    known::{check_place_for, delete_key, group_exists, group_was_deleted},
    locked::{Locked, Needs, Tokens},
    revoke::revoke_scope,
    things::{By, GroupPatch},
};
use crate::{
    channel::{GroupSettings, RegisteredKey},
    rules::ASSERTION_KEYS,
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    time::UnixTime,
    view::Scope,
};

/// Registers an assertion key.
#[derive(Debug, Clone)]
pub struct RegisterKey {
    /// The channel.
    pub channel: ChannelId,
    /// The key.
    pub key: RegisteredKey,
    /// Who requests it.
    pub by: By,
}

impl Act for RegisterKey {
    type Output = ();
    const NAME: ActName = ActName::RegisterKey;

    fn needs(&self) -> Needs {
        let tokens = if self.key.group.is_some() { Tokens::Counted } else { Tokens::None };
        Needs { tokens, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<()> {
        let channel = locked.existing()?;
        let key = &self.key;
        let beside = channel.assertion_keys.iter().filter(|it| it.group == key.group).count();
        if beside >= ASSERTION_KEYS {
            return Err(ActError::Conflict(
                "there are two assertion keys already for this group, or without a group; delete the one that \
                 is no longer used first (`tegata key list`, `tegata key delete`)",
            ));
        }
        if channel.assertion_keys.iter().any(|it| it.key.modulus() == key.key.modulus()) {
            return Err(ActError::Conflict("this key is registered on the channel already"));
        }
        if let Some(group) = &key.group {
            check_place_for(locked, channel, group, now)?;
        }
        let mut effects = Effects::default();
        let new = RegisteredKey { created_at: now, ..key.clone() };
        effects.write(Write::AssertionKey(self.channel, Box::new(new)));
        effects.revise(channel);
        let registered = KeyRegistered { kid: key.id, group: key.group.clone() };
        effects.audit(&self.by, channel, AuditEvent::KeyRegister(registered));
        Ok(((), effects))
    }
}

/// Deletes an assertion key; returns how many stored tokens it revokes.
#[derive(Debug, Clone)]
pub struct DeleteKey {
    /// The channel.
    pub channel: ChannelId,
    /// The assertion key.
    pub key: AssertionKeyId,
    /// Whether the tokens that were issued for it are revoked.
    pub revoke_tokens: bool,
    /// Who requests it.
    pub by: By,
}

impl Act for DeleteKey {
    type Output = usize;
    const NAME: ActName = ActName::DeleteKey;

    fn needs(&self) -> Needs {
        let tokens = if self.revoke_tokens { Tokens::WithKeys } else { Tokens::None };
        Needs { tokens, revocations: self.revoke_tokens, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        if !channel.assertion_keys.iter().any(|it| it.id == self.key) {
            return Err(ActError::NotFound("assertion key"));
        }
        self.by.expects_presence()?;
        let mut effects = Effects::default();
        delete_key(channel, self.key, now, &mut effects);
        effects.journal.push(JournalEntry::AssertionKey { channel: self.channel, key: self.key });
        let scope = Scope::AssertionKey { key: self.key };
        let revoked = match self.revoke_tokens {
            true => revoke_scope(locked, channel, scope, now, &mut effects)?,
            false => 0,
        };
        let deleted = KeyDeleted { kid: self.key, revoke_tokens: self.revoke_tokens, revoked };
        effects.audit(&self.by, channel, AuditEvent::KeyDelete(deleted));
        Ok((revoked, effects))
    }
}

/// Sets or changes a group's own settings; returns the new settings.
#[derive(Debug, Clone)]
pub struct SetGroup {
    /// The channel.
    pub channel: ChannelId,
    /// The group.
    pub group: Group,
    /// The changes.
    pub patch: GroupPatch,
    /// Who requests it.
    pub by: By,
}

impl Act for SetGroup {
    type Output = GroupSettings;
    const NAME: ActName = ActName::SetGroup;

    fn needs(&self) -> Needs {
        Needs { tokens: Tokens::Counted, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<GroupSettings> {
        let channel = locked.existing()?;
        let old = channel.groups.get(&self.group).cloned().unwrap_or_default();
        let exists = group_exists(locked, channel, &self.group, now);
        self.by.expected.check(exists.then(|| SettingsTag::of_group(&old)))?;
        check_group_cap(self.patch.cap.flatten())?;
        let settings = self.patch.applied_to(old);
        if settings != GroupSettings::default() {
            check_place_for(locked, channel, &self.group, now)?;
        }
        let mut effects = Effects::default();
        effects.write(Write::Group(self.channel, self.group.clone(), settings.clone()));
        effects.revise(channel);
        effects.journal.push(JournalEntry::GroupRules {
            channel: self.channel,
            group: self.group.clone(),
            rules: settings.clone(),
        });
        let changed = GroupChanged { group: self.group.clone(), settings: settings.clone() };
        effects.audit(&self.by, channel, AuditEvent::GroupSet(changed));
        Ok((settings, effects))
    }
}

/// Deletes a group with its settings, keys and tokens; returns how many stored tokens it
/// revokes.
#[derive(Debug, Clone)]
pub struct DeleteGroup {
    /// The channel.
    pub channel: ChannelId,
    /// The group.
    pub group: Group,
    /// Who requests it.
    pub by: By,
}

impl Act for DeleteGroup {
    type Output = usize;
    const NAME: ActName = ActName::DeleteGroup;

    fn needs(&self) -> Needs {
        Needs { tokens: Tokens::Counted, revocations: true, ..Needs::channel(self.channel) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        if !group_exists(locked, channel, &self.group, now) {
            return Err(ActError::NotFound("group"));
        }
        let settings = channel.groups.get(&self.group).cloned().unwrap_or_default();
        self.by.expects(SettingsTag::of_group(&settings))?;
        let mut effects = Effects::default();
        group_was_deleted(channel, &self.group, now, &mut effects);
        let settings = channel.groups.contains_key(&self.group);
        if settings {
            let usual = GroupSettings::default();
            effects.write(Write::Group(self.channel, self.group.clone(), usual.clone()));
            effects.journal.push(JournalEntry::GroupRules {
                channel: self.channel,
                group: self.group.clone(),
                rules: usual,
            });
        }
        let of_group = |key: &&RegisteredKey| key.group.as_ref() == Some(&self.group);
        let keys: Vec<_> =
            channel.assertion_keys.iter().filter(of_group).map(|key| key.id).collect();
        for &key in &keys {
            delete_key(channel, key, now, &mut effects);
            effects.journal.push(JournalEntry::AssertionKey { channel: self.channel, key });
        }
        let scope = Scope::Group { group: self.group.clone() };
        let revoked = revoke_scope(locked, channel, scope, now, &mut effects)?;
        let deleted = GroupDeleted { group: self.group.clone(), keys: keys.len(), revoked };
        effects.audit(&self.by, channel, AuditEvent::GroupDelete(deleted));
        Ok((revoked, effects))
    }
}
