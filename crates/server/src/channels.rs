//! Snapshots of channels, kept in memory, and never one that a commit has made old.
//!
//! A reader that finds none asks the store, and meanwhile a commit may change the
//! channel. Its snapshot must then not be kept: it would be taken for the current
//! one for ever. So each commit raises a count before it drops the snapshot, and a
//! reader keeps what it read only if the count is still the one that it saw first.

use quick_cache::sync::Cache;
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};
use tegata_store::Result;
use tegata_token::{id::ChannelId, policy::Channel};

/// The snapshots in memory.
pub struct Channels {
    snapshots: Cache<ChannelId, Arc<Channel>>,
    /// How often a channel of each stripe was dropped.
    drops: [Mutex<u64>; STRIPES],
}

/// A drop keeps the fills of every channel in its stripe from being kept.
const STRIPES: usize = 64;

impl Channels {
    /// Room for about `most` snapshots.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { snapshots: Cache::new(most), drops: std::array::from_fn(|_| Mutex::new(0)) }
    }

    /// The snapshot of `id`, from memory or else by `read`. What `read` gives may
    /// be older than a commit that comes while it runs, never than one before it.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn get<F>(
        &self,
        id: ChannelId,
        read: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Channel>>>
    where
        F: Future<Output = Result<Option<Channel>>>,
    {
        if let Some(snapshot) = self.snapshots.get(&id) {
            return Ok(Some(snapshot));
        }
        let seen = *self.stripe(id);
        let Some(channel) = read().await?.map(Arc::new) else { return Ok(None) };
        let drops = self.stripe(id);
        if *drops == seen {
            self.snapshots.insert(id, channel.clone());
        }
        Ok(Some(channel))
    }

    /// Drops the snapshot of `id`: a commit changed the channel.
    pub fn drop(&self, id: ChannelId) {
        let mut drops = self.stripe(id);
        *drops += 1;
        self.snapshots.remove(&id);
    }

    fn stripe(&self, id: ChannelId) -> std::sync::MutexGuard<'_, u64> {
        let stripe = usize::try_from(id.number()).unwrap_or(0) % STRIPES;
        self.drops[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tegata_token::{
        id::{ProviderId, Serial},
        law::{ChannelType, Law},
        policy::ChannelState,
        time::UnixTime,
    };
    use tokio::sync::oneshot;

    fn channel(revision: u64) -> Channel {
        Channel {
            id: ChannelId::from_number(7).unwrap(),
            provider: ProviderId::from_number(1).unwrap(),
            name: String::new(),
            channel_type: ChannelType::MessagingApi,
            created_at: UnixTime(0),
            state: ChannelState::Active,
            law: Law::Current,
            group_rule: Default::default(),
            own_audience_only: false,
            single_use_assertions: false,
            limits: Default::default(),
            secrets: Vec::new(),
            assertion_keys: Vec::new(),
            groups: Default::default(),
            revision,
            bulk_serial: Serial(0),
        }
    }

    #[tokio::test]
    async fn what_was_read_before_a_commit_is_not_kept_after_it() {
        let channels = Channels::new(10);
        let id = channel(0).id;
        let (begun, has_begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel();
        let slow = channels.get(id, async || {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
            Ok(Some(channel(1)))
        });
        let commit = async {
            has_begun.await.unwrap();
            channels.drop(id);
            go_on.send(()).unwrap();
        };
        let (read, ()) = tokio::join!(slow, commit);
        assert_eq!(read.unwrap().unwrap().revision, 1, "to whoever asked it was current");
        let next = channels.get(id, async || Ok(Some(channel(2)))).await;
        assert_eq!(next.unwrap().unwrap().revision, 2);
        let kept = channels.get(id, async || unreachable!("it is in memory")).await;
        assert_eq!(kept.unwrap().unwrap().revision, 2);
        channels.drop(id);
        assert!(channels.get(id, async || Ok(None)).await.unwrap().is_none());
    }
}
