//! How many verifications wait for the authority at the same time.

use super::NotAccepted;
use crate::standing::Stale;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Number of verifications that wait for a response of the feed. A client without a credential can
/// cause each of them, by a token that names an unknown key.
const QUESTIONS: usize = 1_024;
/// Number of tokens that are introspected.
const INTROSPECTIONS: usize = 64;

/// The places. Those of tokens whose signature is right are apart, so that clients without a
/// credential cannot take them.
pub struct Places {
    questions: Arc<Semaphore>,
    introspections: Arc<Semaphore>,
}

/// The places that a verification has, free again when this is dropped.
#[derive(Default)]
pub struct HeldPlaces {
    question: Option<OwnedSemaphorePermit>,
    introspection: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub fn new() -> Self {
        Self {
            questions: Arc::new(Semaphore::new(QUESTIONS)),
            introspections: Arc::new(Semaphore::new(INTROSPECTIONS)),
        }
    }

    /// Takes the place of a question, unless there is one.
    ///
    /// # Errors
    /// All are taken.
    pub fn take_question(&self, held: &mut HeldPlaces) -> Result<(), NotAccepted> {
        take(&self.questions, &mut held.question)
    }

    /// Takes the place of an introspection, unless there is one.
    ///
    /// # Errors
    /// All are taken.
    pub fn take_introspection(&self, held: &mut HeldPlaces) -> Result<(), NotAccepted> {
        take(&self.introspections, &mut held.introspection)
    }
}

fn take(
    places: &Arc<Semaphore>,
    held: &mut Option<OwnedSemaphorePermit>,
) -> Result<(), NotAccepted> {
    if held.is_none() {
        let free = places.clone().try_acquire_owned();
        *held = Some(free.map_err(|_| NotAccepted::Unknown(Stale::Busy))?);
    }
    Ok(())
}
