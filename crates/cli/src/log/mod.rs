//! The log on stderr, and the traces, of a command that runs until it is stopped.

mod settings;

use settings::LogFormat;
pub use settings::LogSettings;
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

impl LogSettings {
    /// Starts logging, and exporting spans to `traces`.
    pub fn begin(&self, traces: Option<&Exporter>) -> anyhow::Result<()> {
        let filter = EnvFilter::builder().parse(&self.log)?.add_directive(not_logged()?);
        match traces {
            // One filter for all: a span that is filtered out costs one call.
            None => registry().with(filter).with(self.to_stderr()).init(),
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
                registry().with(traces).with(self.to_stderr().with_filter(filter)).init();
            }
        }
        Ok(())
    }

    fn to_stderr<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let log = tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr);
        match self.log_format {
            LogFormat::Json => log.json().flatten_event(true).boxed(),
            LogFormat::Text => log.boxed(),
        }
    }
}

/// Keeps the collector's spans out of the log, which has a span of its own per request.
fn not_logged() -> anyhow::Result<Directive> {
    Ok(format!("{TRACES}=off").parse()?)
}
