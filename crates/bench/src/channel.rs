//! A channel with its credentials.

/// A channel that the benchmarks created.
#[derive(Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    pub(super) secret: String,
    /// Id of the signer's key on this channel; empty without one.
    pub(super) kid: String,
}
