//! Channel access tokens for verifiers: the kinds, the two wire forms, and the
//! verification of a token.
//!
//! This crate reads no clock, network, disk or randomness: time is an argument. It does
//! not decide when a token may be issued: caps, channel secrets and assertions are in
//! `tegata-policy`. A program that embeds this crate verifies by the same rules as the
//! authority itself.
//!
//! ```text
//! token bytes ──verify::verify(now, &View)──▶ Active | Invalid   (verification)
//! feed changes ──View::after──▶ View                             (following the feed)
//! view ──feed──▶ messages of the feed ──feed──▶ view             (over the network)
//! ```

pub mod claims;
pub mod feed;
pub mod id;
pub mod key;
pub mod kind;
pub mod time;
pub mod verify;
pub mod view;
pub mod wire;
