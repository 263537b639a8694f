//! Constructs HTTP clients. Every request of the program uses a client from here;
//! `clippy.toml` refuses any other.

use reqwest::{ClientBuilder, Url, redirect};
use std::net::IpAddr;

/// Starts a client for requests to `target`, and to no other host.
///
/// It follows no redirects, since a redirect could carry a secret to another host. It
/// uses the proxy that the environment names (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
/// `NO_PROXY`, in either case), but never for this machine: such a request would reach
/// the proxy's machine instead, with the secrets in it. A target without TLS on this machine
/// needs no certificate authorities, which a machine need not have.
pub fn client_for(target: &Url) -> ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "this is the one constructor")]
    let builder = reqwest::Client::builder().redirect(redirect::Policy::none());
    match (is_this_machine(target), target.scheme()) {
        (true, "http") => builder.no_proxy().tls_certs_only([]),
        (true, _) => builder.no_proxy(),
        (false, _) => builder,
    }
}

/// Whether a URL's host is this machine: a loopback or unspecified address, or a name that
/// RFC 6761 (section 6.3) reserves for loopback.
#[must_use]
pub fn is_this_machine(target: &Url) -> bool {
    let Some(host) = target.host_str() else { return false };
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host);
            let last = name.rsplit('.').next().unwrap_or(name);
            last.eq_ignore_ascii_case("localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_recognized_in_every_spelling_and_no_other_host_is_taken_for_it() {
        let local =
            |host: &str| is_this_machine(&Url::parse(&format!("http://{host}:8080")).unwrap());
        for host in [
            "127.0.0.1",
            "127.9.8.7",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f01:203]",
            "localhost",
            "LocalHost",
            "localhost.",
            "bot.localhost",
            "a.b.localhost.",
        ] {
            assert!(local(host), "{host}");
        }
        for host in [
            "api.line.me",
            "128.0.0.1",
            "10.0.0.1",
            "[::2]",
            "[::ffff:128.0.0.1]",
            "localhost.example.com",
            "notlocalhost",
            "127.0.0.1.example.com",
        ] {
            assert!(!local(host), "{host}");
        }
    }
}
