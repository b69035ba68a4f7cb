//! Transaction metadata (`provide.transaction.metadata`): where each record stands in its transaction, and the two records that
//! tell where a transaction begins and what there was in it when it ends.
//!
//! Debezium's `TransactionMonitor`: ids are the transaction's and the LSN of the very record behind a colon, so group by what
//! is before it. Tombstones and what is skipped are not counted; the two halves of a key change are.

use std::{collections::HashMap, sync::Arc};

use crate::{
    EncodedRecords, EventOptions, Lsn, Origin, java_hash, json::write_string, record_schema::Wrapping,
    source_block::write_number,
};

/// What all logical messages are counted as. Debezium counts each as a collection of its own, by the identity of a Java object,
/// which is another one in every run.
pub(crate) const MESSAGES: &str = "LOGICAL_DECODING_MESSAGE";

/// Counts the records of one transaction after the other.
#[derive(Debug)]
pub struct TransactionCounts {
    total: u64,
    /// By `schema.table`, in the order in which they were met. Bounded by the tables of the database.
    collections: Vec<(Arc<str>, u64)>,
    places: HashMap<Arc<str>, usize>,
    /// Where the collection met last is: rows of one table come in a row.
    recent: usize,
    /// A Java `HashMap` that is emptied keeps its buckets.
    buckets: u32,
}

impl Default for TransactionCounts {
    fn default() -> TransactionCounts {
        TransactionCounts {
            total: 0,
            collections: Vec::new(),
            places: HashMap::new(),
            recent: 0,
            buckets: java_hash::capacity(0),
        }
    }
}

/// Where a record stands in its transaction, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) total: u64,
    pub(crate) in_collection: u64,
}

impl TransactionCounts {
    /// The next transaction begins.
    pub fn begin(&mut self) {
        self.total = 0;
        self.collections.clear();
        self.places.clear();
    }

    /// Counts one record.
    pub(crate) fn count(&mut self, collection: &Arc<str>) -> Order {
        let recent = self.collections.get(self.recent);
        if !recent.is_some_and(|(recent, _)| Arc::ptr_eq(recent, collection)) {
            self.recent = self.place(collection);
        }
        self.total += 1;
        let (_, count) = &mut self.collections[self.recent];
        *count += 1;
        Order {
            total: self.total,
            in_collection: *count,
        }
    }

    fn place(&mut self, collection: &Arc<str>) -> usize {
        if let Some(place) = self.places.get(collection) {
            return *place;
        }
        let place = self.collections.len();
        self.places.insert(collection.clone(), place);
        self.collections.push((collection.clone(), 0));
        self.buckets = self.buckets.max(java_hash::capacity(self.collections.len()));
        place
    }

    /// `[{"data_collection":…,"event_count":…},…]`, in the order of a Java `HashMap`.
    fn write_collections(&self, out: &mut Vec<u8>) {
        let mut collections: Vec<&(Arc<str>, u64)> = self.collections.iter().collect();
        collections.sort_by_key(|(name, _)| java_hash::bucket(name, self.buckets));
        out.push(b'[');
        for (place, (name, count)) in collections.into_iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"" } else { b"," });
            out.extend_from_slice(b"{\"data_collection\":");
            write_string(name.as_bytes(), out);
            out.extend_from_slice(b",\"event_count\":");
            write_number(count.cast_signed(), out);
            out.push(b'}');
        }
        out.push(b']');
    }
}

/// Writes `,"transaction":{…}`: the block of one record.
pub(crate) fn write_block(origin: &Origin, order: Order, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"transaction\":{\"id\":\"");
    write_id(origin, out);
    out.extend_from_slice(b"\",\"total_order\":");
    write_number(order.total.cast_signed(), out);
    out.extend_from_slice(b",\"data_collection_order\":");
    write_number(order.in_collection.cast_signed(), out);
    out.push(b'}');
}

/// `742:23476200`.
fn write_id(origin: &Origin, out: &mut Vec<u8>) {
    write_number(i64::from(origin.xid.unwrap_or_default()), out);
    out.push(b':');
    write_number(origin.lsn.0.cast_signed(), out);
}

/// Writes the records of the transaction topic; made once for a connector.
#[derive(Debug)]
pub struct TransactionEncoder {
    /// Their topic.
    pub topic: Arc<str>,
    wrapping: Wrapping,
}

impl TransactionEncoder {
    /// For a connector with these options.
    pub fn new(options: &EventOptions) -> TransactionEncoder {
        TransactionEncoder {
            topic: [&*options.topic_prefix, &options.transaction_topic]
                .join(&options.topic_delimiter)
                .into(),
            wrapping: Wrapping::of(options, KEY, || VALUE.to_owned()),
        }
    }

    /// Appends the record that says that a transaction begins: before the first of it. `origin` is the beginning's.
    pub fn begin(&self, origin: &Origin, out: &mut EncodedRecords) {
        self.encode(b"BEGIN", origin, None, out);
    }

