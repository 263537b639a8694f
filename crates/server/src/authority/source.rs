//! The address that a request comes from, as limits and audit events hold it.

use std::{fmt, net::IpAddr};

/// The address that a request comes from. An IPv4 address is one, however it
/// was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub IpAddr);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
