//! Snapshots of channels in memory, none of which is older than the last commit to its
//! channel.
//!
//! A reader that finds no snapshot reads the store, and a commit may change the channel
//! meanwhile. Its snapshot must then not be kept, since it would count as current
//! forever. So each commit increments a counter before it drops the snapshot, and a
//! reader keeps its snapshot only if the counter is unchanged.
//!
//! All channel ids are held in memory (8 bytes each), so unknown ids never reach the
//! store. Only a few reads of the store run at once, so the queue for existing channels
//! stays short.

use super::changes::Changes;
use quick_cache::sync::Cache;
use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use tegata_policy::channel::Channel;
use tegata_store::{Error, Result};
use tegata_token::id::ChannelId;
use tokio::sync::Semaphore;

/// The snapshots in memory.
pub struct Channels {
    snapshots: Cache<ChannelId, Arc<Channel>>,
    /// The number of drops in each stripe.
    drops: [Mutex<u64>; STRIPES],
    /// The ids of all channels.
    known: RwLock<HashSet<ChannelId>>,
    /// Permits for reads of the store.
    questions: Semaphore,
    /// What changed since a walk through all channels.
    changes: Changes,
}

/// As many as the store keeps connections open for.
const QUESTIONS: usize = 4;

/// A drop discards the running reads of every channel in its stripe.
const STRIPES: usize = 64;

impl Channels {
    /// Capacity for about `most` snapshots.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            snapshots: Cache::new(most),
            drops: std::array::from_fn(|_| Mutex::new(0)),
            known: RwLock::default(),
            questions: Semaphore::new(QUESTIONS),
            changes: Changes::default(),
        }
    }

    /// Adds these ids to the known ones.
    pub fn add_known(&self, channels: &[ChannelId]) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(channels);
    }

    fn is_known(&self, id: ChannelId) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// The snapshot of `id`, from memory or else from `read`. The result of `read` may be
    /// older than a commit that happens while it runs, but not than one before it.
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
        if !self.is_known(id) {
            return Ok(None);
        }
        let closed = |_| Error::Unavailable("the server is stopping".into());
        let _place = self.questions.acquire().await.map_err(closed)?;
        // Another reader may have read it meanwhile.
        if let Some(snapshot) = self.snapshots.get(&id) {
            return Ok(Some(snapshot));
        }
        let seen = *self.stripe(id);
        let Some(channel) = read().await?.map(Arc::new) else {
            // The channel was deleted, and its id is never reused.
            self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
            return Ok(None);
        };
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
        drop(drops);
        self.changes.note(id);
    }

    /// What changed since a walk through all channels.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    fn stripe(&self, id: ChannelId) -> std::sync::MutexGuard<'_, u64> {
        let stripe = usize::try_from(id.number()).unwrap_or(0) % STRIPES;
        self.drops[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tegata_policy::rules::{ChannelType, TokenRules};
    use tegata_token::{
        id::{ProviderId, Serial},
        time::UnixTime,
        view::ChannelState,
    };
    use tokio::sync::oneshot;

    /// A channel for tests.
    pub(in crate::authority) fn any_channel(id: u64, revision: u64) -> Channel {
        Channel {
            id: ChannelId::from_number(id).unwrap(),
            provider: ProviderId::from_number(1).unwrap(),
            name: String::new(),
            channel_type: ChannelType::MessagingApi,
            created_at: UnixTime(0),
            state: ChannelState::Active,
            rules: TokenRules::Current,
            group_rule: Default::default(),
            own_audience_only: false,
            single_use_assertions: false,
            on_leak: Default::default(),
            limits: Default::default(),
            secrets: Vec::new(),
            assertion_keys: Vec::new(),
            groups: Default::default(),
            used_groups: Default::default(),
            revision,
            bulk_serial: Serial(0),
        }
    }

    fn channel(revision: u64) -> Channel {
        any_channel(7, revision)
    }

    #[tokio::test]
    async fn a_snapshot_read_before_a_commit_is_not_kept_after_it() {
        let channels = Channels::new(10);
        let id = channel(0).id;
        channels.add_known(&[id]);
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
        assert_eq!(read.unwrap().unwrap().revision, 1, "it was current when it was requested");
        let next = channels.get(id, async || Ok(Some(channel(2)))).await;
        assert_eq!(next.unwrap().unwrap().revision, 2);
        let kept = channels.get(id, async || unreachable!("it is in memory")).await;
        assert_eq!(kept.unwrap().unwrap().revision, 2);
        channels.drop(id);
        assert!(channels.get(id, async || Ok(None)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_unknown_id_never_reaches_the_store_and_a_deleted_one_does_once() {
        let channels = Channels::new(10);
        let id = channel(0).id;
        let asked = std::cell::Cell::new(0);
        let ask = async |found: Option<Channel>| {
            let read = async || {
                asked.set(asked.get() + 1);
                Ok(found)
            };
            channels.get(id, read).await.unwrap().map(|it| it.revision)
        };
        assert_eq!((ask(Some(channel(1))).await, asked.get()), (None, 0), "it was never created");
        channels.add_known(&[id]);
        assert_eq!((ask(Some(channel(1))).await, asked.get()), (Some(1), 1));
        channels.drop(id);
        assert_eq!((ask(None).await, asked.get()), (None, 2));
        assert_eq!((ask(None).await, asked.get()), (None, 2), "it was deleted");
    }

    #[tokio::test]
    async fn many_readers_of_one_channel_read_the_store_a_few_times() {
        let channels = Channels::new(10);
        let id = channel(0).id;
        channels.add_known(&[id]);
        let asked = std::cell::Cell::new(0);
        let read = async || {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            Ok(Some(channel(1)))
        };
        let mut all = Vec::new();
        for _ in 0..100 {
            all.push(channels.get(id, read));
        }
        let all = futures_all(all).await;
        assert_eq!(all, 100);
        assert!(asked.get() <= QUESTIONS, "{}", asked.get());
    }

    /// Polls all of them in turn until they complete; returns how many found the channel.
    async fn futures_all<F: Future<Output = Result<Option<Arc<Channel>>>>>(all: Vec<F>) -> usize {
        let mut all: Vec<_> = all.into_iter().map(|it| Some(Box::pin(it))).collect();
        let mut found = 0;
        std::future::poll_fn(|context| {
            for place in &mut all {
                if let Some(one) = place
                    && let std::task::Poll::Ready(response) = one.as_mut().poll(context)
                {
                    found += usize::from(response.unwrap().is_some());
                    *place = None;
                }
            }
            if all.iter().all(Option::is_none) {
                std::task::Poll::Ready(found)
            } else {
                std::task::Poll::Pending
            }
        })
        .await
    }
}
