//! The audit: its events, its verification and its export.

use super::facade::{Admin, Result};
use tegata_policy::permission::Permission;
use tegata_store::{AuditFilter, AuditRow, Batch, Page, RowId, audit::AuditReport};
use tegata_token::{key::VerifyingKey, time::UnixTime};

/// Maximum number of events in one part of an export; a checkpoint covers no more.
const PART: usize = 1_000;

impl Admin {
    /// Audit events, newest first.
    ///
    /// # Errors
    /// [`Unavailable`](tegata_store::Error::Unavailable).
    pub async fn audit(&self, mut filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>> {
        filter.seen = self.seen_by(Permission::ReadProviderAudit, Permission::ReadChannelAudit)?;
        Ok(self.authority.store().audit(filter, page).await?)
    }

    /// Verifies the whole audit.
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub async fn verify_audit(&self) -> Result<AuditReport> {
        self.may(Permission::ReadAudit)?;
        let now = self.authority.now();
        Ok(self.authority.audit().verify(self.authority.store(), now).await?)
    }

    /// When the whole audit was last verified, by a request or the daily job, and whether it
    /// was as its checkpoints say.
    ///
    /// # Errors
    /// The actor may not read the audit.
    pub fn last_audit_verification(&self) -> Result<Option<(UnixTime, bool)>> {
        self.may(Permission::ReadAudit)?;
        Ok(self.authority.audit().last_verified())
    }

    /// The next checkpoint behind that number and event, and the events that it covers,
    /// oldest first; behind the last one, the events that wait for a checkpoint.
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub async fn audit_part(&self, behind: (u64, RowId)) -> Result<Batch> {
        self.may(Permission::ReadAudit)?;
        Ok(self.authority.store().audit_batch(behind, PART).await?)
    }

    /// The key that checkpoints are verified with.
    ///
    /// # Errors
    /// The actor may not read the audit.
    pub fn audit_key(&self) -> Result<&VerifyingKey> {
        self.may(Permission::ReadAudit)?;
        Ok(self.authority.audit().public())
    }
}
