//! The public keys that a channel's assertions are checked with.

use crate::face::admin::{
    Administrator,
    problem::Problem,
    read::{Body, FromMembers, Ids, Members, Query},
    show,
};
use axum::Json;
use http::StatusCode;
use serde_json::{Value, json};
use tegata_token::{
    id::{AssertionKeyId, ChannelId, Group},
    jwk::AssertionKey,
};

pub struct New {
    key: AssertionKey,
    group: Option<Group>,
}

impl FromMembers for New {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        // As it was written: a repeated member inside must be seen as well.
        let jwk = members.raw("jwk", "a public JWK, an object")?;
        let group = members.take("group", super::groups::NAME)?;
        Ok(Self { key: AssertionKey::from_jwk(jwk.get().as_bytes())?, group })
    }
}

pub async fn register(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let kid = who.authority.register_key(channel, new.key, new.group, who.by(None)).await?;
    Ok((StatusCode::CREATED, Json(json!({ "kid": kid }))))
}

pub async fn list(
    who: Administrator,
    Ids(channel): Ids<ChannelId>,
    Query(()): Query<()>,
) -> Result<Json<Value>, Problem> {
    let channel = who.channel(channel).await?;
    let mut keys: Vec<_> = channel.assertion_keys.iter().collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
    let keys = keys.into_iter().map(show::assertion_key).collect();
    Ok(Json(show::list("assertion_keys", keys, None)))
}

pub struct Deletion {
    revoke_tokens: bool,
}

impl FromMembers for Deletion {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { revoke_tokens: members.flag("revoke_tokens")? })
    }
}

pub async fn delete(
    who: Administrator,
    Ids((channel, kid)): Ids<(ChannelId, AssertionKeyId)>,
    Query(Deletion { revoke_tokens }): Query<Deletion>,
) -> Result<StatusCode, Problem> {
    who.authority.store().delete_key(channel, kid, revoke_tokens, who.by(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}
