//! Names of topics, as Debezium's default naming strategy makes them.
//!
//! Two tables whose names differ only in characters that Kafka does not allow have the same topic, as in Debezium: whoever
//! captures tables sees to it that no two of them do.

use crate::EventOptions;

/// Kafka's limit for topic names; longer ones are cut.
const TOPIC_NAME_CHARACTERS_MAX: usize = 249;

/// `prefix.schema.table`, with `topic.delimiter` between, where each UTF-16 unit outside `[A-Za-z0-9._-]` is an underscore.
pub fn topic_name(options: &EventOptions, schema: &str, table: &str) -> String {
    let allowed = |unit: u16| match u8::try_from(unit).map(char::from) {
        Ok(character) if character.is_ascii_alphanumeric() || "._-".contains(character) => character,
        _ => '_',
    };
    let name = [&*options.topic_prefix, schema, table].join(&options.topic_delimiter);
    name.encode_utf16()
        .map(allowed)
        .take(TOPIC_NAME_CHARACTERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_forbids_becomes_underscores_by_utf16_unit() {
        let topic_name = |prefix, schema, table| topic_name(&EventOptions::new(prefix, "", ""), schema, table);
        assert_eq!(topic_name("tp", "public", "customers"), "tp.public.customers");
        assert_eq!(
            topic_name("p", "Ünïcode Schema", "Täble 😀"),
            "p._n_code_Schema.T_ble___"
        );
        assert_eq!(topic_name("p", "s", &"x".repeat(300)).len(), 249);
    }
}
