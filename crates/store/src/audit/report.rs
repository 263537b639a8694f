//! What a check of the audit compares with, and what it finds.

use super::Anchor;
use serde::Serialize;

/// The most problems, and the most notices, of one report.
pub(super) const TOLD: usize = 100;

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What, in words.
    pub what: String,
    /// At which seal.
    pub checkpoint: Option<u64>,
}

/// What a check compares the newest checkpoint with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchored {
    /// The newest checkpoint that was seen, and the last event up to which an operator
    /// accepted that the end could not be confirmed.
    At(Anchor, i64),
    /// There should be an anchor, and there is none to be used: why.
    Missing(String),
    /// Nothing, by the wish of who checks.
    Ignored,
}

/// Whether the newest checkpoint is known to be the newest there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum AuditEnd {
    /// An anchor outside of the database confirms it.
    Confirmed,
    /// Nothing confirms it: newer events may have been cut off.
    #[default]
    Unconfirmed,
    /// It was not to be compared with an anchor.
    NotChecked,
}

/// What a check of the audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct AuditReport {
    /// Whether nothing was found wrong.
    pub ok: bool,
    /// Whether the newest checkpoint is known to be the newest there was.
    pub end: AuditEnd,
    /// How many rows there are, sealed or not yet.
    pub events: u64,
    /// How many seals.
    pub checkpoints: u64,
    /// How many rows wait for a seal: nothing vouches for them yet.
    pub pending: u64,
    /// Rows of seals below this one were deleted, or may have been.
    pub kept_from: u64,
    /// What is wrong; the first hundred things.
    pub problems: Vec<Problem>,
    /// What is no proof of anything, and should be known.
    pub notices: Vec<String>,
}

impl AuditReport {
    pub(super) fn problem(&mut self, checkpoint: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < TOLD {
            self.problems.push(Problem { what: what.into(), checkpoint });
        }
        self.ok = false;
    }

    /// Compares with the anchor as it is after the check: it is renewed after each
    /// checkpoint, so at most one is newer.
    #[must_use]
    pub fn and_then(mut self, after: &Anchored) -> Self {
        match after {
            Anchored::At(anchor, _) if self.checkpoints > anchor.number + 1 => {
                let what = format!(
                    "the anchor is an old one: it names checkpoint {}, and {} are here",
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
