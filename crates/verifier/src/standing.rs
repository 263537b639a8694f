//! What a follower stands on at one moment, and the decision about a token that follows
//! from it.
//!
//! The view and its time are one value, so that no verification reads the view of one
//! response with the time of another. A verification reads it twice: if another value is
//! in force when the age is computed, that one is consulted.

use crate::clocks::{Clocks, Steady};
use std::time::Duration;
use tegata_token::{
    feed::OnStale,
    id::{Position, ProviderId},
    time::UnixTime,
    verify::{Active, Invalid, Signatures, verify},
    view::View,
};

/// The age below which `suspended` needs no question.
const YOUNG: Duration = Duration::from_secs(1);

/// What a use of the verifier requires of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// The age up to which it accepts a view.
    pub staleness: Duration,
    /// What it does with an older one.
    pub on_stale: OnStale,
}

impl Use {
    /// The values that are at least as strict as both.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            staleness: self.staleness.min(other.staleness),
            on_stale: self.on_stale.min(other.on_stale),
        }
    }

    /// The values that are at least as lenient as both.
    #[must_use]
    pub fn more_lenient(self, other: Self) -> Self {
        Self {
            staleness: self.staleness.max(other.staleness),
            on_stale: self.on_stale.max(other.on_stale),
        }
    }
}

/// A view, and what is known about its time.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub view: View,
    /// The only provider that the view covers; `None`: all.
    pub provider: Option<ProviderId>,
    /// The authority's public address.
    pub issuer: String,
    /// The moment at which the view was of age zero, or later.
    pub as_of: Steady,
    /// When the request of the newest applied response was sent.
    pub sent: Steady,
    /// The difference of the clocks at that moment.
    pub gap: i64,
    /// The authority's clock in milliseconds at `time_at`, as far as its responses show it.
    pub clock_ms: u64,
    /// When the newest of them arrived.
    pub time_at: Steady,
    /// The latest time that verifications have used by then.
    pub least_ms: u64,
}

impl Facts {
    /// The authority's clock in milliseconds. It goes back if that clock did.
    pub fn clock_ms(&self, steady: Steady) -> u64 {
        self.clock_ms.saturating_add(millis(steady.since(self.time_at)))
    }

    /// The time of verifications in milliseconds: it stands still where the authority's clock
    /// went back, so that nothing that has expired is active again.
    pub fn time_ms(&self, steady: Steady) -> u64 {
        self.clock_ms(steady).max(self.least_ms)
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

/// What a follower knows at one moment.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub(crate) facts: Option<Facts>,
    /// The most lenient values that the authority has answered.
    pub(crate) granted: Option<Use>,
    /// Why the view must not be used at all.
    pub(crate) withdrawn: Option<Withdrawn>,
    /// A position that an introspection response has shown.
    pub(crate) shown: Option<Position>,
}

/// Why a follower's view must not be used, whatever its age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withdrawn {
    /// The authority rejects the follower's requests.
    #[error("the authority rejects the request with status {status}: {problem}")]
    Rejected {
        /// The status.
        status: u16,
        /// The beginning of its body.
        problem: String,
    },
    /// The process has said that it has made its last verification.
    #[error("the verifier was stopped")]
    Stopped,
}

/// A time as people read it: in milliseconds below a second, else in seconds with at most one
/// decimal.
fn span(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    match (time.as_secs(), tenths % 10) {
        (0, _) => format!("{} ms", time.as_millis()),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, tenth) => format!("{seconds}.{tenth} s"),
    }
}

/// Why the state of a token is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// There is no view yet.
    #[error("no view was received yet")]
    NoView,
    /// The view is too old.
    #[error("the view is {} old, where {} is allowed", span(*age), span(*staleness))]
    Age {
        /// Its age.
        age: Duration,
        /// The staleness in force.
        staleness: Duration,
    },
    /// The clocks disagree.
    #[error("the wall clock was set, or the machine was paused")]
    Clocks,
    /// The authority has shown a later position.
    #[error("the authority is at a later position")]
    Behind,
    /// This process was forked from the one that follows the feed.
    #[error("this process was forked; it needs a verifier of its own")]
    Forked,
    /// The view must not be used.
    #[error("the authority rejects this verifier, or it was stopped")]
    Withdrawn,
    /// The authority did not answer a question about this token.
    #[error("the authority did not answer in time")]
    Unanswered,
    /// Too many tokens are asked about.
    #[error("too many questions to the authority")]
    Busy,
}

