//! From where a client comes: the address of who has connected, or, where that
//! is a proxy of ours, what the proxies say of their client.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;

use crate::config::{ForwardedHeader, Network};

/// Knows the proxies in front of the node.
#[derive(Debug)]
pub(crate) struct Addresses {
    proxies: Vec<Network>,
    header: ForwardedHeader,
}

impl Addresses {
    pub(crate) fn new(proxies: Vec<Network>, header: ForwardedHeader) -> Self {
        Self { proxies, header }
    }

    /// Whether who has connected is a proxy, so that its address says nothing of the client.
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    /// The client's address. Each proxy appends the address that it got the
    /// request from, so the list is read from its end, and the first that does
    /// not belong to our proxies is the client: the client may have written all
    /// before it.
    pub(crate) fn of(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer;
        if !self.is_proxy(peer) {
            return client;
        }
        let lines = headers.get_all(self.header.name()).iter().map(|line| line.to_str().unwrap_or("unknown"));
        let hops: Vec<Option<IpAddr>> = match self.header {
            ForwardedHeader::XForwardedFor => lines.flat_map(|line| line.split(',')).filter_map(hop).collect(),
            ForwardedHeader::Forwarded => lines.flat_map(forwarded).collect(),
        };
        for hop in hops.into_iter().rev() {
            // A name without an address (`unknown`, `_hidden`) ends the list: the last that is known counts.
            let Some(address) = hop else { break };
            client = address;
            if !self.is_proxy(address) {
                break;
            }
        }
        client
    }
}

/// An element of `X-Forwarded-For`; nothing where it is empty.
fn hop(element: &str) -> Option<Option<IpAddr>> {
    let element = element.trim();
    (!element.is_empty()).then(|| address(element))
}

/// The address that each element of `Forwarded` (RFC 7239 section 4) stands
/// for.
fn forwarded(line: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = split(line, ',') else {
        // A quote that a client left open would hide what the proxies appended.
        return vec![None];
    };
    let stands_for = |element: &str| {
        let pairs = split(element, ';')?;
        let mut pairs = pairs.into_iter().filter_map(|pair| pair.split_once('='));
        let (_, node) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case("for"))?;
        address(node.trim())
    };
    elements.into_iter().filter(|element| !element.trim().is_empty()).map(stands_for).collect()
}

/// Parts between separators outside of quotes; none where a quote stays open.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|c| {
        let quote = c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        quoted ^= quote;
        c == separator && !quoted
    });
    let parts = parts.collect();
    (!quoted).then_some(parts)
}

/// An address, with a port or without, in quotes or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().or_else(|_| text.parse().map(|socket: SocketAddr| socket.ip()));
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn addresses(header: ForwardedHeader) -> Addresses {
        let proxies = ["10.0.0.0/8", "2001:db8:ffff::/48"].map(|network| network.parse().expect("a network"));
        Addresses::new(proxies.into(), header)
    }

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_str(line).expect("a value"));
        }
        addresses(header).of(&headers, peer.parse().expect("an address")).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_clients() {
        use ForwardedHeader::{Forwarded, XForwardedFor};
        let rows: &[(ForwardedHeader, &str, &[&str], &str)] = &[
            (XForwardedFor, "192.0.2.1", &[], "192.0.2.1"),
            (XForwardedFor, "192.0.2.1", &["198.51.100.9"], "192.0.2.1"),
            (XForwardedFor, PEER, &[], PEER),
            (XForwardedFor, PEER, &["198.51.100.9"], "198.51.100.9"),
            (XForwardedFor, PEER, &["6.6.6.6, 198.51.100.9"], "198.51.100.9"),
            (XForwardedFor, PEER, &["6.6.6.6, 198.51.100.9, 10.2.0.1, 10.3.0.1"], "198.51.100.9"),
            (XForwardedFor, PEER, &["6.6.6.6", "198.51.100.9,10.2.0.1"], "198.51.100.9"),
            (XForwardedFor, PEER, &["10.9.0.1, 10.2.0.1"], "10.9.0.1"),
            (XForwardedFor, PEER, &["198.51.100.9, unknown"], PEER),
            (XForwardedFor, PEER, &["198.51.100.9, unknown, 10.2.0.1"], "10.2.0.1"),
            (XForwardedFor, PEER, &["198.51.100.9:4711"], "198.51.100.9"),
            (XForwardedFor, PEER, &["2001:db8::7"], "2001:db8::7"),
            (XForwardedFor, PEER, &["[2001:db8::7]:4711"], "2001:db8::7"),
            (XForwardedFor, PEER, &["::ffff:198.51.100.9"], "198.51.100.9"),
            (XForwardedFor, "::ffff:10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            (XForwardedFor, "2001:db8:ffff::1", &["198.51.100.9"], "198.51.100.9"),
            (XForwardedFor, PEER, &["198.51.100.9,,"], "198.51.100.9"),
            (XForwardedFor, PEER, &["1.2.3.4; DROP TABLE, 300.1.1.1"], PEER),
            (Forwarded, PEER, &["for=198.51.100.9"], "198.51.100.9"),
            (Forwarded, PEER, &["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (Forwarded, PEER, &["for=6.6.6.6, by=10.0.0.1; for=198.51.100.9;proto=https"], "198.51.100.9"),
            (Forwarded, PEER, &["for=6.6.6.6", "for=198.51.100.9, for=10.2.0.1"], "198.51.100.9"),
            (Forwarded, PEER, &["for=\"6.6.6.6, for=5.5.5.5\", for=198.51.100.9"], "198.51.100.9"),
            (Forwarded, PEER, &["for=198.51.100.9;by=\"a;for=6.6.6.6,b\""], "198.51.100.9"),
            (Forwarded, PEER, &["for=198.51.100.9, for=_hidden"], PEER),
            (Forwarded, PEER, &["proto=https"], PEER),
            (Forwarded, PEER, &["for=6.6.6.6;by=\"x, for=198.51.100.9"], PEER),
            (XForwardedFor, PEER, &["\"6.6.6.6, 198.51.100.9"], "198.51.100.9"),
            (Forwarded, "192.0.2.1", &["for=198.51.100.9"], "192.0.2.1"),
        ];
        for (header, peer, lines, expected) in rows {
            assert_eq!(client(*header, peer, lines), *expected, "{header:?} {peer} {lines:?}");
        }
    }

    #[test]
    fn only_the_configured_header_is_read() {
        let mut headers = HeaderMap::new();
        headers.append("forwarded", HeaderValue::from_static("for=6.6.6.6"));
        let peer = PEER.parse().expect("an address");
        assert_eq!(addresses(ForwardedHeader::XForwardedFor).of(&headers, peer), peer);
    }

    proptest! {
        #[test]
        fn whatever_a_client_writes_in_front_it_comes_from_where_it_comes_from(written in r#"([ -~]|[",;\\=]|for=|6\.6\.6\.6){0,40}"#) {
            use ForwardedHeader::{Forwarded, XForwardedFor};
            const OWN: &str = "198.51.100.9";
            for (header, appended) in [(XForwardedFor, "198.51.100.9, 10.2.0.1"), (Forwarded, "for=198.51.100.9, for=10.2.0.1")] {
                // As a line of its own, and to the client's line.
                prop_assert_eq!(client(header, PEER, &[&written, appended]), OWN);
                let told = client(header, PEER, &[&format!("{written}, {appended}")]);
                prop_assert!(told == OWN || header == Forwarded && told == PEER, "{}", told);
            }
        }
    }
}
