//! The measurements, one file each, in the order in which they run.

use anyhow::Result;

use crate::{bench::Bench, results::Row};

pub(crate) mod drain;
pub(crate) mod fan_out;
pub(crate) mod functions;
pub(crate) mod idle;
pub(crate) mod kafka;
pub(crate) mod latency;
pub(crate) mod snapshot;
pub(crate) mod start;

/// One measurement.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Bench) -> Result<Row>,
}

/// All of them: quiet ones first, so that they find a machine without the heat of the others.
pub(crate) const MEASUREMENTS: [Measurement; 19] = [
    Measurement {
        name: "latency",
        run: latency::run,
    },
    Measurement {
        name: "start",
        run: start::run,
    },
    Measurement {
        name: "idle-memory",
        run: idle::memory,
    },
    Measurement {
        name: "idle-cpu",
        run: idle::cpu,
    },
    Measurement {
        name: "fan-out-1000",
        run: fan_out::one_thousand,
    },
    Measurement {
        name: "fan-out-1000-v1",
        run: fan_out::one_thousand_subscriptions,
    },
    Measurement {
        name: "fan-out-5000",
        run: fan_out::five_thousand,
    },
    Measurement {
        name: "saturated-5000",
        run: fan_out::five_thousand_saturated,
    },
    Measurement {
        name: "fan-out-10000",
        run: fan_out::ten_thousand,
    },
    Measurement {
        name: "drain",
        run: drain::run,
    },
    Measurement {
        name: "snapshot",
        run: snapshot::run,
    },
    Measurement {
        name: "kafka-latency",
        run: kafka::latency::at_least_once,
    },
    Measurement {
        name: "kafka-latency-transactions",
        run: kafka::latency::transactions,
    },
    Measurement {
        name: "kafka-idle-cpu",
        run: kafka::idle::run,
    },
    Measurement {
        name: "kafka-reconnect",
        run: kafka::reconnect::run,
    },
    Measurement {
        name: "kafka-gateway-start",
        run: kafka::gateway_start::run,
    },
    Measurement {
        name: "kafka-drain",
        run: kafka::drain::at_least_once,
    },
    Measurement {
        name: "kafka-drain-transactions",
        run: kafka::drain::transactions,
    },
    Measurement {
        name: "functions",
        run: functions::run,
    },
];
