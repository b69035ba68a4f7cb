//! Every sslmode and every way to authenticate, against a real server; and the ones who are not who they should be.

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rowcast_postgres::{Opened, Resume, SourceError};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const PASSWORD: &str = "a pass'wörd";

/// An authority and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(vec![]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "test authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate and key in PEM for this name, which is valid for a day around now, or was until 2001.
    fn sign(&self, name: &str, expired: bool) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        if expired {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        (
            params.signed_by(&key, &self.issuer).expect("a certificate").pem(),
            key.serialize_pem(),
        )
    }
}

/// A server with TLS whose certificate is for `name`, and the file of its authority.
fn tls_server(authority: &Authority, name: &str, expired: bool, hba: &str) -> (Server, PathBuf) {
    let mut server = Server::start_with(&["wal_level=logical", "password_encryption=scram-sha-256"], hba);
    let (certificate, key) = authority.sign(name, expired);
    let data = server.directory().join("data");
    write_for_postgres(&data, "server.crt", &certificate);
    write_for_postgres(&data, "server.key", &key);
    write_for_postgres(&data, "root.crt", &authority.pem);
    let root = server.directory().join("authority.pem");
    fs::write(&root, &authority.pem).expect("writable");
    server.stop("-INT");
    server.set("ssl=on");
    server.set("ssl_ca_file=root.crt");
    server.restart();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    for role in ["scram", "cert"] {
        server.sql(&format!("CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'a pass''wörd'"));
    }
    server.sql("SET password_encryption = md5; CREATE ROLE md5 SUPERUSER LOGIN PASSWORD 'a pass''wörd'");
    (server, root)
}

fn write_for_postgres(directory: &Path, name: &str, text: &str) {
    let file = directory.join(name);
    fs::write(&file, text).expect("writable");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(directory).expect("there"));
    chown(&file, Some(owner), None).expect("root may chown");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
}

