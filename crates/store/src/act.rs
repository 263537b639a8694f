//! What questions are answered with, and the things that jobs keep.

use std::{collections::BTreeMap, num::NonZeroU32};
use tegata_policy::{
    acts::{RevocationCause, SigningKeyRow, TokenState},
    channel::{Channel, GroupSettings},
};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, Serial, TokenId},
    kind::Kind,
    time::UnixTime,
    view::View,
};

/// All that a server holds in memory.
#[derive(Debug, Clone)]
pub struct State {
    /// What was ended early, at the log's end.
    pub view: View,
    /// All signing keys, removed ones too.
    pub signing_keys: Vec<SigningKeyRow>,
    /// Every channel's id, those of deleted ones too.
    pub channels: Vec<ChannelId>,
    /// How fast the tokens of channels may be checked that have set it.
    pub verify_rates: Vec<(ChannelId, NonZeroU32)>,
    /// The highest time that the store has written.
    pub written_at: UnixTime,
    /// How far the development clock was moved, in seconds.
    pub clock_offset: i64,
}

/// The end of all tokens of a provider, under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderRevocation {
    /// Its name.
    pub job: crate::RowId,
    /// Whose tokens end.
    pub provider: ProviderId,
    /// So many stored tokens have ended.
    pub revoked: usize,
    /// So many channels are still to come.
    pub channels_left: usize,
}

/// A stored token, as lists show it.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its own name.
    pub id: TokenId,
    /// Its place in the channel's count.
    pub serial: Serial,
    /// Its kind.
    pub kind: Kind,
    /// Its group.
    pub group: Option<Group>,
    /// The assertion key that it was asked for with.
    pub assertion_key: Option<AssertionKeyId>,
    /// Whether it lives.
    pub state: TokenState,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires, or will be ended by a reissue with delay.
    pub expires_at: UnixTime,
    /// When it was last used, as far as has been noted.
    pub last_used_at: Option<UnixTime>,
    /// How it ended early, and when.
    pub revocation: Option<(RevocationCause, UnixTime)>,
    /// The token that pushed it out or replaced it.
    pub replaced_by: Option<Serial>,
    /// The audit event of the act that ended it, where there is one.
    pub revoked_act: Option<i64>,
}

/// A group, as lists show it.
#[derive(Debug, Clone)]
pub struct GroupRow {
    /// Its name.
    pub group: Group,
    /// What it has set for itself.
    pub settings: GroupSettings,
    /// How many live stored tokens it has.
    pub live_tokens: usize,
    /// How many assertion keys are bound to it.
    pub assertion_keys: usize,
}

/// One audit event.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its place.
    pub id: i64,
    /// When.
    pub at: UnixTime,
    /// Who.
    pub actor: String,
    /// From where.
    pub source: Option<String>,
    /// What: a noun and a verb, such as `channel.suspend`.
    pub act: String,
    /// To whose things.
    pub provider: Option<ProviderId>,
    /// To which channel.
    pub channel: Option<ChannelId>,
    /// What else there is to say, as a JSON object; never a secret.
    pub detail: serde_json::Value,
    /// Where in the log, if the act wrote to it.
    pub position: Option<Position>,
}

/// What a channel holds that can end, or lie unused.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The channel.
    pub channel: Channel,
    /// Its live stored tokens, newest first.
    pub tokens: Vec<TokenRow>,
    /// When each of its assertion keys was last used, as far as has been noted.
    pub keys_used: BTreeMap<AssertionKeyId, UnixTime>,
    /// When each of its secrets was, in the channel's order.
    pub secrets_used: Vec<Option<UnixTime>>,
}

/// A warning to be put on its way.
#[derive(Debug, Clone)]
pub struct NewWarning {
    /// What it warns of, and how long before: nobody is told twice of one name.
    pub name: String,
    /// What to send, as JSON; never a secret.
    pub body: String,
    /// From then on it matters to nobody.
    pub keep_until: UnixTime,
}

/// A warning whose time to be sent has come.
#[derive(Debug, Clone)]
pub struct DueWarning {
    /// Its place.
    pub number: crate::RowId,
    /// Its name.
    pub name: String,
    /// What to send.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// From then on it matters to nobody.
    pub keep_until: UnixTime,
}
