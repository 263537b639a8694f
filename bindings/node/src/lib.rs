//! The native module of the Node.js package: the verifier of the crate `tegata-verifier` with
//! its follower, as JavaScript objects. It has no rule of its own.

mod gate;
mod promise;
mod token;
mod verifier;
