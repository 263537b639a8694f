//! Tokens, why they are valid or not, and signing keys, as the API shows them.

use super::{taken::Taken, time::time};
use crate::{
    api::admin::schema,
    authority::admin::{self, Why},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use std::net::IpAddr;
use tegata_policy::idle::IdleUnknown;
use tegata_store::{RevocationCause, RowId, SigningKeyRow, TokenRow, TokenState};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    key::KeyState,
    kind::Kind,
    time::UnixTime,
};
use utoipa::ToSchema;

/// The facts of a token, without the token itself.
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
    /// The last use that was recorded; null if none was.
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
    /// Since when the token is idle: it was not used since then, for at least the time of
    /// `--token-idle-after`, and a newer active token of its group and kind was. Null while it
    /// is in use, not replaced or not active, and while `idle_unknown` is set.
    #[schema(required, value_type = Option<schema::Time>)]
    idle_since: Option<String>,
    /// Why it is not known whether it is idle; null if it is.
    #[schema(required, value_type = Option<schema::IdleUnknown>)]
    idle_unknown: Option<&'static str>,
    #[schema(required, value_type = Option<schema::RevocationCause>)]
    cause: Option<RevocationCause>,
    #[schema(required, value_type = Option<schema::Time>)]
    revoked_at: Option<String>,
    /// The assertion key that it was issued for.
    #[schema(required, value_type = Option<schema::AssertionKeyId>)]
    assertion_key: Option<AssertionKeyId>,
    /// The reason of its revocation, if one was given.
    #[schema(required)]
    reason: Option<String>,
    /// The actor that revoked it; null if it was evicted.
    #[schema(required)]
    revoked_by: Option<String>,
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
            idle_since: it.idle.since().and_then(time),
            idle_unknown: it.idle.unknown().map(IdleUnknown::code),
            cause: it.revocation.map(|(by, _)| by),
            revoked_at: it.revocation.and_then(|(_, at)| time(at)),
            assertion_key: it.assertion_key,
            reason: it.reason.clone(),
            revoked_by: it.revoked_by.clone(),
        }
    }
}

/// Uses of a token from one address within one minute.
#[derive(Serialize, ToSchema)]
pub struct RecentUse {
    /// The address of the client, or of the proxy that asked, unless `--trusted-proxy` names
    /// the proxy; null: all addresses beyond those that are listed singly.
    #[schema(required, value_type = Option<String>, example = "192.0.2.1")]
    source: Option<IpAddr>,
    /// The start of the minute.
    #[schema(required, value_type = Option<schema::Time>)]
    minute: Option<String>,
    /// How many uses.
    count: u32,
}

impl From<&tegata_store::RecentUse> for RecentUse {
    fn from(it: &tegata_store::RecentUse) -> Self {
        Self { source: it.source, minute: time(it.minute), count: it.count }
    }
}

/// The facts of a token, and from where it was used lately.
#[derive(Serialize, ToSchema)]
pub struct WholeToken {
    #[serde(flatten)]
    token: Token,
    /// At most 16 uses of the last week, newest first, for each address and minute. Of a busy
    /// address older ones are dropped first, so that a rare address stays.
    recent_uses: Vec<RecentUse>,
}

impl From<&(TokenRow, Vec<tegata_store::RecentUse>)> for WholeToken {
    fn from((row, uses): &(TokenRow, Vec<tegata_store::RecentUse>)) -> Self {
        Self { token: row.into(), recent_uses: uses.iter().map(RecentUse::from).collect() }
    }
}

/// The facts of a token, and why it is valid or not.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    #[serde(flatten)]
    pub token: Token,
    #[schema(value_type = schema::ChannelId)]
    pub channel_id: ChannelId,
    /// Null if the channel was deleted.
    #[schema(required, value_type = Option<schema::Name>)]
    pub channel_name: Option<String>,
    #[schema(required, value_type = Option<schema::ProviderId>)]
    pub provider_id: Option<ProviderId>,
    /// Null if the caller may not see the provider.
    #[schema(required, value_type = Option<schema::Name>)]
    pub provider_name: Option<String>,
    /// Whom to contact about the group.
    #[schema(required)]
    pub contact: Option<String>,
    /// The reason for the state, for programs.
    #[schema(value_type = schema::TokenReason)]
    pub code: &'static str,
    /// The reason, as a sentence for people.
    #[schema(example = "It is valid until 2026-12-26T09:00:00Z.")]
    pub why: String,
    /// The facts of that sentence, for a text in another language.
    pub why_facts: WhyFacts,
    /// From where it was used lately, as `GET …/tokens/{token}` returns it; empty for a
    /// stateless token.
    pub recent_uses: Vec<RecentUse>,
    /// The other active tokens of its group, newest first, at most 100; for a token without
    /// a group, those of its channel without one.
    pub group_tokens: Vec<Token>,
    /// How many more of them there are.
    pub group_tokens_more: usize,
}

