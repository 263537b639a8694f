//! Channels: created, changed, suspended, deleted; their secrets.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{AuditEvent, ChannelChanged, NewChannelNamed, NoDetail, SecretReplaced},
    change::Change,
    effects::{Effects, Write},
    expected::SettingsTag,
    journal::JournalEntry,
    known::delete_key,
    locked::{Locked, Needs, Tokens},
    person::StoredPerson,
    revoke::revoke_scope,
    things::{By, ChannelPatch, LimitsPatch, NewChannel, RevocationCause},
    upkeep::Upkeep,
};
use crate::{
    channel::{Channel, GroupRule, OnLeak, RevokeTokens, Secret},
    denied::Denied,
    permission::{ChannelRole, RoleChange},
    rules::{CAP, TokenRules},
    secret::HashedSecret,
};
use tegata_token::{
    id::{ChannelId, PersonId, Serial},
    time::UnixTime,
    view::{ChannelChange, ChannelState},
};

/// Creates a channel.
#[derive(Debug, Clone)]
pub struct CreateChannel {
    /// The channel.
    pub new: NewChannel,
    /// The person who creates it, and becomes its Admin.
    pub admin: Option<PersonId>,
    /// Who requests it.
    pub by: By,
}

impl Act for CreateChannel {
    type Output = Channel;
    const NAME: ActName = ActName::CreateChannel;

