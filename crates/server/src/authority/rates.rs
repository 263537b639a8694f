//! Applies the limits to requests, and records in the audit what exceeds them. The limits
//! themselves are in [`crate::authority::limits`].

use super::Authority;
use crate::authority::{
    actor::Actor,
    limits::{ActiveCooldown, LimitExceeded, Operation, Reservation, TooMany},
    source::Source,
};
use tegata_policy::{
    authorize::Grant,
    channel::{Channel, ChannelLimits},
    denied::Denied,
};
use tegata_store::{
    Error, Event, Result,
    audit_event::{AuditEvent, CooldownBegan, LoginThrottled, NoDetail, SecretThrottled},
};
use tegata_token::{
    id::{ChannelId, PersonId},
    time::UnixTime,
};

impl Authority {
    /// Takes one use of an operation from the channel's bucket.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn take(&self, operation: Operation, channel: &Channel) -> Result<()> {
        self.limits.take(operation, channel, self.clock().steady()).map_err(limit_exceeded)
    }

    /// Shares the rates among the servers that there are. If that is not known, they stay
    /// shared as they are.
    pub(super) async fn share_limits(&self) {
        if self.store.is_shared()
            && let Ok(all) = self.store.replicas().await
        {
            self.limits.share(all.len());
        }
    }

    /// Takes one of LINE's verifications from the channel's bucket, if those are limited.
    ///
    /// # Errors
    /// [`LimitExceeded`]: the bucket is empty.
    pub fn take_verification(
        &self,
        operation: Operation,
        channel: ChannelId,
    ) -> std::result::Result<(), LimitExceeded> {
        let own = self.memory.verify_rates.load().get(&channel).copied();
        self.limits.take_verification(operation, channel, own, || self.clock().steady())
    }

    /// The channel's active cooldowns, and their ends by the wall clock.
    #[must_use]
    pub fn cooldowns(
        &self,
        channel: ChannelId,
        own: &ChannelLimits,
    ) -> Vec<(ActiveCooldown, UnixTime)> {
        let cooldowns = self.limits.cooldowns_of(channel, own, self.clock().steady());
        let until =
            |it: &ActiveCooldown| self.now().plus(it.seconds.try_into().unwrap_or(i64::MAX));
        cooldowns.into_iter().map(|it| (it.clone(), until(&it))).collect()
    }

    /// A slot of the surge limit for the token that a grant is for.
    pub(super) fn reserve(&self, grant: &Grant) -> Result<Reservation<'_>> {
        let (channel, steady) = (grant.channel(), self.clock().steady());
        let (slot, cooldowns) = self.limits.surge(channel, grant.kind(), grant.group(), steady);
        for cooldown in cooldowns {
            self.record_cooldown(channel, &cooldown);
        }
        slot.map_err(limit_exceeded)
    }

    /// The error for a request that was denied after the client sent a secret for a
    /// channel. A wrong secret counts as a guess of its source.
    #[must_use]
    pub fn after_secret(&self, denied: Denied, source: Source, channel: ChannelId) -> Denied {
        let is_known = match denied {
            // A suspended channel must get the same response as a wrong secret.
            Denied::WrongSecret | Denied::Suspended => true,
            Denied::UnknownChannel => false,
            _ => return denied,
        };
        let steady = self.clock().steady();
        match self.limits.guess(source, channel, is_known, steady) {
            Ok(()) => denied,
            Err(TooMany { wait: LimitExceeded(seconds), begins }) => {
                if begins && is_known {
                    self.record_guesses(source, channel, seconds);
                }
                Denied::LimitExceeded { seconds }
            }
        }
    }

    /// Counts a report of leaked tokens without a signature.
    ///
    /// # Errors
    /// [`LimitExceeded`]: too many from this source.
    pub fn take_report(&self, source: Source) -> std::result::Result<(), LimitExceeded> {
        self.limits.report(source, self.clock().steady())
    }

    /// Counts a report with a wrong signature or a wrong token.
    ///
    /// # Errors
    /// [`LimitExceeded`]: too many from this source.
    pub fn forged_report(&self, source: Source) -> std::result::Result<(), LimitExceeded> {
        self.limits.forged_report(source, self.clock().steady()).map_err(|it| {
            if it.begins {
                let seconds = it.wait.0;
                tracing::warn!(%source, seconds, "forged reports from this source are throttled");
                let event = AuditEvent::LeakThrottle(SecretThrottled { seconds });
                self.record(Event::of(event), Some(source));
            }
            it.wait
        })
    }

    /// Counts a wrong administrator's token. The audit records a series of them.
    pub fn wrong_administrator(&self, source: Source) {
        if self.limits.guess_administrator(source, self.clock().steady()) {
            tracing::warn!(%source, "many wrong administrator's tokens from one source");
            self.record(Event::of(AuditEvent::AdminTokenThrottle(NoDetail {})), Some(source));
        }
    }

    /// Records that attempts to sign in are rejected for a while: those from a source, or a
    /// person's after wrong codes.
    pub(super) fn record_sign_ins(
        &self,
        person: Option<PersonId>,
        source: Option<Source>,
        seconds: u64,
    ) {
        let (person_shown, from) = (person.map(tracing::field::display), source.map(|it| it.0));
        tracing::warn!(
            person = person_shown,
            source = from.map(tracing::field::display),
            seconds,
            "attempts to sign in are throttled"
        );
        let event = AuditEvent::PersonThrottle(LoginThrottled { person, seconds });
        self.record(Event::of(event), source);
    }

    fn record_cooldown(&self, channel: &Channel, cooldown: &ActiveCooldown) {
        tracing::warn!(
            channel = %channel.id,
            kind = %cooldown.kind,
            whose = ?cooldown.whose,
            seconds = cooldown.seconds,
            "a cooldown began: too many tokens were issued"
        );
        let detail = CooldownBegan {
            kind: cooldown.kind,
            whose: cooldown.whose.name().to_owned(),
            group: cooldown.whose.group().cloned(),
            seconds: cooldown.seconds,
        };
        let (provider, channel) = (Some(channel.provider), Some(channel.id));
        let event = AuditEvent::IssuingCooldown(detail);
        self.record(Event { event, provider, channel }, None);
    }

    fn record_guesses(&self, source: Source, channel: ChannelId, seconds: u64) {
        tracing::warn!(%channel, %source, seconds, "wrong secrets from this source are throttled");
        let event = AuditEvent::SecretThrottle(SecretThrottled { seconds });
        self.record(Event { event, provider: None, channel: Some(channel) }, Some(source));
    }

    /// Records an event in the audit, without delaying the request.
    fn record(&self, mut event: Event, source: Option<Source>) {
        if !self.limits.may_record(event.event.act().name(), self.clock().steady()) {
            return;
        }
        let by = self.by(Actor::System, source.map(|it| it.to_string()), None);
        let store = self.store.clone();
        tokio::spawn(async move {
            if let (None, Some(channel)) = (event.provider, event.channel)
                && let Ok(of) = store.channel(channel).await
            {
                event.provider = of.map(|it| it.provider);
            }
            if let Err(error) = store.record(event, by).await {
                tracing::warn!(%error, "the audit event for an exceeded limit could not be written");
            }
        });
    }
}

fn limit_exceeded(LimitExceeded(seconds): LimitExceeded) -> Error {
    Denied::LimitExceeded { seconds }.into()
}
