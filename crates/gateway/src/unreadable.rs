//! Says what was found where a record should be JSON, so that whoever set the topic up knows what to change.
//!
//! Tells formats by their first bytes, and nothing of what a record holds.

use std::fmt;

/// What a value that is not JSON looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Empty,
    /// Zero and the number of a schema: what serializers for Confluent's schema registry write.
    ConfluentWireFormat,
    AvroFile,
    Gzip,
    JavaObject,
    ByteOrderMark,
    /// It begins as JSON does.
    BrokenJson,
    Text,
    Binary,
}

/// Magic byte and schema number of Confluent's wire format.
const CONFLUENT_HEAD_BYTES: usize = 5;

impl Unreadable {
    /// Of a value that was found not to be JSON.
    pub(crate) fn of(value: &[u8]) -> Unreadable {
        match value {
            [] => Unreadable::Empty,
            [0, rest @ ..] if rest.len() + 1 >= CONFLUENT_HEAD_BYTES => Unreadable::ConfluentWireFormat,
            [b'O', b'b', b'j', 1, ..] => Unreadable::AvroFile,
            [0x1F, 0x8B, ..] => Unreadable::Gzip,
            [0xAC, 0xED, ..] => Unreadable::JavaObject,
            [0xEF, 0xBB, 0xBF, ..] => Unreadable::ByteOrderMark,
            _ if std::str::from_utf8(value).is_err() => Unreadable::Binary,
            _ if value.iter().any(|byte| is_binary_control(*byte)) => Unreadable::Binary,
            _ if matches!(value.trim_ascii_start(), [b'{' | b'[' | b'"', ..]) => Unreadable::BrokenJson,
            _ => Unreadable::Text,
        }
    }

    /// The sentence for clients and the operator.
    pub(crate) fn sentence(self, topic: &str, offset: u64) -> String {
        format!(
            "record {offset} of {topic} is not JSON: {self}. It is left out, as others like it will be; connect without a \
             subprotocol to get values as they are"
        )
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unreadable::Empty => "it has no bytes (a delete is a record with a null value)",
            Unreadable::ConfluentWireFormat => {
                "it begins with the magic byte of Confluent's wire format: is the topic Avro? Rowcast reads JSON, as \
                 org.apache.kafka.connect.json.JsonConverter writes it"
            }
            Unreadable::AvroFile => "it begins as an Avro file does; Rowcast reads JSON",
            Unreadable::Gzip => {
                "it begins as gzip does: compress with the producer's compression.type instead, which every reader undoes"
            }
            Unreadable::JavaObject => "it begins as a serialised Java object does; Rowcast reads JSON",
            Unreadable::ByteOrderMark => "it begins with a byte order mark, which JSON does not allow",
            Unreadable::BrokenJson => "it begins as JSON does, but is damaged or cut",
            Unreadable::Text => "it is plain text; Rowcast reads JSON",
            Unreadable::Binary => "it is binary: is the topic Protobuf, or Avro without a registry? Rowcast reads JSON",
        })
    }
}

/// A control character that no text has.
pub(crate) fn is_binary_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        let of = |value: &[u8]| Unreadable::of(value);
        assert_eq!(of(b""), Unreadable::Empty);
        assert_eq!(of(b"\0\0\0\0\x2A\x02\x06abc"), Unreadable::ConfluentWireFormat);
        assert_eq!(of(b"\0\0"), Unreadable::Binary);
        assert_eq!(of(b"Obj\x01\x04"), Unreadable::AvroFile);
        assert_eq!(of(b"\x1F\x8B\x08"), Unreadable::Gzip);
        assert_eq!(of(b"\xAC\xED\0\x05"), Unreadable::JavaObject);
        assert_eq!(of(b"\xEF\xBB\xBF{}"), Unreadable::ByteOrderMark);
        assert_eq!(of(b"\x08\x96\x01"), Unreadable::Binary);
        assert_eq!(of(b"\x0A\x03abc"), Unreadable::Binary);
        assert_eq!(of(b" {\"id\":"), Unreadable::BrokenJson);
        assert_eq!(of(b"order 7 shipped"), Unreadable::Text);
    }

    #[test]
    fn the_sentence_names_topic_and_offset_and_no_content() {
        let sentence = Unreadable::of(b"secret order").sentence("shop.orders", 17);
        assert!(
            sentence.starts_with("record 17 of shop.orders is not JSON: it is plain text"),
            "{sentence}"
        );
        assert!(!sentence.contains("secret"));
    }
}
