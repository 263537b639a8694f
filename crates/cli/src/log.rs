//! The log of what runs long, to stderr: stdout is for people. And, beside it, the
//! traces, if anybody wants them.

use crate::{failure::BadUsage, serve::LogFormat};
use std::io::IsTerminal;
use tegata_server::http::traces::{Exporter, TRACES};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{Directive, Targets},
    layer::SubscriberExt,
    registry,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Without what the migrations say at each start.
const USUAL: &str = "info,refinery_core=warn";

/// Begins to log what `directives` say, or what is usual, and to hand spans to
/// `traces`.
pub fn begin(
    directives: Option<&str>,
    form: Option<LogFormat>,
    traces: Option<&Exporter>,
) -> anyhow::Result<()> {
    let directives = directives.unwrap_or(USUAL);
    let filter = EnvFilter::builder()
        .parse(directives)
        .map_err(|error| BadUsage(format!("--log {directives}: {error}")))?
        .add_directive(not_logged()?);
    match traces {
        // One filter for all: what nobody wants is known without asking two.
        None => registry().with(filter).with(to_stderr(form)).init(),
        Some(exporter) => {
            let traces = tracing_opentelemetry::layer()
                .with_tracer(exporter.tracer())
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_level(false)
                .with_tracked_inactivity(false)
                .with_context_activation(false)
                .with_filter(Targets::new().with_target(TRACES, Level::INFO));
            registry().with(traces).with(to_stderr(form).with_filter(filter)).init();
        }
    }
    Ok(())
}

fn to_stderr<S>(form: Option<LogFormat>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match form {
        Some(LogFormat::Json) => log.json().flatten_event(true).boxed(),
        _ => log.boxed(),
    }
}

/// Spans for the collector are none of the log's: a request has one of its own there.
fn not_logged() -> anyhow::Result<Directive> {
    Ok(format!("{TRACES}=off").parse()?)
}
