//! The records of `pg_logical_emit_message`: what an application writes into the WAL beside its rows.
//!
//! Debezium's `LogicalDecodingMessageMonitor`: one topic for all, the prefix as key, the content as `binary.handling.mode`
//! says. There are no headers, and of the clock only milliseconds.

use std::sync::Arc;

use crate::{
    BinaryMode, EncodedRecords, EventOptions, Origin, Position, TransactionMark,
    json::write_string,
    record_schema::{SOURCE, TRANSACTION, Wrapping},
    source_block::{Envelope, after_lsn, no_transaction, write_number},
    transaction::{self, TransactionCounts},
    values::binary::write_text,
};

/// One logical message.
#[derive(Clone, Copy, Debug)]
pub struct LogicalMessage<'a> {
    /// Where it stands.
    pub position: Position,
    /// The rest of its `source` block; without a transaction's id if it is part of none.
    pub origin: Origin,
    /// What its writer calls it.
    pub prefix: &'a str,
    /// Any bytes.
    pub content: &'a [u8],
    /// Of one that is part of no transaction: it is whole by itself, and this is its end.
    pub mark: Option<TransactionMark>,
}

/// Writes the records of logical messages; made once for a connector.
#[derive(Debug)]
pub struct MessageEncoder {
    /// The topic of all messages: `<topic.prefix>.message`, whatever `topic.delimiter` says.
    pub topic: Arc<str>,
    wrapping: Wrapping,
    envelope: Envelope,
    collection: Arc<str>,
    mode: BinaryMode,
}

impl MessageEncoder {
    /// For a connector with these options.
    pub fn new(options: &EventOptions) -> MessageEncoder {
        MessageEncoder {
            topic: format!("{}.message", options.topic_prefix).into(),
            wrapping: Wrapping::of(options, KEY, || value_schema(options.modes.binary)),
            envelope: Envelope::of("", "", options),
            collection: transaction::MESSAGES.into(),
            mode: options.modes.binary,
        }
    }

    /// Appends the message's record to `out`. `now_ns` is the clock since 1970 in nanoseconds.
    /// With `counts`, one that is part of a transaction is counted there.
    pub fn encode(
        &self,
        message: &LogicalMessage<'_>,
        now_ns: i64,
        counts: Option<&mut TransactionCounts>,
        out: &mut EncodedRecords,
    ) {
        let arena = out.arena();
        let start = arena.len();
        arena.extend_from_slice(self.wrapping.key());
        arena.extend_from_slice(b"{\"prefix\":");
        write_string(message.prefix.as_bytes(), arena);
        arena.push(b'}');
        arena.extend_from_slice(self.wrapping.key_end());
        let key = start..arena.len();

        arena.extend_from_slice(self.wrapping.value(false));
        arena.extend_from_slice(b"{\"op\":\"m\",\"ts_ms\":");
        write_number(now_ns.div_euclid(1_000_000), arena);
        self.envelope.write_source(&message.origin, arena);
        arena.extend_from_slice(after_lsn!().as_bytes());
        match counts.filter(|_| message.origin.xid.is_some()) {
            None => arena.extend_from_slice(no_transaction!().as_bytes()),
            Some(counts) => transaction::write_block(&message.origin, counts.count(&self.collection), arena),
        }
        arena.extend_from_slice(br#","message":{"prefix":"#);
        write_string(message.prefix.as_bytes(), arena);
        arena.extend_from_slice(b",\"content\":");
        write_text(message.content, self.mode, arena).expect("all bytes have a text in every mode");
        arena.extend_from_slice(b"}}");
        arena.extend_from_slice(self.wrapping.value_end());
        let value = key.end..arena.len();
        out.push_bare(key, value);
    }
}

const PREFIX: &str = r#"{"type":"string","optional":true,"field":"prefix"}"#;

const KEY: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":true,"field":"prefix"}],"optional":false,"#,
    r#""name":"io.debezium.connector.postgresql.MessageKey","version":1}"#,
);

fn value_schema(mode: BinaryMode) -> String {
    let content = match mode {
        BinaryMode::Bytes => "bytes",
        BinaryMode::Base64 | BinaryMode::Base64UrlSafe | BinaryMode::Hex => "string",
    };
    format!(
        concat!(
            r#"{{"type":"struct","fields":[{{"type":"string","optional":false,"field":"op"}},"#,
            r#"{{"type":"int64","optional":true,"field":"ts_ms"}},{SOURCE},{TRANSACTION},"#,
            r#"{{"type":"struct","fields":[{PREFIX},{{"type":"{content}","optional":true,"field":"content"}}],"optional":false,"#,
            r#""name":"io.debezium.connector.postgresql.Message","version":1,"field":"message"}}],"optional":false,"#,
            r#""name":"io.debezium.connector.postgresql.MessageValue","version":1}}"#,
        ),
        SOURCE = SOURCE,
        TRANSACTION = TRANSACTION,
        PREFIX = PREFIX,
        content = content,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lsn, SnapshotMarker};

    fn record(mode: BinaryMode, content: &[u8]) -> (String, String) {
        let mut options = EventOptions::new("tp", "appdb", "run");
        options.modes.binary = mode;
        let message = LogicalMessage {
            position: Position::default(),
            origin: Origin {
                ts_us: 1_785_830_400_123_456,
                xid: None,
                last_commit_lsn: Some(Lsn(46_523_128)),
                lsn: Lsn(46_523_128),
                snapshot: SnapshotMarker::Streamed,
            },
            prefix: "f\"oo",
            content,
            mark: None,
        };
        let mut out = EncodedRecords::default();
        MessageEncoder::new(&options).encode(&message, 1_785_830_400_200_123_000, None, &mut out);
        let mut record = (String::new(), String::new());
        out.for_each(|encoded| {
            assert!(encoded.headers.is_empty());
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("both are there").to_vec()).expect("JSON");
            record = (text(encoded.key), text(encoded.value));
        });
        record
    }

    #[test]
    fn a_message_outside_of_transactions_is_its_own_last_commit() {
        let (key, value) = record(BinaryMode::Bytes, b"hello");
        assert_eq!(key, r#"{"prefix":"f\"oo"}"#);
        let expected = concat!(
            r#"{"op":"m","ts_ms":1785830400200,"source":{"version":"3.6.1.Final","connector":"postgresql","name":"tp","#,
            r#""ts_ms":1785830400123,"snapshot":"false","db":"appdb","sequence":"[\"46523128\",\"46523128\"]","#,
            r#""ts_us":1785830400123456,"ts_ns":1785830400123456000,"schema":"","table":"","txId":null,"lsn":46523128,"#,
            r#""xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"#,
            r#""message":{"prefix":"f\"oo","content":"aGVsbG8="}}"#,
        );
        assert_eq!(value, expected);
    }

    #[test]
    fn the_content_is_as_the_mode_says() {
        let (_, value) = record(BinaryMode::Hex, b"\x00\xff");
        assert!(value.ends_with(r#""content":"00ff"}}"#), "{value}");
        let (_, value) = record(BinaryMode::Base64UrlSafe, b"\xff\xff");
        assert!(value.ends_with(r#""content":"__8="}}"#), "{value}");
    }
}
