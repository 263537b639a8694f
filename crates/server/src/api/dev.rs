//! The development clock, which can be moved, for trials and tests. These paths exist
//! under `--dev` only.

use super::app::App;
use crate::{
    api::reply::{self, Reply},
    authority::jobs,
};
use axum::{Router, extract::State, routing::get};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tegata_token::time::{DAY, UnixTime};

/// `/dev/clock`.
pub fn router() -> Router<Arc<App>> {
    let show = async |State(app): State<Arc<App>>| shown(app.authority.now());
    let advance = async |State(app): State<Arc<App>>, body: Bytes| advance(&app, &body).await;
    Router::new().route("/dev/clock", get(show).post(advance))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: i64,
}

/// The maximum of one move, a thousand years, so that times stay far from the end of
/// their range.
const FARTHEST: i64 = 365_250 * DAY;

async fn advance(app: &App, body: &[u8]) -> Reply {
    let wanted = serde_json::from_slice::<Advance>(body).ok().map(|it| it.advance_seconds);
    let Some(seconds) = wanted.filter(|seconds| (0..=FARTHEST).contains(seconds)) else {
        let words = r#"send {"advance_seconds": N}, N a whole number of at least 0"#;
        return reply::message(StatusCode::BAD_REQUEST, words);
    };
    match app.authority.advance_clock(seconds).await {
        Ok(now) => {
            // Runs what is due by the new time before the next request sees that time.
            jobs::run(&app.jobs).await;
            shown(now)
        }
        Err(error) => {
            tracing::warn!(%error, "the clock was not moved");
            reply::unavailable()
        }
    }
}

fn shown(now: UnixTime) -> Reply {
    reply::json(StatusCode::OK, format!(r#"{{"now_unix": {}}}"#, now.0))
}
