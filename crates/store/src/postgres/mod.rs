//! The store for many servers: a PostgreSQL database, the only thing by which they
//! coordinate.
//!
//! Acts run in READ COMMITTED. What an act is decided on is protected by row locks, taken by
//! one statement in one order; what they protect is loaded by later statements. The
//! `authority` row is locked last and kept until the commit, so that positions have no gaps
//! and commit order is position order. No statement needs a session: none is prepared by
//! name, and there are no advisory locks.

mod connect;
mod failed;
mod sql;
mod tls;

pub use connect::BadAddress;
