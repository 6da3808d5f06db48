//! Where something may be used from: addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::error::AuthFailure;

/// The most networks of one allow-list.
pub const ALLOWLIST_MAX: usize = 100;

/// A network in CIDR notation (RFC 4632), or a single address, which is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = if text.contains('/') {
            text.parse().ok()
        } else {
            text.parse::<IpAddr>().ok().map(IpNet::from)
        };
        let network: IpNet =
            network.ok_or("must be an IP address or a network such as 192.0.2.0/24")?;
        if network.addr() != network.network() {
            return Err(format!("must not set bits beyond the prefix: {}", network.trunc()));
        }
        // An IPv4 peer is known by its IPv4 address, whichever socket it came through.
        if let IpAddr::V6(address) = network.addr()
            && is_mapped(address)
        {
            return Err("must write an IPv4 address as one".to_owned());
        }
        Ok(Self(network))
    }
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Reads an allow-list: each network once, at most [`ALLOWLIST_MAX`] of them.
///
/// # Errors
/// What would be right, to follow the field's name.
pub fn allowlist<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Network>, String> {
    let mut networks = Vec::new();
    for text in texts {
        let network = text.parse()?;
        if networks.contains(&network) {
            return Err("must not name a network twice".to_owned());
        }
        if networks.len() == ALLOWLIST_MAX {
            return Err(format!("must have at most {ALLOWLIST_MAX} networks"));
        }
        networks.push(network);
    }
    Ok(networks)
}

/// Refuses whoever comes from elsewhere than a list says; anywhere will do if it is empty.
pub(crate) fn check_address(
    allowlist: &[Network],
    from: Option<IpAddr>,
) -> std::result::Result<(), AuthFailure> {
    let is_from = |network: &Network| from.is_some_and(|address| network.contains(address));
    if allowlist.is_empty() || allowlist.iter().any(is_from) {
        Ok(())
    } else {
        Err(AuthFailure::ForeignAddress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for text in ["192.0.2.1", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::1", "2001:db8::/32"] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), text);
            let json = serde_json::to_string(&network).unwrap();
            assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network);
        }
        let alone: Network = "192.0.2.1/32".parse().unwrap();
        assert_eq!(alone, "192.0.2.1".parse().unwrap());
    }

    #[test]
    fn refuses_what_is_no_network_or_has_another_spelling() {
        for text in [
            "",
            " 192.0.2.1",
            "192.0.2",
            "192.0.2.256",
            "192.0.02.1",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "192.0.2.0/",
            "192.0.2.1/24",
            "2001:db8::1/32",
            "2001:db8::/129",
            "::ffff:192.0.2.1",
            "fe80::1%eth0",
            "example.com",
            "192.0.2.1\0",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_allowlist_is_bounded() {
        let texts: Vec<_> = (0..=ALLOWLIST_MAX).map(|number| format!("10.0.0.{number}")).collect();
        let read = |texts: &[String]| allowlist(texts.iter().map(String::as_str));
        assert_eq!(read(&texts[1..]).unwrap().len(), ALLOWLIST_MAX);
        assert!(read(&texts).is_err());
        assert!(allowlist(["192.0.2.1", "192.0.2.1/32"]).is_err());
        assert_eq!(allowlist([]), Ok(Vec::new()));
    }
}
