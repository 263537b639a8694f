//! The agent: renews many tokens in one process and writes them where programs of any
//! language read them.
//!
//! [`config`] holds the settings. [`core`] is the agent's logic without I/O: [`target`]
//! is a token that it renews, [`sink`] a file that it writes, [`watch`] a token of
//! another owner that it watches. [`run`] adds clocks, sockets and signals.

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
mod entry;
mod form;
mod http;
mod listen;
mod manager;
mod metrics;
mod off_loop;
mod process;
mod reload;
mod saves;
mod secrets;
mod shared;
