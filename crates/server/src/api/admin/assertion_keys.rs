//! The public keys that a channel's assertions are verified with.

use crate::api::admin::{
    administrator::Administrator,
    problem::{Problem, Problems},
    read::{Body, Ids, Limit, Line, Part, Query, Unparsed},
    schema, show,
};
use axum::{Json, response::Response};
use http::StatusCode;
use serde::Deserialize;
use tegata_policy::jwk::AssertionKey;
use tegata_store::KeyFilter;
use tegata_token::id::{AssertionKeyId, ChannelId, Group};
use utoipa::{IntoParams, ToSchema};

/// An assertion signing key to register.
#[derive(Deserialize, ToSchema)]
#[schema(as = AssertionKeyToRegister)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// The public half of an RSA key of 2,048 bits, as a JWK with `kty`, `alg`
    /// (RS256), `use` (sig), `n` and `e`; no private member, and no `kid`.
    #[schema(value_type = Object,
             example = json!({"kty": "RSA", "alg": "RS256", "use": "sig", "n": "…", "e": "AQAB"}))]
    jwk: Unparsed,
    /// The group of the tokens that are issued for it; absent: the channel at large.
    #[schema(value_type = Option<schema::Group>)]
    group: Option<Group>,
}

/// Which assertion keys to list, and the page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WantedKeys {
    /// Only the key of this id.
    #[param(value_type = Option<schema::AssertionKeyId>)]
    kid: Option<AssertionKeyId>,
    /// Only those whose id, group, or channel's id or name contains this text.
    #[param(value_type = Option<String>, min_length = 1, max_length = 100)]
    search: Option<Line<100>>,
    /// Continue behind this cursor, which the previous page returned as `next`.
    #[param(value_type = Option<schema::Cursor>)]
    after: Option<String>,
    /// Maximum number of rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<Limit>,
}

/// List the keys of all channels, newest first.
#[utoipa::path(
    get, path = "/assertion-keys", operation_id = "listAllAssertionKeys", tag = "assertion keys",
    params(WantedKeys),
    responses((status = 200, description = "A page of keys.", body = show::KeysOfChannels), Problems)
)]
pub async fn list_all(
    who: Administrator,
    Query(wanted): Query<WantedKeys>,
) -> Result<Json<show::KeysOfChannels>, Problem> {
    let WantedKeys { kid, search, after, limit } = wanted;
    let (filter, part) =
        (KeyFilter { id: kid, search: search.map(|it| it.0), seen: None }, Part::new(after, limit));
    let (rows, next) = part.split(who.admin.all_assertion_keys(filter, part.page()?).await?);
    Ok(show::KeysOfChannels::of(&rows, next))
}

/// Register the public half of a key.
///
/// At most two keys for each group and two for the channel at large.
#[utoipa::path(
    post, path = "/channels/{channel}/assertion-keys", operation_id = "registerAssertionKey",
    tag = "assertion keys",
    params(("channel" = schema::ChannelId, Path, description = "The channel that the key is for.")),
    request_body = New,
    responses(
        (status = 201, description = "The key is registered.", body = show::NewAssertionKey),
        Problems,
    )
)]
pub async fn register(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<show::NewAssertionKey>), Problem> {
    let key = AssertionKey::from_jwk(&new.jwk.0)?;
    let kid = who.admin.register_key(channel, key, new.group).await?;
    Ok((StatusCode::CREATED, Json(show::NewAssertionKey { kid })))
}

/// List a channel's keys, newest first.
#[utoipa::path(
    get, path = "/channels/{channel}/assertion-keys", operation_id = "listAssertionKeys",
    tag = "assertion keys",
    params(("channel" = schema::ChannelId, Path, description = "The channel."), Part),
    responses((status = 200, description = "A page of keys.", body = show::AssertionKeys), Problems)
)]
pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(part): Query<Part>,
) -> Result<Json<show::AssertionKeys>, Problem> {
    let keys = who.admin.assertion_keys(channel).await?;
    let (keys, next) = part.cut(keys, |(key, _)| key.id.to_string())?;
    Ok(show::AssertionKeys::of(&keys, next))
}

taking_query! {
/// The parameters of deleting a key.
pub struct KeyDeletion {
    /// Whether the tokens that were issued for the key are revoked as well.
    #[serde(default)]
    #[param(required = false)]
    revoke_tokens: bool,
}
}

/// Delete a key: no token can be issued for it any more.
#[utoipa::path(
    delete, path = "/channels/{channel}/assertion-keys/{kid}",
    operation_id = "deleteAssertionKey", tag = "assertion keys",
    params(
        ("channel" = schema::ChannelId, Path, description = "The channel."),
        ("kid" = schema::AssertionKeyId, Path, description = "The key."),
        KeyDeletion,
    ),
    responses(
        (status = 200, description = "The key is deleted, or the result of a dry run.",
         body = show::Deleted),
        Problems,
    )
)]
pub async fn delete(
    who: Administrator,
    Ids((channel, kid)): Ids<(ChannelId, AssertionKeyId)>,
    Query(mut how): Query<KeyDeletion>,
) -> Result<Response, Problem> {
    let options = how.options();
    Ok(show::deleted(who.admin.delete_key(channel, kid, how.revoke_tokens, &options).await?))
}
