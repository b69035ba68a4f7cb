//! Makes librdkafka's clients from our options, and hears what they say of the connection.
//!
//! What a promise of ours rests on (`read_committed`, idempotence) is set here and cannot be set otherwise: whoever tries is
//! told. Every other property is passed through. Secrets are in no message: librdkafka's own lines name none, and ours
//! name properties without their values.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaConfRes,
};
use tokio::sync::watch;

use super::{KafkaOptions, tokens};
use crate::LogError;

/// How long the first connection may take.
///
/// A broker that is there answers in milliseconds, one across the world in a second; three tries of TLS and SASL are in it.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a question to a broker that we have been connected to may take.
///
/// Kafka's own clients wait 30 s; ours wait where a person or a start waits too.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How soon events of a client without a thread of its own are looked at while it connects.
const CONNECT_LOOK: Duration = Duration::from_millis(50);

/// What we set and nobody else may: our promises rest on it.
const OURS: [&str; 20] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "isolation.level",
    "log.queue",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "retries",
    "transactional.id",
];

/// What we choose for every client, unless the options say otherwise.
const USUAL: [(&str, &str); 4] = [
    ("client.id", "rowcast"),
    ("socket.nagle.disable", "true"),
    ("socket.keepalive.enable", "true"),
    // A broker that comes back is met within a second; the default waits up to ten.
    ("reconnect.backoff.max.ms", "1000"),
];

/// What a consumer is beside that. Kafka's consumers are named even where nothing is coordinated.
const CONSUMER: [(&str, &str); 6] = [
    ("group.id", "rowcast"),
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "error"),
];

/// Checks that the options leave our own properties alone, and that librdkafka takes them.
pub(crate) fn check(options: &KafkaOptions) -> Result<(), LogError> {
    if let Some(name) = options.properties.keys().find(|name| OURS.contains(&name.as_str())) {
        let instead = match name.as_str() {
            "bootstrap.servers" | "metadata.broker.list" => "give the address as log.kafka or --kafka",
            _ => "what Rowcast promises rests on its own setting of it; remove it",
        };
        return Err(LogError::Invalid(format!(
            "[log.kafka] {name} cannot be set: {instead}"
        )));
    }
    let checked = with_properties(options, &[], &[]).create_native_config();
    checked.map(drop).map_err(|e| refused(&e))?;
    tokens::check(options)
}

/// What every client begins with.
fn config(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in USUAL {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &options.bootstrap);
    config.set_log_level(RDKafkaLogLevel::Notice);
    config
}

/// Makes a client. Its refusal names no property's value.
pub(crate) fn create<T: FromClientConfigAndContext<C>, C: ClientContext>(
    config: &ClientConfig,
    context: C,
) -> Result<T, LogError> {
    config.create_with_context(context).map_err(|e| refused(&e))
}

/// The properties of a client: what it must be, over what the options say, over what it usually is.
pub(crate) fn with_properties(options: &KafkaOptions, must: &[(&str, &str)], usual: &[(&str, &str)]) -> ClientConfig {
    let mut config = config(options);
    for (name, value) in usual {
        config.set(*name, *value);
    }
    for (name, value) in &options.properties {
        config.set(name, value);
    }
    for (name, value) in must {
        config.set(*name, *value);
    }
    config
}

/// A consumer without a thread of its own.
pub(crate) fn consumer(options: &KafkaOptions, link: Link) -> Result<BaseConsumer<Link>, LogError> {
    create(&consumer_properties(options, &[]), link)
}

/// The properties of a consumer, with more of its own.
pub(crate) fn consumer_properties(options: &KafkaOptions, usual: &[(&str, &str)]) -> ClientConfig {
    let (group, must) = CONSUMER.split_at(1);
    with_properties(options, must, &[group, usual].concat())
}

/// Connects, and gives the cluster's id. `link` is told how it went.
pub(crate) fn connect(options: &KafkaOptions, link: &Link) -> Result<String, LogError> {
    let consumer = consumer(options, link.clone())?;
    let began = std::time::Instant::now();
    loop {
        let asked = rowcast_librdkafka::connect(consumer.client(), CONNECT_LOOK);
        // The answer to a question before this one may have come meanwhile.
        if let Some(id) = consumer.client().fetch_cluster_id(Duration::ZERO) {
            link.is_up();
            return Ok(id);
        }
        if let Err(code) = asked {
            tracing::debug!(%code, "Kafka does not answer yet");
        }
        while consumer.poll(Duration::ZERO).is_some() {}
        let said = link.said();
        if link.is_refused() {
            return Err(LogError::Invalid(format!(
                "Kafka at {} does not let us in ({said}); check {} under [log.kafka]",
                options.bootstrap,
                to_check(&said)
            )));
        }
        if link.is_known_down() || began.elapsed() > CONNECT_TIMEOUT {
            link.is_down();
            return Err(LogError::Away(format!(
                "Kafka at {} does not answer ({said}); check {} under [log.kafka]",
                options.bootstrap,
                to_check(&said)
            )));
        }
    }
}

