//! The decision about a request.

use crate::{
    promise::promise,
    token::facts,
    verifier::{Verifier, address},
};
use napi::{
    Env, Error, Result,
    bindgen_prelude::{Either, Object},
};
use napi_derive::napi;
use tegata_gateway::decision::Refusal;
use tegata_verifier::{VerifiedToken, gate::BlockingGate};

/// A condition that a token must meet.
#[napi(object)]
pub struct Condition {
    /// `kind`, `channel` or `group`.
    pub name: String,
    /// One of the values of which one is required.
    pub value: String,
}

/// A header of a response.
#[napi(object)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The response to a request that is not let through.
#[napi(object)]
pub struct Refused {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<Header>,
    /// Its body.
    pub body: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let response = refusal.response::<String>();
        let headers = response.headers().iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?.to_owned();
            Some(Header { name: name.as_str().to_owned(), value })
        });
        let headers = headers.collect();
        Self { status: refusal.status().as_u16(), headers, body: refusal.body() }
    }
}

/// Decides about requests by their `Authorization` headers.
#[napi]
pub struct Gate(BlockingGate);

#[napi]
impl Gate {
    /// Lets requests through whose tokens meet the conditions.
    #[napi(constructor)]
    pub fn new(verifier: &Verifier, conditions: Vec<Condition>) -> Result<Self> {
        let pairs = conditions.iter().map(|it| (it.name.as_str(), it.value.as_str()));
        let gate = BlockingGate::new(verifier.0.clone(), pairs);
        gate.map(Self).map_err(|bad| Error::from_reason(bad.to_string()))
    }

    /// Decides from memory alone; null if that does not answer.
    #[napi]
    pub fn recall(
        &self,
        authorization: Vec<String>,
        source: Option<String>,
    ) -> Option<Either<String, Refused>> {
        self.0.recall(&slices(&authorization), address(source)).map(either)
    }

    /// Decides; the promise waits for the authority, for a second at most, if memory does not
    /// answer.
    #[napi(ts_return_type = "Promise<string | Refused>")]
    pub fn verify<'env>(
        &self,
        env: &'env Env,
        authorization: Vec<String>,
        source: Option<String>,
    ) -> Result<Object<'env>> {
        promise(env, either, |done| {
            self.0.verify_then(&slices(&authorization), address(source), done);
        })
    }
}

fn slices(headers: &[String]) -> Vec<&[u8]> {
    headers.iter().map(String::as_bytes).collect()
}

fn either(found: std::result::Result<VerifiedToken, Refusal>) -> Either<String, Refused> {
    match found {
        Ok(token) => Either::A(facts(&token)),
        Err(refusal) => Either::B(refusal.into()),
    }
}
