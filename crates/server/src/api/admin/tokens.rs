//! Tokens as an administrator sees them: their facts without the tokens themselves,
//! except for a new long-lived token, which is shown once.

use crate::{
    api::admin::{
        administrator::Administrator,
        problem::{Problem, Problems},
        read::{Body, FromMembers, IdempotencyKey, Ids, Members, Part, Query},
        schema, show,
    },
    authority::admin::Outcome,
};
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use tegata_policy::rules::LONGEST_DELAY;
use tegata_store::TokenFilter;
use tegata_token::id::{ChannelId, TokenId};
use utoipa::ToSchema;

/// The parameters of issuing a new long-lived token.
#[derive(ToSchema)]
#[schema(as = Reissue)]
#[serde(deny_unknown_fields)]
pub struct Reissue {
    /// For how many seconds the present token stays active.
    #[schema(
        rename = "delay_seconds",
        required = false,
        default = 0,
        minimum = 0,
        maximum = 86_400
    )]
    delay: i64,
    /// Issue nothing; report how many tokens would be revoked.
    #[schema(required = false, default = false)]
    dry_run: bool,
}

impl FromMembers for Reissue {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let delay = members.whole("delay_seconds", 0..=LONGEST_DELAY)?.unwrap_or(0);
        Ok(Self { delay, dry_run: members.flag("dry_run")? })
    }
}

/// Issue a channel's long-lived token anew.
///
/// The present one is revoked, at once or after the delay.
#[utoipa::path(
    post, path = "/channels/{channel}/long-lived-token", operation_id = "reissueLongLivedToken",
    tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("Idempotency-Key" = Option<String>, Header,
         description = "1 to 255 printable characters; a repeated request with the same key gets the \
                        same token."),
    ),
    request_body = Option<Reissue>,
    responses(
        (status = 201, description = "The new token.", body = show::NewToken),
        (status = 200, description = "The result of a dry run.", body = show::Revocation),
        Problems,
    )
)]
pub async fn reissue(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    IdempotencyKey(idempotency): IdempotencyKey,
    Body(Reissue { delay, dry_run }): Body<Reissue>,
) -> Result<Response, Problem> {
    match who.admin.reissue(channel, delay, idempotency, dry_run).await? {
        Outcome::Done(issued) => {
            let body = show::NewToken {
                access_token: issued.reveal().to_owned(),
                token_type: "Bearer",
                token_id: issued.claims.id,
                previous_valid_until: issued.previous_until.and_then(show::time),
            };
            Ok((StatusCode::CREATED, Json(body)).into_response())
        }
        Outcome::DryRun(found) => Ok(show::dry_run(found)),
    }
}

pub struct Wanted {
    filter: TokenFilter,
    part: Part,
}

/// The names of the kinds.
pub const KIND: &str = "one of v2.1, stateless, short-lived, long-lived";

impl FromMembers for Wanted {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        let filter = TokenFilter {
            kind: members.take("kind", KIND)?,
            group: members.take("group", super::groups::NAME)?,
            state: members.take("state", "one of active, suspended, expired, revoked")?,
        };
        Ok(Self { filter, part: Part::from_members(members)? })
    }
}

/// List a channel's stored tokens, newest first.
///
/// Stateless tokens are not stored. Rows are kept for some days after a token's expiry or
/// revocation.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens", operation_id = "listTokens", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("kind" = Option<schema::Kind>, Query, description = "Only of this kind."),
        ("group" = Option<schema::Group>, Query, description = "Only of this group."),
        ("state" = Option<schema::TokenState>, Query, description = "Only in this state."),
        Part,
    ),
    responses((status = 200, description = "A page of tokens.", body = show::Tokens), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(Wanted { filter, part }): Query<Wanted>,
) -> Result<Json<show::Tokens>, Problem> {
    let (rows, next) = part.split(who.admin.tokens(channel, filter, part.page()?).await?);
    Ok(show::Tokens::of(&rows, next))
}

/// Show a stored token.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens/{token}", operation_id = "showToken", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("token" = schema::TokenId, Path, description = "The token's id, not the token."),
    ),
    responses((status = 200, description = "The token's facts.", body = show::Token), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids((channel, token)): Ids<(ChannelId, TokenId)>,
    Query(()): Query<()>,
) -> Result<Json<show::Token>, Problem> {
    Ok(Json((&who.admin.token(channel, token).await?).into()))
}

/// A token to be explained.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenToExplain {
    /// The token, in any format.
    #[schema(rename = "access_token")]
    token: String,
}

impl FromMembers for TokenToExplain {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { token: members.need("access_token", "a token, a text")? })
    }
}

/// Explain what a token is, and why it is valid or not.
///
/// A string that is not a token of this authority is 404.
#[utoipa::path(
    post, path = "/explain", operation_id = "explainToken", tag = "tokens",
    request_body = TokenToExplain,
    responses((status = 200, description = "The explanation.", body = show::Explanation), Problems)
)]
pub async fn explain(
    who: Administrator,
    Body(TokenToExplain { token }): Body<TokenToExplain>,
) -> Result<Json<show::Explanation>, Problem> {
    Ok(Json((&who.admin.explain(&token).await?).into()))
}
