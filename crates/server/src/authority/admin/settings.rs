//! What applies to every channel: the limits and times that the server was started with, and
//! what happened lately.

use super::facade::{Admin, Result};
use crate::authority::{activity::ActiveMinute, limits::Rates, warnings::Policy};
use std::time::Duration;
use tegata_policy::permission::Permission;

/// The settings that apply to every channel without own ones.
#[derive(Debug, Clone)]
pub struct EffectiveSettings {
    /// The rates and the surge limit.
    pub rates: Rates,
    /// When to warn.
    pub warn: Policy,
    /// After how long without use a token that was replaced is idle.
    pub idle_after: Duration,
    /// The public address.
    pub issuer: String,
}

impl Admin {
    /// The settings. Everyone who is authenticated may read them: they are limits that each
    /// client meets.
    #[must_use]
    pub fn settings(&self) -> EffectiveSettings {
        EffectiveSettings {
            rates: self.authority.limits().rates(),
            warn: self.authority.warning_policy().clone(),
            idle_after: self.authority.idle_after,
            issuer: self.authority.issuer().to_owned(),
        }
    }

    /// What happened in each minute of the last day, oldest first.
    ///
    /// # Errors
    /// The actor may not see the authority's own state.
    pub fn activity(&self) -> Result<Vec<ActiveMinute>> {
        self.may(Permission::ReadVerifierWarnings)?;
        Ok(self.authority.activity())
    }
}
