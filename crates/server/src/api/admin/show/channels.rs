//! Providers, channels, their keys and groups, as the API shows them.

use super::{revocations::DryRun, taken::Taken, time::time};
use crate::{
    api::admin::{limits::Limits, schema},
    authority::{
        admin::{ChannelWithUse, ListedProvider, UsedKey},
        limits::ActiveCooldown,
    },
};
use serde::Serialize;
use tegata_policy::{
    channel::{self, OnLeak},
    rules::{ChannelType, TokenRules, WhenFull},
};
use tegata_store::GroupRow;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId},
    kind::Kind,
    time::UnixTime,
    view::ChannelState,
};
use utoipa::ToSchema;

/// An organisation that owns channels.
#[derive(Serialize, ToSchema)]
pub struct Provider {
    #[schema(value_type = schema::ProviderId)]
    provider_id: ProviderId,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// The progress of revoking all its tokens, while that is under way.
    #[schema(required)]
    revocation: Option<ProviderRevocation>,
    /// How many channels it has.
    channels: usize,
    /// How many active stored tokens these have; null in a list.
    #[schema(required)]
    active_tokens: Option<usize>,
}

impl From<&tegata_store::Provider> for Provider {
    fn from(it: &tegata_store::Provider) -> Self {
        let (name, created_at) = (it.name.clone(), time(it.created_at));
        let (revocation, channels, active_tokens) = (None, 0, Some(0));
        Self { provider_id: it.id, name, created_at, revocation, channels, active_tokens }
    }
}

impl From<&ListedProvider> for Provider {
    fn from(it: &ListedProvider) -> Self {
        let revocation = it.revocation.map(|it| ProviderRevocation {
            channels_left: it.channels_left,
            tokens_revoked: it.revoked,
        });
        let (channels, active_tokens) = (it.channels, it.active_tokens);
        Self { revocation, channels, active_tokens, ..(&it.provider).into() }
    }
}

/// The progress of revoking all tokens of a provider. It completes by itself, also after
/// a crash.
#[derive(Serialize, ToSchema)]
pub struct ProviderRevocation {
    /// The number of channels that are not done yet.
    channels_left: usize,
    /// The number of stored tokens that were revoked so far.
    tokens_revoked: usize,
}

/// A channel. Its secrets are not shown.
#[derive(Serialize, ToSchema)]
pub struct Channel {
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
    #[schema(value_type = schema::ProviderId)]
    provider_id: ProviderId,
    #[schema(value_type = schema::Name)]
    name: String,
    #[schema(value_type = schema::ChannelType)]
    r#type: ChannelType,
    #[schema(value_type = schema::ChannelState)]
    state: ChannelState,
    #[schema(value_type = schema::TokenRules)]
    rules: TokenRules,
    /// The maximum number of active tokens of a kind in a group.
    #[schema(minimum = 1, maximum = 30)]
    group_cap: usize,
    #[schema(value_type = schema::WhenFull)]
    group_when_full: WhenFull,
    /// Whether an assertion's audience must be this server, not LINE.
    own_audience_only: bool,
    /// Whether each assertion is accepted only once.
    single_use_assertions: bool,
    /// What a report of a leaked token does.
    #[schema(value_type = schema::OnLeak)]
    on_leak: OnLeak,
    limits: Limits,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
}

impl From<&tegata_policy::channel::Channel> for Channel {
    fn from(it: &tegata_policy::channel::Channel) -> Self {
        Self {
            channel_id: it.id,
            provider_id: it.provider,
            name: it.name.clone(),
            r#type: it.channel_type,
            state: it.state,
            rules: it.rules,
            group_cap: it.group_rule.cap,
            group_when_full: it.group_rule.when_full,
            own_audience_only: it.own_audience_only,
            single_use_assertions: it.single_use_assertions,
            on_leak: it.on_leak,
            limits: it.limits.into(),
            created_at: time(it.created_at),
        }
    }
}

/// A channel with its secrets and cooldowns.
#[derive(Serialize, ToSchema)]
pub struct WholeChannel {
    #[serde(flatten)]
    channel: Channel,
    /// The secrets that are accepted, the current one first; without their values.
    secrets: Vec<Secret>,
    /// The active issuance cooldowns.
    cooldowns: Vec<Cooldown>,
}

/// A channel after a change, and what the change took away.
#[derive(Serialize, ToSchema)]
pub struct ChangedChannel {
    #[serde(flatten)]
    pub channel: WholeChannel,
    #[serde(flatten)]
    pub taken: Taken,
}

/// The result of changing a channel, or of its dry run.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ChannelChanged {
    Done(Box<ChangedChannel>),
    Rehearsed(DryRun),
}

/// A channel secret that is accepted.
#[derive(Serialize, ToSchema)]
pub struct Secret {
    /// Its expiry; null for the current secret.
    #[schema(required, value_type = Option<schema::Time>)]
    valid_until: Option<String>,
    /// The last use that was recorded; null if none was.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
}

