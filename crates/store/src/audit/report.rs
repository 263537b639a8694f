//! The anchor that a verification of the audit compares with, and its report.

use super::{Anchor, VerifiedEnd};
use serde::Serialize;

/// Maximum number of problems, and of notices, in one report.
pub(super) const MAX_ITEMS: usize = 100;

/// Something that does not match a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditProblem {
    /// A description.
    pub what: String,
    /// The checkpoint that it concerns.
    pub checkpoint: Option<u64>,
}

/// What a verification compares the newest checkpoint with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchored {
    /// The newest checkpoint that was seen, and the last event up to which an operator
    /// accepted that the end could not be confirmed.
    At(Anchor, i64),
    /// There should be an anchor, but there is none that can be used, for this reason.
    Missing(String),
    /// Nothing, as the caller requested.
    Ignored,
}

/// Whether the last checkpoint found is known to be the newest one made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AuditEnd {
    /// An anchor outside of the database confirms it.
    Confirmed,
    /// Nothing confirms it: newer events may have been cut off.
    #[default]
    Unconfirmed,
    /// It was not compared with an anchor, as the caller requested.
    NotChecked,
}

/// The result of a verification of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct AuditReport {
    /// Whether no problem was found.
    pub ok: bool,
    /// Whether the last checkpoint found is known to be the newest one made.
    pub end: AuditEnd,
    /// How many rows there are, with or without a checkpoint.
    pub events: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// How many rows have no checkpoint yet, so that nothing confirms them.
    pub pending: u64,
    /// Rows of checkpoints below this one were deleted, or may have been.
    pub kept_from: u64,
    /// What is wrong; the first hundred problems.
    pub problems: Vec<AuditProblem>,
    /// Observations that prove no tampering but should be known.
    pub notices: Vec<String>,
    /// Its end, if checkpoints and rows were read up to there.
    #[serde(skip)]
    pub verified_to: Option<VerifiedEnd>,
}

impl AuditReport {
    pub(super) fn problem(&mut self, checkpoint: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < MAX_ITEMS {
            self.problems.push(AuditProblem { what: what.into(), checkpoint });
        }
        self.ok = false;
    }

    /// Compares the report with the anchor as it is after the verification: the anchor is
    /// renewed after each checkpoint, so at most one checkpoint is newer.
    #[must_use]
    pub fn and_then(mut self, after: &Anchored) -> Self {
        match after {
            Anchored::At(anchor, _) if self.checkpoints > anchor.number + 1 => {
                let what = format!(
                    "the anchor is outdated: it names checkpoint {}, and there are {}",
                    anchor.number, self.checkpoints
                );
                self.problem(Some(anchor.number), what);
                self.end = AuditEnd::Unconfirmed;
            }
            Anchored::Missing(why) if self.end == AuditEnd::Confirmed => {
                self.problem(None, unconfirmed(why));
                self.end = AuditEnd::Unconfirmed;
            }
            _ => {}
        }
        self
    }
}

pub(super) fn unconfirmed(why: &str) -> String {
    format!("the end cannot be confirmed, newer events may have been cut off: {why}")
}
