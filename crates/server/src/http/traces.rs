//! Traces, for operators with a collector: spans are exported as OTLP over HTTP, and only
//! to the configured address.
//!
//! What a span contains leaves the machine. So only spans of the target [`TRACES`] are
//! exported, and no line of the log, and their contents come from closed lists or are
//! ids: no token, no header, no query. A request puts its span into a queue of fixed
//! length; what a slow collector does not accept is dropped.

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use reqwest::{Client, Url};
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use tegata_system::variable;
use tokio::runtime::Handle;

pub use tegata_store::TRACES;

/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last spans may take when the server stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of bytes of a collector's response that are read.
const MAX_RESPONSE: usize = 64 * 1024;

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library rejects the settings.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] ExporterBuildError),
    /// The system has no trusted certificates.
    #[error("traces cannot be exported: {0}")]
    Client(#[from] reqwest::Error),
    /// The collector's address is invalid.
    #[error("the collector's address must be such as http://127.0.0.1:4318")]
    Address,
    /// The sampler is unknown.
    #[error(
        "OTEL_TRACES_SAMPLER is {0:?}; use one of: always_on, always_off, traceidratio, \
         parentbased_always_on, parentbased_always_off, parentbased_traceidratio"
    )]
    Sampler(String),
    /// The ratio is invalid.
    #[error("OTEL_TRACES_SAMPLER_ARG is {0:?}; it must be a number from 0 to 1, such as 0.01")]
    Ratio(String),
}

/// Exports spans to the collector.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Creates the exporter without opening a connection. `collector` is the base
    /// address, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: spans go to `/v1/traces` below it.
    /// Name, headers, sampling and batches follow OpenTelemetry's environment variables.
    ///
    /// # Errors
    /// [`Error`].
    pub fn to(collector: &str, runtime: Handle) -> Result<Self, Error> {
        let address: Uri = collector.parse().map_err(|_| Error::Address)?;
        if !matches!(address.scheme_str(), Some("http" | "https")) || address.query().is_some() {
            return Err(Error::Address);
        }
        check_sampler(|name| variable::text(name).ok().flatten())?;
        let target = Url::parse(collector).map_err(|_| Error::Address)?;
        let http = tegata_system::http::client_for(&target).timeout(PATIENCE).build()?;
        let collector_client = Collector { http, runtime, lost: false.into() };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
            .with_http_client(collector_client)
            .build()?;
        let mut resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if !is_named() {
            resource = resource.with_service_name("tegata");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_span_processor(BatchSpanProcessor::builder(exporter).build())
            .build();
        Ok(Self(provider))
    }

    /// The source of spans.
    #[must_use]
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("tegata")
    }

    /// Sends the remaining spans, if the collector accepts them at once, and stops.
    pub async fn stop(self) {
        let end = move || drop(self.0.shutdown_with_timeout(FLUSH_TIMEOUT));
        // A panic in there was reported as it happened.
        let _ = tokio::task::spawn_blocking(end).await;
    }
}

/// Whether the operator configured a service name.
fn is_named() -> bool {
    let set = |name| variable::text(name).ok().flatten();
    set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|it| it.contains("service.name="))
}

/// Rejects unknown samplers, which the library would replace by "all".
fn check_sampler(variable: impl Fn(&str) -> Option<String>) -> Result<(), Error> {
    let set = |name| variable(name).filter(|it| !it.is_empty());
    let Some(sampler) = set("OTEL_TRACES_SAMPLER") else { return Ok(()) };
    match &*sampler {
        "always_on" | "always_off" | "parentbased_always_on" | "parentbased_always_off" => Ok(()),
        "traceidratio" | "parentbased_traceidratio" => {
            let text = variable("OTEL_TRACES_SAMPLER_ARG").unwrap_or_default();
            match text.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                _ => Err(Error::Ratio(text)),
            }
        }
        _ => Err(Error::Sampler(sampler)),
    }
}

/// The client for the collector. The library calls it from a blocking thread of its own;
/// the request runs on the runtime of all our other requests.
#[derive(Debug)]
struct Collector {
    http: Client,
    runtime: Handle,
    /// Whether the last batch was lost. Only changes are logged.
    lost: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.http.clone(), request));
        let response = sent.await.map_err(HttpError::from).and_then(|sent| sent);
        let why = match &response {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the response was {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        match why {
            Some(why) if !self.lost.swap(true, Relaxed) => {
                tracing::warn!(%why, "the collector does not accept traces; they are dropped");
            }
            None if self.lost.swap(false, Relaxed) => {
                tracing::info!("the collector accepts traces again");
            }
            _ => {}
        }
        response
    }
}

async fn send(http: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    // Without the address, which may contain a password.
    let failed = |error: reqwest::Error| HttpError::from(chain(&error.without_url()));
    let response = http.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
    let (parts, body) = Response::<reqwest::Body>::from(response).into_parts();
    let body = http_body_util::Limited::new(body, MAX_RESPONSE).collect().await?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// An error with its sources: the library's own message alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let below = std::iter::successors(error.source(), |error| error.source());
    below.fold(error.to_string(), |words, error| format!("{words}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_that_would_silently_mean_all_is_rejected() {
        let with = |sampler: &'static str, ratio: &'static str| {
            check_sampler(move |name| {
                let value = if name == "OTEL_TRACES_SAMPLER" { sampler } else { ratio };
                (!value.is_empty()).then(|| value.to_owned())
            })
        };
        assert!(with("", "").is_ok());
        assert!(with("parentbased_always_off", "").is_ok());
        assert!(with("parentbased_traceidratio", "0.01").is_ok());
        assert!(matches!(with("parentbased_traceidratio", "1%"), Err(Error::Ratio(_))));
        assert!(matches!(with("traceidratio", ""), Err(Error::Ratio(_))));
        assert!(matches!(with("some", ""), Err(Error::Sampler(_))));
    }

    #[tokio::test]
    async fn a_collector_has_an_address_of_http() {
        for wrong in ["", "4318", "collector:4317", "grpc://collector:4317", "http://c/?a=b"] {
            let exporter = Exporter::to(wrong, Handle::current());
            assert!(matches!(exporter, Err(Error::Address)), "{wrong}");
        }
    }
}
