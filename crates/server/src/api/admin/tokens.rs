//! Tokens as an administrator sees them: their facts without the tokens themselves,
//! except for a new long-lived token, which is shown once.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, IdempotencyKey, Ids, Limit, Part, Query, Whole, moment},
    schema, show,
};
use axum::{Json, response::Response};
use http::StatusCode;
use serde::Deserialize;
use std::str::FromStr;
use tegata_policy::rules::LONGEST_DELAY;
use tegata_store::{ExpiryFilter, RowId, TokenFilter, TokenState};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group, TokenId},
    kind::Kind,
    time::UnixTime,
};
use utoipa::{IntoParams, ToSchema};

taking_body! {
/// The parameters of issuing a new long-lived token.
pub struct Reissue {
    /// For how many seconds the present token stays active.
    #[serde(default)]
    #[schema(value_type = i64, required = false, default = 0, minimum = 0, maximum = 86_400)]
    delay_seconds: Whole<0, LONGEST_DELAY>,
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
        (status = 200, description = "The result of a dry run.", body = show::DryRun),
        Problems,
    )
)]
pub async fn reissue(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    IdempotencyKey(idempotency): IdempotencyKey,
    Body(mut how): Body<Reissue>,
) -> Result<Response, Problem> {
    let (delay, options) = (how.delay_seconds.get(), how.options());
    let outcome = who.admin.reissue(channel, delay, idempotency, &options).await?;
    Ok(show::outcome(StatusCode::CREATED, outcome, |issued, taken| show::NewToken {
        access_token: issued.reveal().to_owned(),
        token_type: "Bearer",
        token_id: issued.claims.id,
        previous_valid_until: issued.previous_until.and_then(show::time),
        taken,
    }))
}

/// Which tokens to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only of this kind.
    #[param(value_type = Option<schema::Kind>)]
    kind: Option<Kind>,
    /// Only of this group.
    #[param(value_type = Option<schema::Group>)]
    group: Option<Group>,
    /// Only those that were issued for this assertion key.
    #[param(value_type = Option<schema::AssertionKeyId>)]
    assertion_key: Option<AssertionKeyId>,
    /// Only in this state.
    #[param(value_type = Option<schema::TokenState>)]
    state: Option<TokenState>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

/// List a channel's stored tokens, newest first.
///
/// Stateless tokens are not stored. Rows are kept for some days after a token's expiry or
/// revocation.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens", operation_id = "listTokens", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        Wanted,
    ),
    responses((status = 200, description = "A page of tokens.", body = show::Tokens), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<show::Tokens>, Problem> {
    let Wanted { kind, group, assertion_key, state, after, limit } = wanted;
    let filter = TokenFilter { kind, group, assertion_key, state };
    let part = Part::new(after, limit);
    let (rows, next) = part.split(who.admin.tokens(channel, filter, part.page()?).await?);
    Ok(show::Tokens::of(&rows, next))
}

/// Which tokens of all channels to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WantedExpiries {
    /// Only those that expire before this time (RFC 3339).
    #[param(value_type = Option<schema::Time>)]
    expires_before: Option<String>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

/// List active tokens of all channels, the first to expire first.
#[utoipa::path(
    get, path = "/tokens", operation_id = "listExpiringTokens", tag = "tokens",
    params(WantedExpiries),
    responses((status = 200, description = "A page of tokens.", body = show::TokensOfChannels), Problems)
)]
pub async fn list_expiring(
    who: Administrator,
    Query(wanted): Query<WantedExpiries>,
) -> Result<Json<show::TokensOfChannels>, Problem> {
    let before = moment("expires_before", wanted.expires_before).map_err(Problem::in_query)?;
    let before = before.unwrap_or(UnixTime(i64::MAX));
    let part = Part::new(wanted.after, wanted.limit);
    let after = part.after::<ExpiryCursor>()?.map(|ExpiryCursor(at, row)| (at, row));
    let filter = ExpiryFilter { before, after, seen: None };
    let mut rows = who.admin.expiring_tokens(filter, part.limit() + 1).await?;
    let more = rows.len() > part.limit();
    rows.truncate(part.limit());
    let next = rows.last().filter(|_| more);
    let next = next.map(|(number, _, row)| format!("{}.{number}", row.expires_at.0));
    Ok(show::TokensOfChannels::of(&rows, next))
}

/// The expiry and the row of the last token of a page.
struct ExpiryCursor(UnixTime, RowId);

impl FromStr for ExpiryCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (at, row) = text.split_once('.').ok_or(())?;
        Ok(Self(UnixTime(at.parse().map_err(drop)?), row.parse().map_err(drop)?))
    }
}

/// Show a stored token.
#[utoipa::path(
    get, path = "/channels/{channel}/tokens/{token}", operation_id = "showToken", tag = "tokens",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("token" = schema::TokenId, Path, description = "The token's id, not the token."),
    ),
    responses((status = 200, description = "The token's facts.", body = show::WholeToken), Problems)
)]
pub async fn show(
    who: Administrator,
    Ids((channel, token)): Ids<(ChannelId, TokenId)>,
    Query(()): Query<()>,
) -> Result<Json<show::WholeToken>, Problem> {
    Ok(Json((&who.admin.token(channel, token).await?).into()))
}

/// A token to be explained.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenToExplain {
    /// The token, in any format.
    access_token: String,
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
    Body(TokenToExplain { access_token }): Body<TokenToExplain>,
) -> Result<Json<show::Explanation>, Problem> {
    Ok(Json((&who.admin.explain(&access_token).await?).into()))
}
