//! The options of acts that take something away.

use std::time::Duration;

/// How an act that takes something away is done.
#[derive(Debug, Clone, Default)]
pub struct ActOptions {
    /// The reason, for the audit, the rows of the tokens and the revocation journal.
    pub reason: Option<String>,
    /// For how long to wait until its receipt is complete.
    pub wait: Duration,
    /// Whether to do nothing, and to find out what it would take away.
    pub dry_run: bool,
}

impl ActOptions {
    /// The options of a dry run.
    #[must_use]
    pub fn rehearsal() -> Self {
        Self { dry_run: true, ..Self::default() }
    }
}
