//! The agent: many tokens kept fresh in one process and put where programs look for
//! them, whatever language they are written in.
//!
//! [`config`] says what is wanted; [`core`] is the agent without its machine, in
//! which [`target`] (one token), [`sink`] (one place) and [`watch`] (one token of
//! somebody else's) have their say; [`run`] gives it clocks, sockets and signals.

pub mod check;
pub mod config;
pub mod core;
pub mod health;
pub mod notification;
pub mod run;
pub mod sink;
pub mod state;
pub mod target;
pub mod watch;
pub mod writing;

mod attempts;
mod disk;
mod form;
mod http;
mod metrics;
mod off_loop;
mod process;
mod saves;
mod secrets;
mod shared;
