//! An OpenTelemetry collector on loopback for tests: it receives OTLP over HTTP and records
//! each request, or fails as a test requires.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// How a collector handles requests.
#[derive(Clone)]
pub(crate) enum Mood {
    /// Records it.
    Takes,
    /// Reads it and never responds.
    Hangs,
    /// Redirects the client to another address.
    SendsOn(String),
}

/// A running collector; dropping it stops it.
pub(crate) struct Collector {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    work: JoinHandle<()>,
}

/// One request to it.
#[derive(Clone)]
pub(crate) struct Came {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Collector {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let came = Arc::new(Mutex::new(Vec::new()));
        let keep = came.clone();
        let take = async move |uri: Uri, headers: HeaderMap, body: Bytes| -> Response {
            let path = uri.path().to_owned();
            let one = Came { path, headers, body };
            keep.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            match mood {
                Mood::Takes => StatusCode::OK.into_response(),
                Mood::Hangs => std::future::pending().await,
                Mood::SendsOn(to) => Redirect::temporary(&to).into_response(),
            }
        };
        let router = Router::new().fallback(take);
        let work = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { address, came, work }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All spans so far, with the attributes of their sender.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        let mut spans = Vec::new();
        for came in self.came() {
            let export = ExportTraceServiceRequest::decode(came.body).expect("it is OTLP");
            for of in export.resource_spans {
                let resource = attributes(&of.resource.unwrap_or_default().attributes);
                let all = of.scope_spans.into_iter().flat_map(|it| it.spans);
                spans.extend(all.map(|span| Seen::new(span, &resource)));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// A span, for comparison.
pub(crate) struct Seen {
    pub(crate) span: Span,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) resource: BTreeMap<String, String>,
}

impl Seen {
    fn new(span: Span, resource: &BTreeMap<String, String>) -> Self {
        let attributes = attributes(&span.attributes);
        Self { span, attributes, resource: resource.clone() }
    }

    /// Its trace's id, in hex.
    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(all: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|it| it.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("no text and no number: {other:?}"),
    };
    all.iter().map(|it| (it.key.clone(), text(&it.value))).collect()
}
