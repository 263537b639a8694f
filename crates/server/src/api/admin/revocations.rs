//! Revocations: of one token, or of all tokens in a scope. Each request names exactly one
//! target, and its receipt reports whether every verifier has applied it.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Code, Problem, Problems},
        read::{Body, FromMembers, Ids, Members, invalid},
        schema, show, tokens,
    },
    authority::admin::{Anywhere, InChannel, Revocation},
};
use axum::Json;
use http::StatusCode;
use tegata_token::id::ChannelId;

/// A revocation as requested.
pub struct RevocationRequest<T> {
    what: T,
    reason: Option<String>,
    dry_run: bool,
}

const TOKEN: &str = "a token, a text";

impl FromMembers for InChannel {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let token = members.take("access_token", TOKEN)?;
        let stored = members.take("token_id", "the id of a stored token")?;
        let group = members.take("group", super::groups::NAME)?;
        let kind = members.take("kind", tokens::KIND)?;
        let key = members.take("assertion_key", "the `kid` of an assertion key")?;
        exactly_one([
            ("access_token", token.map(Self::Token)),
            ("token_id", stored.map(Self::Stored)),
            ("group", group.map(Self::Group)),
            ("kind", kind.map(Self::Kind)),
            ("assertion_key", key.map(Self::AssertionKey)),
            ("all", all(members)?.map(|()| Self::All)),
        ])
    }
}

impl FromMembers for Anywhere {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let token = members.take("access_token", TOKEN)?;
        let provider = members.take("provider_id", "the id of a provider")?;
        let key = members.take("signing_key", "the `kid` of a signing key")?;
        exactly_one([
            ("access_token", token.map(Self::Token)),
            ("provider_id", provider.map(Self::Provider)),
            ("signing_key", key.map(Self::SigningKey)),
            ("all", all(members)?.map(|()| Self::All)),
        ])
    }
}

/// `"all": true`; false would have no meaning, and is more likely a mistake.
fn all(members: &mut Members) -> Result<Option<()>, Problem> {
    match members.take("all", "true")? {
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

impl<T: FromMembers> FromMembers for RevocationRequest<T> {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let reason = members.line("reason", 500)?;
        // There are no verifiers to wait for yet: see `receipt`.
        members.whole("wait_seconds", 0..=60)?;
        let dry_run = members.flag("dry_run")?;
        Ok(Self { what: T::from_members(members)?, reason, dry_run })
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
    request_body = schema::RevocationInChannel,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::Revocation),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn of_channel(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(asked): Body<RevocationRequest<InChannel>>,
) -> Result<(StatusCode, Json<show::Revocation>), Problem> {
    let RevocationRequest { what, reason, dry_run } = asked;
    let done = who.admin.because(reason).revoke_in_channel(channel, what, dry_run).await?;
    Ok(shown(done))
}

/// Revoke tokens of any channel.
///
/// Give exactly one of `access_token`, `provider_id`, `signing_key` and `all`. The last
/// two revoke signing keys.
#[utoipa::path(
    post, path = "/revocations", operation_id = "revoke", tag = "revocations",
    request_body = schema::RevocationAnywhere,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::Revocation),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn of_all(
    who: Administrator,
    Body(asked): Body<RevocationRequest<Anywhere>>,
) -> Result<(StatusCode, Json<show::Revocation>), Problem> {
    let RevocationRequest { what, reason, dry_run } = asked;
    Ok(shown(who.admin.because(reason).revoke(what, dry_run).await?))
}

fn shown(done: Revocation) -> (StatusCode, Json<show::Revocation>) {
    let status = if done.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    (status, Json(done.into()))
}
