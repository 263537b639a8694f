//! The state that the agent's loop and its HTTP server share.

use super::{
    config::{Caller, Config},
    core::Core,
    off_loop::OffLoop,
};
use crate::machine::MonotonicClock;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tegata_policy::secret::HashedSecret;
use tegata_token::{id::Group, time::UnixTime};
use tokio::sync::Notify;

/// The shared state. The lock is never held across an `await`.
pub struct Shared {
    core: Mutex<Core>,
    /// The machine's clock.
    pub clock: MonotonicClock,
    /// Notified by [`Shared::wake`].
    pub woken: Notify,
    /// Runs file work.
    pub off_loop: OffLoop,
    callers: Mutex<Arc<[Known]>>,
}

impl Shared {
    /// An agent that has not started.
    pub fn new(core: Core, clock: MonotonicClock, off_loop: OffLoop, callers: Vec<Known>) -> Self {
        let callers = Mutex::new(callers.into());
        Self { core: core.into(), clock, woken: Notify::new(), off_loop, callers }
    }

    /// The callers that may request tokens.
    pub fn callers(&self) -> Arc<[Known]> {
        Arc::clone(&self.callers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the callers.
    pub fn set_callers(&self, callers: Vec<Known>) {
        *self.callers.lock().unwrap_or_else(PoisonError::into_inner) = callers.into();
    }

    /// Locks the agent's state.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time that validities are compared with.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Notifies the loop that an order may be due.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

/// A caller, identified by the hash of its secret.
pub struct Known {
    /// Its name in the settings.
    pub name: Group,
    /// The hash of its secret.
    pub secret: HashedSecret,
    /// The tokens that it may request.
    pub tokens: Vec<Group>,
}

/// Reads the callers' secrets.
///
/// # Errors
/// The caller whose secret cannot be read.
pub fn callers(config: &Config) -> Result<Vec<Known>, String> {
    let known = |caller: &Caller| {
        let (name, tokens) = (caller.name.clone(), caller.tokens.clone());
        Ok(Known { name, secret: caller.secret()?.hash(), tokens })
    };
    config.callers.iter().map(known).collect()
}