impl From<&admin::Explanation> for Explanation {
    fn from(it: &admin::Explanation) -> Self {
        let around = &it.around;
        let mut token = Token::from(&it.token);
        // A token without a row, and one of a suspended channel, has them in the event alone.
        if let Some(event) = &it.event {
            let reason = || event.detail["reason"].as_str().map(str::to_owned);
            token.reason = token.reason.take().or_else(reason);
            token.revoked_by.get_or_insert_with(|| event.actor.clone());
        }
        Self {
            token,
            channel_id: it.channel,
            channel_name: around.channel.as_ref().map(|it| it.name.clone()),
            provider_id: around.channel.as_ref().map(|it| it.provider),
            provider_name: around.provider.as_ref().map(|it| it.name.clone()),
            contact: around.contact(it.token.group.as_ref()).map(str::to_owned),
            code: it.why.code(),
            why: sentence(it.why) + &behind(it),
            why_facts: WhyFacts::of(it),
            recent_uses: it.recent_uses.iter().map(RecentUse::from).collect(),
            group_tokens: around.group_tokens.iter().map(Token::from).collect(),
            group_tokens_more: around.group_tokens_more,
        }
    }
}

/// The facts behind the state of a token; null where `code` has no such fact.
#[derive(Default, Serialize, ToSchema)]
pub struct WhyFacts {
    /// Until when it is valid.
    #[schema(required, value_type = Option<schema::Time>)]
    until: Option<String>,
    /// When it expired, or was revoked, evicted or replaced.
    #[schema(required, value_type = Option<schema::Time>)]
    at: Option<String>,
    /// The signing key that is revoked or limited.
    #[schema(required, value_type = Option<schema::SigningKeyId>)]
    signing_key: Option<SigningKeyId>,
    /// Of its tokens, only those issued before are valid.
    #[schema(required, value_type = Option<schema::Time>)]
    issued_before: Option<String>,
    /// The token that evicted or replaced it.
    #[schema(required, value_type = Option<schema::TokenId>)]
    newer_token_id: Option<TokenId>,
    /// The audit event of the act that caused the state.
    #[schema(required)]
    event_id: Option<i64>,
    /// The act of that event.
    #[schema(required, example = "token.revoke")]
    act: Option<String>,
    /// Its actor.
    #[schema(required)]
    actor: Option<String>,
    /// The address that it came from.
    #[schema(required)]
    source: Option<String>,
    /// Its time.
    #[schema(required, value_type = Option<schema::Time>)]
    acted_at: Option<String>,
}

impl WhyFacts {
    fn of(it: &admin::Explanation) -> Self {
        let event = it.event.as_ref();
        let facts = Self {
            newer_token_id: it.newer,
            event_id: event.map(|it| it.id),
            act: event.map(|it| it.act.clone()),
            actor: event.map(|it| it.actor.clone()),
            source: event.and_then(|it| it.source.clone()),
            acted_at: event.and_then(|it| time(it.at)),
            ..Self::default()
        };
        match it.why {
            Why::Valid { until } | Why::ValidForDelay { until } => {
                Self { until: time(until), ..facts }
            }
            Why::Expired { at }
            | Why::RevokedAndExpired { at }
            | Why::Evicted { at }
            | Why::Reissued { at } => Self { at: time(at), ..facts },
            Why::Revoked { at } | Why::RevokedWithOthers { at } => {
                Self { at: at.and_then(time), ..facts }
            }
            Why::SigningKeyRevoked { key } => Self { signing_key: Some(key), ..facts },
            Why::SigningKeyLimited { key, issued_before } => {
                Self { signing_key: Some(key), issued_before: time(issued_before), ..facts }
            }
            Why::ValidUntilRevoked
            | Why::ChannelSuspended
            | Why::ChannelDeleted
            | Why::Invalid(_) => facts,
        }
    }
}

