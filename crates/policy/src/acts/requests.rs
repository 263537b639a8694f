//! Requests with an `Idempotency-Key`: a repeated one gets the response of the first.

use super::{
    Act, ActName, Decided,
    effects::{Effects, Write},
    locked::{Locked, Needs},
    things::WrappedKey,
    upkeep::{RememberedRequest, Upkeep},
};
use tegata_token::time::{DAY, UnixTime};

/// For how many seconds a request is remembered.
pub const REQUESTS_KEPT: i64 = DAY;

/// Remembers a request before it is carried out.
#[derive(Debug, Clone)]
pub struct BeginRequest {
    /// Identifies it.
    pub key: [u8; 32],
    /// A digest of its parameters.
    pub parameters: [u8; 32],
}

/// Whether a request was made before under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestBegun {
    /// It was not.
    New,
    /// It was, with this response.
    Before(WrappedKey),
    /// It was, and it is not known whether it was carried out.
    Unfinished,
    /// It was, with other parameters.
    OtherParameters,
}

impl Act for BeginRequest {
    type Output = RequestBegun;
    const NAME: ActName = ActName::BeginRequest;

    fn needs(&self) -> Needs {
        Needs { upkeep: Upkeep::Request(self.key), ..Needs::default() }
    }

    fn decide(&self, locked: &Locked, now: UnixTime) -> Decided<RequestBegun> {
        let mut effects = Effects::default();
        let requests = &locked.upkeep.requests;
        let before = requests.iter().find(|it| it.key == self.key && now < it.until);
        if let Some(before) = before {
            let begun = match &before.response {
                _ if before.parameters != self.parameters => RequestBegun::OtherParameters,
                Some(response) => RequestBegun::Before(response.clone()),
                None => RequestBegun::Unfinished,
            };
            return Ok((begun, effects));
        }
        for old in requests.iter().filter(|it| it.until <= now) {
            effects.write(Write::RequestForgotten(old.key));
        }
        effects.write(Write::Request(Box::new(RememberedRequest {
            key: self.key,
            parameters: self.parameters,
            response: None,
            until: now.plus(REQUESTS_KEPT),
        })));
        Ok((RequestBegun::New, effects))
    }
}

/// Remembers the response to a request, or forgets a request that changed nothing.
#[derive(Debug, Clone)]
pub struct FinishRequest {
    /// Identifies it.
    pub key: [u8; 32],
    /// Its response; `None`: it changed nothing.
    pub response: Option<WrappedKey>,
}

impl Act for FinishRequest {
    type Output = ();
    const NAME: ActName = ActName::FinishRequest;

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn decide(&self, _: &Locked, _: UnixTime) -> Decided<()> {
        let mut effects = Effects::default();
        effects.write(match &self.response {
            Some(response) => Write::RequestAnswered(self.key, response.clone()),
            None => Write::RequestForgotten(self.key),
        });
        Ok(((), effects))
    }
}
