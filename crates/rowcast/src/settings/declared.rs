//! Declares every setting of `rowcast` once: the flag, the environment name, the key in `rowcast.toml`, the default, the
//! help, and which subcommand takes it all come from this table.

/// What a process of `rowcast` does: the subcommands that take settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything in one process.
    Run,
    /// Connectors that write to Kafka.
    Capture,
    /// Clients, served from Kafka.
    Gateway,
    /// Looks into a topic.
    Tail,
}

impl Role {
    /// The subcommand's name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Run => "run",
            Role::Capture => "capture",
            Role::Gateway => "gateway",
            Role::Tail => "tail",
        }
    }

    /// Connectors run in it.
    pub fn captures(self) -> bool {
        CAPTURES.contains(&self)
    }

    /// Clients connect to it.
    pub fn serves(self) -> bool {
        SERVES.contains(&self)
    }
}

const EVERYWHERE: &[Role] = &[Role::Run, Role::Capture, Role::Gateway, Role::Tail];
const SERVERS: &[Role] = &[Role::Run, Role::Capture, Role::Gateway];
const CAPTURES: &[Role] = &[Role::Run, Role::Capture];
const SERVES: &[Role] = &[Role::Run, Role::Gateway];
const LOGS: &[Role] = &[Role::Run, Role::Gateway, Role::Tail];

/// One setting.
pub struct Setting {
    /// Dotted key in `rowcast.toml`; its last part is the flag, with dashes, and the environment name, with `ROWCAST_`
    /// and in upper case.
    pub key: &'static str,
    /// Which subcommands take it.
    pub of: &'static [Role],
    /// What the value is, for the help.
    pub value_name: &'static str,
    /// Text of the default; empty for none.
    pub default: &'static str,
    /// May be given many times (a list in the file, separated by commas in the environment).
    pub many: bool,
    /// One or two sentences.
    pub help: &'static str,
}

impl Setting {
    /// `--data-dir`.
    pub fn flag(&self) -> String {
        self.name().replace('_', "-")
    }

    /// `ROWCAST_DATA_DIR`.
    pub fn environment_name(&self) -> String {
        format!("ROWCAST_{}", self.name().to_uppercase())
    }

    fn name(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }
}

/// The settings that a subcommand takes.
pub fn settings_of(role: Role) -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(move |setting| setting.of.contains(&role))
}

const fn one(
    of: &'static [Role],
    key: &'static str,
    value_name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        key,
        of,
        value_name,
        default,
        many: false,
        help,
    }
}

const fn many(of: &'static [Role], key: &'static str, value_name: &'static str, help: &'static str) -> Setting {
    Setting {
        key,
        of,
        value_name,
        default: "",
        many: true,
        help,
    }
}

/// All of them, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    many(
        CAPTURES,
        "connector",
        "FILE",
        "A connector's JSON file, as for Kafka Connect: {\"name\":...,\"config\":{...}}. May be repeated",
    ),
    one(
        LOGS,
        "data_dir",
        "DIR",
        "./rowcast-data",
        "Where the log is kept. With --kafka, where copies of its topics are kept: ./rowcast-copies if left out; what is \
         in them is fetched again when they are lost",
    ),
    one(
        EVERYWHERE,
        "log.kafka",
        "HOST:PORT",
        "",
        "Keeps the log on Apache Kafka: the address of a broker, or several with commas between. In the file, a table \
         [log.kafka] takes it as bootstrap.servers, beside any other property of librdkafka's (security.protocol, \
         sasl.username, ...)",
    ),
    many(
        SERVES,
        "topic",
        "NAME",
        "With --kafka, a topic to serve, whoever fills it; with a * at its end, all whose names begin so. If left out: \
         every topic that a rowcast capture writes. `rowcast run` serves its own connectors' topics besides. May be \
         repeated",
    ),
    one(
        SERVES,
        "listen",
        "ADDR:PORT",
        "127.0.0.1:3000",
        "The public listener: live page, /ws, /sse, /health",
    ),
    one(
        SERVERS,
        "metrics_listen",
        "ADDR:PORT",
        "127.0.0.1:9464",
        "The operator listener: /metrics for Prometheus, /health. Keep it off public networks",
    ),
    many(
        SERVES,
        "allowed_origin",
        "ORIGIN",
        "A web origin (https://shop.example) whose pages may connect, besides this server's own. May be repeated",
    ),
    many(
        SERVES,
        "allowed_host",
        "NAME",
        "A name under which this server answers, besides localhost, 127.0.0.0/8, [::1] and the listen address; other \
         names get 421, so that no web site can reach it by pointing its own name here (DNS rebinding). * allows any. If \
         left out: only those when listening on loopback, where nobody else can be meant; any when listening elsewhere, \
         since only you know its names there. May be repeated",
    ),
    one(
        SERVES,
        "connections_max",
        "N",
        "15000",
        "Clients at once; more are answered 503 with Retry-After",
    ),
    one(
        SERVES,
        "subscriptions_max",
        "N",
        "128",
        "Subscriptions of one connection",
    ),
    one(
        SERVES,
        "message_bytes_max",
        "BYTES",
        "65536",
        "Largest message a client may send",
    ),
    one(
        SERVES,
        "handshake_timeout_ms",
        "MS",
        "10000",
        "Time for a client to finish its request",
    ),
    one(
        SERVES,
        "ping_after_ms",
        "MS",
        "20000",
        "Silence after which a client is pinged",
    ),
    one(
        SERVES,
        "dead_after_ms",
        "MS",
        "45000",
        "Silence after which a client is given up",
    ),
    one(
        SERVES,
        "stalled_after_ms",
        "MS",
        "30000",
        "How long a client may accept nothing while data waits for it; then it is closed, and resumes with its cursor",
    ),
    one(
        SERVES,
        "ring_bytes_max",
        "BYTES",
        "4194304",
        "Recent frames that each feed keeps in memory; clients further behind read the log",
    ),
    one(
        SERVERS,
        "log_level",
        "FILTER",
        "info",
        "What is logged: error, warn, info, debug, or a tracing filter",
    ),
    one(SERVERS, "log_format", "text|json", "text", "How log lines look"),
];
