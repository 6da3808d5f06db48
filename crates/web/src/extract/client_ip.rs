//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName};
use tenantry_domain::network::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client; `None` if that is not known. It is the peer's, unless that is a trusted
/// proxy: then the last one in `X-Forwarded-For` that is none. What stands before that, anybody can
/// have sent.
pub(crate) fn client_ip(request: &Request, trusted: &[Network]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    // An IPv4 peer of an IPv6 socket is still the same IPv4 address.
    through_proxies(peer.ip().to_canonical(), request.headers(), trusted)
}

fn through_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',').map(address));
    let mut address = Some(peer);
    for before in named {
        if !address.is_some_and(is_trusted) {
            break;
        }
        address = before;
    }
    address
}

/// Reads an address, which may have a port; `None` for what is none.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    text.parse().ok().or_else(with_port).or_else(bracketed).map(|it: IpAddr| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, lines: &[&'static str]) -> Option<IpAddr> {
        let trusted = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        through_proxies(peer.parse().unwrap(), &headers, &trusted)
    }

    #[test]
    fn what_a_peer_claims_that_is_no_proxy_is_not_believed() {
        let stranger = Some("192.0.2.9".parse().unwrap());
        assert_eq!(seen("192.0.2.9", &[]), stranger);
        assert_eq!(seen("192.0.2.9", &["198.51.100.1"]), stranger);
        assert_eq!(seen("192.0.2.9", &["198.51.100.1, 10.1.2.3"]), stranger);
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_clients() {
        let client = Some("198.51.100.1".parse().unwrap());
        for lines in [
            &["198.51.100.1"][..],
            &["203.0.113.5, 198.51.100.1"],
            &["203.0.113.5", "198.51.100.1"],
            &["203.0.113.5,198.51.100.1 , 10.9.9.9"],
            &["198.51.100.1:4711, [2001:db8::5]:80"],
            &["nonsense, 198.51.100.1"],
            &["::ffff:198.51.100.1"],
        ] {
            assert_eq!(seen("10.0.0.1", lines), client, "{lines:?}");
        }
        assert_eq!(seen("2001:db8::1", &["198.51.100.1"]), client);
    }

    #[test]
    fn a_proxy_that_does_not_say_for_whom_is_the_client_itself() {
        assert_eq!(seen("10.0.0.1", &[]), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(seen("10.0.0.1", &["10.0.0.7"]), Some("10.0.0.7".parse().unwrap()));
    }

    #[test]
    fn nobody_is_known_where_a_proxy_names_nonsense() {
        for lines in [&["198.51.100.1, unknown"][..], &["198.51.100.1,"], &["198.51.100.1, 10.0.0"]]
        {
            assert_eq!(seen("10.0.0.1", lines), None, "{lines:?}");
        }
    }
}