/// The decision about a token.
#[derive(Debug)]
pub enum Verdict {
    /// It is active.
    Active {
        /// Its claims.
        active: Active,
        /// Why the view is stale, which the use allows.
        stale: Option<Stale>,
    },
    /// It is not active.
    Invalid(Invalid),
    /// The feed must be asked first, by a request that is sent from now on.
    Question,
    /// The view is stale; introspection of the token decides.
    Introspect(Active, Stale),
    /// It is not known whether it is active.
    Unknown(Stale),
}

impl Standing {
    /// The view.
    #[must_use]
    pub fn view(&self) -> Option<&View> {
        self.facts.as_ref().map(|it| &it.view)
    }

    /// The age of the view.
    #[must_use]
    pub fn age(&self, steady: Steady) -> Option<Duration> {
        self.facts.as_ref().map(|it| steady.since(it.as_of))
    }

    /// The authority's clock in milliseconds, by the steady clock. It goes back if that clock did.
    #[must_use]
    pub fn clock_ms(&self, steady: Steady) -> Option<u64> {
        self.facts.as_ref().map(|it| it.clock_ms(steady))
    }

    /// The time of verifications in milliseconds, which never goes back.
    #[must_use]
    pub fn time_ms(&self, steady: Steady) -> Option<u64> {
        self.facts.as_ref().map(|it| it.time_ms(steady))
    }

    /// The values in force for a use.
    #[must_use]
    pub fn in_force(&self, wanted: Use) -> Use {
        self.granted.map_or(Use { on_stale: OnStale::Deny, ..wanted }, |it| wanted.stricter(it))
    }

    /// What the view says about a token, if there is one.
    #[must_use]
    pub fn consult(
        &self,
        token: &[u8],
        steady: Steady,
        signatures: &Signatures,
    ) -> Option<Result<Active, Invalid>> {
        let facts = self.facts.as_ref()?;
        let seconds = facts.time_ms(steady) / 1_000;
        let now = UnixTime(seconds.try_into().unwrap_or(i64::MAX));
        Some(verify(token, now, &facts.view, signatures))
    }

    /// Decides, from what the view says. `began` is when the verification began, `clocks`
    /// the present, after the view was consulted.
    #[must_use]
    pub fn conclude(
        &self,
        found: Option<Result<Active, Invalid>>,
        began: Steady,
        clocks: Clocks,
        wanted: Use,
    ) -> Verdict {
        let (Some(found), Some(facts)) = (found, &self.facts) else {
            return Verdict::Unknown(Stale::NoView);
        };
        let Use { staleness, on_stale } = self.in_force(wanted);
        match found {
            // Nothing that is learned later changes these.
            Err(invalid) if !matches!(invalid, Invalid::UnknownKey | Invalid::Suspended) => {
                Verdict::Invalid(invalid)
            }
            _ if self.withdrawn.is_some() => Verdict::Unknown(Stale::Withdrawn),
            found => match (self.stale(facts, clocks, staleness), found, on_stale) {
                (None, Ok(active), _) => Verdict::Active { active, stale: None },
                (None, Err(invalid), _) => {
                    let young =
                        invalid == Invalid::Suspended && clocks.steady.since(facts.as_of) < YOUNG;
                    if young || facts.sent >= began {
                        Verdict::Invalid(invalid)
                    } else {
                        Verdict::Question
                    }
                }
                (Some(stale), _, OnStale::Deny) => Verdict::Unknown(stale),
                (Some(stale), Ok(active), OnStale::Ask) => Verdict::Introspect(active, stale),
                (stale, Ok(active), OnStale::Allow) => Verdict::Active { active, stale },
                (Some(_), Err(_), _) => Verdict::Question,
            },
        }
    }

    /// Why the view is stale at this moment, for a use with this staleness.
    fn stale(&self, facts: &Facts, clocks: Clocks, staleness: Duration) -> Option<Stale> {
        if clocks.jumped_since(facts.gap) {
            return Some(Stale::Clocks);
        }
        if self.shown.is_some_and(|shown| shown > facts.view.position()) {
            return Some(Stale::Behind);
        }
        let age = clocks.steady.since(facts.as_of);
        (age > staleness).then_some(Stale::Age { age, staleness })
    }

    /// Why a use may not rely on the view at this moment.
    #[must_use]
    pub fn trouble(&self, clocks: Clocks, wanted: Use) -> Option<Stale> {
        let Some(facts) = &self.facts else { return Some(Stale::NoView) };
        if self.withdrawn.is_some() {
            return Some(Stale::Withdrawn);
        }
        self.stale(facts, clocks, self.in_force(wanted).staleness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_printed_as_people_read_them() {
        let shown = [
            (21_445_664_046, "21.4 s"),
            (20_000_000_000, "20 s"),
            (999_999_999, "999 ms"),
            (0, "0 ms"),
        ];
        for (nanos, text) in shown {
            assert_eq!(span(Duration::from_nanos(nanos)), text);
        }
    }
}