/// Which properties to look at when nobody answers, by what librdkafka says of the last try.
fn to_check(said: &str) -> &'static str {
    if let Some(property) = tokens::to_check(said) {
        return property;
    }
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["mechanism handshake failed"]) {
        return "sasl.mechanism";
    }
    if says(&["SASL authentication error"]) {
        return "sasl.username and sasl.password";
    }
    if says(&["PLAINTEXT broker listener", "wrong version number", "security.protocol"]) {
        return "security.protocol";
    }
    if says(&["hostname mismatch", "IP address mismatch"]) {
        return "that the broker's certificate names this address, or ssl.endpoint.identification.algorithm";
    }
    // The broker's word on ours, before ours on the broker's: OpenSSL calls both by the same names.
    if says(&["SSL alert number"]) {
        return "ssl.certificate.location and ssl.key.location";
    }
    if says(&["certificate verify failed"]) {
        return "ssl.ca.location";
    }
    // A broker that waits for TLS, and is not spoken to so, says nothing.
    "the address, that a broker listens there, and security.protocol and sasl.*"
}

/// The refusal of a property or a client, without the property's value.
fn refused(error: &KafkaError) -> LogError {
    LogError::Invalid(match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => {
            format!("[log.kafka] {name} is no property that librdkafka knows; see its CONFIGURATION.md")
        }
        KafkaError::ClientConfig(_, why, name, _) if why.contains("not supported in this build") => {
            format!(
                "[log.kafka] {name} is for what this build of Rowcast is without; build it as docs/decisions/0011-librdkafka.md says"
            )
        }
        KafkaError::ClientConfig(_, _, name, _) => {
            format!("[log.kafka] {name} has a value that it cannot have; see librdkafka's CONFIGURATION.md")
        }
        other => format!("librdkafka makes no client ({other}); check the properties under [log.kafka]"),
    })
}

/// What a client says of its connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<State>);

struct State {
    said: Mutex<Option<String>>,
    refused: Mutex<bool>,
    /// Since when no broker has been there, in milliseconds since 1970.
    down_since_ms: watch::Sender<Option<i64>>,
}

impl Default for Link {
    fn default() -> Link {
        Link(Arc::new(State {
            said: Mutex::new(None),
            refused: Mutex::new(false),
            down_since_ms: watch::Sender::new(None),
        }))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&*self.0.down_since_ms.borrow()).finish()
    }
}

impl Link {
    /// The last thing that went wrong.
    pub(crate) fn said(&self) -> String {
        self.0.said.lock().clone().unwrap_or_else(|| "no answer".to_owned())
    }

    /// A sentence for operators, while no broker is there.
    pub(crate) fn away(&self, options: &KafkaOptions) -> Option<String> {
        let said = self.is_known_down().then(|| self.said())?;
        let (bootstrap, check) = (&options.bootstrap, to_check(&said));
        Some(format!(
            "waiting for Kafka at {bootstrap} ({said}); check {check} under [log.kafka]"
        ))
    }

    /// Trying on is of no use: who we are, or how we ask, was refused.
    fn is_refused(&self) -> bool {
        *self.0.refused.lock()
    }

    pub(crate) fn is_known_down(&self) -> bool {
        self.0.down_since_ms.borrow().is_some()
    }

    /// Since when no broker has been there.
    pub(crate) fn down_since_ms(&self) -> watch::Receiver<Option<i64>> {
        self.0.down_since_ms.subscribe()
    }

    /// No broker is there.
    pub(crate) fn is_down(&self) {
        self.0.down_since_ms.send_if_modified(|since| {
            let news = since.is_none();
            since.get_or_insert_with(now_ms);
            news
        });
    }

    /// A broker answered.
    pub(crate) fn is_up(&self) {
        // Asked for each batch of records: it must not take the write lock for nothing.
        if self.0.down_since_ms.borrow().is_some() {
            *self.0.said.lock() = None;
            self.0.down_since_ms.send_replace(None);
        }
    }
}

