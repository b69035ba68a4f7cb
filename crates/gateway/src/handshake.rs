//! Decides whether a request may become a session: the WebSocket handshake, and whose pages may connect.
//!
//! Pure: request head in, answer out. Browsers send `Origin` with every WebSocket and cannot be made to lie about it,
//! so a page of another site is refused here, before anything is set up for it.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    HeaderMap, Method, StatusCode, Version,
    header::{self, HeaderName, HeaderValue},
    http::{request::Parts, uri::Authority},
};
use rowcast_protocol::SUBPROTOCOL;

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// `Sec-WebSocket-Accept`.
    pub(crate) accept: String,
    /// The client named `rowcast.v1`.
    pub(crate) speaks_v1: bool,
}

/// Why a request was refused: status, and a sentence for its developer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

fn refused<T>(status: StatusCode, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused {
        status,
        message: message.into(),
    })
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 names its host, once, as a host. Otherwise a proxy and we may take it for
/// requests to different ones.
pub(crate) fn check_host(request: &Parts) -> Result<(), Refused> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let is_host = |host: &HeaderValue| host.is_empty() || Authority::try_from(host.as_bytes()).is_ok();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version < Version::HTTP_11 => Ok(()),
        (Some(host), None) if is_host(host) => Ok(()),
        _ => refused(
            StatusCode::BAD_REQUEST,
            "a request has one Host header that names a host",
        ),
    }
}

/// Checks the request head of a WebSocket.
pub(crate) fn check(request: &Parts, allowed_origins: &[String]) -> Result<Accepted, Refused> {
    let headers = &request.headers;
    check_origin(headers, allowed_origins)?;
    if request.method != Method::GET || request.version != Version::HTTP_11 {
        return refused(StatusCode::BAD_REQUEST, "a WebSocket begins with GET and HTTP/1.1");
    }
    if !has_token(headers, header::UPGRADE, "websocket") || !has_token(headers, header::CONNECTION, "upgrade") {
        let message = "this address speaks WebSocket: send Connection: Upgrade and Upgrade: websocket";
        return refused(StatusCode::UPGRADE_REQUIRED, message);
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return refused(StatusCode::UPGRADE_REQUIRED, "this server speaks WebSocket version 13");
    }
    let key =
        only(headers, header::SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else {
        return refused(
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key must be 16 bytes in base64, once",
        );
    };
    Ok(Accepted {
        accept: accept(key),
        speaks_v1: check_subprotocol(headers)?,
    })
}

/// A request without `Origin` comes from no browser page and is let in; one with it must be of the same host and port
/// as the page it was served from, or on the list.
pub(crate) fn check_origin(headers: &HeaderMap, allowed_origins: &[String]) -> Result<(), Refused> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(());
    };
    let origin = origin.to_str().ok().filter(|_| origins.next().is_none());
    let listed = |origin: &str| allowed_origins.iter().any(|allowed| allowed == origin);
    if origin.is_some_and(|origin| listed(origin) || is_same_origin(origin, headers)) {
        return Ok(());
    }
    let message = "pages of this origin may not connect; the operator can allow it (--allowed-origin, or allowed_origin in rowcast.toml)";
    refused(StatusCode::FORBIDDEN, message)
}

/// Byte for byte: browsers write origins in one form only. The scheme may be either, since a proxy may end TLS.
fn is_same_origin(origin: &str, headers: &HeaderMap) -> bool {
    let host = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    let host = host.map(str::as_bytes);
    host.is_some() && host == only(headers, header::HOST)
}

fn check_subprotocol(headers: &HeaderMap) -> Result<bool, Refused> {
    let mut named = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(tokens)
        .peekable();
    if named.peek().is_none() {
        return Ok(false);
    }
    if named.any(|name| name == SUBPROTOCOL.as_bytes()) {
        return Ok(true);
    }
    let message =
        format!("this server speaks the subprotocol {SUBPROTOCOL}; name it, or none to get values as they are");
    refused(StatusCode::BAD_REQUEST, message)
}

