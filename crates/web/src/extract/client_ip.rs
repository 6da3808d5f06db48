//! Where a request comes from.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::Extensions;

/// The address of the peer. Headers that claim another one are not believed: anybody can send
/// them.
pub(crate) fn client_ip(extensions: &Extensions) -> Option<IpAddr> {
    let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
    // An IPv4 peer of an IPv6 socket is still the same IPv4 address.
    Some(peer.ip().to_canonical())
}