/// The reason why a token is valid or not, as a sentence.
fn sentence(why: Why) -> String {
    let at = |at| time(at).unwrap_or_else(|| "an unknown time".to_owned());
    let when =
        |when: Option<UnixTime>| when.map_or_else(String::new, |it| format!(" at {}", at(it)));
    match why {
        Why::Valid { until } => format!("It is valid until {}.", at(until)),
        Why::ValidUntilRevoked => "It is valid until it is revoked or reissued.".to_owned(),
        Why::ValidForDelay { until } => {
            format!("It is valid until {}: a newer token replaced it with this delay.", at(until))
        }
        Why::Expired { at: then } => format!("It expired at {}.", at(then)),
        Why::RevokedAndExpired { at: then } => {
            format!("It was revoked at {}, and would have expired by now.", at(then))
        }
        Why::ChannelSuspended => {
            "Its channel is suspended; until it is resumed, none of its tokens is valid.".to_owned()
        }
        Why::ChannelDeleted => "Its channel was deleted.".to_owned(),
        Why::SigningKeyRevoked { key } => {
            format!("The signing key {key} that signed it was revoked.")
        }
        Why::SigningKeyLimited { key, issued_before } => format!(
            "The store was recovered from an older copy, and of the tokens that the signing key \
             {key} signed, only those issued before {} are valid.",
            at(issued_before)
        ),
        Why::Evicted { at: then } => format!(
            "It was evicted at {}: it was the oldest token when a newer one reached the cap.",
            at(then)
        ),
        Why::Reissued { at: then } => {
            format!("A newer long-lived token replaced it at {}.", at(then))
        }
        Why::Revoked { at } => format!("It was revoked{}.", when(at)),
        Why::RevokedWithOthers { at } => {
            format!("It was revoked{}, together with others.", when(at))
        }
        Why::Invalid(invalid) => format!("It is not valid: {invalid}."),
    }
}

/// The act that caused the state, as further sentences.
fn behind(it: &admin::Explanation) -> String {
    let mut words = String::new();
    if let Some(newer) = it.newer {
        words.push_str(&format!(" The newer token is {newer}."));
    }
    if let Some(event) = &it.event {
        if let Some(actor) = it.token.revoked_by.as_ref().filter(|actor| **actor != event.actor) {
            // The act itself is in the revocation journal, and not in this store's audit.
            words.push_str(&format!(" It was revoked by {actor}"));
            if let Some(reason) = &it.token.reason {
                words.push_str(&format!(", \u{201c}{reason}\u{201d}"));
            }
            words.push_str(", and again when the store was recovered.");
        }
        words.push_str(&format!(" By {}", event.actor));
        if let Some(source) = &event.source {
            words.push_str(&format!(" from {source}"));
        }
        let at = time(event.at).unwrap_or_default();
        words.push_str(&format!(" at {at}: {}, audit event {}", event.act, event.id));
        if let Some(reason) = event.detail["reason"].as_str() {
            words.push_str(&format!(", \u{201c}{reason}\u{201d}"));
        }
        words.push('.');
    }
    words
}

/// A new long-lived token, which is shown only this once.
#[derive(Serialize, ToSchema)]
pub struct NewToken {
    /// The token, to be kept secret.
    pub access_token: String,
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    #[schema(value_type = schema::TokenId)]
    pub token_id: TokenId,
    /// The expiry of the token that it replaces; null if none is active any more.
    #[schema(required, value_type = Option<schema::Time>)]
    pub previous_valid_until: Option<String>,
    #[serde(flatten)]
    pub taken: Taken,
}

/// One of the authority's own keys, which sign all tokens.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    #[schema(value_type = schema::SigningKeyId)]
    kid: SigningKeyId,
    /// The Ed25519 public key in base64url, as the member `x` of a JWK (RFC 8037).
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    public_key: String,
    #[schema(value_type = schema::SigningKeyState)]
    state: &'static str,
    /// For a retired key, if set: only tokens issued before are valid.
    #[schema(required, value_type = Option<schema::Time>)]
    issued_before: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    created_at: Option<String>,
    /// The time of the last change of state.
    #[schema(required, value_type = Option<schema::Time>)]
    changed_at: Option<String>,
}

impl From<&SigningKeyRow> for SigningKey {
    fn from(it: &SigningKeyRow) -> Self {
        let issued_before = match it.state {
            KeyState::Retired { issued_before } => issued_before.and_then(time),
            _ => None,
        };
        Self {
            kid: it.id,
            public_key: URL_SAFE_NO_PAD.encode(it.public),
            state: it.state.name(),
            issued_before,
            created_at: time(it.created_at),
            changed_at: time(it.changed_at),
        }
    }
}

page! { #[doc = "A page of tokens."] Tokens, tokens: Token }

/// A token with its channel.
#[derive(Serialize, ToSchema)]
pub struct TokenOfChannel {
    #[serde(flatten)]
    token: Token,
    #[schema(value_type = schema::ChannelId)]
    channel_id: ChannelId,
}

impl From<&(RowId, ChannelId, TokenRow)> for TokenOfChannel {
    fn from((_, channel_id, row): &(RowId, ChannelId, TokenRow)) -> Self {
        Self { token: row.into(), channel_id: *channel_id }
    }
}

page! { #[doc = "A page of tokens of all channels."] TokensOfChannels, tokens: TokenOfChannel }

page! { #[doc = "A page of signing keys."] SigningKeys, signing_keys: SigningKey }

/// The result of a master-key rotation.
#[derive(Serialize, ToSchema)]
pub struct Rewrapped {
    /// The number of signing keys that the new master key encrypts.
    #[schema(example = 2)]
    pub rewrapped: usize,
}
