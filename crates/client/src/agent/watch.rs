//! A watched token, which another program renews: the agent only verifies it, and warns
//! before it expires.

use super::{config, target::again};
use crate::{call::Verified, failure::Failure};
use tegata_policy::text::counted;
use tegata_token::time::{DAY, UnixTime};

/// A watched token and its state.
#[derive(Debug)]
pub struct Watch {
    /// Its settings.
    pub settings: config::Watched,
    look_at: UnixTime,
    /// How often to verify it, in seconds.
    look: i64,
    /// Whether a verification is under way.
    pub busy: bool,
    /// Whether the log has the warning of its expiry.
    is_warned_of: bool,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// There was no response yet.
    Unknown(String),
    Good {
        until: UnixTime,
        doubt: Option<String>,
    },
    Bad(String),
}

/// The state of a watched token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// Active for longer than `warn_days`.
    Good,
    /// Expires soon, or its state is unknown; and why.
    Warning(String),
    /// Not active; and why.
    Bad(String),
}

/// The pause after a token that could not be read, in seconds.
const LOOK_AGAIN: i64 = 30;

impl Watch {
    /// A watched token that has not been verified yet.
    #[must_use]
    pub fn new(settings: config::Watched, look: i64) -> Self {
        let state = State::Unknown("not verified yet".to_owned());
        Self {
            settings,
            look_at: UnixTime(i64::MIN),
            look,
            busy: false,
            is_warned_of: false,
            state,
        }
    }

    /// Takes the interval of a reload, and verifies the token now.
    pub fn reload(&mut self, look: i64) {
        (self.look, self.look_at) = (look, UnixTime(i64::MIN));
    }

    /// Whether a verification is due at `now`.
    ///
    /// # Errors
    /// The time when the next one is due.
    pub fn next(&self, now: UnixTime) -> Result<(), UnixTime> {
        if self.busy {
            return Err(UnixTime(i64::MAX));
        }
        if now < self.look_at { Err(self.look_at) } else { Ok(()) }
    }

    /// Records that the verification under way has not returned in time.
    pub fn is_late(&mut self, problem: String) {
        self.doubt(problem);
    }

    fn doubt(&mut self, doubt: String) {
        let state = match &self.state {
            State::Good { until, .. } => State::Good { until: *until, doubt: Some(doubt) },
            State::Unknown(_) => State::Unknown(doubt),
            State::Bad(_) => return,
        };
        self.become_(state);
    }

    /// Processes the result of the verification.
    pub fn done(&mut self, now: UnixTime, checked: Result<Verified, Failure>) {
        self.busy = false;
        self.look_at = now.plus(self.look);
        match checked {
            Ok(Verified { expires_in, .. }) => {
                self.become_(State::Good { until: now.plus(expires_in), doubt: None });
                self.warn(now);
            }
            Err(Failure::Denied { status: 400 | 401, said }) => self.become_(State::Bad(said)),
            // The token could not be read.
            Err(Failure::NotAsked(problem)) => {
                self.look_at = now.plus(LOOK_AGAIN);
                self.become_(State::Bad(problem));
            }
            Err(failure) => {
                self.look_at = now.plus(again(&failure));
                self.doubt(failure.to_string());
            }
        }
    }

    /// Logs the warning once for each token, and again once the token was replaced.
    fn warn(&mut self, now: UnixTime) {
        let before = self.is_warned_of;
        let verdict = self.verdict(now);
        self.is_warned_of = matches!(verdict, Freshness::Warning(_));
        if let Freshness::Warning(why) = verdict
            && !before
        {
            tracing::warn!(token = %self.settings.name, why, "a watched token expires soon");
        }
    }

    fn become_(&mut self, state: State) {
        if let State::Bad(why) = &state
            && self.state != state
        {
            tracing::error!(token = %self.settings.name, why, "a watched token is not active");
        }
        self.state = state;
    }

    /// When the token expires, if that is known.
    #[must_use]
    pub fn until(&self) -> Option<UnixTime> {
        match self.state {
            State::Good { until, .. } => Some(until),
            _ => None,
        }
    }

    /// The token's state at `now`.
    #[must_use]
    pub fn verdict(&self, now: UnixTime) -> Freshness {
        let warn = i64::from(self.settings.warn_days) * DAY;
        match &self.state {
            State::Bad(why) => Freshness::Bad(why.clone()),
            State::Good { until, .. } if *until <= now => {
                Freshness::Bad("it has expired".to_owned())
            }
            State::Good { until, .. } if until.since(now) <= warn => {
                let hours = until.since(now) / 3600;
                Freshness::Warning(format!(
                    "it expires in {} and {}",
                    counted(hours / 24, "day", "days"),
                    counted(hours % 24, "hour", "hours")
                ))
            }
            State::Good { doubt: Some(doubt), .. } | State::Unknown(doubt) => {
                Freshness::Warning(doubt.clone())
            }
            State::Good { doubt: None, .. } => Freshness::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000_000);

    fn watch(file: &std::path::Path) -> Watch {
        let file = file.display();
        let settings = format!("name = 'w'\nfile = '{file}'\nwarn_days = 2");
        Watch::new(toml::from_str(&settings).unwrap(), 60)
    }

    fn good_for(expires_in: i64) -> Result<Verified, Failure> {
        Ok(Verified { client_id: "1".to_owned(), expires_in, scope: None })
    }

    #[test]
    fn its_expiry_causes_a_warning_and_no_response_is_not_a_revocation() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let mut watch = watch(&file);
        assert_eq!(watch.next(NOW), Ok(()));
        watch.done(NOW, Err(Failure::NotAsked(watch.settings.token().unwrap_err())));
        assert!(matches!(watch.verdict(NOW), Freshness::Bad(why) if why.contains("token")));
        std::fs::write(&file, "tok\n").unwrap();
        let now = NOW.plus(LOOK_AGAIN);
        assert_eq!(watch.next(now), Ok(()));
        assert_eq!(watch.settings.token().unwrap().reveal(), "tok");
        watch.done(now, good_for(3 * DAY));
        assert_eq!(watch.verdict(now), Freshness::Good);
        let later = now.plus(DAY + 3600);
        let said = watch.verdict(later);
        assert_eq!(said, Freshness::Warning("it expires in 1 day and 23 hours".to_owned()));
        watch.done(later, Err(Failure::LimitExceeded { retry_after: None }));
        assert_eq!(watch.until(), Some(now.plus(3 * DAY)), "no response is not a revocation");
        assert_eq!(watch.verdict(now.plus(3 * DAY)), Freshness::Bad("it has expired".to_owned()));
        watch.done(later, Err(Failure::Denied { status: 403, said: "not here".to_owned() }));
        assert_eq!(watch.until(), Some(now.plus(3 * DAY)), "neither is another refusal");
        watch.done(later, Err(Failure::Denied { status: 400, said: "revoked".to_owned() }));
        assert_eq!(watch.verdict(later), Freshness::Bad("revoked".to_owned()));
    }
}
