//! `X-Forwarded-For`, as proxies and clients write it.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::net::{IpAddr, SocketAddr};
use tegata_server::http::proxies::TrustedProxies;

/// The header is ignored from other peers than trusted proxies, and read from its end
/// as far as the addresses are trusted proxies.
pub fn any(data: &[u8]) {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|it| it.parse().expect("a network"));
    let is_proxy = |it: IpAddr| match it {
        IpAddr::V4(v4) => v4.octets()[0] == 10,
        IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0xdb8],
    };
    let proxies = TrustedProxies::new(trusted.to_vec());
    let name = HeaderName::from_static("x-forwarded-for");
    // Each line of the input is a header.
    let lines = data.split(|byte| *byte == b'\n');
    let headers: HeaderMap =
        lines.filter_map(|it| Some((name.clone(), HeaderValue::from_bytes(it).ok()?))).collect();

    let (client, proxy) = (address("192.0.2.1"), address("10.1.2.3"));
    assert_eq!(proxies.source(client, &headers).0, client);
    let source = proxies.source(proxy, &headers).0;
    assert_eq!(source, source.to_canonical());
    if source == proxy {
        return;
    }
    // The source is in the header, and all addresses after it are proxies.
    let list: Vec<_> = headers.get_all(&name).iter().collect();
    let hops = list.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut hops = hops.map(|hop| read(hop.trim_ascii()));
    if is_proxy(source) {
        assert!(hops.all(|hop| hop.is_some_and(is_proxy)), "a proxy was taken for the source");
    } else {
        let first = hops.find(|hop| !hop.is_some_and(is_proxy));
        assert_eq!(first, Some(Some(source)));
    }
}

fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let bare = text.parse::<IpAddr>().ok();
    // Brackets may hold a zone (RFC 4007, section 11), which is not part of the address.
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    let read = bare.or_else(with_port).or_else(bracketed)?;
    Some(read.to_canonical())
}
