//! Which rows a list holds.

use std::net::IpAddr;
use tegata_policy::acts::{TokenState, audit_event};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, Serial, TokenId},
    kind::Kind,
    time::UnixTime,
};

/// Identifies a stored token.
#[derive(Debug, Clone, Copy)]
pub enum TokenName {
    /// By its id.
    Id(TokenId),
    /// By its serial.
    Serial(Serial),
}

/// A row's number in a list; the cursor of the next page.
pub type RowId = i64;

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Only rows before this one.
    pub before: Option<RowId>,
    /// Maximum number of rows.
    pub most: usize,
}

/// Which tokens to list.
#[derive(Debug, Clone, Default)]
pub struct TokenFilter {
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only of this group.
    pub group: Option<Group>,
    /// Only those that were issued for this assertion key.
    pub assertion_key: Option<AssertionKeyId>,
    /// Only in this state.
    pub state: Option<TokenState>,
}

/// Which active tokens of all channels to list, by their expiry.
#[derive(Debug, Clone)]
pub struct ExpiryFilter {
    /// Only those that expire before this time.
    pub before: UnixTime,
    /// Only those behind this one: its expiry, and its row.
    pub after: Option<(UnixTime, RowId)>,
    /// Only those of these channels.
    pub seen: Option<Vec<ChannelId>>,
}

/// The providers and channels that an actor may see.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Providers with all that is theirs.
    pub providers: Vec<ProviderId>,
    /// Single channels.
    pub channels: Vec<ChannelId>,
}

/// Which providers to list.
#[derive(Debug, Clone, Default)]
pub struct ProviderFilter {
    /// Only those whose name or id contains this text; the case of ASCII letters does not
    /// matter.
    pub search: Option<String>,
    /// Only these.
    pub seen: Option<Vec<ProviderId>>,
}

/// Which channels to list.
#[derive(Debug, Clone, Default)]
pub struct ChannelFilter {
    /// Only of this provider, which must exist.
    pub provider: Option<ProviderId>,
    /// Only those whose name or id contains this text; the case of ASCII letters does not
    /// matter.
    pub search: Option<String>,
    /// Only those of these providers, and these.
    pub seen: Option<Seen>,
}

/// Which assertion keys to list.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only this one.
    pub id: Option<AssertionKeyId>,
    /// Only those whose id, group, or channel's id or name contains this text; the case of
    /// ASCII letters does not matter.
    pub search: Option<String>,
    /// Only those of these channels.
    pub seen: Option<Vec<ChannelId>>,
}

impl ChannelFilter {
    /// The channels of one provider.
    #[must_use]
    pub fn of(provider: ProviderId) -> Self {
        Self { provider: Some(provider), ..Self::default() }
    }
}

/// Which audit events to list: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this channel.
    pub channel: Option<ChannelId>,
    /// Only of this provider and its channels.
    pub provider: Option<ProviderId>,
    /// Only acts on a group of this name.
    pub group: Option<Group>,
    /// Only acts on this token alone.
    pub token: Option<TokenId>,
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only this act.
    pub act: Option<audit_event::AuditAct>,
    /// Only from this address.
    pub source: Option<IpAddr>,
    /// Only from this time on.
    pub since: Option<UnixTime>,
    /// Only before this time.
    pub until: Option<UnixTime>,
    /// Only those of these channels, and those of these providers that concern no channel.
    pub seen: Option<Seen>,
}

impl AuditFilter {
    /// The events of one channel.
    #[must_use]
    pub fn of(channel: ChannelId) -> Self {
        Self { channel: Some(channel), ..Self::default() }
    }
}
