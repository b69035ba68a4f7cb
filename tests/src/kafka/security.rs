//! A broker that lets nobody in who does not show who they are: TLS, client certificates, and every SASL mechanism that
//! librdkafka has without Kerberos.
//!
//! Promises: one broker has all of it, each behind a listener of its own, beside the open one that the kit itself uses. Keys are made anew and
//! never leave its folder.

use std::{fs, path::PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{Kafka, free_port};
use crate::oidc::{AUDIENCE, ISSUER, Provider};

/// Who the clients are.
pub const USER: &str = "rowcast";
/// Their password: no message may hold it.
pub const PASSWORD: &str = "cAnary-pa55word";

const BEARER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;";

/// A broker with listeners that ask who is there.
#[derive(Debug)]
pub struct SecuredKafka {
    /// Its open listener is the kit's.
    pub kafka: Kafka,
    tls: u16,
    sasl_tls: u16,
    sasl_open: u16,
    sasl_tokens: u16,
    /// Who gives the tokens that are asked for at [`SecuredKafka::sasl_tokens`].
    pub provider: Provider,
    certificates: TempDir,
}

impl SecuredKafka {
    /// Starts one.
    pub async fn start() -> anyhow::Result<SecuredKafka> {
        let certificates = tempfile::Builder::new().prefix("rowcast-certificates-").tempdir()?;
        let ours = Authority::new("test authority")?;
        let (server_certificate, server_key) = ours.sign("127.0.0.1")?;
        let (client_certificate, client_key) = ours.sign(USER)?;
        let write = |name: &str, text: &str| fs::write(certificates.path().join(name), text).context("writing a key");
        write("authority.pem", &ours.pem)?;
        write("stranger.pem", &Authority::new("nobody's authority")?.pem)?;
        write("broker.pem", &format!("{server_key}{server_certificate}"))?;
        write("client.pem", &client_certificate)?;
        write("client.key", &client_key)?;

        let mut secured = SecuredKafka {
            kafka: Kafka::unstarted()?,
            tls: free_port()?,
            sasl_tls: free_port()?,
            sasl_open: free_port()?,
            sasl_tokens: free_port()?,
            provider: Provider::start(&server_certificate, &server_key).await?,
            certificates,
        };
        secured.set_listeners();
        secured.kafka.format()?;
        secured.kafka.restart().await?;
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            secured.kafka.add_scram_user(mechanism, USER, PASSWORD).await?;
        }
        Ok(secured)
    }

    /// `127.0.0.1:port`, where a client certificate is asked for.
    pub fn tls(&self) -> String {
        format!("127.0.0.1:{}", self.tls)
    }

    /// `127.0.0.1:port`, where TLS and SASL are.
    pub fn sasl_tls(&self) -> String {
        format!("127.0.0.1:{}", self.sasl_tls)
    }

    /// `127.0.0.1:port`, where SASL is without TLS.
    pub fn sasl_open(&self) -> String {
        format!("127.0.0.1:{}", self.sasl_open)
    }

    /// `127.0.0.1:port`, where TLS is, and a token of the provider's is asked for.
    pub fn sasl_tokens(&self) -> String {
        format!("127.0.0.1:{}", self.sasl_tokens)
    }

    /// A file of the certificates: `authority.pem`, `stranger.pem` (which signed nothing), `client.pem`, `client.key`.
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    fn set_listeners(&mut self) {
        let ours = format!(
            ",TLS://{},SASLTLS://{},SASLOPEN://{},SASLTOKENS://{}",
            self.tls(),
            self.sasl_tls(),
            self.sasl_open(),
            self.sasl_tokens()
        );
        let beside = |property: &str| self.kafka.properties[property].clone() + &ours;
        let (listeners, advertised) = (beside("listeners"), beside("advertised.listeners"));
        let broker = self.certificate("broker.pem").display().to_string();
        let authority = self.certificate("authority.pem").display().to_string();
        let plain =
            format!("org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";");
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        let set = [
            ("listeners", listeners),
            ("advertised.listeners", advertised),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,SASLOPEN:SASL_PLAINTEXT,\
                 SASLTOKENS:SASL_SSL"
                    .to_owned(),
            ),
            ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.location", broker),
            ("ssl.truststore.type", "PEM".to_owned()),
            ("ssl.truststore.location", authority),
            ("listener.name.tls.ssl.client.auth", "required".to_owned()),
            (
                "sasl.enabled.mechanisms",
                "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".to_owned(),
            ),
        ];
        for (property, value) in set {
            self.kafka.set(property, &value);
        }
        let without_bearer = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512";
        self.kafka
            .set("listener.name.saslopen.sasl.enabled.mechanisms", without_bearer);
        for listener in ["sasltls", "saslopen"] {
            for (mechanism, module) in [
                ("plain", plain.as_str()),
                ("scram-sha-256", scram),
                ("scram-sha-512", scram),
                ("oauthbearer", BEARER),
            ] {
                let property = format!("listener.name.{listener}.{mechanism}.sasl.jaas.config");
                self.kafka.set(&property, module);
            }
        }
        self.ask_for_tokens();
    }

    /// Signed tokens of our provider, and new ones before the old ones' end: who shows none is disconnected then.
    fn ask_for_tokens(&mut self) {
        let keys = self.provider.keys_url();
        for (property, value) in [
            ("sasl.enabled.mechanisms", "OAUTHBEARER"),
            ("oauthbearer.sasl.jaas.config", BEARER),
            (
                "oauthbearer.sasl.server.callback.handler.class",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler",
            ),
            ("oauthbearer.sasl.oauthbearer.jwks.endpoint.url", &keys),
            ("oauthbearer.sasl.oauthbearer.expected.audience", AUDIENCE),
            ("oauthbearer.sasl.oauthbearer.expected.issuer", ISSUER),
            ("oauthbearer.connections.max.reauth.ms", "3600000"),
        ] {
            self.kafka.set(&format!("listener.name.sasltokens.{property}"), value);
        }
        let allowed = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}");
        self.kafka.java_options.push(allowed);
    }
}

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> anyhow::Result<Authority> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Authority {
            issuer: Issuer::new(params, key),
            pem,
        })
    }

    /// Certificate and key for this name or address.
    fn sign(&self, name: &str) -> anyhow::Result<(String, String)> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
    }
}
