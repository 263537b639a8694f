//! Decides for a proxy whether it lets a request through, by the token that the request
//! carries, and describes the token to the API behind the proxy.
//!
//! - [`decision`] is the decision, over anything that implements [`Verify`]: the authority's
//!   memory, or a follower of its feed on another machine.
//! - [`forward_auth`] is the decision as a response to a proxy's subrequest, for nginx,
//!   Caddy, HAProxy and Traefik.
//! - `ext_authz`, with the feature `ext-authz`, is the decision over Envoy's gRPC protocol.

pub mod bearer;
pub mod conditions;
pub mod decision;
#[cfg(feature = "ext-authz")]
pub mod ext_authz;
pub mod forward_auth;
pub mod query;

pub use decision::{ActiveToken, NotActive, Verify};
