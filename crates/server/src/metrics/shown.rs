//! The store's figures, and times, in the types of Prometheus's encoder.
//!
//! The library's own histogram takes a lock for each observation. These take none.

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric, gauge::Gauge},
};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tegata_store::figures::{Figures, Histogram};

/// The divisor of a histogram's integers in the output.
#[derive(Debug, Clone, Copy)]
pub struct Scale(f64);

impl Scale {
    /// Integers as they are.
    pub const COUNT: Self = Self(1.0);
    /// Nanoseconds, exposed as seconds.
    pub const NANOSECONDS: Self = Self(1e9);

    fn encode(self, histogram: &Histogram, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let shown = |number: u64| number as f64 / self.0;
        let buckets: Vec<_> = histogram
            .buckets()
            .map(|(bound, count)| (bound.map_or(f64::INFINITY, shown), count))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(shown(histogram.sum()), count, &buckets, None)
    }
}

/// A histogram of durations.
#[derive(Debug, Clone)]
pub struct Durations(Arc<Histogram>);

impl Durations {
    /// An empty histogram; `bounds` in nanoseconds.
    pub fn new(bounds: &'static [u64]) -> Self {
        Self(Arc::new(Histogram::new(bounds)))
    }

    /// Adds one observation.
    pub fn observe(&self, took: Duration) {
        self.0.observe_time(took);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        Scale::NANOSECONDS.encode(&self.0, encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// One of the store's histograms.
#[derive(Debug)]
pub struct ShownCommits {
    /// The store's figures.
    pub figures: Arc<Figures>,
    /// Which one.
    pub of: fn(&Figures) -> &Histogram,
    /// The unit of its integers.
    pub unit: Scale,
}

impl EncodeMetric for ShownCommits {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.unit.encode((self.of)(&self.figures), encoder)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// One of the store's counters.
#[derive(Debug)]
pub struct ShownCount {
    /// The store's figures.
    pub figures: Arc<Figures>,
    /// Which one.
    pub of: fn(&Figures) -> &AtomicU64,
}

impl EncodeMetric for ShownCount {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder
            .encode_counter::<NoLabelSet, u64, f64>(&(self.of)(&self.figures).load(Relaxed), None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

/// A state that not every server has; it has no value until it is set.
#[derive(Debug, Clone, Default)]
pub struct OnceKnown(Arc<OnceLock<Gauge>>);

impl OnceKnown {
    /// Sets the value.
    pub fn set(&self, number: i64) {
        self.0.get_or_init(Gauge::default).set(number);
    }
}

impl EncodeMetric for OnceKnown {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.get().map_or(Ok(()), |gauge| gauge.encode(encoder))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
