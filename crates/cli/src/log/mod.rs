//! The log on stderr, and the traces, of a command that runs until it is stopped.

mod lines;
mod settings;

use lines::{Gathering, Lines};
use settings::LogFormat;
pub use settings::LogSettings;
use std::io::{IsTerminal, Stderr, stderr};
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
    /// Starts logging each line at once.
    pub fn begin(&self) -> anyhow::Result<()> {
        self.begin_with(Lines::to(stderr()), None)
    }

    /// Starts the log of a busy server, whose lines wait for others as long as the
    /// returned value exists, and exporting spans to `traces`.
    pub fn begin_gathering(&self, traces: Option<&Exporter>) -> anyhow::Result<Gathering> {
        let lines = Lines::to(stderr());
        let gathering = lines.gather()?;
        self.begin_with(lines, traces)?;
        Ok(gathering)
    }

    fn begin_with(&self, lines: Lines<Stderr>, traces: Option<&Exporter>) -> anyhow::Result<()> {
        let filter = EnvFilter::builder().parse(&self.log)?.add_directive(not_logged()?);
        match traces {
            // One filter for all: a span that is filtered out costs one call.
            None => registry().with(filter).with(self.written_to(lines)).init(),
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
                registry().with(traces).with(self.written_to(lines).with_filter(filter)).init();
            }
        }
        Ok(())
    }

    fn written_to<S>(&self, lines: Lines<Stderr>) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let log =
            tracing_subscriber::fmt::layer().with_ansi(stderr().is_terminal()).with_writer(lines);
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
