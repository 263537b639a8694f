//! Revocations: of one token, or of all tokens in a scope. Each request names exactly one
//! target, and its receipt reports whether every verifier has applied it.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Code, Problem, Problems},
        read::{Body, Ids, Line, Whole, invalid},
        schema, show,
    },
    authority::admin::{Anywhere, InChannel, Revocation},
};
use axum::Json;
use http::StatusCode;
use serde::Deserialize;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    kind::Kind,
};
use utoipa::ToSchema;

/// What to revoke within a channel: exactly one of the first six members.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationInChannel {
    /// The token of this text.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// The stored token with this id.
    #[schema(value_type = Option<schema::TokenId>, nullable = false)]
    token_id: Option<TokenId>,
    /// All tokens of this group.
    #[schema(value_type = Option<schema::Group>, nullable = false)]
    group: Option<Group>,
    /// All tokens of this kind.
    #[schema(value_type = Option<schema::Kind>, nullable = false)]
    kind: Option<Kind>,
    /// All tokens issued for this assertion key.
    #[schema(value_type = Option<schema::AssertionKeyId>, nullable = false)]
    assertion_key: Option<AssertionKeyId>,
    /// True: all tokens of the channel.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Line<500>>,
    /// Maximum time to wait until every verifier has acknowledged the revocation.
    #[schema(value_type = Option<u8>, minimum = 0, maximum = 60, default = 0, nullable = false)]
    #[expect(dead_code, reason = "there are no verifiers to wait for yet")]
    wait_seconds: Option<Whole<0, 60>>,
    /// Revoke nothing; report how many tokens would be revoked.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}

impl RevocationInChannel {
    fn what(self) -> Result<InChannel, Problem> {
        exactly_one([
            ("access_token", self.access_token.map(InChannel::Token)),
            ("token_id", self.token_id.map(InChannel::Stored)),
            ("group", self.group.map(InChannel::Group)),
            ("kind", self.kind.map(InChannel::Kind)),
            ("assertion_key", self.assertion_key.map(InChannel::AssertionKey)),
            ("all", all(self.all)?.map(|()| InChannel::All)),
        ])
    }
}

/// What to revoke in any channel: exactly one of the first four members.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationAnywhere {
    /// The token of this text.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// All tokens of this provider's channels.
    #[schema(value_type = Option<schema::ProviderId>, nullable = false)]
    provider_id: Option<ProviderId>,
    /// All tokens signed by this key; the key is revoked.
    #[schema(value_type = Option<schema::SigningKeyId>, nullable = false)]
    signing_key: Option<SigningKeyId>,
    /// True: all tokens; all signing keys are revoked.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// The reason, for the audit.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500, nullable = false)]
    reason: Option<Line<500>>,
    /// Maximum time to wait until every verifier has acknowledged the revocation.
    #[schema(value_type = Option<u8>, minimum = 0, maximum = 60, default = 0, nullable = false)]
    #[expect(dead_code, reason = "there are no verifiers to wait for yet")]
    wait_seconds: Option<Whole<0, 60>>,
    /// Revoke nothing; report how many tokens would be revoked.
    #[schema(default = false, nullable = false)]
    dry_run: Option<bool>,
}

impl RevocationAnywhere {
    fn what(self) -> Result<Anywhere, Problem> {
        exactly_one([
            ("access_token", self.access_token.map(Anywhere::Token)),
            ("provider_id", self.provider_id.map(Anywhere::Provider)),
            ("signing_key", self.signing_key.map(Anywhere::SigningKey)),
            ("all", all(self.all)?.map(|()| Anywhere::All)),
        ])
    }
}

/// `"all": true`; false would have no meaning, and is more likely a mistake.
fn all(all: Option<bool>) -> Result<Option<()>, Problem> {
    match all {
        None => Ok(None),
        Some(true) => Ok(Some(())),
        Some(false) => Err(invalid("all", "true, or absent")),
    }
}

fn exactly_one<T, const N: usize>(given: [(&str, Option<T>); N]) -> Result<T, Problem> {
    let names = given.each_ref().map(|(name, _)| *name).join(", ");
    let mut given = given.into_iter().filter_map(|(_, it)| it);
    match (given.next(), given.next()) {
        (Some(it), None) => Ok(it),
        (None, _) => {
            Err(Problem::new(Code::MissingMember, format!("name what to revoke by one of {names}")))
        }
        (Some(_), Some(_)) => {
            Err(Problem::new(Code::InvalidMember, format!("give exactly one of {names}")))
        }
    }
}

/// Revoke tokens of a channel.
///
/// Give exactly one of `access_token`, `token_id`, `group`, `kind`, `assertion_key` and
/// `all`.
#[utoipa::path(
    post, path = "/channels/{channel}/revocations", operation_id = "revokeInChannel",
    tag = "revocations",
    params(("channel" = schema::ChannelId, Path, description = "The channel.")),
    request_body = RevocationInChannel,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::Revocation),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn of_channel(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(mut asked): Body<RevocationInChannel>,
) -> Result<(StatusCode, Json<show::Revocation>), Problem> {
    let (reason, dry_run) = (asked.reason.take(), asked.dry_run.unwrap_or(false));
    let admin = who.admin.because(reason.map(|line| line.0));
    Ok(shown(admin.revoke_in_channel(channel, asked.what()?, dry_run).await?))
}

/// Revoke tokens of any channel.
///
/// Give exactly one of `access_token`, `provider_id`, `signing_key` and `all`. The last
/// two revoke signing keys.
#[utoipa::path(
    post, path = "/revocations", operation_id = "revoke", tag = "revocations",
    request_body = RevocationAnywhere,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::Revocation),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn of_all(
    who: Administrator,
    Body(mut asked): Body<RevocationAnywhere>,
) -> Result<(StatusCode, Json<show::Revocation>), Problem> {
    let (reason, dry_run) = (asked.reason.take(), asked.dry_run.unwrap_or(false));
    let admin = who.admin.because(reason.map(|line| line.0));
    Ok(shown(admin.revoke(asked.what()?, dry_run).await?))
}

fn shown(done: Revocation) -> (StatusCode, Json<show::Revocation>) {
    let status = if done.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    (status, Json(done.into()))
}
