//! The source address of a request, as limits and audit events record it.

use std::{fmt, net::IpAddr};

/// The source address of a request. An IPv4 address inside IPv6 equals the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub IpAddr);

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
