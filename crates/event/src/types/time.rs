//! Dates, times, timestamps (`time.precision.mode`) and intervals (`interval.handling.mode`).

use super::Plan;
use crate::{
    IntervalMode, TimeMode, ValueModes,
    converter::Converter,
    default_expression::DefaultRule,
    schema::Schema,
    toast::Toast,
    values::temporal::{DateReading, TimeForm},
};

/// PostgreSQL's fraction digits of a time whose type has no modifier.
const FRACTION_DIGITS_DEFAULT: i32 = 6;

pub(super) fn plan(oid: u32, type_modifier: i32, modes: &ValueModes) -> Option<Plan> {
    let fraction_digits = if type_modifier < 0 {
        FRACTION_DIGITS_DEFAULT
    } else {
        type_modifier
    };
    let plan = match oid {
        1082 => date(modes.time),
        1083 => time(modes.time, fraction_digits),
        1266 => temporal(
            Converter::ZonedTime,
            "string",
            "io.debezium.time.ZonedTime",
            "00:00:00+00",
        )
        .default(DefaultRule::Dropped),
        1114 => timestamp(modes.time, fraction_digits),
        1184 => zoned_timestamp(fraction_digits),
        1186 => interval(modes.interval),
        _ => return None,
    };
    Some(plan)
}

fn temporal(converter: Converter, type_word: &'static str, semantic: &'static str, zero: &'static str) -> Plan {
    let plan = Plan::new(converter, Schema::named(type_word, semantic), zero);
    plan.default(DefaultRule::Temporal).in_arrays(Toast::Null)
}

fn date(mode: TimeMode) -> Plan {
    let iso = mode == TimeMode::IsoString;
    let (type_word, semantic, toast) = match mode {
        TimeMode::IsoString => ("string", "io.debezium.time.IsoDate", Toast::Null),
        TimeMode::Connect => ("int32", "org.apache.kafka.connect.data.Date", Toast::Null),
        _ => ("int32", "io.debezium.time.Date", Toast::PlaceholderNumbers),
    };
    let read_by = |reading| Converter::Date { iso, reading };
    let plan = temporal(read_by(DateReading::Stream), type_word, semantic, "1970-01-01").in_arrays(toast);
    Plan {
        snapshot_converter: read_by(DateReading::Snapshot),
        default_converter: read_by(DateReading::Default),
        ..plan
    }
}

fn time(mode: TimeMode, fraction_digits: i32) -> Plan {
    let (form, type_word, semantic) = match mode {
        TimeMode::IsoString => (TimeForm::Iso, "string", "io.debezium.time.IsoTime"),
        TimeMode::Connect => (TimeForm::Milliseconds, "int32", "org.apache.kafka.connect.data.Time"),
        TimeMode::Nanoseconds => (TimeForm::Nanoseconds, "int64", "io.debezium.time.NanoTime"),
        TimeMode::Adaptive if fraction_digits <= 3 => (TimeForm::Milliseconds, "int32", "io.debezium.time.Time"),
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
            (TimeForm::Microseconds, "int64", "io.debezium.time.MicroTime")
        }
    };
    temporal(Converter::TimeOfDay(form), type_word, semantic, "00:00:00")
}

fn timestamp(mode: TimeMode, fraction_digits: i32) -> Plan {
    let (form, type_word, semantic) = match mode {
        TimeMode::IsoString => (TimeForm::Iso, "string", "io.debezium.time.IsoTimestamp"),
        TimeMode::Connect => (
            TimeForm::Milliseconds,
            "int64",
            "org.apache.kafka.connect.data.Timestamp",
        ),
        TimeMode::Nanoseconds => (TimeForm::Nanoseconds, "int64", "io.debezium.time.NanoTimestamp"),
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds if fraction_digits <= 3 => {
            (TimeForm::Milliseconds, "int64", "io.debezium.time.Timestamp")
        }
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds | TimeMode::Microseconds => {
            (TimeForm::Microseconds, "int64", "io.debezium.time.MicroTimestamp")
        }
    };
    temporal(Converter::Timestamp(form), type_word, semantic, "1970-01-01 00:00:00")
}

fn zoned_timestamp(fraction_digits: i32) -> Plan {
    let converter = Converter::ZonedTimestamp {
        fraction_digits: fraction_digits.clamp(0, 6) as u8,
    };
    let zero = "1970-01-01 00:00:00+00";
    Plan {
        filler: Converter::ZonedTimestamp { fraction_digits: 0 },
        ..temporal(converter, "string", "io.debezium.time.ZonedTimestamp", zero)
    }
}

/// Arrays of them are left out.
fn interval(mode: IntervalMode) -> Plan {
    let (converter, type_word, semantic) = match mode {
        IntervalMode::Numeric => (Converter::IntervalMicros, "int64", "io.debezium.time.MicroDuration"),
        IntervalMode::String => (Converter::IntervalIso, "string", "io.debezium.time.Interval"),
    };
    Plan::new(converter, Schema::named(type_word, semantic), "00:00:00").default(DefaultRule::Temporal)
}
