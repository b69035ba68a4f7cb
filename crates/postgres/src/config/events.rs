//! What of a configuration shapes records, in the words of `rowcast-event`.

use rowcast_event::{
    BinaryMode, DecimalMode, EventOptions, HstoreMode, IntervalMode, JsonConverter, NameAdjustment, NamePattern,
    SkippedRecords, TimeMode, ValueModes,
};

use super::{SkippedOperations, captured::Patterns, masks, values::Values};

/// Values that are not valid, which `errors` will tell of, are taken for the defaults.
pub(super) fn compile(values: &Values, errors: &mut Vec<String>) -> EventOptions {
    EventOptions {
        transaction_topic: values.text("topic.transaction").to_owned(),
        tombstones_on_delete: values.switch("tombstones.on.delete"),
        skipped: {
            let skipped = SkippedOperations::build(values);
            SkippedRecords {
                creates: skipped.insert,
                updates: skipped.update,
                deletes: skipped.delete,
            }
        },
        unavailable_value_placeholder: values.text("unavailable.value.placeholder").to_owned(),
        modes: modes(values),
        key_converter: converter(values, "key.converter"),
        value_converter: converter(values, "value.converter"),
        schema_names: adjustment(values, "schema.name.adjustment.mode"),
        field_names: adjustment(values, "field.name.adjustment.mode"),
        propagated_columns: pattern(values, "column.propagate.source.type", errors),
        propagated_types: pattern(values, "datatype.propagate.source.type", errors),
        topic_delimiter: values.text("topic.delimiter").to_owned(),
        skip_unchanged: values.switch("skip.messages.without.change"),
        context_headers: values.switch("extended.headers.enabled"),
        masks: masks::compile(values, errors),
        ..EventOptions::new(values.text("topic.prefix"), values.text("database.dbname"), "")
    }
}

fn modes(values: &Values) -> ValueModes {
    ValueModes {
        decimal: match &*values.word("decimal.handling.mode") {
            "double" => DecimalMode::Double,
            "string" => DecimalMode::String,
            _ => DecimalMode::Precise,
        },
        time: match &*values.word("time.precision.mode") {
            "adaptive_time_microseconds" => TimeMode::AdaptiveTimeMicroseconds,
            "connect" => TimeMode::Connect,
            "isostring" => TimeMode::IsoString,
            "microseconds" => TimeMode::Microseconds,
            "nanoseconds" => TimeMode::Nanoseconds,
            _ => TimeMode::Adaptive,
        },
        interval: match &*values.word("interval.handling.mode") {
            "string" => IntervalMode::String,
            _ => IntervalMode::Numeric,
        },
        binary: match &*values.word("binary.handling.mode") {
            "base64" => BinaryMode::Base64,
            "base64-url-safe" => BinaryMode::Base64UrlSafe,
            "hex" => BinaryMode::Hex,
            _ => BinaryMode::Bytes,
        },
        hstore: match &*values.word("hstore.handling.mode") {
            "map" => HstoreMode::Map,
            _ => HstoreMode::Json,
        },
        include_unknown: values.switch("include.unknown.datatypes"),
        money_fraction_digits: values
            .text("money.fraction.digits")
            .parse()
            .unwrap_or(ValueModes::default().money_fraction_digits),
    }
}

fn converter(values: &Values, property: &str) -> JsonConverter {
    let of = |setting: &str| format!("{property}.{setting}");
    JsonConverter {
        schemas: values.switch(&of("schemas.enable")),
        null_is_default: values.switch(&of("replace.null.with.default")),
        decimal_is_number: values.word(&of("decimal.format")) == "numeric",
    }
}

fn adjustment(values: &Values, property: &str) -> NameAdjustment {
    match &*values.word(property) {
        "avro" => NameAdjustment::Avro,
        "avro_unicode" => NameAdjustment::AvroUnicode,
        _ => NameAdjustment::None,
    }
}

fn pattern(values: &Values, property: &str, errors: &mut Vec<String>) -> NamePattern {
    let Some(list) = values.given(property) else {
        return NamePattern::default();
    };
    let patterns = Patterns::compile(values, property, errors);
    NamePattern::new(list, move |name| patterns.match_any(name))
}
