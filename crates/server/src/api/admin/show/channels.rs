//! Providers, channels, their keys and groups.

use super::time::time;
use crate::{
    api::admin::schema,
    authority::{
        admin::{ChannelWithUse, ListedProvider, UsedKey},
        limits::ActiveCooldown,
    },
};
use serde::Serialize;
use tegata_policy::{
    channel::{self, ChannelLimits},
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
    /// How far the end of all its tokens has come, while one is under way.
    #[schema(required)]
    ending: Option<ProviderRevocation>,
}

impl From<&tegata_store::Provider> for Provider {
    fn from(it: &tegata_store::Provider) -> Self {
        let (name, created_at) = (it.name.clone(), time(it.created_at));
        Self { provider_id: it.id, name, created_at, ending: None }
    }
}

impl From<&ListedProvider> for Provider {
    fn from(it: &ListedProvider) -> Self {
        let ending = it.ending.map(|end| ProviderRevocation {
            channels_left: end.channels_left,
            tokens_revoked: end.revoked,
        });
        Self { ending, ..(&it.provider).into() }
    }
}

/// The end of all tokens of a provider, under way: it comes to its end by itself, also
/// after a crash.
#[derive(Serialize, ToSchema)]
pub struct ProviderRevocation {
    /// So many channels are still to come.
    channels_left: usize,
    /// So many stored tokens have ended.
    tokens_revoked: usize,
}

/// What tokens give access to. Its secrets are not shown.
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
    /// How many live tokens of a kind a group may have.
    #[schema(minimum = 1, maximum = 30)]
    group_cap: usize,
    #[schema(value_type = schema::WhenFull)]
    group_when_full: WhenFull,
    /// Whether assertions must be meant for this server, not for LINE.
    own_audience_only: bool,
    /// Whether each assertion is taken once.
    single_use_assertions: bool,
    #[schema(value_type = schema::Limits)]
    limits: ChannelLimits,
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
            limits: it.limits,
            created_at: time(it.created_at),
        }
    }
}

/// A channel with what belongs to it alone.
#[derive(Serialize, ToSchema)]
pub struct WholeChannel {
    #[serde(flatten)]
    channel: Channel,
    /// The secrets that are taken, the current one first; not their values.
    secrets: Vec<Secret>,
    /// What of its issuing rests, because too much was issued.
    cooldowns: Vec<Cooldown>,
}

/// A channel secret that is taken.
#[derive(Serialize, ToSchema)]
pub struct Secret {
    /// Until when; null of the current one.
    #[schema(required, value_type = Option<schema::Time>)]
    valid_until: Option<String>,
    /// As far as has been noted; null if never.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
}

/// Issuing of a kind that rests for somebody.
#[derive(Serialize, ToSchema)]
pub struct Cooldown {
    #[schema(value_type = schema::Kind)]
    kind: Kind,
    #[schema(value_type = schema::Whose)]
    whose: &'static str,
    /// The group, if it is one.
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// Until when.
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

/// A new channel: the only time that its secret is shown.
#[derive(Serialize, ToSchema)]
pub struct NewChannel {
    #[serde(flatten)]
    pub channel: Channel,
    /// 32 characters, to be kept secret.
    pub channel_secret: String,
}

/// A channel's new secret: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct NewSecret {
    /// 32 characters, to be kept secret.
    pub channel_secret: String,
    /// Until when the previous secret is taken as well; null if it no longer is.
    #[schema(required, value_type = Option<schema::Time>)]
    pub previous_valid_until: Option<String>,
}

/// A registered assertion signing key.
#[derive(Serialize, ToSchema)]
pub struct AssertionKey {
    #[schema(value_type = schema::AssertionKeyId)]
    kid: AssertionKeyId,
    /// The group that it is bound to; null if it is the channel's at large.
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// As far as has been noted; null if never.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
}

impl From<&UsedKey> for AssertionKey {
    fn from((it, used): &UsedKey) -> Self {
        let (created_at, last_used_at) = (time(it.created_at), used.and_then(time));
        Self { kid: it.id, group: it.group.clone(), created_at, last_used_at }
    }
}

/// The name that a registered key was given.
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
    /// How many live tokens of a kind it may have; null where the channel's rule holds.
    #[schema(required, minimum = 1, maximum = 30)]
    cap: Option<usize>,
    /// What its next token does when it has them; null where the channel's rule holds.
    #[schema(required, value_type = Option<schema::WhenFull>)]
    when_full: Option<WhenFull>,
    /// Whom to tell of what concerns it.
    #[schema(required)]
    contact: Option<String>,
    /// How many live stored tokens it has.
    live_tokens: usize,
    /// How many assertion keys are bound to it.
    assertion_keys: usize,
}

impl From<&GroupRow> for TokenGroup {
    fn from(it: &GroupRow) -> Self {
        Self {
            group: it.group.clone(),
            cap: it.settings.cap,
            when_full: it.settings.when_full,
            contact: it.settings.contact.clone(),
            live_tokens: it.live_tokens,
            assertion_keys: it.assertion_keys,
        }
    }
}

page! { #[doc = "A page of providers."] Providers, providers: Provider }

page! { #[doc = "A page of channels."] Channels, channels: Channel }

page! { #[doc = "A page of assertion signing keys."] AssertionKeys, assertion_keys: AssertionKey }

page! { #[doc = "A page of groups."] Groups, groups: TokenGroup }
