//! A tiny Messaging API that verifies channel access tokens in its own process.
//!
//! ```sh
//! tegata verifier create messaging-api          # prints the verifier's token, once
//! TEGATA_URL=http://127.0.0.1:8080 TEGATA_VERIFIER_TOKEN=… \
//!     cargo run -p tegata-verifier --example messaging_api
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8090/v2/bot/info
//! ```

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, State},
    http::{Extensions, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    env, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tegata_verifier::{
    FollowSettings, TokenVerifier, VerifiedToken, layer::VerifyLayer, standing::Use,
};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::var("TEGATA_URL")?.parse()?;
    let mut settings = FollowSettings::new(url, &env::var("TEGATA_VERIFIER_TOKEN")?)?;
    // Ten seconds after a revocation at the latest, its token is not accepted any more.
    settings.wanted = Use { staleness: Duration::from_secs(10), ..settings.wanted };
    let verifier = TokenVerifier::start(settings)?;

    let guarded = Router::new()
        .route("/v2/bot/info", get(info))
        .route("/v2/bot/message/broadcast", post(broadcast))
        .layer(VerifyLayer::new(verifier.clone()).source(source));
    let app = guarded.route("/healthz", get(health)).with_state(verifier.clone());

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    // Every request was answered: the authority need not wait for this process any more.
    verifier.stop(Duration::from_secs(2)).await?;
    Ok(())
}

/// `GET /v2/bot/info`, with every member that LINE's SDKs require.
async fn info(Extension(token): Extension<VerifiedToken>) -> Json<Value> {
    let channel = token.claims.channel;
    Json(json!({
        "userId": format!("U{channel}"),
        "basicId": format!("@{channel}"),
        "displayName": "Tiny",
        "chatMode": "bot",
        "markAsReadMode": "auto",
    }))
}

/// `POST /v2/bot/message/broadcast`.
async fn broadcast(
    Extension(token): Extension<VerifiedToken>,
    Json(body): Json<Value>,
) -> Json<Value> {
    let messages = body["messages"].as_array().map_or(0, Vec::len);
    println!("channel {} broadcasts {messages} messages", token.claims.channel);
    Json(json!({}))
}

/// Ready as long as the view may be relied on.
async fn health(State(verifier): State<TokenVerifier>) -> (StatusCode, String) {
    let health = verifier.health();
    match health.stale {
        None => (StatusCode::OK, format!("age {:?}\n", health.age.unwrap_or_default())),
        Some(stale) => (StatusCode::SERVICE_UNAVAILABLE, format!("{stale}\n")),
    }
}

/// The client's address, for the authority's record of uses.
fn source(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip())
}

/// Completes on SIGINT and on SIGTERM, which systemd and Kubernetes send.
async fn stopped() {
    let asked = async {
        let mut term = signal(SignalKind::terminate())?;
        tokio::select! {
            asked = tokio::signal::ctrl_c() => asked,
            _ = term.recv() => io::Result::Ok(()),
        }
    };
    // Without signals the process is stopped by force.
    if asked.await.is_err() {
        std::future::pending::<()>().await;
    }
}
