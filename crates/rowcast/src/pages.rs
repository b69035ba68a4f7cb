//! What the public listener answers besides the streams: the live page, health, and the list of topics.
//!
//! Every answer carries the same security headers; the page works under a Content-Security-Policy without exceptions
//! for inline code or other hosts.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use rowcast_gateway::Pages;
use rowcast_log::Log;
use rust_embed::RustEmbed;

use crate::{opening::AGAIN_SECONDS, ready::Readiness};

/// The built pages of `web/`. Debug builds read them from disk, release builds carry them.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

/// What a page may load: this server's own files and sockets, nothing inline, nothing from elsewhere. No script may make
/// HTML from text at all (the page is compiled to build its elements one by one).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const SECURITY_HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Shown when the binary was built without the pages.
const NOT_BUILT: &str = "This rowcast was built without its pages. Run `cargo xtask demo`, or build them with \
     `npm ci && npm run build` in web/ and build rowcast again. The streams on /ws and /sse work.\n";

/// Answers everything that is not a stream.
pub struct PublicPages {
    log: Arc<dyn Log>,
    readiness: Arc<Readiness>,
}

impl PublicPages {
    /// Pages over this log.
    pub fn new(log: Arc<dyn Log>, readiness: Arc<Readiness>) -> PublicPages {
        PublicPages { log, readiness }
    }

    fn ready(&self) -> Response<Bytes> {
        match self.readiness.report() {
            (true, body) => json(StatusCode::OK, body),
            (false, body) => json(StatusCode::SERVICE_UNAVAILABLE, body),
        }
    }

    fn topics(&self) -> Response<Bytes> {
        let topics = match self.log.find_topics() {
            Ok(topics) => topics,
            Err(error) => {
                let body = serde_json::json!({ "error": error.to_string() });
                return json(StatusCode::SERVICE_UNAVAILABLE, body);
            }
        };
        let names: Vec<String> = topics
            .iter()
            .filter(|t| !t.name.starts_with("__"))
            .map(|t| t.name.to_string())
            .collect();
        // "There are none" would be the last word on topics that nobody has heard of yet.
        if names.is_empty()
            && let Some(reason) = self.readiness.unknown_topics()
        {
            let mut answer = json(StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "error": reason }));
            let again = HeaderValue::from_static(AGAIN_SECONDS);
            answer.headers_mut().insert(header::RETRY_AFTER, again);
            return answer;
        }
        json(StatusCode::OK, serde_json::json!({ "topics": names }))
    }
}

impl Pages for PublicPages {
    fn respond(&self, request: &Parts) -> Response<Bytes> {
        let answer = if !matches!(request.method, Method::GET | Method::HEAD) {
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET is understood here\n")
        } else {
            match request.uri.path() {
                "/health/live" => json(StatusCode::OK, serde_json::json!({ "live": true })),
                "/health/ready" => self.ready(),
                "/topics.json" => self.topics(),
                "/" => file("index.html"),
                path => file(path.trim_start_matches('/')),
            }
        };
        secured(answer)
    }
}

/// A built file. Names that carry a hash of their content never change, the rest is asked for again each time.
fn file(path: &str) -> Response<Bytes> {
    let Some(found) = Built::get(path) else {
        return if path == "index.html" {
            text(StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT)
        } else {
            text(StatusCode::NOT_FOUND, "not found\n")
        };
    };
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let body = match found.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    let mut answer = answer(StatusCode::OK, content_type(path), body);
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

fn json(status: StatusCode, value: serde_json::Value) -> Response<Bytes> {
    answer(status, "application/json", Bytes::from(format!("{value}\n")))
}

fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn secured(mut answer: Response<Bytes>) -> Response<Bytes> {
    for (name, value) in SECURITY_HEADERS {
        answer
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}