    /// Appends the record that says that a transaction is whole, and tells where that stands. `begin` is the beginning's origin.
    pub fn end(&self, begin: &Origin, end_lsn: Lsn, counts: &TransactionCounts, out: &mut EncodedRecords) -> Origin {
        let origin = Origin { lsn: end_lsn, ..*begin };
        self.encode(b"END", &origin, Some(counts), out);
        origin
    }

    fn encode(&self, status: &[u8], origin: &Origin, counts: Option<&TransactionCounts>, out: &mut EncodedRecords) {
        let arena = out.arena();
        let start = arena.len();
        arena.extend_from_slice(self.wrapping.key());
        arena.extend_from_slice(b"{\"id\":\"");
        write_id(origin, arena);
        arena.extend_from_slice(b"\"}");
        arena.extend_from_slice(self.wrapping.key_end());
        let key = start..arena.len();

        arena.extend_from_slice(self.wrapping.value(false));
        arena.extend_from_slice(b"{\"status\":\"");
        arena.extend_from_slice(status);
        arena.extend_from_slice(b"\",\"id\":\"");
        write_id(origin, arena);
        arena.extend_from_slice(b"\",\"event_count\":");
        match counts {
            None => arena.extend_from_slice(b"null,\"data_collections\":null"),
            Some(counts) => {
                write_number(counts.total.cast_signed(), arena);
                arena.extend_from_slice(b",\"data_collections\":");
                counts.write_collections(arena);
            }
        }
        arena.extend_from_slice(b",\"ts_ms\":");
        write_number(origin.ts_us.div_euclid(1000), arena);
        arena.push(b'}');
        arena.extend_from_slice(self.wrapping.value_end());
        let value = key.end..arena.len();
        out.push_bare(key, value);
    }
}

const KEY: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"}],"optional":false,"#,
    r#""name":"io.debezium.connector.common.TransactionMetadataKey","version":1}"#,
);

const VALUE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"status"},"#,
    r#"{"type":"string","optional":false,"field":"id"},"#,
    r#"{"type":"int64","optional":true,"field":"event_count"},"#,
    r#"{"type":"array","items":{"type":"struct","fields":[{"type":"string","optional":false,"field":"data_collection"},"#,
    r#"{"type":"int64","optional":false,"field":"event_count"}],"optional":true,"name":"event.collection","version":1},"#,
    r#""optional":true,"field":"data_collections"},{"type":"int64","optional":false,"field":"ts_ms"}],"optional":false,"#,
    r#""name":"io.debezium.connector.common.TransactionMetadataValue","version":1}"#,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SnapshotMarker;

    fn origin(lsn: u64) -> Origin {
        Origin {
            ts_us: 1_785_830_400_123_999,
            xid: Some(742),
            last_commit_lsn: None,
            lsn: Lsn(lsn),
            snapshot: SnapshotMarker::Streamed,
        }
    }

    fn texts(out: &EncodedRecords) -> Vec<(String, String)> {
        let mut texts = Vec::new();
        out.for_each(|record| {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.expect("both are there").to_vec()).expect("JSON");
            texts.push((text(record.key), text(record.value)));
        });
        texts
    }

    #[test]
    fn a_transaction_is_told_at_its_beginning_and_counted_at_its_end() {
        let encoder = TransactionEncoder::new(&EventOptions::new("tp", "appdb", "run"));
        assert_eq!(&*encoder.topic, "tp.transaction");
        let (mut counts, mut out) = (TransactionCounts::default(), EncodedRecords::default());
        let (orders, customers) = (Arc::from("public.orders"), Arc::from("public.customers"));
        encoder.begin(&origin(23_476_200), &mut out);
        counts.begin();
        let order = |total, in_collection| Order { total, in_collection };
        assert_eq!(counts.count(&orders), order(1, 1));
        assert_eq!(counts.count(&customers), order(2, 1));
        assert_eq!(counts.count(&orders), order(3, 2));
        encoder.end(&origin(23_476_200), Lsn(23_476_400), &counts, &mut out);
        counts.begin();
        encoder.end(&origin(23_476_400), Lsn(23_476_500), &counts, &mut out);
        let texts = texts(&out);
        assert_eq!(texts[0].0, r#"{"id":"742:23476200"}"#);
        assert_eq!(
            texts[0].1,
            r#"{"status":"BEGIN","id":"742:23476200","event_count":null,"data_collections":null,"ts_ms":1785830400123}"#
        );
        assert!(
            texts[1]
                .1
                .starts_with(r#"{"status":"END","id":"742:23476400","event_count":3,"data_collections":["#)
        );
        assert!(
            texts[1]
                .1
                .contains(r#"{"data_collection":"public.orders","event_count":2}"#),
            "{texts:?}"
        );
        assert!(
            texts[2].1.contains(r#""event_count":0,"data_collections":[],"#),
            "{texts:?}"
        );
    }

    #[test]
    fn an_emptied_map_keeps_its_buckets() {
        let mut counts = TransactionCounts::default();
        for table in 0..13 {
            counts.count(&Arc::from(format!("public.t{table}")));
        }
        counts.begin();
        assert_eq!((counts.buckets, counts.collections.len()), (32, 0));
    }
}
