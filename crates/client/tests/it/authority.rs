//! A server with a test's responses, which records its requests.

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use std::sync::{Arc, Mutex};
use tegata_client::call::Client;
use tokio::task::JoinHandle;

/// A request: method and path with query, headers, body.
#[derive(Clone)]
pub struct Asked {
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

type Answers = Arc<dyn Fn(usize, &Asked) -> Response + Send + Sync>;

#[derive(Clone)]
struct Shared {
    responses: Answers,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// Stops with the test.
pub struct Authority {
    pub client: Client,
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Authority {
    /// `answers` gets the number of the request, from 0 on, and the request.
    pub async fn start(
        responses: impl Fn(usize, &Asked) -> Response + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared { responses: Arc::new(responses), asked: asked.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(&url).unwrap();
        let app = Router::new().fallback(respond).with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { client, url, asked, server }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let line = format!("{} {}", head.method, head.uri);
    let asked = Asked { line, headers: head.headers, body };
    let number = {
        let mut all = shared.asked.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    (shared.responses)(number, &asked)
}

pub fn ok(body: &str) -> Response {
    body.to_owned().into_response()
}

pub fn with_status(status: u16, body: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_owned()).into_response()
}

/// The response to an issue request.
pub fn token(text: &str, expires_in: i64) -> Response {
    ok(&format!(
        r#"{{"access_token":"{text}","expires_in":{expires_in},"token_type":"Bearer","new":1}}"#
    ))
}
