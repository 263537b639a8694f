//! Warnings, as lists show them and webhooks send them.

use super::{VerifierWarning, time::time};
use crate::{
    api::admin::schema,
    authority::warnings::{self, Subject, leak::LeakWarning, own, webhook},
};
use serde::Serialize;
use tegata_policy::channel::Channel;
use tegata_store::Holding;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, ProviderId, SigningKeyId, TokenId},
    kind::Kind,
};
use utoipa::ToSchema;

/// Something that is about to expire, is unused, or is used though it was replaced.
/// Webhooks send the same members.
#[derive(Serialize, ToSchema)]
pub struct Warning {
    /// The type: `token.expiring`, `token.unused`, `token.replaced-in-use`,
    /// `secret.expiring`, `assertion-key.unused` or `channel.nearly-full`; to webhooks also
    /// `token.leaked`.
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
    /// Whom to contact, if the group has a contact.
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
    /// The expiry of what it is about.
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    #[schema(required, value_type = Option<schema::Time>)]
    last_used_at: Option<String>,
    /// Since when the warning applies.
    #[schema(required, value_type = Option<schema::Time>)]
    since: Option<String>,
    /// Of `channel.nearly-full`: how many tokens of the kind are active.
    #[schema(required)]
    active: Option<usize>,
    /// Of `channel.nearly-full`: how many may be.
    #[schema(required)]
    cap: Option<usize>,
    /// The newer token that should be used in its place.
    #[schema(required, value_type = Option<String>)]
    replaced_by: Option<TokenId>,
    /// Of `token.leaked`: where the token was found, if an authenticated reporter names it.
    #[schema(required)]
    found_at: Option<String>,
    /// What to do.
    advice: &'static str,
}

impl Warning {
    /// A warning about what `of` holds.
    pub fn of(it: &warnings::Warning, of: &Holding) -> Self {
        let token = it.token();
        let (kid, made_at) = match &it.what {
            Subject::KeyUnused { kid, created_at, .. } => (Some(*kid), Some(*created_at)),
            _ => (None, token.map(|token| token.issued_at)),
        };
        let room = match &it.what {
            Subject::NearlyFull { kind, active, cap } => Some((*kind, *active, *cap)),
            _ => None,
        };
        let replaced_by = match &it.what {
            Subject::TokenReplaced { by, .. } => Some(*by),
            _ => None,
        };
        Self {
            r#type: it.kind(),
            provider_id: of.channel.provider,
            channel_id: of.channel.id,
            channel_name: of.channel.name.clone(),
            group: it.group().map(str::to_owned),
            contact: contact(&of.channel, it.group()),
            token_id: token.map(|token| token.id),
            kind: token.map(|token| token.kind).or(room.map(|it| it.0)),
            since: time(it.since),
            active: room.map(|it| it.1),
            cap: room.map(|it| it.2),
            kid,
            made_at: made_at.and_then(time),
            expires_at: it.expires_at().and_then(time),
            last_used_at: token.and_then(|token| token.last_used_at).and_then(time),
            replaced_by,
            found_at: None,
            advice: it.advice(),
        }
    }

    /// A warning about a leaked token of this channel.
    pub fn of_leak(it: &LeakWarning, of: &Channel) -> Self {
        let token = &it.token;
        Self {
            r#type: LeakWarning::KIND,
            provider_id: of.provider,
            channel_id: of.id,
            channel_name: of.name.clone(),
            contact: contact(of, token.group.as_deref()),
            group: token.group.clone(),
            token_id: Some(token.id),
            kind: Some(token.kind),
            since: time(it.since),
            active: None,
            cap: None,
            kid: None,
            made_at: time(token.issued_at),
            expires_at: time(token.expires_at),
            last_used_at: None,
            replaced_by: None,
            found_at: it.found_at.clone(),
            advice: it.advice(),
        }
    }
}

/// The contact of a channel's group.
fn contact(of: &Channel, group: Option<&str>) -> Option<String> {
    let group = group?;
    of.groups.iter().find(|(it, _)| it.as_str() == group)?.1.contact.clone()
}

/// A page of warnings, by channel.
#[derive(Serialize, ToSchema)]
pub struct Warnings {
    pub warnings: Vec<Warning>,
    /// Instances of verifiers that do not follow any more: on the first page of all channels'
    /// warnings.
    pub verifiers: Vec<VerifierWarning>,
    /// Warnings about the authority itself: on the first page of all channels' warnings.
    pub authority: Vec<OwnWarning>,
    /// The cursor of the next page; null on the last one. A page can be empty and have a
    /// next one.
    #[schema(required, value_type = Option<schema::Cursor>)]
    pub next: Option<String>,
}

/// A warning about what belongs to the authority itself.
#[derive(Serialize, ToSchema)]
pub struct OwnWarning {
    /// The type: `signing-key.overdue`, `certificate.expiring`, `backup.old` or
    /// `store.went-backwards`.
    #[schema(example = "signing-key.overdue")]
    r#type: &'static str,
    /// Since when it applies.
    #[schema(required, value_type = Option<schema::Time>)]
    since: Option<String>,
    /// The signing key that should have been replaced.
    #[schema(required, value_type = Option<schema::SigningKeyId>)]
    kid: Option<SigningKeyId>,
    /// Since when that key signs.
    #[schema(required, value_type = Option<schema::Time>)]
    active_since: Option<String>,
    /// The expiry of the TLS certificate.
    #[schema(required, value_type = Option<schema::Time>)]
    expires_at: Option<String>,
    /// When the newest file of `tegata backup` was made.
    #[schema(required, value_type = Option<schema::Time>)]
    backed_up_at: Option<String>,
    /// What to do.
    advice: &'static str,
    /// The page of the runbooks about it.
    #[schema(example = "signing-key-overdue")]
    runbook: &'static str,
}

impl From<&own::OwnWarning> for OwnWarning {
    fn from(it: &own::OwnWarning) -> Self {
        let (mut kid, mut active_since, mut expires_at, mut backed_up_at) = <_>::default();
        match *it {
            own::OwnWarning::SigningKeyOverdue { kid: key, active_since: at, .. } => {
                (kid, active_since) = (Some(key), time(at));
            }
            own::OwnWarning::CertificateExpires { expires_at: at } => expires_at = time(at),
            own::OwnWarning::BackupOld { backed_up_at: at } => backed_up_at = time(at),
            own::OwnWarning::StoreWentBackwards { .. } => {}
        }
        Self {
            r#type: it.kind(),
            since: time(it.since()),
            kid,
            active_since,
            expires_at,
            backed_up_at,
            advice: it.advice(),
            runbook: it.runbook(),
        }
    }
}

/// The result of sending a test warning.
#[derive(Serialize, ToSchema)]
pub struct TestDelivery {
    /// Whether the receiver accepted it, which any 2xx does.
    delivered: bool,
    /// The receiver's host; the rest of the address may contain a secret.
    #[schema(example = "hooks.example.com")]
    host: String,
    /// The status that the receiver answered with.
    #[schema(required, example = 204)]
    status: Option<u16>,
    /// Why it did not answer.
    #[schema(required)]
    error: Option<String>,
}

impl From<webhook::TestDelivery> for TestDelivery {
    fn from(it: webhook::TestDelivery) -> Self {
        let delivered = it.is_accepted();
        Self { delivered, host: it.host, status: it.status, error: it.error }
    }
}
