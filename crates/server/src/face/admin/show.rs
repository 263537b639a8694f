//! How things look as JSON, and in the API's description: one type for both, so
//! that neither can say what the other does not. Absent values are null, times
//! RFC 3339.

use crate::{
    face::admin::schema,
    limits::Resting,
    warnings::{self, What},
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tegata_policy::{
    channel::{self, ChannelLimits, RegisteredKey},
    law::{ChannelType, Law, WhenFull},
};
use tegata_store::{AuditRow, EndedBy, GroupRow, Holding, SigningKeyRow, TokenRow, TokenState};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, Position, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
    view::ChannelState,
};
use utoipa::ToSchema;

/// A moment; null if it is one that no calendar has.
pub fn time(at: UnixTime) -> Option<String> {
    Timestamp::from_second(at.0).ok().map(|at| at.to_string())
}

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
    ending: Option<ProviderEnd>,
}

impl From<&tegata_store::Provider> for Provider {
    fn from(it: &tegata_store::Provider) -> Self {
        let (name, created_at) = (it.name.clone(), time(it.created_at));
        Self { provider_id: it.id, name, created_at, ending: None }
    }
}

/// A provider, and the end of all its tokens, if one is under way.
impl From<&(tegata_store::Provider, Option<tegata_store::ProviderEnd>)> for Provider {
    fn from((it, end): &(tegata_store::Provider, Option<tegata_store::ProviderEnd>)) -> Self {
        let ending = end
            .map(|end| ProviderEnd { channels_left: end.channels_left, tokens_ended: end.ended });
        Self { ending, ..it.into() }
    }
}

