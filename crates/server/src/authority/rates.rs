//! What becomes of those who ask too often, and who is told of it. How often is too
//! often stands in [`crate::authority::limits`].

use super::Authority;
use crate::authority::{
    actor::Actor,
    limits::{Operation, Place, Resting, TooFast, TooMany},
    source::Source,
};
use tegata_policy::{channel::Channel, judge::Grant, refusal::Refusal};
use tegata_store::{
    Error, Event, Result,
    audit_event::{AuditEvent, IssuingRested, NoDetail, SecretThrottled},
};
use tegata_token::{id::ChannelId, time::UnixTime};

impl Authority {
    /// Takes one use of an operation out of the channel's bucket.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn take(&self, operation: Operation, channel: &Channel) -> Result<()> {
        self.limits.take(operation, channel, self.clock().steady()).map_err(too_fast)
    }

    /// Takes one of LINE's checks out of the channel's bucket, where those are limited.
    ///
    /// # Errors
    /// [`TooFast`]: the bucket is empty.
    pub fn take_check(
        &self,
        operation: Operation,
        channel: ChannelId,
    ) -> std::result::Result<(), TooFast> {
        let own = self.memory.check_rates.load().get(&channel).copied();
        self.limits.check(operation, channel, own, || self.clock().steady())
    }

    /// What of a channel's issuing rests, and until when by the wall clock.
    #[must_use]
    pub fn resting(&self, channel: ChannelId) -> Vec<(Resting, UnixTime)> {
        let resting = self.limits.resting(channel, self.clock().steady());
        let until = |it: &Resting| self.now().plus(it.seconds.try_into().unwrap_or(i64::MAX));
        resting.into_iter().map(|it| (it.clone(), until(&it))).collect()
    }

    /// A place in the storm guard's count for what a grant is to become.
    pub(super) fn place(&self, grant: &Grant) -> Result<Place<'_>> {
        let (channel, steady) = (grant.channel(), self.clock().steady());
        let (place, rests) = self.limits.storm(channel, grant.kind(), grant.group(), steady);
        for rest in rests {
            self.tell_of_rest(channel, &rest);
        }
        place.map_err(too_fast)
    }

    /// What becomes of the refusal of somebody who showed a secret for a channel:
    /// a wrong one counts as a guess of its source.
    #[must_use]
    pub fn after_secret(&self, refusal: Refusal, source: Source, channel: ChannelId) -> Refusal {
        let is_known = match refusal {
            // What a suspended channel is told must be what a wrong secret is told.
            Refusal::WrongSecret | Refusal::Suspended => true,
            Refusal::UnknownChannel => false,
            _ => return refusal,
        };
        let steady = self.clock().steady();
        match self.limits.guess(source, channel, is_known, steady) {
            Ok(()) => refusal,
            Err(TooMany { wait: TooFast(seconds), begins }) => {
                if begins && is_known {
                    self.tell_of_guesses(source, channel, seconds);
                }
                Refusal::TooFast { seconds }
            }
        }
    }

    /// Counts a wrong administrator's token. The audit is told of many.
    pub fn wrong_administrator(&self, source: Source) {
        if self.limits.guess_administrator(source, self.clock().steady()) {
            tracing::warn!(%source, "somebody tries out administrator's tokens");
            self.tell(Event::of(AuditEvent::AdminGuess(NoDetail {})), Some(source));
        }
    }

    fn tell_of_rest(&self, channel: &Channel, rest: &Resting) {
        tracing::warn!(
            channel = %channel.id,
            kind = %rest.kind,
            whose = ?rest.whose,
            seconds = rest.seconds,
            "issuing rests: too many tokens were issued"
        );
        let detail = IssuingRested {
            kind: rest.kind,
            whose: rest.whose.name().to_owned(),
            group: rest.whose.group().cloned(),
            seconds: rest.seconds,
        };
        let (provider, channel) = (Some(channel.provider), Some(channel.id));
        let event = AuditEvent::IssuingRest(detail);
        self.tell(Event { event, provider, channel }, None);
    }

    fn tell_of_guesses(&self, source: Source, channel: ChannelId, seconds: u64) {
        tracing::warn!(%channel, %source, seconds, "wrong secrets are no longer answered");
        let event = AuditEvent::SecretThrottle(SecretThrottled { seconds });
        self.tell(Event { event, provider: None, channel: Some(channel) }, Some(source));
    }

    /// Tells the audit, without letting anybody wait for it.
    fn tell(&self, event: Event, source: Option<Source>) {
        if !self.limits.may_tell(self.clock().steady()) {
            return;
        }
        let by = self.by(Actor::System, source.map(|it| it.to_string()), None);
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.record(event, by).await {
                tracing::warn!(%error, "the audit could not be told of a limit");
            }
        });
    }
}

fn too_fast(TooFast(seconds): TooFast) -> Error {
    Refusal::TooFast { seconds }.into()
}
