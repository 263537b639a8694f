//! A small authority over HTTP, with the projection that servers use.

use axum::{
    Router,
    extract::{RawForm, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tegata_token::{
    claims::Claims,
    feed::{
        ChangesQuery, ChangesResponse, FeedQuery, LoggedChange, ResponseHead, Snapshot,
        SnapshotResponse, UsageReport, longest_hold,
    },
    id::{ChannelId, Position, ProviderId, Serial, TokenId},
    key::{KeyState, SigningKey},
    kind::Kind,
    time::UnixTime,
    view::{FeedChange, Providers, View, ViewKey},
    wire,
};
use tokio::sync::watch;

const NOW: i64 = 1_790_000_000;

pub struct Authority {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    view: watch::Sender<View>,
    log: Mutex<Vec<LoggedChange>>,
    seen: Mutex<Seen>,
    /// Whether answers to introspections are on their way for long.
    slow: watch::Sender<bool>,
}

/// What the authority does, and what it was asked.
#[derive(Default, Clone)]
pub struct Seen {
    pub queries: Vec<Vec<(String, String)>>,
    pub reports: Vec<UsageReport>,
    pub introspected: usize,
    /// Every request for the feed gets this status.
    pub status: Option<u16>,
    /// Introspection calls tokens active.
    pub active: bool,
    /// The authority's clock is ahead by so many seconds.
    pub later: u64,
    /// The statuses of the next reports of uses, which have no effect.
    pub refusals: Vec<u16>,
}

impl Authority {
    pub async fn start() -> Self {
        let (view, _) = watch::channel(View::new(Providers::All));
        let (log, seen, slow) = (Mutex::default(), Mutex::default(), watch::Sender::new(false));
        let state = Arc::new(Shared { view, log, seen, slow });
        let app = Router::new()
            .route("/feed/snapshot", get(snapshot))
            .route("/feed/changes", get(changes))
            .route("/feed/usage", post(usage))
            .route("/oauth2/introspect", post(introspect))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let it = Self { url, state };
        let key = ViewKey { key: key().public().clone(), state: KeyState::Active };
        it.append(FeedChange::SigningKey(key));
        it
    }

    pub fn append(&self, change: FeedChange) {
        self.state.view.send_modify(|view| {
            let position = Position { epoch: 1, number: view.position().number + 1 };
            *view = view.after([&change], position);
            let change = Some(change);
            self.state.log.lock().unwrap().push(LoggedChange { position, change });
        });
    }

    pub fn seen(&self) -> Seen {
        self.state.seen.lock().unwrap().clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.state.seen.lock().unwrap());
    }

    /// Lets answers to introspections arrive only after the next call.
    pub fn answers_arrive(&self, now: bool) {
        self.state.slow.send_replace(!now);
    }

    /// The positions that were acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        let all = self.seen().queries;
        let mut all: Vec<String> = all
            .into_iter()
            .flatten()
            .filter(|(name, _)| name == "after")
            .map(|(_, position)| position)
            .collect();
        all.dedup();
        all
    }
}

pub fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).unwrap()
}

pub fn provider() -> ProviderId {
    ProviderId::from_number(7).unwrap()
}

pub fn channel() -> ChannelId {
    ChannelId::from_number(1_234_567_890).unwrap()
}

/// A token with this serial.
pub fn token(serial: u64) -> String {
    token_by(serial, Kind::V21, &key())
}

/// A token without a row at the authority.
pub fn stateless() -> String {
    token_by(9, Kind::Stateless, &key())
}

/// A token of a key that the authority does not know: what it is signed with, only the authority
/// could say.
pub fn of_an_unknown_key() -> String {
    token_by(1, Kind::V21, &SigningKey::from_seed(&[2; 32]).unwrap())
}

fn token_by(serial: u64, kind: Kind, key: &SigningKey) -> String {
    let claims = Claims {
        id: TokenId(u128::from(serial).to_be_bytes()),
        kind,
        provider: provider(),
        channel: channel(),
        group: None,
        assertion_key: None,
        serial: Serial(serial),
        issued_at: UnixTime(NOW),
        expires_at: UnixTime(NOW + if kind.is_stored() { 3_600 } else { 900 }),
        key: key.public().id(),
    };
    wire::write(&claims, "https://tokens.example", key)
}

impl Shared {
    /// The parameters of a request, unless it is rejected.
    fn begin(
        &self,
        headers: &HeaderMap,
        query: Option<String>,
    ) -> Result<Vec<(String, String)>, StatusCode> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", query.unwrap_or_default())).unwrap();
        let pairs: Vec<_> =
            url.query_pairs().map(|(name, value)| (name.into(), value.into())).collect();
        let mut seen = self.seen.lock().unwrap();
        seen.queries.push(pairs.clone());
        if headers["authorization"] != "Bearer canary-verifier-token" {
            return Err(StatusCode::UNAUTHORIZED);
        }
        match seen.status {
            Some(status) => Err(StatusCode::from_u16(status).unwrap()),
            None => Ok(pairs),
        }
    }
}

fn head(it: &Shared, seq: Option<String>) -> ResponseHead {
    let time_ms = 1_000 * (NOW.unsigned_abs() + it.seen.lock().unwrap().later);
    ResponseHead { seq, age: Duration::ZERO, time_ms }
}

type Answer = Result<Response, StatusCode>;

async fn snapshot(
    State(it): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let pairs = it.begin(&headers, query)?;
    let query = FeedQuery::parse(pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())));
    let query = query.map_err(|_| StatusCode::BAD_REQUEST)?;
    let (before, after) = SnapshotResponse::around(&head(&it, query.seq));
    let snapshot = Snapshot::write(&it.view.borrow(), None, "https://tokens.example");
    Ok(format!("{before}{snapshot}{after}").into_response())
}

async fn changes(
    State(it): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Answer {
    let pairs = it.begin(&headers, query)?;
    let query = ChangesQuery::parse(pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())));
    let query = query.map_err(|_| StatusCode::BAD_REQUEST)?;
    let hold = query.hold.min(longest_hold(query.common.staleness));
    let mut view = it.view.subscribe();
    let later = view.wait_for(|view| view.position() > query.after);
    drop(tokio::time::timeout(hold, later).await);
    let through = view.borrow().position();
    let log = it.log.lock().unwrap().clone();
    let log = log.into_iter().filter(|it| it.position > query.after);
    let head = head(&it, query.common.seq);
    Ok(ChangesResponse::project(head, query.after, through, log, None).write().into_response())
}

async fn usage(State(it): State<Arc<Shared>>, body: String) -> StatusCode {
    let mut seen = it.seen.lock().unwrap();
    if let Some(status) = seen.refusals.pop() {
        return StatusCode::from_u16(status).unwrap();
    }
    seen.reports.push(UsageReport::parse(body.as_bytes()).unwrap());
    StatusCode::NO_CONTENT
}

async fn introspect(
    State(it): State<Arc<Shared>>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Answer {
    assert!(form.starts_with(b"token=ey"));
    if headers["authorization"] != "Bearer canary-verifier-token" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let position = it.view.borrow().position();
    let active = {
        let mut seen = it.seen.lock().unwrap();
        seen.introspected += 1;
        seen.active
    };
    let mut slow = it.slow.subscribe();
    let _sent = slow.wait_for(|slow| !slow).await;
    Ok(axum::Json(json!({ "active": active, "position": position })).into_response())
}
