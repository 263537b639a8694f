//! How the server, the client and the command line reach outside their process: the one
//! constructor of HTTP clients ([`http`]) and the one reader of files that another user
//! may own ([`file`]). Knows nothing of tokens.

pub mod file;
pub mod http;
