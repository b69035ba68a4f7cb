//! An OpenID Connect provider: gives signed tokens to clients that know their secret, and the key to check them with.
//!
//! Promises: every request for a token is noted, so that a test can wait for one. Tokens are short-lived. Knows nothing of
//! who checks them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{ServerConfig, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::PATIENCE;

/// Every client's secret: no message may hold it.
pub const SECRET: &str = "cAnary-c1ient-secret";
/// What a client may ask for.
pub const SCOPE: &str = "kafka";
/// Whom the tokens are for.
pub const AUDIENCE: &str = "test-brokers";
/// Who signs them.
pub const ISSUER: &str = "https://test-provider.example";
/// librdkafka renews a token after four fifths of its life, which here leaves a busy machine two seconds.
pub const TOKEN_LIFE: Duration = Duration::from_secs(10);

/// A token that was given.
#[derive(Clone, Debug)]
struct Given {
    client: String,
    at: Duration,
}

/// The provider: its token endpoint speaks TLS, its keys are for everybody.
#[derive(Debug)]
pub struct Provider {
    keys: SocketAddr,
    tokens: SocketAddr,
    given: watch::Receiver<Vec<Given>>,
    issuer: Arc<Issuer>,
    servers: [AbortHandle; 2],
}

impl Provider {
    /// Starts one with a certificate for 127.0.0.1 and its key, as PEM.
    pub async fn start(certificate: &str, key: &str) -> anyhow::Result<Provider> {
        let (given, seen) = watch::channel(Vec::new());
        let issuer = Arc::new(Issuer {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            given,
            away: AtomicBool::new(false),
        });
        let (keys, tokens) = (listener().await?, listener().await?);
        let acceptor = acceptor(certificate, key)?;
        Ok(Provider {
            keys: keys.local_addr()?,
            tokens: tokens.local_addr()?,
            given: seen,
            issuer: Arc::clone(&issuer),
            servers: [
                tokio::spawn(serve(keys, None, Arc::clone(&issuer))).abort_handle(),
                tokio::spawn(serve(tokens, Some(acceptor), issuer)).abort_handle(),
            ],
        })
    }

    /// Where the keys are that tokens are checked with.
    pub fn keys_url(&self) -> String {
        format!("http://{}/keys", self.keys)
    }

    /// Where tokens are.
    pub fn tokens_url(&self) -> String {
        format!("https://{}/token", self.tokens)
    }

    /// Whether connections are closed without an answer.
    pub fn set_away(&self, away: bool) {
        self.issuer.away.store(away, Ordering::Release);
    }

    /// Waits until this client is given a token after the life of its first one.
    pub async fn outlived(&self, client: &str) -> anyhow::Result<()> {
        let outlived = |given: &Vec<Given>| {
            let mut times = given.iter().filter(|one| one.client == client).map(|one| one.at);
            times
                .next()
                .is_some_and(|first| times.any(|at| at > first + TOKEN_LIFE))
        };
        let mut given = self.given.clone();
        let waited = tokio::time::timeout(PATIENCE, given.wait_for(outlived)).await;
        waited.with_context(|| format!("{client} asked for no token after its first one's life"))??;
        Ok(())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

async fn listener() -> anyhow::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0")
        .await
        .context("a port for the provider")
}

fn acceptor(certificate: &str, key: &str) -> anyhow::Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, issuer: Arc<Issuer>) {
    while let Ok((stream, _)) = listener.accept().await {
        if issuer.away.load(Ordering::Acquire) {
            continue;
        }
        let (acceptor, issuer) = (acceptor.clone(), Arc::clone(&issuer));
        tokio::spawn(async move {
            match acceptor {
                None => talk(stream, issuer).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => talk(stream, issuer).await,
                    Err(error) => eprintln!("no TLS with the provider: {error}"),
                },
            }
        });
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, issuer: Arc<Issuer>) {
    let answer = service_fn(|request| async { Ok::<_, Infallible>(issuer.answer(request).await) });
    // A client that has its answer goes without a word.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// Who signs.
#[derive(Debug)]
struct Issuer {
    key: EcdsaKeyPair,
    given: watch::Sender<Vec<Given>>,
    away: AtomicBool,
}

impl Issuer {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, body) = match request.uri().path() {
            "/keys" => (StatusCode::OK, self.keys()),
            "/token" => match self.token(request).await {
                Ok(token) => (StatusCode::OK, token),
                // RFC 6749, 5.2.
                Err("invalid_client") => (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_client" })),
                Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
            },
            _ => (StatusCode::NOT_FOUND, json!({})),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    /// A JSON Web Key Set.
    fn keys(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (url(x), url(y));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": x, "y": y }] })
    }

    /// The grant `client_credentials` of RFC 6749, 4.4; otherwise the error's name there.
    async fn token(&self, request: Request<Incoming>) -> Result<Value, &'static str> {
        let client = client(&request).ok_or("invalid_client")?;
        let body = request.into_body().collect().await.map_err(|_| "invalid_request")?;
        match &body.to_bytes()[..] {
            form if form == format!("grant_type=client_credentials&scope={SCOPE}").as_bytes() => {}
            form if form.starts_with(b"grant_type=client_credentials") => return Err("invalid_scope"),
            _ => return Err("unsupported_grant_type"),
        }
        let at = since_1970();
        let token = self.sign(&json!({
            "iss": ISSUER, "sub": client, "aud": AUDIENCE, "scope": SCOPE,
            "iat": at.as_secs(), "exp": (at + TOKEN_LIFE).as_secs(),
        }));
        self.given.send_modify(|given| given.push(Given { client, at }));
        Ok(json!({ "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE.as_secs() }))
    }

    /// A JSON Web Token.
    fn sign(&self, claims: &Value) -> String {
        let head = json!({ "alg": "ES256", "typ": "JWT", "kid": "1" });
        let signed = format!("{}.{}", url(head.to_string()), url(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", url(signature.expect("a key of our own signs")))
    }
}

/// Who asks, if they know the secret.
fn client(request: &Request<Incoming>) -> Option<String> {
    let shown = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let shown = BASE64_STANDARD.decode(shown.strip_prefix("Basic ")?).ok()?;
    let shown = String::from_utf8(shown).ok()?;
    let (client, secret) = shown.split_once(':')?;
    (secret == SECRET).then(|| client.to_owned())
}

fn url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
