//! Runs work that can block (files, the start of a program) on threads of its own, so that
//! no disk and no owner of a file can block the agent's loop.

use std::{thread, time::Duration};
use tokio::sync::{Semaphore, oneshot};

/// How many pieces of work run at once; those that are late do not count.
const AT_ONCE: usize = 8;

/// How long a piece of work may take before it is reported as late.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The problem with late work; follows the name of its file.
pub const HANGS: &str = "did not return in time; does its disk hang?";

/// Runs work that can block.
pub struct OffLoop {
    places: Semaphore,
    patience: Duration,
}

impl OffLoop {
    /// Reports work as late after `patience`.
    pub fn new(patience: Duration) -> Self {
        Self { places: Semaphore::new(AT_ONCE), patience }
    }

    /// Runs `work`. Work that does not return in time is reported once to `late`, and is
    /// waited for without taking the place of other work: a thread that the kernel holds
    /// cannot be stopped, and a second one for the same file would be held, too.
    ///
    /// # Errors
    /// The work could not be started, or it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        late: impl FnOnce(),
    ) -> Result<T, String> {
        let place = self.places.acquire().await;
        let (say, mut said) = oneshot::channel();
        // Not a thread of the runtime, whose shutdown would wait for a held one.
        let started = thread::Builder::new().name("agent-file".to_owned()).spawn(move || {
            // Once the agent has stopped, there is no receiver.
            let _ = say.send(work());
        });
        started.map_err(|error| format!("no thread for file work: {error}"))?;
        let outcome = match tokio::time::timeout(self.patience, &mut said).await {
            Ok(outcome) => outcome,
            Err(_) => {
                drop(place);
                late();
                said.await
            }
        };
        outcome.map_err(|_| "file work panicked; see the log".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_that_hangs_is_reported_and_does_not_delay_other_work() {
        let off_loop = OffLoop::new(Duration::from_millis(1));
        let (late, mut is_late) = tokio::sync::mpsc::unbounded_channel();
        let held: Vec<_> = (0..3 * AT_ONCE).map(|_| mpsc::channel::<()>()).collect();
        let (free, held): (Vec<_>, Vec<_>) = held.into_iter().unzip();
        let hung = held.into_iter().map(|held| {
            let late = late.clone();
            off_loop.run(move || held.recv().is_ok(), move || late.send(()).unwrap())
        });
        let hung = async {
            let mut all = Vec::new();
            for it in hung {
                all.push(Box::pin(it));
            }
            for it in all {
                it.await.unwrap();
            }
        };
        let others = async {
            is_late.recv().await.unwrap();
            assert_eq!(off_loop.run(|| 7, || ()).await, Ok(7));
            drop(free);
        };
        tokio::join!(hung, others);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let off_loop = OffLoop::new(PATIENCE);
        let outcome = off_loop.run(|| panic!("a bug"), || ()).await;
        assert!(outcome.unwrap_err().contains("panicked"));
    }
}
