//! The authority of channel access tokens as a server: its memory, its signer,
//! its HTTP faces and its jobs.
//!
//! A request comes in at the [`door`], a face reads it and asks the
//! [`authority`], the authority judges by the pure rules of `tegata-token` and
//! acts through the store. The rules are not here, and neither is any SQL.

pub mod authority;
pub mod chance;
pub mod channels;
pub mod clock;
pub mod config;
pub mod face;
pub mod keyring;
pub mod last_used;
pub mod master_key;
pub mod private_file;
pub mod serve;
