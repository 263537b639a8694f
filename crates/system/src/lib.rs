//! Access to the world outside the process, for the server, the client and the command
//! line: the only constructor of HTTP clients ([`http`]), the only readers of files that
//! another user may own ([`file`]), of secrets ([`secret`], [`pem`]) and of environment
//! variables ([`variable`]), Unix sockets ([`socket`]),
//! and notifications to the service manager ([`manager`]).
//! Independent of tokens.

pub mod file;
pub mod http;
pub mod manager;
pub mod pem;
pub mod secret;
pub mod socket;
pub mod variable;
