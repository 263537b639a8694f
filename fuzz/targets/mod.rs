//! What is fuzzed: one function for each parser of what strangers send, which
//! panics when a property does not hold. The fuzzer calls them with inputs that it
//! makes up, and the test beside `crates/cli/tests/fuzzed` with those it has kept.

mod admin;
mod assertion;
mod config;
mod form;
mod forwarded;
mod json;
mod jwk;
mod revocation;
mod token;

/// A target takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders below `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("admin-body", admin::body),
    ("admin-query", admin::query),
    ("assertion", assertion::any),
    ("assertion-signed", assertion::signed),
    ("config", config::file),
    ("ending", revocation::line),
    ("form", form::any),
    ("forwarded-for", forwarded::any),
    ("json", json::strict),
    ("jwk", jwk::any),
    ("token", token::any),
    ("token-signed", token::signed),
    ("token-written", token::written),
];

/// Takes pieces off a made-up input: as many bytes as are there, the rest zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..head.len()].copy_from_slice(head);
        bytes
    }

    fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    fn rest(self) -> &'a [u8] {
        self.0
    }
}
