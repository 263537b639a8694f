//! The acceptance of the audit's end where servers share the store: a fact in the store that
//! each of them honours once.

use super::{
    Audit,
    anchor::{Accepted, Seen, read_seen, write_seen},
};
use crate::authority::place::Files;
use std::sync::atomic::Ordering::Relaxed;
use tegata_store::{
    AuditHead, Page, Result, Store,
    audit::{Acceptance, Anchor},
};
use tegata_token::time::UnixTime;

impl Audit {
    /// The newest acceptance that the audit's key signed.
    pub(super) async fn acceptance(&self, store: &dyn Store) -> Result<Option<Acceptance>> {
        let found = store.audit_acceptance().await?;
        Ok(found.filter(|it| it.is_signed_by(self.key.public())))
    }

    /// The anchor, after it has honoured an acceptance that is newer than those that it has;
    /// then the whole audit is verified, since it may be whole again. An acceptance of an end
    /// that the audit does not have is not honoured.
    pub(super) async fn honoured(
        &self,
        store: &dyn Store,
        head: &AuditHead,
        seen: Option<Seen>,
        now: UnixTime,
    ) -> Result<Option<Seen>> {
        let (Some(file), Some(before)) = (&self.file, &seen) else { return Ok(seen) };
        let Some(acceptance) = self.acceptance(store).await? else { return Ok(seen) };
        if acceptance.number <= before.honoured {
            return Ok(seen);
        }
        let last = head.last.as_ref();
        let mut accepted = Accepted::from(&acceptance);
        if before.agrees(store, last).await? {
            accepted.through = accepted.through.max(before.accepted);
        } else if !Seen::of(&acceptance).agrees(store, last).await? {
            return Ok(seen);
        }
        let after = Seen::at(last, head.epoch, accepted);
        write_seen(file, &after, file)?;
        tracing::warn!(
            checkpoint = after.newest.number,
            "an operator accepted the end of the audit as it is; this server goes on from there"
        );
        self.recorded.store(false, Relaxed);
        let report = self.verify(store, now).await?;
        self.broken.store(!report.ok, Relaxed);
        Ok(Some(after))
    }
}

/// Accepts the audit's end as it is, for all servers that share the store; returns the number
/// of the newest checkpoint. An anchor in this server's own folder that cannot be read is replaced.
///
/// # Errors
/// [`Error::Unavailable`](tegata_store::Error::Unavailable).
pub async fn accept_end(
    audit: &Audit,
    store: &dyn Store,
    place: &Files,
    now: UnixTime,
) -> Result<Option<u64>> {
    let head = store.audit_head().await?;
    let newest = store.audit(Default::default(), Page { before: None, most: 1 }).await?;
    let through = newest.first().map_or(0, |it| it.id);
    let before = store.audit_acceptance().await?.map_or(0, |it| it.number);
    let beginning = || Anchor { epoch: head.epoch, number: 0, chain: String::new() };
    let end = head.last.as_ref().map_or_else(beginning, Anchor::from);
    let acceptance = Acceptance::sign(now.0.max(before + 1), end, through, &audit.key);
    let accepted = Accepted::from(&acceptance);
    store.accept_audit(acceptance).await?;
    // A server honours it by itself, and verifies the audit then; one whose anchor cannot be
    // read would not.
    let file = place.audit_anchor();
    if read_seen(&file).is_err() {
        write_seen(&file, &Seen::at(head.last.as_ref(), head.epoch, accepted), &file)?;
    }
    Ok(head.last.map(|it| it.number))
}
