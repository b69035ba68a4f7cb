//! TLS to PostgreSQL, with libpq's meaning of `sslmode`.
//!
//! `prefer` and `require` encrypt without asking who answers (as libpq does); `verify-ca` asks for a chain to the given
//! root, `verify-full` for the host name as well. Channel binding (RFC 5929, tls-server-end-point) is taken from the
//! server's certificate here and used by `authentication.rs`.

use std::{fs, path::Path, sync::Arc};

use aws_lc_rs::digest;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{error::ConnectionError, options::ConnectionOptions};
use crate::config::SslMode;

/// Performs the handshake that the options ask for.
pub(crate) async fn handshake(
    options: &ConnectionOptions,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ConnectionError> {
    let config = client_config(options)?;
    let name = ServerName::try_from(options.host.clone()).map_err(|_| {
        setup(format!(
            "database.hostname {:?} is not a name that TLS can check",
            options.host
        ))
    })?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| explain(options, error))
}

fn setup(sentence: String) -> ConnectionError {
    ConnectionError::Tls(sentence)
}

/// A certificate that we do not accept is for a person to mend; anything else may be a server going away.
fn explain(options: &ConnectionOptions, error: std::io::Error) -> ConnectionError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        return ConnectionError::Io(error);
    };
    let next_step = match tls {
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the certificate is for another host (only its subjectAltName counts): correct database.hostname or the \
             certificate, or use database.sslmode=verify-ca"
        }
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the server's certificate has expired: renew it"
        }
        TlsError::InvalidCertificate(_) => {
            "the server's certificate does not lead to the root in database.sslrootcert: give the file of the authority \
             that signed it"
        }
        _ => "check ssl settings of the server and database.ssl* of the connector",
    };
    setup(format!(
        "TLS with {}:{} failed: {tls}; {next_step}",
        options.host, options.port
    ))
}

fn client_config(options: &ConnectionOptions) -> Result<ClientConfig, ConnectionError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(format!("TLS cannot be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(options, provider)?);
    match (&options.tls.cert, &options.tls.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates("database.sslcert", certificate)?, private_key(key)?)
            .map_err(|error| {
                setup(format!(
                    "database.sslcert and database.sslkey do not go together: {error}"
                ))
            }),
        _ => Err(setup(
            "database.sslcert and database.sslkey are needed both, or neither".to_owned(),
        )),
    }
}

fn verifier(
    options: &ConnectionOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ConnectionError> {
    let roots = match &options.tls.root_cert {
        Some(path) => Some(Arc::new(root_store(path)?)),
        None => None,
    };
    match (options.tls.mode, roots) {
        (SslMode::VerifyFull, Some(roots)) => Ok(WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| setup(format!("database.sslrootcert cannot be used: {error}")))?),
        // libpq: with a root certificate at hand, `require` checks the chain as `verify-ca` does.
        (SslMode::VerifyCa | SslMode::Require, Some(roots)) => Ok(Arc::new(ChainVerifier {
            roots: Some(roots),
            provider,
        })),
        (SslMode::VerifyCa | SslMode::VerifyFull, None) => Err(setup(
            "database.sslmode verify-ca and verify-full need database.sslrootcert: the PEM file of the authority that \
             signed the server's certificate"
                .to_owned(),
        )),
        _ => Ok(Arc::new(ChainVerifier { roots: None, provider })),
    }
}

fn root_store(path: &Path) -> Result<RootCertStore, ConnectionError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("database.sslrootcert", path)? {
        store.add(certificate).map_err(|error| {
            setup(format!(
                "database.sslrootcert {}: a certificate cannot be used: {error}",
                path.display()
            ))
        })?;
    }
    Ok(store)
}

fn read(property: &str, path: &Path) -> Result<Vec<u8>, ConnectionError> {
    fs::read(path).map_err(|error| setup(format!("{property} {} cannot be read: {error}", path.display())))
}

fn certificates(property: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectionError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(property, path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| setup(format!("{property} {} is not PEM: {error}", path.display())))?;
    match certificates.is_empty() {
        true => Err(setup(format!("{property} {} holds no certificate", path.display()))),
        false => Ok(certificates),
    }
}

/// PEM (PKCS #8, PKCS #1, SEC 1), or PKCS #8 DER as pgjdbc's users have it.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ConnectionError> {
    let bytes = read("database.sslkey", path)?;
    if !bytes.starts_with(b"-----") && bytes.first() == Some(&0x30) {
        return Ok(PrivatePkcs8KeyDer::from(bytes).into());
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        setup(format!(
            "database.sslkey {} holds no unencrypted private key: convert it with `openssl pkcs8 -topk8 -nocrypt`",
            path.display()
        ))
    })
}

/// Checks the chain but not the name (`verify-ca`), or nothing of the certificate (`prefer`, `require`). The handshake's
/// signature is always checked: the peer holds the key of the certificate it shows, which channel binding builds on.
#[derive(Debug)]
struct ChainVerifier {
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The channel binding data of a TLS connection: the hash of the server's certificate, by the hash of its signature
/// (RFC 5929 section 4.1). `None` where the RFC defines none (Ed25519, RSA-PSS): SCRAM then goes without.
pub(crate) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let algorithm = end_point_digest(signature_algorithm(certificate)?)?;
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The OID of a certificate's signature algorithm: `SEQUENCE { tbsCertificate SEQUENCE, SEQUENCE { OID … } … }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (body, _) = der_element(0x30, certificate)?;
    let (_, after_tbs) = der_element(0x30, body)?;
    let (algorithm, _) = der_element(0x30, after_tbs)?;
    der_element(0x06, algorithm).map(|(oid, _)| oid)
}

/// The content of the first DER element, which must have this tag, and what follows it.
fn der_element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = input.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)),
                rest,
            )
        }
        _ => return None,
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

/// RSA PKCS #1 (1.2.840.113549.1.1.x) and ECDSA (1.2.840.10045.4.x) signatures; MD5 and SHA-1 count as SHA-256.
fn end_point_digest(oid: &[u8]) -> Option<&'static digest::Algorithm> {
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    match (oid.strip_prefix(RSA), oid.strip_prefix(ECDSA)) {
        (Some([4 | 5 | 11]), _) | (_, Some([1] | [3, 2])) => Some(&digest::SHA256),
        (Some([12]), _) | (_, Some([3, 3])) => Some(&digest::SHA384),
        (Some([13]), _) | (_, Some([3, 4])) => Some(&digest::SHA512),
        (Some([14]), _) | (_, Some([3, 1])) => Some(&digest::SHA224),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_certificates_have_no_signature_algorithm_and_do_not_panic() {
        let key = rcgen::generate_simple_self_signed(vec!["db".to_owned()]).expect("a certificate");
        let der = key.cert.der();
        assert!(signature_algorithm(der).and_then(end_point_digest).is_some());
        for end in 0..der.len() {
            assert_eq!(signature_algorithm(&der[..end]), None);
        }
        assert_eq!(signature_algorithm(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
