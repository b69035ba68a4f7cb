//! Which hosts a connector may be pointed at.
//!
//! A connector's configuration may come over the network, so `database.hostname` is a way to make this process knock
//! on doors that only it can reach. A host is one name or one address: no lists, sockets, or options of other drivers.
//! Loopback and private addresses are fine: that is where databases live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS has.
const HOST_BYTES_MAX: usize = 253;

/// `[::1]` as `::1`.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// Why `host` is refused, if it is.
pub(super) fn refused(host: &str) -> Option<&'static str> {
    if let Ok(address) = without_brackets(host).parse::<IpAddr>() {
        return refused_address(address);
    }
    if host.contains(',') {
        return Some("one host, not a list");
    }
    if host.starts_with('/') || host.starts_with('@') {
        return Some("a host, not the path of a socket");
    }
    if host.is_empty() || host.len() > HOST_BYTES_MAX {
        return Some("a name of 1 to 253 bytes");
    }
    if !host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    {
        return Some("a name of letters, digits, '-', '.' and '_' (an international name in its xn-- form)");
    }
    is_number(host).then_some("an address in its usual form, such as 127.0.0.1")
}

/// Whether resolvers would take the name for a number (`127.1`, `0x7f000001`, `2130706433`).
fn is_number(host: &str) -> bool {
    let last = host
        .strip_suffix('.')
        .unwrap_or(host)
        .rsplit('.')
        .next()
        .unwrap_or(host);
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        || last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why no connector may connect to `address`, if so: to be asked again of every address that a name resolves to.
pub fn refused_address(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refused_v4(address),
        IpAddr::V6(address) => refused_v6(address),
    }
}

fn refused_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("the address of a server; 0.0.0.0 is none"),
        [169, 254, ..] => Some("an address that is not link-local: cloud metadata services answer there"),
        [224..=255, ..] => Some("the address of one server, not multicast or broadcast"),
        _ => None,
    }
}

fn refused_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("the address of a server; :: is none"),
        [0, 0, 0, 0, 0, 0xffff, ..] => Some("an IPv4 address in its usual form, not inside an IPv6 one"),
        [0xfe80..=0xfebf, ..] => Some("an address that is not link-local"),
        [0xff00..=0xffff, ..] => Some("the address of one server, not multicast"),
        _ => None,
    }
}
