//! A verification of the audit, part by part: none of the reads lasts long, and none of them keeps
//! others from a store's connections for as long as the whole takes.

use super::{AuditReport, AuditVerifier};
use crate::Batch;
use std::fmt::Display;

/// Maximum number of rows without a checkpoint in one part.
pub(crate) const PART: usize = 2_000;

/// A verification on its way.
pub(crate) struct Walk {
    verifier: AuditVerifier,
    /// The number of the last checkpoint, and the id of the last row; `None`: it is over.
    behind: Option<(u64, i64)>,
}

impl Walk {
    pub fn new(verifier: AuditVerifier) -> Self {
        Self { behind: Some(verifier.reached()), verifier }
    }

    /// Behind which checkpoint and row the next part begins; `None` if there is none.
    pub fn behind(&self) -> Option<(u64, i64)> {
        self.behind
    }

    /// Verifies the next part; an error is one of what the store holds.
    pub fn take<E: Display>(&mut self, part: Result<Batch, E>) {
        let number = self.behind.map_or(0, |(number, _)| number);
        self.behind = match part {
            Ok(Batch { checkpoint: Some(checkpoint), rows }) => {
                self.verifier.checkpoint(&checkpoint, &rows);
                Some((checkpoint.number, checkpoint.last))
            }
            Ok(Batch { checkpoint: None, rows }) => rows.last().map(|last| {
                self.verifier.pending(&rows);
                // Rows that get a checkpoint from now on would be reported twice.
                (i64::MAX.unsigned_abs(), last.id)
            }),
            Err(damaged) => {
                self.verifier.unreadable(Some(number + 1), &damaged.to_string());
                None
            }
        };
    }

    pub fn report(self) -> AuditReport {
        self.verifier.report()
    }
}