/// The header's value if it was sent exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    values.next().is_none().then_some(value)
}

fn tokens(value: &hyper::header::HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(tokens)
        .any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

fn accept(key: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &[key, ACCEPT_SUFFIX].concat());
    STANDARD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn request(extra: &[(&str, &str)]) -> Parts {
        let mut request = Request::get("/ws")
            .header("Host", "shop.example:3000")
            .header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in extra {
            request = request.header(*name, *value);
        }
        request.body(()).expect("well formed").into_parts().0
    }

    fn status(extra: &[(&str, &str)], allowed: &[String]) -> u16 {
        check(&request(extra), allowed).map_or_else(|refused| refused.status.as_u16(), |_| 101)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let accepted = check(&request(&[]), &[]).expect("accepted");
        assert_eq!(
            accepted,
            Accepted {
                accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(),
                speaks_v1: false
            }
        );
    }

    #[test]
    fn twenty_hostile_origins_are_refused() {
        let hostile = [
            "null",
            "",
            "http://evil.example",
            "http://shop.example:3000.evil.example",
            "http://evil-shop.example:3000",
            "http://evilshop.example:3000",
            "http://shop.example",
            "http://shop.example:3001",
            "http://shop.example:30000",
            "ftp://shop.example:3000",
            "ws://shop.example:3000",
            "file://",
            "http://user@shop.example:3000",
            "http://shop.example:3000@evil.example",
            "http://shop.example.:3000",
            "http://SHOP.example:3000",
            "HTTP://shop.example:3000",
            "http://shop.example:3000/",
            "http://shop.example:3000/path",
            "http://sh\u{f6}p.example:3000",
            "http://xn--shp-sna.example:3000",
            "http://shop.example:3000 http://evil.example",
            "http://shop.example:3000, http://shop.example:3000",
            "shop.example:3000",
            "*",
        ];
        for origin in hostile {
            assert_eq!(
                status(&[("Origin", origin)], &["https://office.example".into()]),
                403,
                "{origin:?}"
            );
        }
        let twice = [
            ("Origin", "http://shop.example:3000"),
            ("Origin", "http://shop.example:3000"),
        ];
        assert_eq!(status(&twice, &[]), 403);
        let two_hosts = [("Origin", "http://evil.example"), ("Host", "evil.example")];
        assert_eq!(status(&two_hosts, &[]), 403);
    }

    #[test]
    fn own_pages_listed_pages_and_programs_are_let_in() {
        let allowed = ["https://office.example".to_owned()];
        for origin in [
            "http://shop.example:3000",
            "https://shop.example:3000",
            "https://office.example",
        ] {
            assert_eq!(status(&[("Origin", origin)], &allowed), 101, "{origin}");
        }
        assert_eq!(status(&[], &allowed), 101);
    }

    #[test]
    fn our_subprotocol_is_chosen_and_strangers_are_refused() {
        let speaks = |names: &str| check(&request(&[("Sec-WebSocket-Protocol", names)]), &[]);
        assert_eq!(speaks("other, rowcast.v1").map(|accepted| accepted.speaks_v1), Ok(true));
        assert_eq!(speaks("other").map_err(|refused| refused.status.as_u16()), Err(400));
    }

    #[test]
    fn a_damaged_handshake_is_refused() {
        let key = [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")];
        assert_eq!(status(&key, &[]), 400, "two keys");
        let mut old = request(&[]);
        old.headers
            .insert("Sec-WebSocket-Version", "8".parse().expect("a header"));
        assert_eq!(check(&old, &[]).map_err(|refused| refused.status.as_u16()), Err(426));
        let mut plain = request(&[]);
        plain.headers.remove("Upgrade");
        assert_eq!(check(&plain, &[]).map_err(|refused| refused.status.as_u16()), Err(426));
    }
}
