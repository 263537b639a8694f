//! Fuzz targets: one function for each parser of untrusted input, which panics if a
//! property does not hold. The fuzzer calls them with generated inputs, and the test
//! `crates/cli/tests/fuzzed` with those of the corpus.

mod admin;
mod assertion;
mod check;
mod client;
mod config;
mod feed;
mod form;
mod forwarded;
mod json;
mod jwk;
mod leaks;
mod revocation;
mod token;

/// A target takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    ("admin-body", admin::body),
    ("admin-query", admin::query),
    ("assertion", assertion::any),
    ("assertion-signed", assertion::signed),
    ("check", check::message),
    ("client", client::request),
    ("config", config::file),
    ("feed-message", feed::message),
    ("form", form::any),
    ("forwarded-for", forwarded::any),
    ("journal-line", revocation::line),
    ("json", json::strict),
    ("jwk", jwk::any),
    ("leak-report", leaks::report),
    ("token", token::any),
    ("token-signed", token::signed),
    ("token-written", token::written),
];

/// Takes values from a generated input; missing bytes are zero.
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
