//! What is tested: a follower in a process without clocks and sockets of its own.

use crate::{
    clocks::{Clocks, Steady},
    follower::{Follower, Received},
    standing::{Use, Verdict},
};
use std::time::Duration;
use tegata_token::{
    feed::InstanceId,
    verify::{Invalid, Signatures},
};

/// The answer of a follower about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is active.
    Active,
    /// It is not, and never will be.
    Invalid,
    /// Its channel is suspended.
    Suspended,
    /// The view has no key of that id.
    UnknownKey,
    /// Its state is not known.
    Stale,
    /// The follower wants to ask first.
    Question,
}

impl Answer {
    /// All, with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Active, "active"),
        (Self::Invalid, "invalid"),
        (Self::Suspended, "suspended"),
        (Self::UnknownKey, "unknown-key"),
        (Self::Stale, "stale"),
        (Self::Question, "question"),
    ];

    /// The answer of a verification.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Active { .. } => Self::Active,
            Verdict::Invalid(Invalid::Suspended) => Self::Suspended,
            Verdict::Invalid(Invalid::UnknownKey) => Self::UnknownKey,
            Verdict::Invalid(_) => Self::Invalid,
            Verdict::Question => Self::Question,
            Verdict::Introspect(..) | Verdict::Unknown(_) => Self::Stale,
        }
    }
}

/// A request that a follower sends.
#[derive(Debug, Clone)]
pub struct SentRequest {
    /// Identifies it among those of its process.
    pub id: String,
    /// Its path.
    pub path: String,
    /// Its parameters, not yet encoded.
    pub query: Vec<(String, String)>,
}

/// What comes back.
#[derive(Debug, Clone)]
pub struct SimulatedResponse {
    /// Its status.
    pub status: u16,
    /// Its `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Its body.
    pub body: String,
}

/// A follower under test. An error means that it does not follow the protocol of the test.
pub trait TestedFollower {
    /// Starts a new process in place of the last one.
    ///
    /// # Errors
    /// As for all methods.
    fn start(&mut self, instance: InstanceId, wanted: Use, clocks: Clocks) -> Result<(), String>;

    /// The requests to send now, and the time until the next call.
    ///
    /// # Errors
    /// As for all methods.
    fn next(&mut self, clocks: Clocks, random: f64)
    -> Result<(Vec<SentRequest>, Duration), String>;

    /// Delivers a response; `None`: the connection failed.
    ///
    /// # Errors
    /// As for all methods.
    fn receive(
        &mut self,
        id: &str,
        response: Option<&SimulatedResponse>,
        clocks: Clocks,
        random: f64,
    ) -> Result<(), String>;

    /// Verifies a token. The verification began at `began`; it reads the view at the first of
    /// the two moments, and computes the age at the second one.
    ///
    /// # Errors
    /// As for all methods.
    fn verify(
        &mut self,
        token: &str,
        began: Steady,
        moments: [Clocks; 2],
    ) -> Result<Answer, String>;

    /// The process has made its last verification.
    ///
    /// # Errors
    /// As for all methods.
    fn stop(&mut self, clocks: Clocks) -> Result<(), String>;
}

/// The follower of this crate.
pub struct OwnFollower {
    follower: Option<(Follower, Use)>,
    signatures: Signatures,
}

impl Default for OwnFollower {
    fn default() -> Self {
        Self { follower: None, signatures: Signatures::new(1_000) }
    }
}

impl OwnFollower {
    /// The follower.
    ///
    /// # Errors
    /// It was not started.
    pub fn follower(&mut self) -> Result<&mut Follower, String> {
        Ok(&mut self.follower.as_mut().ok_or("was not started")?.0)
    }

    /// The cache of signatures.
    #[must_use]
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }
}

impl TestedFollower for OwnFollower {
    fn start(&mut self, instance: InstanceId, wanted: Use, clocks: Clocks) -> Result<(), String> {
        self.follower = Some((Follower::new(instance, wanted, clocks.steady), wanted));
        Ok(())
    }

    fn next(
        &mut self,
        clocks: Clocks,
        random: f64,
    ) -> Result<(Vec<SentRequest>, Duration), String> {
        let next = self.follower()?.next(clocks, random);
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        let requests = next.requests.into_iter().map(|it| SentRequest {
            id: it.id.to_string(),
            path: it.path.to_owned(),
            query: it.query.into_iter().map(owned).collect(),
        });
        Ok((requests.collect(), next.wait))
    }

    fn receive(
        &mut self,
        id: &str,
        response: Option<&SimulatedResponse>,
        clocks: Clocks,
        random: f64,
    ) -> Result<(), String> {
        let outcome = response.map_or(Received::Failed, |it| Received::Response {
            status: it.status,
            retry_after: it.retry_after,
            body: it.body.as_bytes(),
        });
        let id = id.parse().map_err(|_| format!("no request has id {id}"))?;
        self.follower()?.receive(id, &outcome, clocks, random);
        Ok(())
    }

    fn verify(
        &mut self,
        token: &str,
        began: Steady,
        [first, second]: [Clocks; 2],
    ) -> Result<Answer, String> {
        let (follower, wanted) = self.follower.as_mut().ok_or("was not started")?;
        let standing = follower.standing();
        let found = standing.consult(token.as_bytes(), first.steady, &self.signatures);
        let verdict = standing.conclude(found, began, second, *wanted);
        if matches!(verdict, Verdict::Question) {
            follower.want_question();
        }
        Ok(Answer::of(&verdict))
    }

    fn stop(&mut self, _: Clocks) -> Result<(), String> {
        self.follower()?.stop();
        Ok(())
    }
}
