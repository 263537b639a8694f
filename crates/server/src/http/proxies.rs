//! The source address of a request: the only module that determines it, for the limit on
//! guesses, the audit and the access log.
//!
//! It is the peer's address, unless the peer is a trusted proxy; then it is the last
//! address in `X-Forwarded-For` that is not a trusted proxy's. What precedes that address
//! is written by the client and is never read. `Forwarded` (RFC 7239) is not read: a
//! proxy that writes one of the headers passes the client's own other one on, so any
//! client could forge it.

use crate::authority::source::Source;
use http::HeaderMap;
use ipnet::IpNet;
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// One address, or a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// The text is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as an address or a network, such as 10.0.0.7 or 10.0.0.0/8")]
pub struct BadNetwork;

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        let network = text.parse().or_else(|_| one()).map_err(|_| BadNetwork)?;
        Ok(Self(canonical(network)))
    }
}

impl TryFrom<String> for Network {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

/// Maps IPv4 within IPv6 (RFC 4291, section 2.5.5.2) to IPv4, so that addresses compare
/// equal.
fn canonical(network: IpNet) -> IpNet {
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(length)) if network.addr().is_ipv6() => {
            IpNet::new(address, length).unwrap_or(network)
        }
        _ => network,
    }
}

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

/// Maximum number of addresses that are read, from the end of the header. A longer list
/// counts as unreadable.
const MOST_HOPS: usize = 32;

impl TrustedProxies {
    /// All proxies in these networks.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// All proxies on this machine.
    #[must_use]
    pub fn loopback() -> Self {
        const V4: IpNet = IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);
        let networks = [V4, IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))];
        Self(networks.map(Network).to_vec())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The source of a request from the peer `peer`. If the header cannot be read up to
    /// the address that is looked for, it is ignored.
    #[must_use]
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Source(peer);
        }
        Source(self.forwarded_for(headers).unwrap_or(peer))
    }

    /// Whether a peer may say which client a request came from.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|Network(network)| network.contains(&address))
    }

    /// Several headers are one, in their order (RFC 9110, section 5.2).
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut nearest = None;
        let mut hops = 0;
        for header in headers.get_all("x-forwarded-for").iter().rev() {
            for hop in header.to_str().ok()?.rsplit(',') {
                hops += 1;
                if hops > MOST_HOPS {
                    return None;
                }
                let address = address(hop.trim_matches([' ', '\t']))?;
                nearest = Some(address);
                if !self.trusts(address) {
                    return nearest;
                }
            }
        }
        // All addresses are trusted proxies: the first of them is the client.
        nearest
    }
}

/// Parses an address as proxies write it: some add the port, and then put IPv6 into
/// brackets, or do that anyway.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = bare().or_else(with_port).or_else(in_brackets)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn proxies() -> TrustedProxies {
        let networks = ["10.0.0.1", "10.0.0.2/31", "fd00::/8"];
        TrustedProxies::new(networks.map(|it| it.parse().unwrap()).to_vec())
    }

    fn source(peer: &str, headers: &[&str]) -> String {
        let headers = headers
            .iter()
            .map(|it| ("x-forwarded-for".parse().unwrap(), HeaderValue::from_str(it).unwrap()));
        proxies().source(peer.parse().unwrap(), &headers.collect()).to_string()
    }

    #[test]
    fn a_network_is_an_address_or_a_range() {
        for good in ["10.0.0.7", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert!(good.parse::<Network>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0", "proxy", " 10.0.0.7"] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork), "{bad}");
        }
    }

    #[test]
    fn ipv4_within_ipv6_is_ipv4() {
        for (written, meant) in [
            ("::ffff:10.0.0.7", "10.0.0.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/90", "::ffff:0.0.0.0/90"),
            ("fd00::/8", "fd00::/8"),
        ] {
            assert_eq!(written.parse::<Network>().unwrap().0.to_string(), meant);
        }
    }

    #[test]
    fn a_header_from_an_untrusted_peer_is_ignored() {
        assert_eq!(source("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert!(!TrustedProxies::default().trusts("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_trusted_proxy_names_the_last_address_that_is_not_one() {
        assert_eq!(source("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(source("10.0.0.1", &["6.6.6.6, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(source("10.0.0.1", &["6.6.6.6", "192.0.2.1 ,\t10.0.0.2"]), "192.0.2.1");
        assert_eq!(source("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(source("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(source("10.0.0.1", &["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(source("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(source("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(source("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "all are proxies");
    }

    #[test]
    fn an_unreadable_header_leaves_the_peers_address() {
        for header in ["", ",", "unknown", "_hidden", "192.0.2.1, x", "192.0.2.1,", "1.2.3", "é"] {
            assert_eq!(source("10.0.0.1", &[header]), "10.0.0.1", "{header}");
        }
        assert_eq!(source("10.0.0.1", &[]), "10.0.0.1");
        // Unreadable text before a good address does no harm.
        assert_eq!(source("10.0.0.1", &["x, 192.0.2.1"]), "192.0.2.1");
        let many = vec!["10.0.0.2"; MOST_HOPS + 1].join(",");
        assert_eq!(source("10.0.0.1", &[&many]), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn what_precedes_the_proxys_own_entry_changes_nothing(
            noise in prop::collection::vec("[ -~]{0,80}", 0..5),
        ) {
            let mut headers: Vec<_> = noise.iter().map(String::as_str).collect();
            headers.push("192.0.2.1");
            prop_assert_eq!(source("10.0.0.1", &headers), "192.0.2.1");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append("x-forwarded-for", value);
            }
            // Arbitrary bytes may be an address; this only tests that parsing terminates.
            let _ = proxies().source("10.0.0.1".parse().unwrap(), &headers);
        }
    }
}
