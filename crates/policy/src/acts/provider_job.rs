//! Revoking all tokens of a provider: one cutoff per channel, in the order of their ids.
//! The progress is in a row, so a process that finds the row after a crash continues from
//! there.

use super::{
    Act, ActError, ActName, Decided,
    audit_event::{self, AuditEvent},
    change::Change,
    effects::{Effects, Write},
    expected::ExpectedSettings,
    journal::JournalEntry,
    locked::{Locked, Needs},
    revoke::Revoke,
    things::{By, Event, RevocationTarget},
    upkeep::{ProviderJob, Upkeep},
};
use tegata_token::{
    id::{ChannelId, ProviderId},
    time::UnixTime,
};

/// Begins to revoke all tokens of the channels that a provider has now; returns the
/// number of the job.
#[derive(Debug, Clone)]
pub struct BeginProviderRevocation {
    /// The provider.
    pub provider: ProviderId,
    /// Who requests it.
    pub by: By,
}

impl Act for BeginProviderRevocation {
    type Output = i64;
    const NAME: ActName = ActName::BeginProviderRevocation;

    fn needs(&self) -> Needs {
        Needs { provider: Some(self.provider), upkeep: Upkeep::NewProviderJob, ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, _: UnixTime) -> Decided<i64> {
        let through = locked.provider.as_ref().ok_or(ActError::NotFound("provider"))?.revocations;
        let By { actor, source, reason, .. } = self.by.clone();
        let (provider, number) = (self.provider, locked.upkeep.next_job);
        let mut effects = Effects::default();
        effects.write(Write::ProviderJob(Box::new(ProviderJob {
            number,
            provider,
            // Channels that are created from now on are not included: they come after one more.
            through,
            actor,
            source,
            reason,
            revoked: 0,
            position: 0,
            next: None,
        })));
        effects.change(Change::Empty { provider: Some(provider) });
        effects.journal.push(JournalEntry::ProviderRevocation { provider });
        let event = AuditEvent::ProviderRevoke(audit_event::JobNumber { job: number });
        effects.audit_of(&self.by, Event { event, provider: Some(provider), channel: None });
        Ok((number, effects))
    }
}

/// Revokes the tokens of a job's next channel, or completes the job.
#[derive(Debug, Clone)]
pub struct ContinueProviderRevocation {
    /// The number of the job.
    pub job: i64,
    /// Its next channel; `None`: there is none left.
    pub channel: Option<ChannelId>,
}

/// How far a revocation of a provider's tokens has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderProgress {
    /// How many stored tokens it has revoked since its beginning.
    pub revoked: usize,
    /// The number of the position of its last change before this act.
    pub position: u64,
    /// Whether it is complete.
    pub done: bool,
}

impl ContinueProviderRevocation {
    fn revocation(&self, channel: ChannelId, job: &ProviderJob, at: UnixTime) -> Revoke {
        let ProviderJob { actor, source, reason, .. } = job.clone();
        Revoke {
            channel,
            known: None,
            target: RevocationTarget::All,
            by: By {
                actor,
                source,
                reason,
                at,
                expected: ExpectedSettings::default(),
                request_id: None,
            },
        }
    }
}

impl Act for ContinueProviderRevocation {
    type Output = ProviderProgress;
    const NAME: ActName = ActName::ContinueProviderRevocation;

    fn needs(&self) -> Needs {
        let of_channel = self.channel.map(|id| Revoke::needs_of(id, &RevocationTarget::All));
        Needs { upkeep: Upkeep::ProviderJob(self.job), ..of_channel.unwrap_or_default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<ProviderProgress> {
        let job = locked.upkeep.job.as_ref().ok_or(ActError::NotFound("job"))?;
        if job.next != self.channel {
            return Err(ActError::Conflict("the revocation has gone on meanwhile; try again"));
        }
        let position = job.position;
        let Some(channel) = self.channel else {
            let mut effects = Effects::default();
            effects.write(Write::ProviderJobDone(job.number));
            effects.journal.push(JournalEntry::ProviderEndDone { provider: job.provider });
            let progress = ProviderProgress { revoked: job.revoked, position, done: true };
            return Ok((progress, effects));
        };
        let (revoked, mut effects) = self.revocation(channel, job, now).decide(locked, now)?;
        let revoked = job.revoked + revoked;
        effects.write(Write::ProviderJobAt { job: job.number, done_to: channel, revoked });
        Ok((ProviderProgress { revoked, position, done: false }, effects))
    }
}
