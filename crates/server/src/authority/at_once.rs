//! Work that takes a processor for long: done apart from the threads that serve requests, a few at
//! a time, so that it takes neither the memory nor the processors that verifications need.

use crate::authority::admin::{Error, Result};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Does work of one sort, a few at once.
pub struct AtOnce {
    running: Arc<Semaphore>,
    /// What is done, and what waits.
    admitted: Semaphore,
}

impl AtOnce {
    /// `running` at once; as many as `waiting` wait for that, and more are rejected.
    #[must_use]
    pub fn new(running: usize, waiting: usize) -> Self {
        let admitted = Semaphore::new(running + waiting);
        Self { running: Arc::new(Semaphore::new(running)), admitted }
    }

    /// Does this work.
    ///
    /// # Errors
    /// [`Error::Busy`]: too many wait.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        // A client that disconnects ends this future at any await: permits return by themselves.
        let _admitted = self.admitted.try_acquire().map_err(|_| Error::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        let work = move || {
            let done = work();
            // A thread that works for a client that is gone still takes memory and a processor.
            drop(running);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::mpsc::channel,
        task::{Context, Poll, Waker},
    };

    #[tokio::test]
    async fn beyond_a_few_that_wait_work_is_rejected_at_once() {
        let few = AtOnce::new(2, 3);
        let all = few.running.acquire_many(2).await.unwrap();
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(few.run(|| ()))).collect();
        for it in &mut waiting {
            assert!(poll(it.as_mut()).is_none());
        }
        assert!(matches!(few.run(|| ()).await, Err(Error::Busy)));
        // Clients that disconnect leave no place taken.
        drop((waiting, all));
        assert!(few.run(|| ()).await.is_ok());
    }

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_counts_until_its_end_though_its_client_is_gone() {
        let (few, here) = (AtOnce::new(1, 1), std::thread::current().id());
        let (end, ended) = channel::<()>();
        let (begin, mut began) = tokio::sync::mpsc::channel(1);
        let mut first = Box::pin(few.run(move || {
            begin.blocking_send(std::thread::current().id()).unwrap();
            assert!(ended.recv().is_err());
        }));
        assert!(poll(first.as_mut()).is_none());
        assert_ne!(began.recv().await, Some(here));
        drop(first);
        let mut second = Box::pin(few.run(|| ()));
        assert!(poll(second.as_mut()).is_none() && few.running.available_permits() == 0);
        drop(end);
        assert!(second.await.is_ok());
    }

    /// Polls once.
    fn poll<T>(it: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match it.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }
}
