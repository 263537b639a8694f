//! The style sheet, the script and the icon.

use super::{Answer, failure::Failure};
use axum::{extract::Path, response::IntoResponse};
use http::{HeaderMap, StatusCode, header};
use tegata_console::assets::ALL;

/// Serves a file. Its name changes with its content, so that a browser may keep it.
pub async fn show(Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let asset = ALL.iter().find(|it| it.name == name).ok_or_else(Failure::not_found)?;
    let tag = format!("\"{:016x}\"", asset.tag);
    let kept = headers.get(header::IF_NONE_MATCH).is_some_and(|it| it.as_bytes() == tag.as_bytes());
    let facts = [
        (header::CONTENT_TYPE, asset.content_type.to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::ETAG, tag),
    ];
    Ok(match kept {
        true => (StatusCode::NOT_MODIFIED, facts).into_response(),
        false => (facts, asset.body).into_response(),
    })
}