impl ClientContext for Link {
    fn log(&self, level: RDKafkaLogLevel, kind: &str, line: &str) {
        match level {
            // A property that concerns another kind of client than this one.
            _ if kind == "CONFWARN" => tracing::debug!(target: "librdkafka", "{line}"),
            RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info => tracing::debug!(target: "librdkafka", "{line}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Warning => tracing::info!(target: "librdkafka", "{line}"),
            _ => tracing::warn!(target: "librdkafka", "{line}"),
        }
    }

    fn error(&self, error: KafkaError, why: &str) {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::PartitionEOF) => return,
            Some(RDKafkaErrorCode::AllBrokersDown) => return self.is_down(),
            Some(RDKafkaErrorCode::Authentication) if !tokens::is_final(why) => {}
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => *self.0.refused.lock() = true,
            _ => {}
        }
        tracing::debug!(target: "librdkafka", "{error}: {why}");
        *self.0.said.lock() = Some(why.to_owned());
    }
}

impl ConsumerContext for Link {}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_1970.as_millis() as i64
}

/// Runs what blocks, from a runtime's thread as from any other.
pub(crate) fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Properties for a broker that is not there.
    pub(in crate::kafka) fn options(properties: &[(&str, &str)]) -> KafkaOptions {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        KafkaOptions {
            bootstrap: "127.0.0.1:1".to_owned(),
            properties: properties.iter().map(owned).collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn what_our_promises_rest_on_cannot_be_set() {
        assert!(check(&options(&[("compression.codec", "zstd"), ("ssl.ca.location", "/x")])).is_ok());
        for name in OURS {
            let refused = check(&options(&[(name, "x")])).unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("cannot be set"), "{refused}");
        }
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        let refused = check(&options(&[("sasl.pasword", "secret")]));
        let refused =
            refused.and_then(|()| consumer(&options(&[("sasl.pasword", "secret")]), Link::default()).map(drop));
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("sasl.pasword") && !refused.contains("secret"),
            "{refused}"
        );
        let refused = consumer(&options(&[("security.protocol", "secret")]), Link::default()).map(drop);
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("security.protocol") && !refused.contains("secret"),
            "{refused}"
        );
    }

    #[test]
    fn what_our_librdkafka_is_without_is_said() {
        let refused = check(&options(&[("ssl.ca.certificate.stores", "secret")])).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("ssl.ca.certificate.stores is for what this build") && !refused.contains("secret"),
            "{refused}"
        );
    }

    /// A librdkafka that is built otherwise may never say so (decision 11).
    #[test]
    fn librdkafka_says_that_no_broker_is_there() {
        let link = Link::default();
        let client = consumer(&options(&[("reconnect.backoff.ms", "10")]), link.clone()).unwrap();
        let began = std::time::Instant::now();
        while !link.is_known_down() {
            assert!(began.elapsed() < CONNECT_TIMEOUT, "it does not say so");
            // An error of the client's comes by its callback.
            client.poll(CONNECT_LOOK);
        }
    }

    /// As OpenSSL and brokers say it; a real broker's words are in `promises/kafka_security.rs`.
    #[test]
    fn what_is_said_leads_to_a_property() {
        for (said, check) in [
            ("no answer", "the address, that"),
            (
                "SASL OAUTHBEARER mechanism handshake failed: Broker: Unsupported",
                "sasl.mechanism",
            ),
            (
                "SASL authentication error: {\"status\":\"invalid_token\"} (after 312ms in state AUTH_REQ)",
                "that the broker trusts",
            ),
            (
                "SSL routines::certificate verify failed: IP address mismatch",
                "that the broker's certificate",
            ),
            (
                "SSL routines::tlsv1 alert unknown ca: SSL alert number 48",
                "ssl.certificate.location",
            ),
        ] {
            assert!(to_check(said).starts_with(check), "{said}: {}", to_check(said));
        }
    }

    #[test]
    fn our_librdkafka_has_what_clusters_ask_for() {
        let native = config(&options(&[])).create_native_config().unwrap();
        let features = native.get("builtin.features").unwrap();
        let features: Vec<&str> = features.split(',').collect();
        for wanted in [
            "ssl",
            "sasl_plain",
            "sasl_scram",
            "sasl_oauthbearer",
            "oidc",
            "zstd",
            "gzip",
            "snappy",
            "lz4",
        ] {
            assert!(features.contains(&wanted), "{wanted} is not in {features:?}");
        }
    }

    #[test]
    fn nobody_at_the_address_is_said_with_the_address() {
        let why = connect(&options(&[("reconnect.backoff.ms", "10")]), &Link::default())
            .unwrap_err()
            .to_string();
        assert!(
            why.contains("127.0.0.1:1") && why.contains("Connection refused"),
            "{why}"
        );
    }
}
