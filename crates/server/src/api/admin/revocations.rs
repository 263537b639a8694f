//! Revocations: of one token, or of all tokens in a scope. Each request names exactly one
//! target, and its receipt reports whether every verifier has applied it.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Code, Problem, Problems},
        read::{Body, Ids, Line, invalid, moment, parsed},
        schema, show,
    },
    authority::admin::{Anywhere, CreatedBy, InChannel},
};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use std::net::IpAddr;
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, ProviderId, SigningKeyId, TokenId},
    kind::Kind,
    time::UnixTime,
};
use utoipa::ToSchema;

taking_body! {
/// What to revoke: exactly one of the first nine members.
pub struct Revocation {
    /// The token of this text.
    #[schema(nullable = false)]
    access_token: Option<String>,
    /// Within a channel: the stored token with this id.
    #[schema(value_type = Option<schema::TokenId>, nullable = false)]
    token_id: Option<TokenId>,
    /// Within a channel: all tokens of this group.
    #[schema(value_type = Option<schema::Group>, nullable = false)]
    group: Option<Group>,
    /// Within a channel: all tokens of this kind.
    #[schema(value_type = Option<schema::Kind>, nullable = false)]
    kind: Option<Kind>,
    /// Within a channel: all tokens issued for this assertion key.
    #[schema(value_type = Option<schema::AssertionKeyId>, nullable = false)]
    assertion_key: Option<AssertionKeyId>,
    /// In any channel: all tokens of this provider's channels.
    #[schema(value_type = Option<schema::ProviderId>, nullable = false)]
    provider_id: Option<ProviderId>,
    /// In any channel: all tokens signed by this key; the key is revoked.
    #[schema(value_type = Option<schema::SigningKeyId>, nullable = false)]
    signing_key: Option<SigningKeyId>,
    /// In any channel: the assertion keys that an actor registered, with the tokens issued
    /// for them, and the tokens that the actor had issued. The keys are deleted.
    #[schema(nullable = false)]
    created_by: Option<Creator>,
    /// True: all tokens of the channel; in any channel, all tokens of the authority, whose
    /// signing keys are all revoked.
    #[schema(nullable = false)]
    all: Option<bool>,
}
}

/// An actor, and when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Creator {
    /// The actor, as audit events name it.
    #[schema(value_type = String, min_length = 1, max_length = 100, example = "administrator")]
    actor: Line<100>,
    /// Only by requests from this IP address.
    #[schema(nullable = false)]
    source: Option<String>,
    /// From this time on (RFC 3339).
    #[schema(example = "2026-11-26T09:00:00Z")]
    since: String,
    /// Before this time (RFC 3339).
    #[schema(nullable = false)]
    until: Option<String>,
}

impl Creator {
    fn filter(self) -> Result<CreatedBy, Problem> {
        let source: Option<IpAddr> = parsed("source", self.source, "an IP address")?;
        let since = moment("since", Some(self.since))?;
        Ok(CreatedBy {
            actor: self.actor.0,
            source: source.map(|it| it.to_canonical()),
            since: since.unwrap_or(UnixTime(0)),
            until: moment("until", self.until)?,
        })
    }
}

impl Revocation {
    fn in_channel(self) -> Result<InChannel, Problem> {
        let elsewhere = [
            ("provider_id", self.provider_id.is_some()),
            ("signing_key", self.signing_key.is_some()),
            ("created_by", self.created_by.is_some()),
        ];
        exactly_one(
            [
                ("access_token", self.access_token.map(InChannel::Token)),
                ("token_id", self.token_id.map(InChannel::Stored)),
                ("group", self.group.map(InChannel::Group)),
                ("kind", self.kind.map(InChannel::Kind)),
                ("assertion_key", self.assertion_key.map(InChannel::AssertionKey)),
                ("all", all(self.all)?.map(|()| InChannel::All)),
            ],
            &elsewhere,
        )
    }

    fn anywhere(self) -> Result<Anywhere, Problem> {
        let elsewhere = [
            ("token_id", self.token_id.is_some()),
            ("group", self.group.is_some()),
            ("kind", self.kind.is_some()),
            ("assertion_key", self.assertion_key.is_some()),
        ];
        exactly_one(
            [
                ("access_token", self.access_token.map(Anywhere::Token)),
                ("provider_id", self.provider_id.map(Anywhere::Provider)),
                ("signing_key", self.signing_key.map(Anywhere::SigningKey)),
                (
                    "created_by",
                    self.created_by.map(Creator::filter).transpose()?.map(Anywhere::CreatedBy),
                ),
                ("all", all(self.all)?.map(|()| Anywhere::All)),
            ],
            &elsewhere,
        )
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

/// The one of `given` that is there; an error if one of `elsewhere`, which the other call
/// takes, is.
fn exactly_one<T, const N: usize>(
    given: [(&str, Option<T>); N],
    elsewhere: &[(&str, bool)],
) -> Result<T, Problem> {
    let names = given.each_ref().map(|(name, _)| *name).join(", ");
    if let Some((name, _)) = elsewhere.iter().find(|(_, given)| *given) {
        let detail = format!("`{name}` is unknown to this call; give exactly one of {names}");
        return Err(Problem::member(name, Code::UnknownMember, detail));
    }
    let mut given = given.into_iter().filter_map(|(_, it)| it);
    match (given.next(), given.next()) {
        (Some(it), None) => Ok(it),
        (None, _) => {
            let detail = format!("name what to revoke by one of {names}");
            Err(Problem::body(Code::MissingMember, detail))
        }
        (Some(_), Some(_)) => {
            Err(Problem::body(Code::InvalidMember, format!("give exactly one of {names}")))
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
    request_body = Revocation,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::Taken),
        (status = 200, description = "The result of a dry run.", body = show::DryRun),
        Problems,
    )
)]
pub async fn of_channel(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(mut asked): Body<Revocation>,
) -> Result<Response, Problem> {
    let options = asked.options();
    let outcome = who.admin.revoke_in_channel(channel, asked.in_channel()?, &options).await?;
    Ok(show::outcome(StatusCode::CREATED, outcome, |(), taken| taken))
}

/// Revoke tokens of any channel.
///
/// Give exactly one of `access_token`, `provider_id`, `signing_key`, `created_by` and `all`.
/// `signing_key` and `all` revoke signing keys; `created_by` deletes assertion keys, and its
/// responses have `keys`.
#[utoipa::path(
    post, path = "/revocations", operation_id = "revoke", tag = "revocations",
    request_body = Revocation,
    responses(
        (status = 201, description = "The tokens are revoked.", body = show::RevokedAnywhere),
        (status = 200, description = "The result of a dry run.", body = show::DryRunAnywhere),
        Problems,
    )
)]
pub async fn of_all(
    who: Administrator,
    Body(mut asked): Body<Revocation>,
) -> Result<Response, Problem> {
    let options = asked.options();
    match asked.anywhere()? {
        Anywhere::CreatedBy(what) => {
            let outcome = who.admin.revoke_created_by(&what, &options).await?;
            Ok(show::created_by(outcome))
        }
        what => {
            let outcome = who.admin.revoke(what, &options).await?;
            Ok(show::outcome(StatusCode::CREATED, outcome, |(), taken| taken))
        }
    }
}
