//! Access to the world outside the process, for the server, the client and the command
//! line: the only constructor of HTTP clients ([`http`]), the only reader of files that
//! another user may own ([`file`]), and notifications to the service manager
//! ([`manager`]). Independent of tokens.

pub mod file;
pub mod http;
pub mod manager;
