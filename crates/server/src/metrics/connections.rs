//! Counters of a listener's connections.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The counters.
#[derive(Debug, Clone)]
pub struct ConnectionCounts {
    /// Connections that are open.
    pub open: Gauge,
    /// Connections closed because the peer was too slow to send a request.
    pub cut_sending: Counter,
    /// Connections closed because the peer did not read.
    pub cut_reading: Counter,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CutLabel {
    slow_at: &'static str,
}

impl ConnectionCounts {
    /// All counters at zero, registered in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let open = Gauge::default();
        registry.register("connections", "Open connections", open.clone());
        let cut = Family::<CutLabel, Counter>::default();
        let help = "Connections closed because the peer was too slow, by what it was slow at";
        registry.register("connections_cut", help, cut.clone());
        let cut = |slow_at| cut.get_or_create_owned(&CutLabel { slow_at });
        Self { open, cut_sending: cut("sending"), cut_reading: cut("reading") }
    }
}
