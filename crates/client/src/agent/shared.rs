//! What the agent's loop and its HTTP server share.

use super::{
    config::{Caller, Config},
    core::Core,
    off_loop::OffLoop,
};
use crate::machine::MonotonicClock;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tegata_policy::secret::HashedSecret;
use tegata_token::{id::Group, time::UnixTime};
use tokio::sync::Notify;

/// What the loop and the HTTP server share. The lock is never held over a wait.
pub struct Shared {
    core: Mutex<Core>,
    /// The machine's clock.
    pub clock: MonotonicClock,
    /// Notified by [`Shared::wake`].
    pub woken: Notify,
    /// Where file work is run.
    pub off_loop: OffLoop,
    /// Who may ask for tokens.
    pub callers: Vec<Known>,
}

impl Shared {
    /// An agent that has not begun.
    pub fn new(core: Core, clock: MonotonicClock, off_loop: OffLoop, callers: Vec<Known>) -> Self {
        Self { core: core.into(), clock, woken: Notify::new(), off_loop, callers }
    }

    /// The agent, for a moment.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which lives are counted.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// There may be something to do.
    pub fn wake(&self) {
        self.woken.notify_one();
    }
}

/// A caller, known by the hash of its secret.
pub struct Known {
    /// Its name in the settings.
    pub name: Group,
    /// The hash of its secret.
    pub secret: HashedSecret,
    /// The tokens that it may have.
    pub tokens: Vec<Group>,
}

/// Those who may ask.
///
/// # Errors
/// Whose secret cannot be had.
pub fn callers(config: &Config) -> Result<Vec<Known>, String> {
    let known = |caller: &Caller| {
        let (name, tokens) = (caller.name.clone(), caller.tokens.clone());
        Ok(Known { name, secret: caller.secret()?.hash(), tokens })
    };
    config.callers.iter().map(known).collect()
}
