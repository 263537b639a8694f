//! How many acts wait for other servers: only then do acknowledgements have to be heard at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The acts that wait for other servers.
#[derive(Debug, Default)]
pub(super) struct Waits(AtomicUsize);

impl Waits {
    /// Counts an act until what this returns is dropped.
    pub fn begin(&self) -> Waiting<'_> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }

    /// Whether there is one.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// An act that waits for other servers.
pub(super) struct Waiting<'a>(&'a Waits);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