/// An active issuance cooldown for one kind.
#[derive(Serialize, ToSchema)]
pub struct Cooldown {
    #[schema(value_type = schema::Kind)]
    kind: Kind,
    #[schema(value_type = schema::Whose)]
    whose: &'static str,
    /// The group, if the cooldown is a group's.
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// The end of the cooldown.
    #[schema(required, value_type = Option<schema::Time>)]
    until: Option<String>,
}

impl From<&ChannelWithUse> for WholeChannel {
    fn from(ChannelWithUse { holding, cooldowns, now }: &ChannelWithUse) -> Self {
        let it = &holding.channel;
        let used = it.secrets.iter().zip(&holding.secrets_used);
        let taken = used.filter(|(it, _)| it.until.is_none_or(|until| *now < until));
        let secret = |(it, used): (&channel::Secret, &Option<UnixTime>)| Secret {
            valid_until: it.until.and_then(time),
            last_used_at: used.and_then(time),
        };
        let cooldown = |(cooldown, until): &(ActiveCooldown, UnixTime)| Cooldown {
            kind: cooldown.kind,
            whose: cooldown.whose.name(),
            group: cooldown.whose.group().cloned(),
            until: time(*until),
        };
        Self {
            channel: it.into(),
            secrets: taken.map(secret).collect(),
            cooldowns: cooldowns.iter().map(cooldown).collect(),
        }
    }
}

/// A new channel. Its secret is shown only this once.
#[derive(Serialize, ToSchema)]
pub struct NewChannel {
    #[serde(flatten)]
    pub channel: Channel,
    /// The secret, 32 characters.
    pub channel_secret: String,
}

/// A channel's new secret, which is shown only this once.
#[derive(Serialize, ToSchema)]
pub struct NewSecret {
    /// The secret, 32 characters.
    pub channel_secret: String,
    /// Until when the previous secret is accepted as well; null if it no longer is.
    #[schema(required, value_type = Option<schema::Time>)]
    pub previous_valid_until: Option<String>,
    #[serde(flatten)]
    pub taken: Taken,
}

/// A registered assertion signing key.
#[derive(Serialize, ToSchema)]
pub struct AssertionKey {
    #[schema(value_type = schema::AssertionKeyId)]
    kid: AssertionKeyId,
    /// The group that it is bound to; null if it belongs to the channel at large.
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// The last use that was recorded; null if none was.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
}

impl From<&UsedKey> for AssertionKey {
    fn from((it, used): &UsedKey) -> Self {
        let (created_at, last_used_at) = (time(it.created_at), used.and_then(time));
        Self { kid: it.id, group: it.group.clone(), created_at, last_used_at }
    }
}

/// An assertion signing key of any channel.
#[derive(Serialize, ToSchema)]
pub struct KeyOfChannel {
    #[serde(flatten)]
    key: AssertionKey,
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
    #[schema(value_type = schema::Name)]
    channel_name: String,
}

impl From<&tegata_store::KeyRow> for KeyOfChannel {
    fn from(it: &tegata_store::KeyRow) -> Self {
        let key = AssertionKey {
            kid: it.id,
            group: it.group.clone(),
            created_at: time(it.created_at),
            last_used_at: it.last_used_at.and_then(time),
        };
        Self { key, channel_id: it.channel, channel_name: it.channel_name.clone() }
    }
}

/// The id of a newly registered key.
#[derive(Serialize, ToSchema)]
pub struct NewAssertionKey {
    #[schema(value_type = schema::AssertionKeyId)]
    pub kid: AssertionKeyId,
}

/// A team or a set of users within a channel that holds its own tokens.
#[derive(Serialize, ToSchema)]
pub struct TokenGroup {
    #[schema(value_type = schema::Group)]
    group: Group,
    /// The maximum number of its active tokens of a kind; null: the channel's setting
    /// applies.
    #[schema(required, minimum = 1, maximum = 30)]
    cap: Option<usize>,
    /// What happens when a token is issued in the full group; null: the channel's setting
    /// applies.
    #[schema(required, value_type = Option<schema::WhenFull>)]
    when_full: Option<WhenFull>,
    /// Whom to contact about the group.
    #[schema(required)]
    contact: Option<String>,
    /// The number of its active stored tokens.
    active_tokens: usize,
    /// The number of assertion keys that are bound to it.
    assertion_keys: usize,
}

impl From<&GroupRow> for TokenGroup {
    fn from(it: &GroupRow) -> Self {
        Self {
            group: it.group.clone(),
            cap: it.settings.cap,
            when_full: it.settings.when_full,
            contact: it.settings.contact.clone(),
            active_tokens: it.active_tokens,
            assertion_keys: it.assertion_keys,
        }
    }
}

page! { #[doc = "A page of providers."] Providers, providers: Provider }

page! { #[doc = "A page of channels."] Channels, channels: Channel }

page! { #[doc = "A page of assertion signing keys."] AssertionKeys, assertion_keys: AssertionKey }

page! {
    #[doc = "A page of the assertion signing keys of all channels."]
    KeysOfChannels, assertion_keys: KeyOfChannel
}

page! { #[doc = "A page of groups."] Groups, groups: TokenGroup }