    fn needs(&self) -> Needs {
        let upkeep = self.admin.map(Upkeep::RolesOf).unwrap_or_default();
        Needs { provider: Some(self.new.provider), upkeep, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<Channel> {
        if locked.provider.is_none() {
            return Err(ActError::NotFound("provider"));
        }
        let new = &self.new;
        let channel = Channel {
            id: new.id,
            provider: new.provider,
            name: new.name.clone(),
            channel_type: new.channel_type,
            created_at: now,
            state: ChannelState::Active,
            rules: TokenRules::default(),
            group_rule: GroupRule::default(),
            own_audience_only: false,
            single_use_assertions: false,
            on_leak: OnLeak::default(),
            limits: Default::default(),
            secrets: vec![Secret { hash: new.secret, until: None }],
            assertion_keys: Vec::new(),
            groups: Default::default(),
            used_groups: Default::default(),
            revision: 1,
            bulk_serial: Serial(0),
        };
        let mut effects = Effects::default();
        effects.write(Write::NewChannel(Box::new(channel.clone())));
        effects.touch(&channel);
        if let Some(admin) = locked.upkeep.people.people.first() {
            let (channel, role) = (new.id, Some(ChannelRole::Admin));
            let person = admin.person.pruned(&locked.upkeep.people.past_roles);
            let person = person.with(RoleChange::Channel { channel, role });
            let stored = StoredPerson { person: person.clone(), ..admin.clone() };
            effects.write(Write::Person(Box::new(stored)));
            effects.change(Change::Person { person });
        }
        let named = NewChannelNamed { name: new.name.clone(), r#type: new.channel_type };
        effects.audit(&self.by, &channel, AuditEvent::ChannelCreate(named));
        Ok((channel, effects))
    }
}

/// Changes a channel's settings or state; `Deleted` revokes all its tokens permanently.
#[derive(Debug, Clone)]
pub struct ChangeChannel {
    /// The channel.
    pub id: ChannelId,
    /// The changes.
    pub patch: ChannelPatch,
    /// Who requests it.
    pub by: By,
}

/// Returns how many active tokens it makes invalid.
impl Act for ChangeChannel {
    type Output = usize;
    const NAME: ActName = ActName::ChangeChannel;

    fn needs(&self) -> Needs {
        Needs { tokens: Tokens::Counted, revocations: true, ..Needs::channel(self.id) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let old = locked.existing()?;
        self.by.expects(SettingsTag::of_channel(old))?;
        check_group_cap(self.patch.group_cap)?;
        let mut effects = Effects::default();
        let mut new = self.patch.applied_to(old);
        effects.write(Write::Settings(Box::new(new.clone())));
        if new.revision == old.revision {
            effects.touch(&new);
        } else {
            effects.revise(&new);
        }
        // The state is in its own change, and the limits are in their own entry.
        let limits = LimitsPatch::default();
        let rules = ChannelPatch { name: None, state: None, limits, ..self.patch.clone() };
        if rules != ChannelPatch::default() {
            effects.journal.push(JournalEntry::Rules { channel: self.id, rules });
        }
        if new.limits != old.limits {
            effects.journal.push(JournalEntry::Limits { channel: self.id, limits: new.limits });
        }
        let state = (new.state != old.state).then_some(new.state);
        if let Some(state) = state {
            if state == ChannelState::Deleted {
                empty(&mut new, locked, now, &mut effects);
            } else if state == ChannelState::Suspended {
                effects.taken = locked.active(now).map(|token| token.row).collect();
            }
            effects.write(Write::StateChangedBy(self.id));
        }
        // Also if it was suspended before: a repeated act has a receipt of its own.
        let narrowed = self.patch.state.filter(|it| *it != ChannelState::Active);
        if let Some(state) = state.or(narrowed) {
            effects.tokens(&new, &locked.revocations, ChannelChange::State { state });
        }
        let changed = changes_of(&self.patch, old, &new);
        let event = match state {
            Some(ChannelState::Suspended) => AuditEvent::ChannelSuspend(changed),
            Some(ChannelState::Active) => AuditEvent::ChannelResume(changed),
            Some(ChannelState::Deleted) => AuditEvent::ChannelDelete(changed),
            None => AuditEvent::ChannelSet(changed),
        };
        effects.audit(&self.by, &new, event);
        Ok((effects.taken.len(), effects))
    }
}

/// What a patch changed, for the audit.
fn changes_of(patch: &ChannelPatch, old: &Channel, new: &Channel) -> ChannelChanged {
    ChannelChanged {
        name: patch.name.clone(),
        rules: patch.rules,
        state: patch.state,
        group_cap: patch.group_cap,
        group_when_full: patch.group_when_full,
        own_audience_only: patch.own_audience_only,
        limits: (new.limits != old.limits).then_some(new.limits),
        single_use_assertions: patch.single_use_assertions,
        on_leak: patch.on_leak,
    }
}

/// Removes the keys, groups and tokens of a channel that is being deleted.
pub(super) fn empty(channel: &mut Channel, locked: &Locked, now: UnixTime, effects: &mut Effects) {
    for key in std::mem::take(&mut channel.assertion_keys) {
        delete_key(channel, key.id, now, effects);
    }
    for group in std::mem::take(&mut channel.groups).into_keys() {
        effects.write(Write::Group(channel.id, group, Default::default()));
    }
    channel.used_groups.clear();
    effects.write(Write::ScopesForgotten(channel.id));
    for token in locked.active(now) {
        effects.write(Write::TokenRevoked {
            row: token.row,
            by: RevocationCause::Requested,
            replaced_by: None,
        });
    }
}

/// Replaces a channel's secret; returns how many stored tokens it revokes.
#[derive(Debug, Clone)]
pub struct ReplaceSecret {
    /// The channel.
    pub id: ChannelId,
    /// The new one's hash.
    pub secret: HashedSecret,
    /// For how long the current one is still accepted, in seconds.
    pub keep_previous: i64,
    /// Which of the channel's tokens are revoked.
    pub revoke_tokens: RevokeTokens,
    /// Who requests it.
    pub by: By,
}

impl Act for ReplaceSecret {
    type Output = usize;
    const NAME: ActName = ActName::ReplaceSecret;

    fn needs(&self) -> Needs {
        let revocations = self.revoke_tokens != RevokeTokens::None;
        let tokens = if revocations { Tokens::Counted } else { Tokens::None };
        Needs { tokens, revocations, ..Needs::channel(self.id) }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        let kept = (self.keep_previous > 0).then_some(now.plus(self.keep_previous));
        let mut effects = Effects::default();
        effects.write(Write::Secret { channel: self.id, hash: self.secret, kept });
        effects.revise(channel);
        effects.journal.push(JournalEntry::secret(self.id, self.secret, kept));
        let revoked = match self.revoke_tokens.scope() {
            Some(scope) => revoke_scope(locked, channel, scope, now, &mut effects)?,
            None => 0,
        };
        let replaced = SecretReplaced {
            keep_previous_seconds: self.keep_previous,
            revoke_tokens: self.revoke_tokens,
            revoked,
        };
        effects.audit(&self.by, channel, AuditEvent::ChannelRotateSecret(replaced));
        Ok((revoked, effects))
    }
}

/// Deletes a channel's previous secret, which is still accepted, alone. Revokes no token.
#[derive(Debug, Clone)]
pub struct DeletePreviousSecret {
    /// The channel.
    pub id: ChannelId,
    /// Who requests it.
    pub by: By,
}

impl Act for DeletePreviousSecret {
    type Output = usize;
    const NAME: ActName = ActName::DeletePreviousSecret;

    fn needs(&self) -> Needs {
        Needs::channel(self.id)
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<usize> {
        let channel = locked.existing()?;
        let current = channel.secrets.iter().find(|it| it.until.is_none());
        let current = current.filter(|_| channel.previous_secret(now).is_some());
        let current = current.ok_or(ActError::NotFound("previous secret"))?.hash;
        self.by.expects_presence()?;
        let mut effects = Effects::default();
        effects.write(Write::Secret { channel: self.id, hash: current, kept: None });
        effects.revise(channel);
        effects.journal.push(JournalEntry::secret(self.id, current, None));
        let event = AuditEvent::ChannelDeletePreviousSecret(NoDetail {});
        effects.audit(&self.by, channel, event);
        Ok((0, effects))
    }
}

/// Checks the cap of a group that was entered.
pub(super) fn check_group_cap(cap: Option<usize>) -> Result<(), Denied> {
    match cap {
        Some(cap) if !(1..=CAP).contains(&cap) => Err(Denied::GroupCapOutOfRange),
        _ => Ok(()),
    }
}

impl ChannelPatch {
    /// The channel with the changes made. Its revision increases if anything changed that
    /// matters to authorization: anything but its name and its limits.
    #[must_use]
    pub fn applied_to(&self, old: &Channel) -> Channel {
        let relevant = Self { name: None, limits: LimitsPatch::default(), ..self.clone() };
        let revised = relevant != Self::default();
        Channel {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            rules: self.rules.unwrap_or(old.rules),
            state: self.state.unwrap_or(old.state),
            group_rule: GroupRule {
                cap: self.group_cap.unwrap_or(old.group_rule.cap),
                when_full: self.group_when_full.unwrap_or(old.group_rule.when_full),
            },
            own_audience_only: self.own_audience_only.unwrap_or(old.own_audience_only),
            single_use_assertions: self.single_use_assertions.unwrap_or(old.single_use_assertions),
            on_leak: self.on_leak.unwrap_or(old.on_leak),
            limits: self.limits.applied_to(old.limits),
            revision: old.revision + u64::from(revised),
            ..old.clone()
        }
    }
}