/// What opening comes to: nothing, or the error.
async fn open(server: &Server, user: &str, password: &str, extra: &str) -> Result<(), SourceError> {
    let extra =
        format!(r#","snapshot.mode":"no_data","database.user":"{user}","database.password":"{password}"{extra}"#);
    let resume = Resume {
        restart_snapshot: true,
        ..Resume::default()
    };
    match support::open(&server.config("public.a", &extra), &resume).await? {
        (_, Opened::Stream(stream)) => stream.close().await,
        (_, Opened::Snapshot(_)) => panic!("a snapshot"),
    }
    Ok(())
}

async fn assert_refused(server: &Server, user: &str, password: &str, extra: &str, fact: &str) {
    match open(server, user, password, extra).await {
        Err(SourceError::Refused(sentence)) => {
            assert!(sentence.contains(fact), "{fact:?} is not in: {sentence}");
            assert!(
                !sentence.contains(PASSWORD) && !sentence.contains("wrong one"),
                "{sentence}"
            );
        }
        other => panic!("not refused ({fact}): {other:?}"),
    }
}

fn sslmode(mode: &str) -> String {
    format!(r#","database.sslmode":"{mode}""#)
}

fn with_root(mode: &str, root: &Path) -> String {
    format!(r#"{},"database.sslrootcert":"{}""#, sslmode(mode), root.display())
}

const HBA: &str = "hostssl all cert 127.0.0.1/32 cert\nhost all scram 127.0.0.1/32 scram-sha-256\nhost all md5 127.0.0.1/32 md5\nhost all postgres 127.0.0.1/32 trust\n";

#[tokio::test]
async fn every_mode_works_with_every_authentication() {
    let authority = Authority::new();
    let (server, root) = tls_server(&authority, "127.0.0.1", false, HBA);
    for mode in [
        sslmode("disable"),
        sslmode("prefer"),
        sslmode("require"),
        with_root("require", &root),
        with_root("verify-ca", &root),
        with_root("verify-full", &root),
    ] {
        for user in ["scram", "md5", "postgres"] {
            open(&server, user, PASSWORD, &mode)
                .await
                .unwrap_or_else(|error| panic!("{user} with {mode}: {error}"));
        }
        assert_refused(&server, "scram", "wrong one", &mode, "database.password").await;
        assert_refused(&server, "md5", "wrong one", &mode, "database.password").await;
    }
    let (certificate, key) = authority.sign("cert", false);
    let (certificate_file, key_file) = (
        server.directory().join("client.crt"),
        server.directory().join("client.key"),
    );
    fs::write(&certificate_file, certificate).expect("writable");
    fs::write(&key_file, key).expect("writable");
    let client = format!(
        r#"{},"database.sslcert":"{}","database.sslkey":"{}""#,
        with_root("verify-full", &root),
        certificate_file.display(),
        key_file.display()
    );
    open(&server, "cert", PASSWORD, &client)
        .await
        .expect("the client's certificate counts");
    assert_refused(
        &server,
        "cert",
        PASSWORD,
        &with_root("verify-full", &root),
        "certificate",
    )
    .await;
}

#[tokio::test]
async fn tls_is_used_when_offered_and_insisted_on_when_asked() {
    let server = Server::start();
    server.sql("CREATE TABLE a (id int PRIMARY KEY)");
    open(&server, "postgres", PASSWORD, &sslmode("prefer"))
        .await
        .expect("without TLS then");
    assert_refused(&server, "postgres", PASSWORD, &sslmode("require"), "does not offer TLS").await;
    let (tls, _) = tls_server(
        &Authority::new(),
        "127.0.0.1",
        false,
        "hostssl all all 127.0.0.1/32 trust\n",
    );
    open(&tls, "postgres", PASSWORD, &sslmode("prefer"))
        .await
        .expect("with TLS");
    assert_refused(&tls, "postgres", PASSWORD, &sslmode("disable"), "pg_hba.conf").await;
    let (plain, _) = tls_server(
        &Authority::new(),
        "127.0.0.1",
        false,
        "hostnossl all all 127.0.0.1/32 trust\n",
    );
    open(&plain, "postgres", PASSWORD, &sslmode("prefer"))
        .await
        .expect("the other way round");
}

#[tokio::test]
async fn servers_that_are_not_who_they_should_be_are_refused() {
    let authority = Authority::new();
    let (other_host, root) = tls_server(&authority, "db.example.com", false, HBA);
    open(&other_host, "postgres", PASSWORD, &with_root("verify-ca", &root))
        .await
        .expect("the chain is right");
    assert_refused(
        &other_host,
        "postgres",
        PASSWORD,
        &with_root("verify-full", &root),
        "another host",
    )
    .await;
    let strangers = other_host.directory().join("stranger.pem");
    fs::write(&strangers, Authority::new().pem).expect("writable");
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_refused(
            &other_host,
            "postgres",
            PASSWORD,
            &with_root(mode, &strangers),
            "database.sslrootcert",
        )
        .await;
    }
    let (expired, root) = tls_server(&authority, "127.0.0.1", true, HBA);
    for mode in ["verify-ca", "verify-full"] {
        assert_refused(&expired, "postgres", PASSWORD, &with_root(mode, &root), "expired").await;
    }
    let nowhere = Path::new("/nonexistent/root.pem");
    assert_refused(
        &expired,
        "postgres",
        PASSWORD,
        &with_root("verify-ca", nowhere),
        "cannot be read",
    )
    .await;
}

/// Ends the client's TLS with its own certificate and speaks TLS to the server itself: what channel binding is for.
async fn man_in_the_middle(server_port: u16, servers_root: PathBuf) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = Authority::new().sign("127.0.0.1", false);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, servers_root) = (acceptor.clone(), servers_root.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await.expect("a TLS request");
                client.write_all(b"S").await.expect("a client");
                let mut client = acceptor.accept(client).await.expect("a handshake");
                let mut server = tls_to_server(server_port, &servers_root).await;
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

async fn tls_to_server(port: u16, root: &Path) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root).expect("PEM"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server");
    server
        .write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
        .await
        .expect("a TLS request");
    assert_eq!(server.read_u8().await.expect("an answer"), b'S');
    let name = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("an address");
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, server)
        .await
        .expect("a handshake")
}

/// `require` without a root does not ask who answers, but SCRAM-SHA-256-PLUS binds the proof to the certificate the
/// client saw. With md5 nobody notices: the negative control.
#[tokio::test]
async fn a_man_in_the_middle_is_noticed_by_channel_binding() {
    let (mut server, root) = tls_server(&Authority::new(), "127.0.0.1", false, HBA);
    let real = server.port;
    server.port = man_in_the_middle(real, root).await;
    let relayed = open(&server, "md5", PASSWORD, &sslmode("require")).await;
    let bound = open(&server, "scram", PASSWORD, &sslmode("require")).await;
    server.port = real;
    relayed.expect("md5 is relayed unnoticed");
    let error = bound.expect_err("SCRAM must notice").to_string();
    assert!(error.contains("channel binding"), "{error}");
}
