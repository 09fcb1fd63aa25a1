//! Which addresses count as one client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A client, as counters distinguish clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    V4(Ipv4Addr),
    /// The first 64 bits of an IPv6 address: a customer gets at least such a network (RFC 6177).
    V6([u8; 8]),
    /// All clients without a valid IP address, such as a proxy's invention in X-Forwarded-For.
    Unknown,
}

impl Client {
    /// `address` is Prosody's: an IP address, perhaps with a zone or, from some proxies, with a port.
    pub fn of(address: &[u8]) -> Client {
        match std::str::from_utf8(address).ok().and_then(parse) {
            Some(IpAddr::V4(address)) => Client::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Client::V6([a, b, c, d, e, f, g, h])
            }
            None => Client::Unknown,
        }
    }
}

/// An IPv4 address that is written as IPv6 (RFC 4291, section 2.5.5.2) is the IPv4 address.
fn parse(address: &str) -> Option<IpAddr> {
    let bare = address.split('%').next().unwrap_or_default();
    let parsed = bare
        .parse()
        .or_else(|_| address.parse().map(|socket: SocketAddr| socket.ip()))
        .or_else(|_| bare.trim_matches(['[', ']']).parse());
    parsed.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let of = |address: &str| Client::of(address.as_bytes());
        let client = of("2001:db8:1:2::1");
        for same in [
            "2001:DB8:1:2:ffff:ffff:ffff:ffff",
            "2001:db8:1:2::1%eth0",
            "[2001:db8:1:2::9]",
            "[2001:db8:1:2::9]:443",
        ] {
            assert_eq!(of(same), client, "{same}");
        }
        assert_ne!(of("2001:db8:1:3::1"), client);
    }

    #[test]
    fn an_ipv4_address_is_the_same_client_in_every_notation() {
        let of = |address: &str| Client::of(address.as_bytes());
        let client = of("192.0.2.1");
        for same in ["::ffff:192.0.2.1", "::ffff:c000:201", "192.0.2.1:50000"] {
            assert_eq!(of(same), client, "{same}");
        }
        assert_ne!(of("192.0.2.2"), client);
    }

    #[test]
    fn all_invalid_addresses_are_one_client() {
        for odd in [
            &b""[..],
            b"unknown",
            b"\xFF\xFE",
            b"1.2.3",
            b"::1::",
            b"_hidden",
        ] {
            assert_eq!(Client::of(odd), Client::Unknown, "{}", odd.escape_ascii());
        }
    }
}
