//! Providers: the organisations that own channels.

use crate::face::admin::{
    Administrator,
    problem::Problem,
    read::{Body, FromMembers, Members, Part, Query},
    show,
};
use axum::Json;
use http::StatusCode;
use serde_json::Value;

/// The longest name of anything, in characters.
pub const LONGEST_NAME: usize = 100;

/// A name that must be there.
pub fn name(members: &mut Members) -> Result<String, Problem> {
    let name = members.line("name", LONGEST_NAME)?;
    name.map_or_else(|| members.need("name", "what people call it"), Ok)
}

pub struct New {
    name: String,
}

impl FromMembers for New {
    fn from_members(members: &mut Members) -> Result<Self, Problem> {
        Ok(Self { name: name(members)? })
    }
}

pub async fn create(
    who: Administrator,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let made = who.authority.create_provider(&new.name, who.by(None)).await?;
    Ok((StatusCode::CREATED, Json(show::provider(&made))))
}

pub async fn list(who: Administrator, Query(part): Query<Part>) -> Result<Json<Value>, Problem> {
    let (rows, next) = part.split(who.authority.store().providers(part.page()).await?);
    Ok(Json(show::list("providers", rows.iter().map(show::provider).collect(), next)))
}
