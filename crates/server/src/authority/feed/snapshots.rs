//! Snapshots, written once per position and provider for all requests.

use super::gzip::Packed;
use bytes::Bytes;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tegata_token::{
    feed::{SignedSnapshot, Snapshot},
    id::{Position, ProviderId},
    key::SigningKey,
    view::View,
};
use tokio::sync::Mutex as AsyncMutex;

/// A snapshot, and what is known of the read that it was made from.
#[derive(Clone)]
pub struct WrittenSnapshot {
    /// The snapshot.
    pub packed: Arc<Packed>,
    /// The detached JWS over it; `None`: the active signing key was not loaded.
    pub jws: Option<Arc<str>>,
    /// Before its view was taken.
    pub read_at: Instant,
    /// The authority's clock at that time, in milliseconds.
    pub time_ms: u64,
    position: Position,
}

/// The last snapshot of each provider, and of all.
#[derive(Default)]
pub struct Snapshots(Mutex<HashMap<Option<ProviderId>, Slot>>);

/// The last snapshot, and the lock of the request that writes the next.
type Slot = Arc<AsyncMutex<Option<WrittenSnapshot>>>;

/// A view, and the moment before it was taken.
pub struct ViewRead {
    pub view: Arc<View>,
    pub read_at: Instant,
    pub time_ms: u64,
    /// The active signing key of the view, if it is loaded.
    pub key: Option<SigningKey>,
}

impl Snapshots {
    /// The snapshot of a view that `take` takes after `asked`, or of one that was taken after
    /// `asked` for another request. One at a time is written for each provider; the requests
    /// that come meanwhile share the next.
    pub async fn get(
        &self,
        provider: Option<ProviderId>,
        issuer: &Arc<str>,
        asked: Instant,
        take: impl FnOnce() -> ViewRead,
    ) -> Option<WrittenSnapshot> {
        let slot = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(provider).or_default().clone()
        };
        let mut last = slot.lock().await;
        if let Some(last) = last.as_ref().filter(|it| it.read_at >= asked) {
            return Some(last.clone());
        }
        let ViewRead { view, read_at, time_ms, key } = take();
        let position = view.position();
        if let Some(last) = last.as_mut().filter(|it| it.position == position) {
            // Nothing has changed since: what was written is as new as the view.
            (last.read_at, last.time_ms) = (read_at, time_ms);
            return Some(last.clone());
        }
        let issuer = issuer.clone();
        // Off the runtime's threads, since it may be long.
        let write = tokio::task::spawn_blocking(move || {
            pack(Snapshot::write(&view, provider, &issuer), key.as_ref())
        });
        // A panic in there was reported as it happened.
        let (packed, jws) = write.await.ok()?;
        let written = WrittenSnapshot { packed, jws, read_at, time_ms, position };
        *last = Some(written.clone());
        Some(written)
    }
}

/// Signs a snapshot and compresses it.
fn pack(text: String, key: Option<&SigningKey>) -> (Arc<Packed>, Option<Arc<str>>) {
    let Some(key) = key else { return (Arc::new(Packed::new(Bytes::from(text))), None) };
    let signed = SignedSnapshot::sign(&text, key);
    drop(text);
    let jws = signed.jws.as_str().into();
    // The text is a part of the message that was signed: a second copy is not kept.
    let (message, at) = signed.into_message();
    (Arc::new(Packed::new(Bytes::from(message).slice(at..))), Some(jws))
}
