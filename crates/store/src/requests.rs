//! Requests with an `Idempotency-Key`.

use crate::Result;
use async_trait::async_trait;
use tegata_policy::acts::{BeginRequest, FinishRequest, RequestBegun};
use tegata_token::time::UnixTime;

/// The part of a [`Store`](crate::Store) that remembers them. Every engine has all of it.
#[async_trait]
pub trait RequestStore: Send + Sync {
    /// Remembers a request before it is carried out.
    async fn begin_request(&self, act: BeginRequest, now: UnixTime) -> Result<RequestBegun>;
    /// Remembers the response to a request, or forgets a request that changed nothing.
    async fn finish_request(&self, act: FinishRequest) -> Result<()>;
}
