//! For programs that hold channel access tokens: typed calls, renewal, the agent.
//!
//! It speaks LINE's operations and works against LINE and Tegata alike. The calls
//! ([`call`]) and the assertions ([`key`]) are at the bottom; [`renewal`] says when
//! to ask, as a pure machine; [`holder`] drives it inside a program, [`agent`] for
//! programs in any language. [`admin`] is the exception: it speaks Tegata's
//! administration, for the command line and for programs that set channels up. Both
//! send their requests by [`exchange`].

pub mod admin;
pub mod agent;
pub mod call;
pub mod exchange;
pub mod holder;
pub mod key;
pub mod machine;
pub mod public_key;
pub mod renewal;
pub mod wanted;