/// The end of all tokens of a provider, under way: it comes to its end by itself, also
/// after a crash.
#[derive(Serialize, ToSchema)]
pub struct ProviderEnd {
    /// So many channels are still to come.
    channels_left: usize,
    /// So many stored tokens have ended.
    tokens_ended: usize,
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
    #[schema(value_type = schema::Law)]
    law: Law,
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

impl From<&channel::Channel> for Channel {
    fn from(it: &channel::Channel) -> Self {
        Self {
            channel_id: it.id,
            provider_id: it.provider,
            name: it.name.clone(),
            r#type: it.channel_type,
            state: it.state,
            law: it.law,
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
    resting: Vec<Rest>,
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
pub struct Rest {
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

impl WholeChannel {
    /// The channel as it is at `now`.
    pub fn of(holding: &Holding, resting: &[(Resting, UnixTime)], now: UnixTime) -> Self {
        let it = &holding.channel;
        let used = it.secrets.iter().zip(&holding.secrets_used);
        let taken = used.filter(|(it, _)| it.until.is_none_or(|until| now < until));
        let secret = |(it, used): (&channel::Secret, &Option<UnixTime>)| Secret {
            valid_until: it.until.and_then(time),
            last_used_at: used.and_then(time),
        };
        let rest = |(rest, until): &(Resting, UnixTime)| Rest {
            kind: rest.kind,
            whose: rest.whose.name(),
            group: rest.whose.group().cloned(),
            until: time(*until),
        };
        Self {
            channel: it.into(),
            secrets: taken.map(secret).collect(),
            resting: resting.iter().map(rest).collect(),
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

/// A key, and when it was last used.
pub type UsedKey<'a> = (&'a RegisteredKey, Option<UnixTime>);

impl From<&UsedKey<'_>> for AssertionKey {
    fn from((it, used): &UsedKey<'_>) -> Self {
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

/// The facts of a token; never the token itself.
#[derive(Serialize, ToSchema)]
pub struct Token {
    #[schema(value_type = schema::TokenId)]
    token_id: TokenId,
    #[schema(value_type = schema::Kind)]
    kind: Kind,
    #[schema(required, value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// What LINE calls the key id of a token; only v2.1 tokens have one.
    #[schema(required, value_type = Option<schema::TokenId>)]
    key_id: Option<TokenId>,
    #[schema(value_type = schema::TokenState)]
    state: TokenState,
    #[schema(required, value_type = Option<schema::Time>)]
    issued_at: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    /// As far as has been noted; null if never.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
    #[schema(required, value_type = Option<schema::EndedBy>)]
    ended_by: Option<EndedBy>,
    #[schema(required, value_type = Option<schema::Time>)]
    ended_at: Option<String>,
}

impl From<&TokenRow> for Token {
    fn from(it: &TokenRow) -> Self {
        Self {
            token_id: it.id,
            kind: it.kind,
            group: it.group.clone(),
            key_id: (it.kind == Kind::V21).then_some(it.id),
            state: it.state,
            issued_at: time(it.issued_at),
            expires_at: time(it.expires_at),
            last_used_at: it.last_used_at.and_then(time),
            ended_by: it.ended.map(|(by, _)| by),
            ended_at: it.ended.and_then(|(_, at)| time(at)),
        }
    }
}

/// What a token is, and why it is good or not.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    #[serde(flatten)]
    pub token: Token,
    #[schema(value_type = schema::ChannelId)]
    pub channel_id: ChannelId,
    /// A sentence for people.
    #[schema(example = "It is good until 2026-12-26T09:00:00Z.")]
    pub why: String,
}

/// A new long-lived token: the only time that it is shown.
#[derive(Serialize, ToSchema)]
pub struct NewToken {
    /// The token, to be kept secret.
    pub access_token: String,
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    #[schema(value_type = schema::TokenId)]
    pub token_id: TokenId,
    /// Until when the token that it replaces lives; null if there is none any more.
    #[schema(required, value_type = Option<schema::Time>)]
    pub previous_valid_until: Option<String>,
}

/// One of the authority's own keys, which sign all tokens.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    #[schema(value_type = schema::SigningKeyId)]
    kid: SigningKeyId,
    #[schema(value_type = schema::SigningKeyState)]
    state: &'static str,
    /// Of a bounded key: what was issued later is not good.
    #[schema(required, value_type = Option<schema::Time>)]
    good_for_issued_until: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// When it came into its present state.
    #[schema(required, value_type = Option<schema::Time>)]
    changed_at: Option<String>,
}

impl From<&SigningKeyRow> for SigningKey {
    fn from(it: &SigningKeyRow) -> Self {
        let good_for_issued_until = match it.state {
            KeyState::Bounded { until } => time(until),
            _ => None,
        };
        Self {
            kid: it.id,
            state: it.state.name(),
            good_for_issued_until,
            created_at: time(it.created_at),
            changed_at: time(it.changed_at),
        }
    }
}

/// An audit event: who did what, when, from where.
#[derive(Serialize, ToSchema)]
pub struct Event {
    id: i64,
    #[schema(required, value_type = Option<schema::Time>)]
    at: Option<String>,
    #[schema(example = "administrator")]
    actor: String,
    /// The address that it came from, if from the network.
    #[schema(required)]
    source: Option<String>,
    /// A noun and a verb.
    #[schema(example = "channel.suspend")]
    act: String,
    #[schema(required, value_type = Option<schema::ProviderId>)]
    provider_id: Option<ProviderId>,
    #[schema(required, value_type = Option<schema::ChannelId>)]
    channel_id: Option<ChannelId>,
    /// Why, if they said.
    #[schema(required, value_type = Option<String>)]
    reason: Option<Value>,
    /// What else there is to say.
    #[schema(value_type = Object)]
    detail: Value,
    /// Its place in the change log, if it wrote to it.
    #[schema(required, value_type = Option<schema::Position>)]
    position: Option<Position>,
}

impl From<&AuditRow> for Event {
    fn from(it: &AuditRow) -> Self {
        // The reason that somebody gave stands beside what was done.
        let mut detail = it.detail.clone();
        let reason = detail.as_object_mut().and_then(|members| members.remove("reason"));
        Self {
            id: it.id,
            at: time(it.at),
            actor: it.actor.clone(),
            source: it.source.clone(),
            act: it.act.clone(),
            provider_id: it.provider,
            channel_id: it.channel,
            reason,
            detail,
            position: it.position,
        }
    }
}

/// Something that is about to end, lies unused, or is used though it was replaced.
/// Webhooks send the same members.
#[derive(Serialize, ToSchema)]
pub struct Warning {
    /// What it is: `token.expiring`, `token.unused`, `token.replaced-in-use`,
    /// `secret.expiring` or `assertion-key.unused`.
    #[schema(example = "token.expiring")]
    r#type: &'static str,
    #[schema(value_type = schema::ProviderId)]
    provider_id: ProviderId,
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
    #[schema(value_type = schema::Name)]
    channel_name: String,
    #[schema(required, value_type = Option<String>)]
    group: Option<String>,
    /// Whom to tell, if the group says.
    #[schema(required)]
    contact: Option<String>,
    /// The token that it is about.
    #[schema(required, value_type = Option<String>)]
    token_id: Option<TokenId>,
    /// The token's kind.
    #[schema(required, value_type = Option<String>)]
    kind: Option<Kind>,
    /// The assertion key that it is about.
    #[schema(required, value_type = Option<String>)]
    kid: Option<AssertionKeyId>,
    /// When the token was issued, or the key registered.
    #[schema(required, value_type = Option<schema::Time>)]
    made_at: Option<String>,
    /// When it ends.
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
    /// The newer token that is not used in its place.
    #[schema(required, value_type = Option<String>)]
    replaced_by: Option<TokenId>,
    /// What to do, in words.
    advice: &'static str,
}

impl Warning {
    /// A warning about what `of` holds.
    pub fn of(it: &warnings::Warning, of: &Holding) -> Self {
        let token = it.token();
        let (kid, made_at) = match &it.what {
            What::KeyUnused { kid, created_at, .. } => (Some(*kid), Some(*created_at)),
            _ => (None, token.map(|token| token.issued_at)),
        };
        let replaced_by = match &it.what {
            What::TokenReplaced { by, .. } => Some(*by),
            _ => None,
        };
        let settings = it.group().and_then(|name| {
            of.channel.groups.iter().find(|(group, _)| group.as_str() == name).map(|it| it.1)
        });
        Self {
            r#type: it.kind(),
            provider_id: of.channel.provider,
            channel_id: of.channel.id,
            channel_name: of.channel.name.clone(),
            group: it.group().map(str::to_owned),
            contact: settings.and_then(|settings| settings.contact.clone()),
            token_id: token.map(|token| token.id),
            kind: token.map(|token| token.kind),
            kid,
            made_at: made_at.and_then(time),
            expires_at: it.expires_at().and_then(time),
            last_used_at: token.and_then(|token| token.last_used_at).and_then(time),
            replaced_by,
            advice: it.advice(),
        }
    }
}

/// A page of warnings, by channel.
#[derive(Serialize, ToSchema)]
pub struct Warnings {
    pub warnings: Vec<Warning>,
    /// Null on the last page; a page may be empty and have a next one.
    #[schema(required, value_type = Option<schema::Cursor>)]
    pub next: Option<String>,
}

/// A page of a list, newest first: its rows under a name of their own, and where
/// the next page begins.
macro_rules! page {
    ($(#[doc = $doc:literal])* $page:ident, $rows:ident: $row:ident) => {
        $(#[doc = $doc])*
        #[derive(Serialize, ToSchema)]
        pub struct $page {
            $rows: Vec<$row>,
            /// Null on the last page.
            #[schema(required, value_type = Option<schema::Cursor>)]
            next: Option<String>,
        }

        impl $page {
            /// The page with these rows.
            pub fn of<'a, T: 'a>(
                rows: impl IntoIterator<Item = &'a T>,
                next: Option<String>,
            ) -> axum::Json<Self>
            where
                $row: From<&'a T>,
            {
                axum::Json(Self { $rows: rows.into_iter().map($row::from).collect(), next })
            }
        }
    };
}

page! { #[doc = "A page of providers."] Providers, providers: Provider }
page! { #[doc = "A page of channels."] Channels, channels: Channel }
page! { #[doc = "A page of assertion signing keys."] AssertionKeys, assertion_keys: AssertionKey }
page! { #[doc = "A page of groups."] Groups, groups: TokenGroup }
page! { #[doc = "A page of tokens."] Tokens, tokens: Token }
page! { #[doc = "A page of signing keys."] SigningKeys, signing_keys: SigningKey }
page! { #[doc = "A page of audit events."] Events, events: Event }

/// What a rotation of the master key did.
#[derive(Serialize, ToSchema)]
pub struct Resealed {
    /// How many signing keys the new one seals.
    #[schema(example = 2)]
    pub resealed: usize,
}

/// What a rehearsal found.
#[derive(Serialize, ToSchema)]
pub struct Rehearsal {
    /// Always true: nothing was changed.
    #[schema(example = true)]
    dry_run: bool,
    /// How many stored, live tokens would end.
    would_revoke: usize,
}

impl Rehearsal {
    /// That so many tokens would end.
    pub fn of(would_revoke: usize) -> Self {
        Self { dry_run: true, would_revoke }
    }
}

/// What a check of the audit found.
#[derive(Serialize, ToSchema)]
pub struct AuditReport {
    /// Whether nothing was found wrong.
    ok: bool,
    /// Whether the newest checkpoint is known to be the newest there was: `confirmed` by
    /// the anchor outside of the database, or `unconfirmed`, and then `ok` is false.
    #[schema(value_type = String, example = "confirmed")]
    end: tegata_store::audit::End,
    /// How many events there are.
    events: u64,
    /// How many checkpoints.
    checkpoints: u64,
    /// How many events wait for a seal; nothing vouches for them yet.
    unsealed: u64,
    /// Events of checkpoints before this one were, or may have been, deleted.
    kept_from: u64,
    /// What checkpoints are checked with: an Ed25519 key, in hex digits.
    public_key: String,
    /// What is wrong.
    problems: Vec<AuditProblem>,
    /// What is no proof of anything, and should be known.
    notices: Vec<String>,
}

/// Something that is not as it was sealed.
#[derive(Serialize, ToSchema)]
pub struct AuditProblem {
    /// What, in words.
    what: String,
    /// At which checkpoint.
    #[schema(required)]
    seal: Option<u64>,
}

impl AuditReport {
    pub fn of(it: tegata_store::audit::Report, key: &tegata_token::key::VerifyingKey) -> Self {
        let problem =
            |it: tegata_store::audit::Problem| AuditProblem { what: it.what, seal: it.seal };
        Self {
            ok: it.ok,
            end: it.end,
            events: it.events,
            checkpoints: it.checkpoints,
            unsealed: it.unsealed,
            kept_from: it.kept_from,
            public_key: tegata_store::audit::hex(&key.to_bytes()),
            problems: it.problems.into_iter().map(problem).collect(),
            notices: it.notices,
        }
    }
}

/// A checkpoint, and the events that it seals.
#[derive(Serialize, ToSchema)]
pub struct SealedPart {
    /// The events, to the letter.
    #[schema(value_type = Vec<Object>)]
    rows: Vec<tegata_store::audit::SealedRow>,
    /// The checkpoint; null behind the last one.
    #[schema(required, value_type = Option<Object>)]
    seal: Option<tegata_store::audit::Seal>,
    /// What checkpoints are checked with: an Ed25519 key, in hex digits.
    public_key: String,
}

impl SealedPart {
    pub fn of(it: tegata_store::Batch, key: &tegata_token::key::VerifyingKey) -> Self {
        let public_key = tegata_store::audit::hex(&key.to_bytes());
        Self { rows: it.rows, seal: it.seal, public_key }
    }
}
