//! The span of a request, for the operator's collector. It contains the method, the
//! route's template, the status and ids, and nothing else that a client wrote.
//!
//! Without tracing it costs the check of one flag.

use super::route::Route;
use http::{HeaderMap, Method, StatusCode, request::Parts};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{Status, TraceContextExt, TraceId},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tegata_store::TRACES;
use tegata_token::id::ChannelId;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// One request's span.
pub(super) struct Trace(Span);

impl Trace {
    /// Begins the span; as part of the client's trace, if the request names one.
    pub fn begin(parts: &Parts, id: &Uuid) -> Self {
        let span = tracing::info_span!(
            target: TRACES,
            parent: None,
            "request",
            otel.kind = "server",
            http.request.method = known_method(&parts.method).unwrap_or("_OTHER"),
            tegata.request_id = %id,
        );
        if !span.is_disabled()
            && let Some(parent) = parent(&parts.headers)
        {
            // It has not begun yet, so this succeeds.
            let _ = span.set_parent(parent);
        }
        Self(span)
    }

    /// The trace of a request while none is recorded; `None`: they are.
    pub fn unrecorded() -> Option<Self> {
        let recorded = tracing::span_enabled!(target: TRACES, tracing::Level::INFO);
        (!recorded).then(|| Self(Span::none()))
    }

    /// The trace's id, if there is one.
    pub fn id(&self) -> Option<TraceId> {
        if self.0.is_disabled() {
            return None;
        }
        let id = self.0.context().span().span_context().trace_id();
        (id != TraceId::INVALID).then_some(id)
    }

    /// Runs the request's work in its span, which spans of the work become parts of. Each
    /// line logged there has the request's id and the trace's.
    pub fn work<T: Future>(&self, id: &Uuid, work: T) -> impl Future<Output = T::Output> {
        let trace_id = self.id().map(tracing::field::display);
        let logged = tracing::info_span!(parent: &self.0, "request", %id, trace_id);
        work.instrument(logged).instrument(self.0.clone())
    }

    /// Ends the span with the request's result.
    pub fn end(
        self,
        method: &Method,
        route: &Route,
        channel: Option<ChannelId>,
        status: StatusCode,
    ) {
        if self.0.is_disabled() {
            return;
        }
        let context = self.0.context();
        let span = context.span();
        if !span.is_recording() {
            return;
        }
        let method = known_method(method).unwrap_or("HTTP");
        match route.template() {
            Some(template) => {
                span.update_name(format!("{method} {template}"));
                span.set_attribute(KeyValue::new("http.route", template.to_owned()));
            }
            None => span.update_name(method),
        }
        if let Some(channel) = channel {
            span.set_attribute(KeyValue::new("tegata.channel", channel.to_string()));
        }
        let number = i64::from(status.as_u16());
        span.set_attribute(KeyValue::new("http.response.status_code", number));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
    }
}

/// A method that may be recorded: a client can send one of any length.
pub(super) fn known_method(method: &Method) -> Option<&'static str> {
    static KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::PUT,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    KNOWN.iter().find(|known| *known == method).map(Method::as_str)
}

/// The client's `traceparent` (W3C Trace Context), if it is valid; the library is more
/// lenient than the recommendation. `tracestate` is not read: it would be exported, and
/// can contain anything.
fn parent(headers: &HeaderMap) -> Option<Context> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let (one, None) = (all.next()?.as_bytes(), all.next()) else { return None };
    let length = if one.starts_with(b"00") { one.len() == 55 } else { one.len() >= 55 };
    let dashes = [2, 35, 52].iter().all(|&at| one.get(at) == Some(&b'-'));
    let hex = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f' | b'-');
    if !length || !dashes || !one.iter().take(55).all(hex) {
        return None;
    }
    let text = std::str::from_utf8(&one[..55]).ok()?;
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Only(text));
    parent.has_active_span().then_some(parent)
}

const TRACEPARENT: &str = "traceparent";

struct Only<'a>(&'a str);

impl Extractor for Only<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn named(values: &[&str]) -> Option<(String, bool)> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        // It may contain anything, and none of it is passed on.
        headers.append("tracestate", HeaderValue::from_static("vendor=secret"));
        let parent = parent(&headers)?;
        let span = parent.span();
        let context = span.span_context();
        assert_eq!(context.trace_state().header(), "");
        Some((context.trace_id().to_string(), context.is_sampled()))
    }

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_trace_is_continued() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(named(&[&good]), Some((TRACE.to_owned(), true)));
        let unsampled = format!("00-{TRACE}-b7ad6b7169203331-00");
        assert_eq!(named(&[&unsampled]), Some((TRACE.to_owned(), false)));
        let later = format!("01-{TRACE}-b7ad6b7169203331-01-what may come");
        assert_eq!(named(&[&later]), Some((TRACE.to_owned(), true)));
    }

    #[test]
    fn an_invalid_traceparent_is_ignored() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[&good, &good]), None);
        for wrong in [
            "".to_owned(),
            "00".to_owned(),
            "é".repeat(30),
            good.replace("00-", "ff-"),
            good.replace("00-", "+0-"),
            good.to_uppercase(),
            format!("{good}-more"),
            format!("{good} "),
            good.replace(TRACE, &"0".repeat(32)),
            good.replace("b7ad6b7169203331", &"0".repeat(16)),
            good.replace("b7ad6b7169203331", "b7ad6b716920333"),
            good.replace("-01", "-0g"),
            good.replace("0af7", "0-f7"),
        ] {
            assert_eq!(named(&[&wrong]), None, "{wrong}");
        }
    }
}
