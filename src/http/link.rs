//! HTTP URLs from other programs, and the network addresses behind them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fluent_uri::Uri;

/// The longest URL, in bytes.
const LONGEST: usize = 4096;

/// An `http` or `https` URL without a user name. It is built from its parsed parts, so that every reader finds the same
/// parts in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The URL as text.
    pub url: String,
    /// Whether the scheme is `https`.
    pub is_https: bool,
}

impl Link {
    /// `None` for any other text: another scheme, a user name, a character that is not legal in a URL (RFC 3986), more
    /// than 4,096 bytes.
    pub fn parse(text: &[u8]) -> Option<Link> {
        let text = std::str::from_utf8(text).ok()?;
        let uri = Uri::parse(text).ok().filter(|_| text.len() <= LONGEST)?;
        let is_https = uri.scheme().as_str().eq_ignore_ascii_case("https");
        if !is_https && !uri.scheme().as_str().eq_ignore_ascii_case("http") {
            return None;
        }
        let authority = uri.authority().filter(|it| !it.has_userinfo())?;
        let host = authority.host();
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[:]".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return None;
        }
        let mut url = String::with_capacity(text.len() + 1);
        url.push_str(if is_https { "https://" } else { "http://" });
        url.push_str(&host.to_ascii_lowercase());
        if let Some(port) = authority.port().filter(|port| !port.is_empty()) {
            let port: u16 = port.as_str().parse().ok().filter(|&port| port > 0)?;
            url.push_str(&format!(":{port}"));
        }
        let path = uri.path().as_str();
        url.push_str(if path.is_empty() { "/" } else { path });
        let query = uri.query().map(|query| ('?', query.as_str()));
        let fragment = uri.fragment().map(|fragment| ('#', fragment.as_str()));
        for (mark, part) in query.into_iter().chain(fragment) {
            url.push(mark);
            url.push_str(part);
        }
        Some(Link { url, is_https })
    }
}

/// Whether a network address, as text, can belong to another machine on the Internet. It is not loopback, private,
/// link-local, shared, unspecified, multicast or reserved (RFC 6890), and embeds no such IPv4 address.
pub fn is_public(address: &str) -> bool {
    match address.parse() {
        Ok(IpAddr::V4(address)) => is_public_v4(address),
        Ok(IpAddr::V6(address)) => is_public_v6(address),
        Err(_) => false,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || a == 100 && b & 0xc0 == 64 // RFC 6598
        || a == 198 && b & 0xfe == 18 // RFC 2544
        || (a, b, c) == (192, 0, 0);
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // IPv4-mapped, IPv4-compatible (the unspecified and the loopback address among them), NAT64 (RFC 6052)
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x64, 0xff9b, ..] => false,                    // RFC 8215
        [0x2002, high, low, ..] => embedded(high, low), // 6to4
        [0x2001, 0, ..] => false,                       // Teredo
        // Global unicast addresses (RFC 4291, section 2.4) are in 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<String> {
        Link::parse(text.as_bytes()).map(|link| link.url)
    }

    #[test]
    fn a_link_is_built_from_its_parts() {
        for (text, expected) in [
            (
                "HTTPS://Example.COM/a%20b?c=d#e",
                "https://example.com/a%20b?c=d#e",
            ),
            ("http://example.com", "http://example.com/"),
            (
                "http://example.com?@127.0.0.1/",
                "http://example.com/?@127.0.0.1/",
            ),
            ("http://[2001:DB8::1]:080/x", "http://[2001:db8::1]:80/x"),
            ("http://example.com:/x", "http://example.com/x"),
        ] {
            assert_eq!(url(text).as_deref(), Some(expected));
        }
        assert_eq!(
            Link::parse(b"https://h/").map(|link| link.is_https),
            Some(true)
        );
        assert_eq!(
            Link::parse(b"http://h/").map(|link| link.is_https),
            Some(false)
        );
    }

    #[test]
    fn other_texts_are_not_links() {
        for text in [
            "",
            "/x",
            "//example.com/",
            "javascript:alert(1)",
            "ftp://example.com/",
            "http:example.com",
            "http:///x",
            "http://user@example.com/",
            "http://user:pw@example.com/",
            "http://@example.com/",
            "http://127%2e0.0.1/",
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://h/x HTTP/1.1\r\nX-Evil: 1",
            "http://h/\r\n",
            "http://h/\u{9b}",
            "http://h/ü",
            "http://h\\@evil/",
            "http://h/{}",
        ] {
            assert_eq!(url(text), None, "{text:?}");
        }
        assert_eq!(Link::parse(b"http://h/\xff"), None);
        assert!(url(&format!("http://h/{}", "x".repeat(LONGEST - 9))).is_some());
        assert_eq!(url(&format!("http://h/{}", "x".repeat(LONGEST - 8))), None);
    }

    #[test]
    fn only_addresses_of_other_machines_are_public() {
        for address in [
            "127.0.0.1",
            "127.255.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fdff::1",
            "ff02::1",
            "ff0e::1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "",
            "example.com",
            "127.1",
            "1",
            "[::1]",
        ] {
            assert!(!is_public(address), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "223.1.1.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(address), "{address}");
        }
    }
}
