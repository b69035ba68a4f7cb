//! Decides under which names this server answers, so that a page of another site cannot reach it by renaming itself.
//!
//! DNS rebinding: a page from `evil.example` lets its own name point to 127.0.0.1 and asks us from the visitor's browser.
//! To the browser that is the page's own origin, so no `Origin` check helps; the `Host` that it sends still gives it away.
//! Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::{
    StatusCode,
    header::{self, HeaderMap},
    http::{request::Parts, uri::Authority},
};

use crate::handshake::Refused;

/// The names and addresses that a request's `Host` may have; its port is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    any: bool,
    /// Lower case.
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl AllowedHosts {
    /// Whatever the client says.
    pub fn any() -> AllowedHosts {
        AllowedHosts {
            any: true,
            ..AllowedHosts::default()
        }
    }

    /// `localhost`, 127.0.0.0/8 and `[::1]`: always allowed, they cannot be another site's. The default.
    pub fn loopback() -> AllowedHosts {
        AllowedHosts::default()
    }

    /// This address as well.
    #[must_use]
    pub fn and_address(mut self, address: IpAddr) -> AllowedHosts {
        self.addresses.push(address);
        self
    }

    /// This name or address as well; `*` is any.
    #[must_use]
    pub fn and_name(mut self, name: &str) -> AllowedHosts {
        self.any |= name == "*";
        match address(name) {
            Some(address) => self.addresses.push(address),
            None => self.names.push(name.to_ascii_lowercase()),
        }
        self
    }

    fn allow(&self, host: &str) -> bool {
        match address(host) {
            Some(address) => address.is_loopback() || self.addresses.contains(&address),
            None => {
                host.eq_ignore_ascii_case("localhost") || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }
}

/// An IP literal as it stands in a URL, and nothing looser: no `127.1`, no `0x7f000001`.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// Checks whom the request thinks it is talking to.
pub(crate) fn check(request: &Parts, allowed: &AllowedHosts) -> Result<(), Refused> {
    // With an absolute URL in its first line a request could name a host twice.
    let in_line = request.uri.authority().is_none_or(|host| allowed.allow(host.host()));
    if allowed.any || (in_line && named(&request.headers).is_some_and(|host| allowed.allow(host.host()))) {
        return Ok(());
    }
    Err(Refused {
        status: StatusCode::MISDIRECTED_REQUEST,
        message:
            "this server does not answer under the name in the request's Host; use localhost or its address, or let \
                  the operator add the name to allowed_host"
                .into(),
    })
}

/// The one `Host`.
fn named(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    let host = Authority::try_from(host.as_bytes()).ok()?;
    let bare = hosts.next().is_none() && !host.as_str().contains('@');
    bare.then_some(host)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn status(hosts: &[&str], allowed: &AllowedHosts) -> u16 {
        let mut request = Request::get("/");
        for host in hosts {
            request = request.header("Host", *host);
        }
        let request = request.body(()).expect("well formed").into_parts().0;
        check(&request, allowed).map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn loopback_names_are_always_allowed() {
        let office = AllowedHosts::loopback()
            .and_name("Office.example")
            .and_address([192, 168, 1, 5].into());
        for host in [
            "localhost",
            "LOCALHOST:3000",
            "127.0.0.1",
            "127.9.8.7:80",
            "[::1]",
            "[::1]:3000",
        ] {
            assert_eq!(status(&[host], &AllowedHosts::loopback()), 200, "{host}");
            assert_eq!(status(&[host], &office), 200, "{host}");
        }
        for host in ["office.example", "OFFICE.example:3000", "192.168.1.5:3000"] {
            assert_eq!(status(&[host], &office), 200, "{host}");
            assert_eq!(status(&[host], &AllowedHosts::loopback()), 421, "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let office = AllowedHosts::loopback().and_name("office.example");
        let hostile = [
            "evil.example",
            "evil.example:3000",
            "localhost.evil.example",
            "evil-localhost",
            "localhost.",
            "127.0.0.1.evil.example",
            "office.example.evil.example",
            "evil@localhost",
            "localhost@evil.example",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0.0.0.0",
            "[::]",
            "[::ffff:192.168.1.5]",
            "192.168.1.5",
            "*",
            "",
        ];
        for host in hostile {
            assert_eq!(status(&[host], &office), 421, "{host:?}");
        }
        assert_eq!(status(&[], &office), 421, "no Host at all");
        assert_eq!(status(&["localhost", "evil.example"], &office), 421, "two");
    }

    #[test]
    fn a_url_in_the_first_line_counts_too() {
        let request = Request::get("http://evil.example/").header("Host", "localhost");
        let request = request.body(()).expect("well formed").into_parts().0;
        assert!(check(&request, &AllowedHosts::loopback()).is_err());
        assert!(check(&request, &AllowedHosts::loopback().and_name("*")).is_ok());
    }
}
