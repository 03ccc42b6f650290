//! Where a request comes from.
//!
//! `X-Forwarded-For` is written by anybody: it counts only when the connection comes from a trusted proxy, and then only
//! up to the first address, from the right, that is not a trusted proxy itself.

use axum::http::HeaderMap;
use engine::config::Server;
use std::net::IpAddr;

/// The client's address, once known.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// The address that counts for a connection from `peer`.
pub fn client_address(server: &Server, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let trusted = |address: IpAddr| server.trusted_proxies.iter().any(|block| block.contains(address));
    if !trusted(peer) {
        return peer;
    }
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for hop in lines.join(",").rsplit(',') {
        let Some(address) = parse_hop(hop.trim()) else { break };
        client = address;
        if !trusted(address) {
            break;
        }
    }
    client
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]`, `[::1]:567`.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').split(']').next().unwrap_or(hop);
    let address = bare.parse::<IpAddr>().ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|at| at.ip()))?;
    Some(address.to_canonical())
}

/// Whether this address may use the service at all.
pub fn is_allowed(server: &Server, address: IpAddr) -> bool {
    server.allow.is_empty() || server.allow.iter().any(|block| block.contains(address))
}
