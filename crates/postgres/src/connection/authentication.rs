//! Proves who we are, and, with SCRAM, that the server knows our password too.
//!
//! Speaks trust, cleartext (over TLS only), md5, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS. The PBKDF2 rounds that a server
//! may ask for are bounded by `postgres-protocol` (100,000), so a hostile server cannot buy our CPU.

use bytes::BytesMut;
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    },
    message::frontend,
};

use super::{Connection, error::ConnectionError, options::ConnectionOptions};
use crate::config::Secret;

/// What the connection's security allows during authentication.
#[derive(Debug)]
pub(crate) struct Security {
    /// Encrypted, or a socket of this machine.
    pub(crate) private: bool,
    /// The tls-server-end-point data, where there is any.
    pub(crate) end_point: Option<Vec<u8>>,
}

/// AuthenticationRequest codes, from the protocol's "Message Formats" page.
const OK: i32 = 0;
const CLEARTEXT: i32 = 3;
const MD5: i32 = 5;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Answers the server's requests until it says AuthenticationOk.
pub(crate) async fn authenticate(
    connection: &mut Connection,
    options: &ConnectionOptions,
    security: Security,
) -> Result<(), ConnectionError> {
    let (code, data) = request(connection).await?;
    match code {
        OK => Ok(()),
        CLEARTEXT if !security.private => Err(ConnectionError::Setup(
            "the server asks for the password in clear text over a connection that anyone can read: use \
             database.sslmode=require (or better), or scram-sha-256 in pg_hba.conf"
                .to_owned(),
        )),
        CLEARTEXT => {
            send(connection, |out| {
                frontend::password_message(password(options)?.as_bytes(), out).map_err(Into::into)
            })
            .await?;
            expect_ok(connection).await
        }
        MD5 => {
            let salt: [u8; 4] = data
                .try_into()
                .map_err(|_| ConnectionError::protocol("an md5 salt is four bytes"))?;
            let hash = md5_hash(options.user.as_bytes(), password(options)?.as_bytes(), salt);
            send(connection, |out| {
                frontend::password_message(hash.as_bytes(), out).map_err(Into::into)
            })
            .await?;
            expect_ok(connection).await
        }
        SASL => scram(connection, password(options)?, &data, security).await,
        _ => Err(ConnectionError::Setup(format!(
            "the server asks for an authentication method (code {code}) that is not supported: use scram-sha-256 in \
             pg_hba.conf"
        ))),
    }
}

async fn scram(
    connection: &mut Connection,
    password: &str,
    offered: &[u8],
    security: Security,
) -> Result<(), ConnectionError> {
    let offers = |mechanism: &str| {
        offered
            .split(|&byte| byte == 0)
            .any(|name| name == mechanism.as_bytes())
    };
    let (mechanism, binding) = match security.end_point {
        Some(end_point) if offers(SCRAM_SHA_256_PLUS) => {
            (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(end_point))
        }
        // "y": we could bind, the server does not offer it. If someone in between removed the offer, the server notices.
        Some(_) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        None => (SCRAM_SHA_256, ChannelBinding::unsupported()),
    };
    if !offers(mechanism) {
        return Err(ConnectionError::Setup(
            "the server offers no SASL mechanism that is supported: use scram-sha-256 in pg_hba.conf".to_owned(),
        ));
    }
    let mut exchange = ScramSha256::new(password.as_bytes(), binding);
    send(connection, |out| {
        frontend::sasl_initial_response(mechanism, exchange.message(), out).map_err(Into::into)
    })
    .await?;
    let challenge = expect(connection, SASL_CONTINUE).await?;
    exchange.update(&challenge).map_err(not_scram)?;
    send(connection, |out| {
        frontend::sasl_response(exchange.message(), out).map_err(Into::into)
    })
    .await?;
    let verdict = expect(connection, SASL_FINAL).await?;
    exchange.finish(&verdict).map_err(not_scram)?;
    expect_ok(connection).await
}

/// The library's error texts describe the exchange's syntax, never the password.
fn not_scram(error: std::io::Error) -> ConnectionError {
    ConnectionError::Protocol(format!("SCRAM authentication: {error}"))
}

fn password(options: &ConnectionOptions) -> Result<&str, ConnectionError> {
    options
        .password
        .as_ref()
        .map(Secret::expose)
        .ok_or_else(|| ConnectionError::Setup("the server asks for a password: set database.password".to_owned()))
}

async fn expect_ok(connection: &mut Connection) -> Result<(), ConnectionError> {
    expect(connection, OK).await.map(|_| ())
}

async fn expect(connection: &mut Connection, code: i32) -> Result<Vec<u8>, ConnectionError> {
    match request(connection).await? {
        (found, data) if found == code => Ok(data),
        (found, _) => Err(ConnectionError::protocol(format!(
            "authentication request {found} where {code} should come"
        ))),
    }
}

/// The next AuthenticationRequest: code and data. The data is short: the inbox still has its startup bound.
async fn request(connection: &mut Connection) -> Result<(i32, Vec<u8>), ConnectionError> {
    let frame = connection.receive().await?;
    let body = connection.body(frame);
    match (frame.tag, body.split_first_chunk::<4>()) {
        (b'R', Some((code, data))) => Ok((i32::from_be_bytes(*code), data.to_vec())),
        (tag, _) => Err(ConnectionError::protocol(format!(
            "message {:?} during authentication",
            char::from(tag)
        ))),
    }
}

async fn send(
    connection: &mut Connection,
    write: impl FnOnce(&mut BytesMut) -> Result<(), ConnectionError>,
) -> Result<(), ConnectionError> {
    let mut message = BytesMut::new();
    write(&mut message)?;
    connection.send(&message).await
}
