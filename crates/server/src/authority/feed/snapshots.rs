//! Snapshots, written once per position and provider for all requests.

use super::gzip::{Packed, Packer};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};
use tegata_token::{
    feed::Snapshot,
    id::{Position, ProviderId},
    view::View,
};
use tokio::sync::Mutex as AsyncMutex;

/// A snapshot, and what is known of the read that it was made from.
#[derive(Clone)]
pub struct WrittenSnapshot {
    /// The snapshot.
    pub packed: Arc<Packed>,
    /// Before its view was taken.
    pub read_at: Instant,
    /// Every change that was acknowledged to a client by then is in its view.
    pub as_of: Instant,
    /// The authority's clock at that time, in milliseconds.
    pub time_ms: u64,
    position: Position,
}

/// The last snapshot of each provider, and of all.
#[derive(Default)]
pub struct Snapshots {
    slots: Mutex<HashMap<Option<ProviderId>, Slot>>,
    /// Number of snapshots that were written.
    written: AtomicU64,
}

/// The last snapshot, and the lock of the request that writes the next.
type Slot = Arc<AsyncMutex<Option<WrittenSnapshot>>>;

/// A view, and the moment before it was taken.
pub struct ViewRead {
    pub view: Arc<View>,
    pub read_at: Instant,
    /// Every change that was acknowledged to a client by then is in the view.
    pub as_of: Instant,
    pub time_ms: u64,
}

impl Snapshots {
    /// The number of snapshots that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// The snapshot of a view that `take` takes after `asked`, or of one that was taken after
    /// `asked`, and has every change up to `least`, for another request. One at a time is written for each provider; the requests
    /// that come meanwhile share the next.
    pub async fn get(
        &self,
        provider: Option<ProviderId>,
        issuer: &Arc<str>,
        [asked, least]: [Instant; 2],
        take: impl FnOnce() -> ViewRead,
    ) -> Option<WrittenSnapshot> {
        let slot = {
            let mut all = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(provider).or_default().clone()
        };
        let mut last = slot.lock().await;
        if let Some(last) = last.as_ref().filter(|it| it.read_at >= asked && it.as_of >= least) {
            return Some(last.clone());
        }
        let ViewRead { view, read_at, as_of, time_ms } = take();
        let position = view.position();
        if let Some(last) = last.as_mut().filter(|it| it.position == position) {
            // Nothing has changed since: what was written is as new as the view.
            (last.read_at, last.as_of, last.time_ms) = (read_at, as_of, time_ms);
            return Some(last.clone());
        }
        self.written.fetch_add(1, Relaxed);
        let issuer = issuer.clone();
        // Off the runtime's threads, since it may be long.
        let write = tokio::task::spawn_blocking(move || {
            let mut packer = Packer::new();
            // Into memory, which does not fail.
            let _ = Snapshot::write_to(&mut packer, &view, provider, &issuer);
            Arc::new(packer.finish())
        });
        // A panic in there was reported as it happened.
        let packed = write.await.ok()?;
        let written = WrittenSnapshot { packed, read_at, as_of, time_ms, position };
        *last = Some(written.clone());
        Some(written)
    }
}
